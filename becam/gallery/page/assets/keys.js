// Keys, and the dialog that lists them.
"use strict";

becamGallery.keys = (() => {
  const { heading, state, list, blink, choices, display, printing, detail } = becamGallery;
  const { byId, make } = becamGallery;
  const KEPT = "becam-single-keys";
  const TYPING = "input:not([type=checkbox], [type=radio], [type=range]), select, textarea";

  const help = byId("help");
  const single = byId("single-keys");
  const press = (id) => byId(id).click();

  /** The next of some values after the one that is chosen. */
  function turn(key, values) {
    const at = values.indexOf(state.get()[key]);
    state.set({ [key]: values[(at + 1) % values.length] });
  }

  function fade(by) {
    state.set({ opacity: Math.min(100, Math.max(0, state.get().opacity + by)) });
  }

  function resize(by) {
    const { min, max, step } = display.SIZES;
    const now = state.get().size || parseFloat(byId("items").style.getPropertyValue("--tile"));
    const size = Math.min(max, Math.max(min, now + by));
    state.set({ size: Math.round(size / step) * step });
  }

  const views = Object.keys(choices.VIEWS);
  const show = (view) => state.set({ view });

  /** What single keys do in the list. */
  const LIST = {
    j: () => list.move(1),
    k: () => list.move(-1),
    "/": () => byId("search").select(),
    f: () => press("show-filters"),
    l: () => turn("layout", Object.keys(choices.LAYOUTS)),
    "+": () => resize(20),
    "=": () => resize(20),
    "-": () => resize(-20),
    p: () => printing.print(),
  };
  /** What they do everywhere. */
  const EVERYWHERE = {
    1: () => show(views[0]),
    2: () => show(views[1]),
    3: () => show(views[2]),
    b: () => blink.toggle(),
    "[": () => fade(-10),
    "]": () => fade(10),
    c: () => turn("colormap", Object.keys(heading.colormaps)),
    t: () => press("theme"),
    "?": () => help.showModal(),
  };
  const HELP = [
    [["↑", "↓", "←", "→"], "from item to item"],
    [["Home", "End"], "first, last item"],
    [["Page Up", "Page Down"], "a window up or down"],
    [["Enter"], "details of an item"],
    [["←", "→"], "in the details: previous, next item"],
    [["Esc"], "close"],
    [["j", "k"], "next, previous item, from anywhere"],
    [["/"], "search"],
    [["f"], "filters"],
    [["l"], "rows or grid"],
    [["1", "2", "3"], "show overlay, map, picture"],
    [["b"], "blink: picture, overlay and map in turn, of the item in focus or under the pointer"],
    [["[", "]"], "fainter, stronger maps"],
    [["c"], "next colours"],
    [["+", "−"], "larger, smaller tiles"],
    [["p"], "print"],
    [["t"], "light or dark"],
    [["?"], "these keys"],
  ];

  function row([keys, text]) {
    const cell = make("th", { scope: "row" });
    for (const key of keys) cell.append(make("kbd", { textContent: key }), " ");
    return make("tr", {}, cell, make("td", { textContent: text }));
  }

  function handle(event) {
    const { key, target, ctrlKey, metaKey, altKey } = event;
    const inside = detail.dialog.open;
    if ((ctrlKey || metaKey) && key === "p" && !inside) {
      event.preventDefault();
      printing.print();
      return;
    }
    if (ctrlKey || metaKey || altKey || target.matches(TYPING)) return;
    if (help.open || !single.checked) return;
    const act = EVERYWHERE[key] ?? (inside ? undefined : LIST[key]);
    if (!act) return;
    event.preventDefault();
    act();
  }

  function start() {
    byId("keys").append(...HELP.map(row));
    // Single keys disturb those who speak to their computer (WCAG 2.1.4).
    try {
      single.checked = localStorage.getItem(KEPT) !== "off";
    } catch {
      // Pages from disk may not be allowed to keep anything.
    }
    single.addEventListener("change", () => {
      try {
        localStorage.setItem(KEPT, single.checked ? "on" : "off");
      } catch {
        // The choice then holds until the page is closed.
      }
    });
    document.addEventListener("keydown", handle);
    byId("help-button").addEventListener("click", () => help.showModal());
    byId("help-close").addEventListener("click", () => help.close());
    help.addEventListener("pointerdown", ({ target }) => {
      if (target === help) help.close();
    });
  }

  return { start };
})();
