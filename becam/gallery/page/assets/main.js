// Puts the parts together: what the state says is asked of the index and shown in the list.
"use strict";

(() => {
  const { heading, index, state, query, list, filters, chips, angle, detail } = becamGallery;
  const { byId, make, count, format } = becamGallery;
  const LAYOUT = ["layout", "columns", "size"];
  const QUERY = [...state.FILTERS, "whole", "sort", "down", "column", "from", "to"];
  const NARROW = 700;

  const everything = Uint32Array.from({ length: index.count }, (_, item) => item);
  const complete = () => index.ready === index.count;
  /** The gallery's own order needs no index, so it is there at once. */
  const plain = () => [...state.FILTERS, "sort", "down"].every(state.isDefault);
  let readingTexts = false;

  /** Says something above the list that the reader must know. */
  becamGallery.notice = (textContent) => {
    byId("notice")?.remove();
    const properties = { id: "notice", className: "warning", role: "alert", textContent };
    byId("summary").prepend(make("p", properties));
  };

  /** Says that part of the folder is not there. */
  becamGallery.missing = ({ message }) => {
    const out = "copy or unpack the whole folder.";
    becamGallery.notice(`Part of this gallery cannot be read (${message}): ${out}`);
  };

  function say(found) {
    const all = count(index.count, "item");
    byId("count").textContent = found === index.count ? all : `${format(found)} of ${all}`;
  }

  function run(options) {
    if (complete()) {
      const found = query.run(state.get());
      list.show(found.items, options);
      filters.show(found);
      chips.show(found.items.length);
      say(found.items.length);
      return;
    }
    list.show(plain() ? everything : everything.subarray(0, 0), { stay: true });
    filters.show(null);
    chips.show(null);
    if (plain()) say(index.count);
    else byId("count").textContent = "Reading the index…";
  }

  /** Reads all texts, which takes a while, when they are first searched. */
  async function readTexts() {
    if (readingTexts) return;
    readingTexts = true;
    const progress = byId("texts-progress");
    try {
      await query.readTexts((share) => {
        progress.textContent = ` reading ${Math.round(100 * share)}%`;
      });
    } catch (error) {
      becamGallery.missing(error);
    }
    progress.textContent = "";
    run({});
  }

  function changed(now, keys) {
    const touched = (names) => names.some((name) => keys.has(name));
    if (now.whole) readTexts();
    if (touched(QUERY)) run({});
    if (touched(LAYOUT) || (now.layout === "grid" && keys.has("column"))) list.layout();
  }

  /** The legend's samples, and the toolbar's height, which sticky things stand below. */
  function decorate() {
    const heat = document.querySelector(".swatch.heat");
    const signed = document.querySelector(".swatch.signed");
    const show = () => (heat.style.background = becamMap.gradient(state.get().colormap));
    state.listen(show);
    show();
    signed.style.background = becamMap.gradient(becamMap.SIGNED);
    document.querySelector(".reading .sample").append(angle.track(52, 87));
    // On a telephone the items come first.
    const notes = document.querySelector(".notes");
    if (notes) notes.open = window.innerWidth > NARROW;
    const bar = byId("toolbar");
    const root = document.documentElement;
    const follow = () => root.style.setProperty("--toolbar", `${bar.offsetHeight}px`);
    new ResizeObserver(follow).observe(bar);
    follow();
  }

  async function start() {
    becamMap.load(heading.colormaps);
    byId("waiting").remove();
    byId("app").hidden = false;
    for (const part of ["toolbar", "display", "filters", "keys"]) becamGallery[part].start();
    decorate();
    byId("skip").addEventListener("click", () => list.focus(0));
    state.listen(changed);
    run({ stay: true });
    try {
      await index.read(() => run({ stay: true }));
    } catch (error) {
      becamGallery.missing(error);
      return;
    }
    if (state.get().whole) readTexts();
    detail.update();
  }

  start();
})();
