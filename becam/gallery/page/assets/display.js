// Colour map, opacity, size of tiles and columns: a popover that the details share.
"use strict";

becamGallery.display = (() => {
  const { heading, state, choices, byId, make, own } = becamGallery;
  const SIZES = { min: 80, max: 480, step: 10 };
  const OPACITIES = { min: 0, max: 100, step: 5 };
  const BELOW = 6;
  const EDGE = 8;

  const popover = byId("display");
  const shows = [];

  function colours() {
    const select = make("select", { id: "colormap" });
    const bar = make("span", { className: "bar" });
    for (const value of Object.keys(heading.colormaps)) {
      select.append(make("option", { value, textContent: choices.COLORMAPS[value] ?? value }));
    }
    select.addEventListener("change", () => state.set({ colormap: select.value }));
    shows.push(() => {
      select.value = state.get().colormap;
      bar.style.background = becamMap.gradient(select.value);
    });
    return make("label", { className: "line" }, "Colours", select, bar);
  }

  function slider(label, key, properties, words) {
    const input = make("input", { type: "range", ...properties });
    const output = make("output", { className: "number soft" });
    input.addEventListener("input", () => state.set({ [key]: Number(input.value) }));
    shows.push(() => {
      const value = state.get()[key];
      input.value = value;
      output.textContent = words(value);
    });
    return make("label", { className: "line" }, make("span", {}, label, " ", output), input);
  }

  function columns() {
    const fieldset = make("fieldset", { className: "checks" });
    fieldset.append(make("legend", { textContent: "Columns" }));
    const boxes = heading.columns.map(({ name }) => {
      const input = make("input", { type: "checkbox" });
      input.addEventListener("change", () => {
        const chosen = boxes.flatMap((box, i) => (box.checked ? [i] : []));
        state.set({ columns: chosen }, { push: true });
      });
      fieldset.append(make("label", { className: "check" }, input, own("span", name, 120)));
      return input;
    });
    shows.push(() => {
      boxes.forEach((box, i) => (box.checked = state.get().columns.includes(i)));
    });
    return fieldset;
  }

  /** Puts the popover below the button that opened it, within the window. */
  function place() {
    const inside = document.querySelector("dialog[open] [popovertarget=display]");
    const button = (inside ?? byId("show-display")).getBoundingClientRect();
    const wide = document.documentElement.clientWidth;
    const right = Math.min(wide - button.right, wide - popover.offsetWidth - EDGE);
    popover.style.top = `${button.bottom + BELOW}px`;
    popover.style.right = `${Math.max(EDGE, right)}px`;
  }

  function start() {
    const fit = make("button", { type: "button", textContent: "Fit the window" });
    fit.addEventListener("click", () => state.set({ size: 0 }));
    popover.append(
      colours(),
      slider("Opacity of the hottest point", "opacity", OPACITIES, (value) => `${value}%`),
      slider("Size of tiles", "size", SIZES, (value) =>
        value ? `${value} px` : "fits the window",
      ),
      fit,
      columns(),
    );
    popover.addEventListener("toggle", ({ newState }) => {
      for (const button of document.querySelectorAll("[popovertarget=display]")) {
        button.setAttribute("aria-expanded", String(newState === "open"));
      }
      if (newState !== "open") return;
      place();
      byId("colormap").focus();
    });
    const show = () => shows.forEach((one) => one());
    state.listen(show);
    show();
  }

  return { start, SIZES };
})();
