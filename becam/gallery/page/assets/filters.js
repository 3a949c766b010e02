// The panel of filters.
"use strict";

becamGallery.filters = (() => {
  const { heading, index, state, angle, bars, choices, categories } = becamGallery;
  const { byId, make, own, format } = becamGallery;
  const BINS = 36;
  const WIDE = 1200;
  const WARNINGS = {
    any: [null, null],
    none: [null, 0],
    some: [1, null],
    "2 or more": [2, null],
    "3 or more": [3, null],
  };

  const panel = byId("filters");
  const several = heading.columns.length > 1;
  const shows = [];

  /** Names of what a filter measures: in a column, where there are several. */
  const measured = (what, column) =>
    several ? `${what} in ${heading.columns[column].name}` : what;

  function group(title, ...children) {
    const legend = own("legend", title);
    panel.append(make("fieldset", { className: "filter" }, legend, ...children));
    return legend;
  }

  const explained = (textContent) => make("p", { className: "soft small", textContent });

  /** An input for one end of a range; empty for none. */
  function limit(key, what, properties) {
    const named = { placeholder: what, "aria-label": what };
    const input = make("input", { type: "number", step: "any", ...named, ...properties });
    input.addEventListener("input", () => {
      state.set({ [key]: input.value === "" ? null : input.valueAsNumber });
    });
    shows.push(() => {
      if (document.activeElement !== input) input.value = state.get()[key] ?? "";
    });
    return input;
  }

  const range = (...limits) => make("div", { className: "range" }, ...limits);

  /** Theta of all items, and its control as an outline. */
  function distribution(column) {
    const counted = (values) => {
      const counts = new Array(BINS).fill(0);
      for (const value of values.subarray(0, index.ready)) {
        if (!isNaN(value)) counts[Math.min(BINS - 1, Math.floor((value / 180) * BINS))]++;
      }
      return counts;
    };
    return bars.histogram({
      counts: counted(index.theta[column]),
      outline: counted(index.control[column]),
      limits: [heading.omission / 180, angle.DRIFT / 180],
    });
  }

  function over(column, theta) {
    let found = 0;
    for (const value of index.theta[column]) if (value > theta) found++;
    return found;
  }

  function thetaGroup() {
    const chart = make("div");
    const key = make("p", { className: "soft small key", "aria-hidden": "true" });
    key.append(make("i", { className: "bar" }), "this content ");
    key.append(make("i", { className: "outline" }), "another item’s");
    const presets = [
      ["All", null],
      ["Omission", heading.omission],
      ["Drift", angle.DRIFT],
    ].map(([text, theta]) => {
      const button = make("button", { type: "button" });
      const choice = { theta_over: theta, theta_to: null };
      button.addEventListener("click", () => state.set(choice, { push: true }));
      return { button, text, theta };
    });
    const buttons = presets.map(({ button }) => button);
    const degrees = { min: 0, max: 180 };
    const legend = group(
      "θ",
      chart,
      key,
      make("div", { className: "presets" }, ...buttons),
      range(limit("theta_over", "over °", degrees), limit("theta_to", "to °", degrees)),
    );
    let drawn = null;

    function draw(column) {
      chart.replaceChildren(distribution(column));
      for (const { button, text, theta } of presets) {
        button.textContent = theta === null ? text : `${text} ${format(over(column, theta))}`;
        button.title = theta === null ? "" : `θ over ${theta}°`;
      }
    }

    shows.push(() => {
      const { column, theta_over, theta_to } = state.get();
      legend.textContent = measured("θ", column);
      const wanted = `${column} ${index.ready}`;
      if (drawn !== wanted) draw(column);
      drawn = wanted;
      for (const { button, theta } of presets) {
        button.setAttribute("aria-pressed", String(theta_over === theta && theta_to === null));
      }
    });
  }

  function changeGroup() {
    const columns = ["from", "to"].map((key) => {
      const select = choices.columnOptions(make("select"));
      const choose = () => state.set({ [key]: Number(select.value) }, { push: true });
      select.addEventListener("change", choose);
      shows.push(() => (select.value = state.get()[key]));
      const name = make("span", { className: "soft small", textContent: key });
      return make("label", { className: "line" }, name, select);
    });
    group(
      "Change between columns",
      ...columns,
      explained("Change of θ, in degrees"),
      range(limit("change_from", "from °"), limit("change_to", "to °")),
      explained("Likeness of the two maps (r)"),
      range(limit("likeness_to", "at most", { min: -1, max: 1 })),
    );
  }

  function warningsGroup() {
    const select = make("select", { "aria-label": "Warnings" });
    for (const text of Object.keys(WARNINGS)) {
      select.append(make("option", { value: text, textContent: text }));
    }
    select.append(make("option", { value: "other", textContent: "as in the link", hidden: true }));
    select.addEventListener("change", () => {
      const [warnings_from, warnings_to] = WARNINGS[select.value];
      state.set({ warnings_from, warnings_to }, { push: true });
    });
    const legend = group("Warnings", select);
    shows.push(() => {
      const { warnings_from, warnings_to, column } = state.get();
      const same = ([, [from, to]]) => from === warnings_from && to === warnings_to;
      select.value = Object.entries(WARNINGS).find(same)?.[0] ?? "other";
      legend.textContent = measured("Warnings", column);
    });
  }

  function popularityGroup() {
    const whole = { min: 0, step: 1 };
    const limits = [limit("popularity_from", "from", whole), limit("popularity_to", "to", whole)];
    group("Popularity (interactions)", range(...limits));
  }

  function textsGroup() {
    const input = make("input", { type: "checkbox" });
    const progress = make("span", { id: "texts-progress", className: "soft small" });
    input.addEventListener("change", () => state.set({ whole: input.checked }, { push: true }));
    group("Search", make("label", { className: "check" }, input, "in whole texts too", progress));
    shows.push(() => (input.checked = state.get().whole));
  }

  /** Follows the state; `found` is of query.run, or null before it can run. */
  function show(found) {
    shows.forEach((one) => one());
    categories.show(found?.categories ?? null);
  }

  function toggle(open = panel.hidden) {
    panel.hidden = !open;
    byId("show-filters").setAttribute("aria-expanded", String(open));
  }

  function start() {
    if (heading.columns.length) thetaGroup();
    if (several) changeGroup();
    if (heading.columns.length) warningsGroup();
    popularityGroup();
    if (heading.categories.length > 1) group("Category", ...categories.parts);
    textsGroup();
    byId("show-filters").addEventListener("click", () => {
      toggle();
      if (!panel.hidden) panel.querySelector("button, input, select")?.focus();
    });
    toggle(window.innerWidth >= WIDE);
  }

  return { start, show };
})();
