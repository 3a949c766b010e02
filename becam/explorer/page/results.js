// All maps of a question: a row a method, a column a checkpoint, the picture before them.

import { byId, make, own } from "./dom.js";
import { mapCard } from "./map-card.js";

/** `choose(item)` is called for an item nearby. */
export function resultsView(choose) {
  const place = byId("results");
  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => cards.get(target)?.repaint()));
  const cards = new Map(); // by the element that is observed
  let byPlace = new Map(); // by method and column
  let shown = null; // the picture
  let view = { mode: "overlay", opacity: becamMap.OPACITY, colormap: "inferno" };
  let blinking = false;

  const key = (method, column) => `${method} ${column}`;
  const all = () => [...cards.values()];

  function clear() {
    sizes.disconnect();
    cards.clear();
    byPlace = new Map();
    place.replaceChildren();
  }

  function addCard(row, picture, label, method, column) {
    const card = mapCard(label, picture.source, picture, choose);
    byPlace.set(key(method, column), card);
    cards.set(card.overlay, card);
    row.append(card.root);
    card.show(current());
    sizes.observe(card.overlay);
    card.overlay.addEventListener("pointermove", (event) => point(card, event));
    card.overlay.addEventListener("pointerleave", () => point(null));
    card.overlay.addEventListener("pointerdown", (event) => event.button === 0 && blink(true));
  }

  function pictureCard(picture) {
    const image = make("img", { src: picture.source, alt: picture.name, draggable: false });
    const overlay = make("div", { className: "overlay" }, image, make("i", { className: "pointer" }));
    overlay.style.aspectRatio = `${picture.width} / ${picture.height}`;
    image.addEventListener("load", () => {
      overlay.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
    });
    return make("article", { className: "card original" },
      make("header", {}, make("h3", { textContent: "Picture" }), own("p", picture.name, 120, { className: "soft small" })),
      overlay,
      picture.about ? own("p", picture.about, 300, { className: "soft small" }) : null);
  }

  const current = () => (blinking ? { ...view, mode: "picture" } : view);
  const showAll = () => all().forEach((card) => card.show(current()));

  /** The picture without maps for as long as something is held. */
  function blink(on) {
    if (on === blinking) return;
    blinking = on;
    showAll();
  }

  /** The same point in every picture, and what each map says there. */
  function point(card, event) {
    place.classList.toggle("pointing", card !== null);
    let [x, y] = [null, null];
    if (card) {
      const box = card.overlay.getBoundingClientRect();
      x = (event.clientX - box.left) / box.width;
      y = (event.clientY - box.top) / box.height;
      place.style.setProperty("--x", `${100 * x}%`);
      place.style.setProperty("--y", `${100 * y}%`);
    }
    for (const one of all()) if (one.panel && !one.panel.sentence) one.point(x, y);
  }

  for (const end of ["pointerup", "pointercancel", "blur"]) window.addEventListener(end, () => blink(false));

  return {
    /**
     * Makes room for the maps of a question; what is there of the same picture stays until it is
     * made anew.
     *
     * picture: source, name, width, height.
     * rows: a title for each method; columns: number and label of each.
     */
    begin(picture, rows, columns) {
      const layout = JSON.stringify([picture.source, rows.length, columns]);
      if (shown === layout) {
        all().forEach((card) => card.age());
        place.querySelectorAll(".method-title").forEach((title, i) => { title.textContent = rows[i]; });
        place.querySelectorAll(".cards").forEach((row, i) => row.setAttribute("aria-label", rows[i]));
        return;
      }
      shown = layout;
      const before = byPlace;
      clear();
      rows.forEach((title, method) => {
        // Where cards stand beside each other out of sight, keys must be able to scroll to them.
      const row = make("div", { className: "cards", role: "group", tabIndex: 0, "aria-label": title }, pictureCard(picture));
        place.append(make("section", {}, make("h2", { className: "method-title", textContent: title, hidden: rows.length < 2 }), row));
        for (const { number, label } of columns) addCard(row, picture, label, method, number);
      });
      // Columns come and go, but a map of the same picture needs not.
      for (const [where, old] of before) {
        const next = byPlace.get(where);
        if (next && old.panel && old.source === picture.source) {
          next.take(old.panel);
          next.age();
        }
      }
      for (const card of all()) card.source = picture.source;
    },
    /** Whatever has not come will not come. */
    end() {
      all().forEach((card) => card.rest());
    },
    /** What is shown is not what is asked for any more. */
    age() {
      all().forEach((card) => card.panel && card.age());
    },
    take(panel) {
      byPlace.get(key(panel.method, panel.column))?.take(panel);
    },
    show(next) {
      view = { ...view, ...next };
      showAll();
    },
    blink,
    clear() {
      shown = null;
      clear();
    },
    get view() {
      return view;
    },
  };
}
