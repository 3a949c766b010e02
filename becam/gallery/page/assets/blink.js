// Blinking: one item at a time goes through picture, overlay and map, or through its columns.
"use strict";

becamGallery.blink = (() => {
  const { state, heading, byId } = becamGallery;
  // Far below three flashes a second, which may harm (WCAG 2.3.1).
  const STEP = 900;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  /** The steps of an item whose tiles show a column each. */
  const VIEWS = ["picture", "overlay", "map"].map((view) => ({ view }));

  let on = false;
  let shown = null;
  let step = 0;
  let timer = null;

  /** The steps of an item that has one tile for all columns. */
  function stations() {
    const view = state.get().view === "map" ? "map" : "overlay";
    const columns = state.get().columns.map((column) => {
      return { view, column, name: heading.columns[column].name };
    });
    return [{ view: "picture", name: "Picture" }, ...columns];
  }

  function show() {
    const steps = shown.single ? stations() : VIEWS;
    shown.blink(steps[step % steps.length]);
  }

  function stop() {
    if (timer === null) return;
    clearInterval(timer);
    timer = null;
    shown.blink(null);
  }

  /** Blinks if there is something that should, and stops if not. */
  function update() {
    const wanted = shown !== null && (on || (shown.single && shown.hovered && !still.matches));
    if (!wanted) {
      stop();
    } else if (timer === null) {
      step = 0;
      show();
      timer = setInterval(() => {
        step += 1;
        show();
      }, STEP);
    }
  }

  /** Names the item that blinks, if any does: the one under the pointer, or else in focus. */
  function follow(one) {
    if (one !== shown) {
      stop();
      shown = one;
    }
    update();
  }

  function toggle() {
    on = !on;
    update();
    for (const button of document.querySelectorAll(".blink")) {
      button.setAttribute("aria-pressed", String(on));
    }
    byId("announcement").textContent = on ? "Blinking" : "Not blinking";
  }

  return { follow, toggle, shown: () => shown };
})();
