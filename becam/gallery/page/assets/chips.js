// The active filters in words, each with its way out; and what an empty result says.
"use strict";

becamGallery.chips = (() => {
  const { heading, index, state, byId, make, own, count } = becamGallery;

  const label = (column) => heading.columns[column].name;
  const quoted = (text) => `“${text.trim()}”`;

  /** Both ends of a range in words; either may be null. */
  function span(low, high, unit = "", from = "from") {
    const ends = [
      low === null ? null : `${from} ${low}${unit}`,
      high === null ? null : `to ${high}${unit}`,
    ];
    return ends.filter(Boolean).join(" ");
  }

  // The words of each kind of filter, by the choices that it consists of.
  const WORDS = [
    [["q"], ({ q, whole }) => quoted(q) + (whole ? " in whole texts" : "")],
    [
      ["theta_over", "theta_to"],
      ({ theta_over, theta_to, column }) =>
        `θ${measured(column)} ${span(theta_over, theta_to, "°", "over")}`,
    ],
    [
      ["warnings_from", "warnings_to"],
      ({ warnings_from, warnings_to, column }) =>
        (warnings_to === 0 ? "no warnings" : `warnings ${span(warnings_from, warnings_to)}`) +
        measured(column),
    ],
    [
      ["change_from", "change_to"],
      ({ from, to, change_from, change_to }) =>
        `change of θ from ${label(from)} to ${label(to)} ${span(change_from, change_to, "°")}`,
    ],
    [
      ["likeness_to"],
      ({ from, to, likeness_to }) =>
        `maps of ${label(from)} and ${label(to)}: r ${span(null, likeness_to)}`,
    ],
    [
      ["popularity_from", "popularity_to"],
      ({ popularity_from, popularity_to }) =>
        `interactions ${span(popularity_from, popularity_to)}`,
    ],
  ];

  const measured = (column) => (heading.columns.length > 1 ? ` in ${label(column)}` : "");

  /** What is filtered by: words, and how to end it. */
  function active() {
    const now = state.get();
    const set = (key) => now[key] !== null && !(key === "q" && !now.q.trim());
    const found = WORDS.filter(([keys]) => keys.some(set)).map(([keys, words]) => ({
      text: words(now),
      remove: () => state.clear(keys, { push: true }),
    }));
    for (const one of now.category) {
      const category = now.category.filter((other) => other !== one);
      const remove = () => state.set({ category }, { push: true });
      found.push({ text: `category ${one || "(none)"}`, remove });
    }
    return found;
  }

  function chip({ text, remove }) {
    const button = make(
      "button",
      { type: "button", className: "chip", "aria-label": `Remove the filter: ${text}` },
      own("span", text, 100),
      make("span", { "aria-hidden": "true", textContent: "×" }),
    );
    button.addEventListener("click", () => {
      remove();
      (byId("chips").querySelector("button") ?? byId("search")).focus();
    });
    return button;
  }

  function clearing(className, textContent) {
    const button = make("button", { type: "button", className, textContent });
    button.addEventListener("click", () => {
      state.clear(state.FILTERS, { push: true });
      byId("search").focus();
    });
    return button;
  }

  function empty(filters) {
    const [title, text, buttons] = byId("empty").children;
    title.textContent = index.count ? "No item matches" : "This gallery has no items";
    text.textContent =
      filters.length > 1 ? "The filters above hold all at once: take one away, or all." : "";
    if (!index.count) return;
    const all = clearing("primary", `Show all ${count(index.count, "item")}`);
    buttons.replaceChildren(all);
  }

  /** Follows the state; `found` is how many items are left, or null before that is known. */
  function show(found) {
    const filters = active();
    const all = filters.length > 1 ? [clearing("plain", "Clear all")] : [];
    byId("chips").replaceChildren(...filters.map(chip), ...all);
    byId("show-filters").textContent = filters.length ? `Filters (${filters.length})` : "Filters";
    byId("empty").hidden = found !== 0;
    if (found === 0) empty(filters);
  }

  return { show, active };
})();
