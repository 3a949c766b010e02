// The dialog of one item: it follows the address, and goes from item to item.
"use strict";

becamGallery.detail = (() => {
  const { heading, index, state, blink, card, list, choices, dossier } = becamGallery;
  const { maps, details, texts, picture, byId, make, format } = becamGallery;
  const LEAST = 250;
  const MOST = 520;
  const GAP = 20;
  const SHARE = 0.62;
  const COPIED = 1500;

  const dialog = byId("detail");
  const figures = make("div", { className: "figures" });
  const more = make("div");
  const body = make("div", { className: "body" }, figures, more);
  let shown = null;
  let parts = [];

  function button(textContent, label, title, act) {
    const made = make("button", { type: "button", textContent, title, "aria-label": label });
    made.addEventListener("click", act);
    return made;
  }
  const previous = button("‹", "Previous item", "Previous item (←)", () => step(-1));
  const next = button("›", "Next item", "Next item (→)", () => step(1));
  const place = make("span", { className: "soft small number" });
  const title = make("h2", { id: "detail-title", dir: "auto", tabIndex: -1 });
  const link = button("Copy link", "Copy link", "Copy the address of what is shown", copy);
  const close = button("Close", "Close", "Close (Esc)", () => dialog.close());

  /** The same choices as above the list, which lies out of reach while the dialog is open. */
  function tools() {
    const legend = make("legend", { className: "unseen", textContent: "Show" });
    const view = choices.segments(
      make("fieldset", { className: "segments" }, legend),
      "view",
      choices.VIEWS,
    );
    const what = "Picture, overlay, map in turn (b)";
    const blinking = button("Blink", "Blink", what, () => blink.toggle());
    blinking.className = "blink";
    blinking.setAttribute("aria-pressed", "false");
    const display = make("button", { type: "button", textContent: "Display" });
    display.setAttribute("popovertarget", "display");
    return make("span", { className: "steps tools" }, view, blinking, display, link);
  }

  dialog.append(
    make(
      "header",
      {},
      make("span", { className: "steps" }, previous, next, place),
      title,
      tools(),
      close,
    ),
    body,
  );

  /** What blinks while the dialog is open. */
  const blinker = {
    single: false,
    hovered: false,
    blink: (one) => parts.forEach((part) => part.tile.force(one?.view ?? null)),
  };

  async function copy() {
    const address = new URL(state.link({}), location.href).href;
    try {
      await navigator.clipboard.writeText(address);
      link.textContent = "Copied";
    } catch {
      window.prompt("The link to this item, as it is shown now:", address);
    }
    setTimeout(() => (link.textContent = "Copy link"), COPIED);
  }

  const id = (item) => index.ids[item];

  function step(by) {
    const items = list.items();
    const at = list.position(shown) + by;
    if (at >= 0 && at < items.length) state.set({ item: id(items[at]) });
  }

  /** Sizes the tiles for the dialog's width, in lines of equal length. */
  function fit() {
    if (!parts.length) return;
    const width = figures.clientWidth;
    const most = Math.max(1, Math.floor((width + GAP) / (LEAST + GAP)));
    const perLine = Math.ceil(parts.length / Math.ceil(parts.length / most));
    const wide = Math.min(MOST, Math.floor((width + GAP) / perLine) - GAP);
    const highest = Math.max(LEAST, Math.round(SHARE * window.innerHeight));
    const high = Math.min(Math.round(wide * Math.max(1, heading.aspect)), highest);
    figures.style.setProperty("--tile", `${wide}px`);
    figures.style.gridTemplateColumns = `repeat(${perLine}, ${wide}px)`;
    for (const part of parts) part.tile.fit(wide, high);
  }

  /** All that is loaded of an item. */
  const load = (item) => Promise.all([maps.get(item), details.get(item), texts.get(item)]);

  async function fill(item) {
    let map, found, full;
    try {
      [map, found, full] = await load(item);
    } catch (error) {
      becamGallery.missing(error);
      return;
    }
    if (shown !== item) return;
    title.textContent = full.title || id(item);
    title.title = full.title.slice(0, 1000);
    for (const { column, scale, said } of parts.slice(1)) {
      scale.show(map);
      said.append(...dossier.controls(found.columns[column], column));
    }
    more.append(dossier.text(found, full.text), dossier.neighbours(found));
  }

  /** Loads the items before and after, so that they are there when gone to. */
  function warm(at) {
    const items = list.items();
    for (const near of [at + 1, at - 1]) {
      if (at < 0 || near < 0 || near >= items.length) continue;
      new Image().src = picture(items[near]);
      load(items[near]).catch(() => {});
    }
  }

  function clear() {
    parts.forEach((part) => part.tile.dispose());
    parts = [];
    figures.replaceChildren();
    more.replaceChildren();
  }

  function show(item) {
    shown = item;
    clear();
    const at = list.position(item);
    const total = list.items().length;
    previous.disabled = at <= 0;
    next.disabled = at < 0 || at + 1 >= total;
    place.textContent = at < 0 ? "not among the results" : `${format(at + 1)} of ${format(total)}`;
    title.textContent = card.title(item);
    parts = [null, ...state.get().columns].map((column) => dossier.figure(item, column));
    figures.append(...parts.map(({ element }) => element));
    if (!dialog.open) {
      // While the dialog is open nothing outside of it can be used.
      dialog.append(byId("display"));
      dialog.showModal();
    }
    body.scrollTop = 0;
    fit();
    parts.forEach((part) => part.tile.start());
    title.focus({ preventScroll: true });
    blink.follow(null);
    blink.follow(blinker);
    fill(item);
    warm(at);
  }

  /** Shows the item that the address names, or none. */
  function update() {
    const wanted = state.get().item;
    const item = wanted === null ? undefined : index.byId.get(wanted);
    if (item !== undefined) {
      show(item);
      return;
    }
    if (dialog.open) dialog.close();
    if (wanted === null || index.ready < index.count) return;
    const name = wanted.slice(0, 100);
    becamGallery.notice(`The link names an item that is not in this gallery: ${name}`);
    state.set({ item: null });
  }

  dialog.addEventListener("close", () => {
    const at = list.position(shown);
    shown = null;
    blink.follow(null);
    clear();
    document.body.append(byId("display"));
    if (state.get().item !== null) state.set({ item: null });
    if (at >= 0) list.focus(at);
  });

  // The backdrop belongs to the dialog, so a press on it arrives at the dialog itself.
  dialog.addEventListener("pointerdown", ({ target, clientX, clientY }) => {
    if (target !== dialog) return;
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    if (clientX < left || clientX > right || clientY < top || clientY > bottom) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.altKey || event.ctrlKey || event.metaKey || target.matches("input, select")) return;
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    event.preventDefault();
    step(key === "ArrowLeft" ? -1 : 1);
  });
  new ResizeObserver(fit).observe(body);
  state.listen((_, changed) => {
    if (changed.has("item")) update();
    else if (shown !== null && changed.has("columns")) show(shown);
    else if (shown !== null && changed.has("colormap")) {
      const map = maps.peek(shown);
      if (map) parts.slice(1).forEach(({ scale }) => scale.show(map));
    }
  });

  becamGallery.open = (item) => state.set({ item: id(item) }, { push: true });
  return { update, dialog };
})();
