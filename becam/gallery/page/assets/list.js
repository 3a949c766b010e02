// The list: any number of items, of which only those in view are in the page.
//
// Items stand at computed places in a tall box that the page scrolls through. Browsers limit the
// height of a box, so beyond a limit the box is lower than the list: `shift` is how far the list
// has run ahead of it. A short scroll leaves the shift alone and so moves the items exactly; a
// long one (the scroll bar, End) goes to the proportional place; and once the page rests, the
// scroll bar is put where it belongs, which nobody sees.
"use strict";

becamGallery.list = (() => {
  const { index, card, labels, state, byId } = becamGallery;
  const HIGHEST = 6e6;
  const REST = 120;
  /** Windows a second beyond which items only fly by, and windows that make a scroll long. */
  const FAST = 2.5;
  const LONG = 1.5;

  const box = byId("items");
  const cards = new Map();
  let items = new Uint32Array();
  let active = 0;
  /** Of shape.measure; null until there is an item to measure. */
  let shape = null;
  let shift = 0;
  let seen = { top: 0, time: 0 };
  let resting = null;
  let width = 0;

  const line = (position) => Math.floor(position / shape.perLine);
  const height = () => Math.ceil(items.length / shape.perLine) * shape.height;
  const boxHeight = () => Math.min(height(), HIGHEST);
  const within = (position) => Math.min(items.length - 1, Math.max(0, position));

  /** How much of the window's top is covered: by the toolbar, and by the names of the columns. */
  function covered() {
    return ["toolbar", "labels"]
      .map(byId)
      .filter((one) => getComputedStyle(one).position === "sticky")
      .reduce((sum, one) => sum + one.offsetHeight, 0);
  }
  const origin = () => box.getBoundingClientRect().top + window.scrollY - covered();
  const viewport = () => window.innerHeight - covered();

  /** From a height of the list to one of the box, in proportion; and back. */
  const lower = (y) => (y / (height() - viewport())) * (boxHeight() - viewport());
  const raise = (y) => (y / (boxHeight() - viewport())) * (height() - viewport());

  /** First and last position in view, with a line to spare on either side. */
  function range() {
    const top = seen.top + shift;
    const first = Math.floor(top / shape.height) - 1;
    const last = Math.ceil((top + viewport()) / shape.height) + 1;
    return [first, last].map((at) => Math.min(items.length, Math.max(0, at * shape.perLine)));
  }

  function insert(position) {
    const made = card.create(items[position], position, items.length, shape);
    made.element.style.height = `${shape.height}px`;
    const next = Math.min(...[...cards.keys()].filter((other) => other > position));
    box.insertBefore(made.element, cards.get(next)?.element ?? null);
    cards.set(position, made);
  }

  /**
   * Puts what is in view, and what has the focus, into the page, and takes the rest out. While
   * items fly by, they load nothing.
   */
  function render(flying = false) {
    if (!shape) return;
    const [first, last] = range();
    const wanted = new Set();
    for (let position = first; position < last; position++) wanted.add(position);
    if (cards.get(active)?.element.contains(document.activeElement)) wanted.add(active);
    for (const [position, made] of cards) {
      const same = wanted.has(position) && made.item === items[position];
      if (same && made.known === made.item < index.ready) continue;
      made.remove();
      cards.delete(position);
    }
    // Tab leads to the active item, or into the view where that is not in the page.
    const stop = wanted.has(active) ? active : Math.min(last - 1, first + shape.perLine);
    for (const position of wanted) {
      if (position >= items.length) continue;
      if (!cards.has(position)) insert(position);
      const { element, link, start } = cards.get(position);
      const x = (position % shape.perLine) * shape.stride;
      const y = line(position) * shape.height - shift;
      element.style.transform = `translate(${x}px, ${y}px)`;
      if (link) link.tabIndex = position === stop ? 0 : -1;
      if (!flying) start();
    }
  }

  function scrolled() {
    if (!shape) return;
    const top = window.scrollY - origin();
    const windows = Math.abs(top - seen.top) / viewport();
    const seconds = (performance.now() - seen.time) / 1000;
    if (height() <= HIGHEST || top <= 0) shift = 0;
    else if (top >= boxHeight() - viewport()) shift = height() - boxHeight();
    else if (windows > LONG) shift = raise(top) - top;
    seen = { top, time: performance.now() };
    render(windows > LONG || windows / seconds > FAST);
    clearTimeout(resting);
    resting = setTimeout(rest, REST);
  }

  function rest() {
    const at = seen.top + shift;
    if (height() > HIGHEST && seen.top > 0 && Math.abs(lower(at) - seen.top) > 1) go(at);
    render();
  }

  /** Scrolls to a height of the list. */
  function go(at) {
    const top = height() > HIGHEST ? Math.round(lower(at)) : at;
    window.scrollTo({ top: origin() + top, behavior: "instant" });
    // The window goes no further than the page is long.
    seen = { top: window.scrollY - origin(), time: performance.now() };
    shift = height() > HIGHEST ? at - seen.top : 0;
  }

  /** Brings an item into view, and moves nothing if it is there. */
  function reveal(position) {
    const top = line(position) * shape.height;
    const from = window.scrollY - origin() + shift;
    if (top < from) go(top);
    else if (top + shape.height > from + viewport()) go(top + shape.height - viewport());
  }

  /** Lays everything out anew; what is at the top of the window stays there. */
  function layout() {
    if (!index.ready) return;
    const first = shape && seen.top > 0 ? within(range()[0] + shape.perLine) : 0;
    for (const made of cards.values()) made.remove();
    cards.clear();
    box.className = state.get().layout;
    shape = becamGallery.shape.measure(box);
    labels.show(shape);
    box.style.height = `${boxHeight()}px`;
    if (first > 0) go(line(first) * shape.height);
    else shift = 0;
    seen.top = window.scrollY - origin();
    render();
  }

  /** Shows these items, from the first one on, or (`stay`) with the window where it is. */
  function show(found, { stay = false } = {}) {
    items = found;
    if (!shape) layout();
    if (!shape) return;
    box.style.height = `${boxHeight()}px`;
    if (!stay) {
      active = 0;
      shift = 0;
      if (window.scrollY > origin()) window.scrollTo({ top: origin(), behavior: "instant" });
    }
    for (const { element } of cards.values()) element.setAttribute("aria-setsize", items.length);
    seen.top = window.scrollY - origin();
    render();
  }

  /** Gives an item the focus. */
  function focus(position) {
    if (!shape || !items.length) return;
    active = within(position);
    reveal(active);
    render();
    cards.get(active)?.link?.focus({ preventScroll: true });
  }

  /** Moves the focus by so many items; where no item had it, to the first one in view. */
  function move(by) {
    const inView = Math.ceil((seen.top + shift) / shape.height) * shape.perLine;
    focus(box.contains(document.activeElement) ? active + by : inView);
  }

  const windowful = () => shape.perLine * Math.max(1, Math.floor(viewport() / shape.height));
  const KEYS = {
    ArrowDown: () => move(shape.perLine),
    ArrowUp: () => move(-shape.perLine),
    ArrowRight: () => shape.grid && move(1),
    ArrowLeft: () => shape.grid && move(-1),
    PageDown: () => move(windowful()),
    PageUp: () => move(-windowful()),
    Home: () => focus(0),
    End: () => focus(items.length - 1),
  };

  const modified = (event) => event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  box.addEventListener("keydown", (event) => {
    if (modified(event) || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  box.addEventListener("focusin", ({ target }) => {
    for (const [position, { link }] of cards) if (link === target) active = position;
  });
  box.addEventListener("click", (event) => {
    if (modified(event) || window.getSelection().toString()) return;
    const target = event.target.closest(".card");
    const made = [...cards.values()].find(({ element }) => element === target);
    if (!made?.known) return;
    event.preventDefault();
    becamGallery.open(made.item);
  });
  window.addEventListener("scroll", scrolled, { passive: true });
  window.addEventListener("resize", () => render());
  new ResizeObserver(() => {
    if (box.clientWidth === width) return;
    width = box.clientWidth;
    layout();
  }).observe(box);

  return {
    show,
    layout,
    focus,
    /** Moves the focus by so many lines. */
    move: (lines) => shape && move(lines * shape.perLine),
    items: () => items,
    /** Where an item is in the list, or -1. */
    position: (item) => items.indexOf(item),
    visible: () => [...cards.values()],
  };
})();
