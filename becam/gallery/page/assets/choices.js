// Words for the choices there are, and controls that several places make.
"use strict";

becamGallery.choices = (() => {
  const { heading, state, make } = becamGallery;

  const SORTS = {
    order: "gallery’s order",
    theta: "θ",
    excess: "θ less its control",
    change: "change of θ",
    likeness: "likeness of maps",
    warnings: "warnings",
    popularity: "popularity",
    title: "title",
  };
  /** Those that compare two columns. */
  const BETWEEN = ["change", "likeness"];
  /** Those that measure the chosen column. */
  const WITHIN = ["theta", "excess", "warnings"];
  const COLORMAPS = { gray: "grey", [becamMap.SIGNED]: "signed: red for, blue against" };
  const VIEWS = { overlay: "Overlay", map: "Map", picture: "Picture" };
  const LAYOUTS = { rows: "Rows", grid: "Grid" };
  const LONGEST = 80;

  let made = 0;

  /** Radio buttons side by side for one choice of the state. */
  function segments(fieldset, key, labels) {
    made += 1;
    const inputs = Object.entries(labels).map(([value, text]) => {
      const input = make("input", { type: "radio", name: `${key}-${made}`, value });
      input.addEventListener("change", () => state.set({ [key]: value }));
      fieldset.append(make("label", {}, input, text));
      return input;
    });
    const show = () => inputs.forEach((one) => (one.checked = one.value === state.get()[key]));
    state.listen(show);
    show();
    return fieldset;
  }

  /** Fills a choice among the columns. */
  function columnOptions(select) {
    heading.columns.forEach(({ name }, value) => {
      select.append(make("option", { value, textContent: name.slice(0, LONGEST) }));
    });
    return select;
  }

  return { SORTS, BETWEEN, WITHIN, COLORMAPS, VIEWS, LAYOUTS, segments, columnOptions };
})();
