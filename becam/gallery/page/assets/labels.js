// The names of the columns above the tiles.
"use strict";

becamGallery.labels = (() => {
  const { heading, state, byId, make, own } = becamGallery;
  const LONGEST = 160;

  const row = byId("labels");
  const methods = new Set(heading.columns.map(({ method, space }) => `${method}, ${space}`));

  function name(column) {
    const { label, method, space } = heading.columns[column];
    const how = `${method}, ${space}`;
    const element = make("span", { className: "name", title: `${label}: ${how}` });
    element.append(own("span", label, LONGEST));
    if (methods.size > 1) element.append(own("span", how, LONGEST, { className: "soft" }));
    return element;
  }

  /** Names what stands below: each column where tiles are aligned, the one of the grid. */
  function show({ grid, aligned, width }) {
    row.replaceChildren();
    row.hidden = !aligned && !grid;
    const { column, columns } = state.get();
    if (grid && heading.columns.length) {
      row.append(own("p", `Maps of ${heading.columns[column].name}`, LONGEST));
    } else if (aligned) {
      const picture = make("span", { className: "name", textContent: "Picture" });
      const names = make("span", { className: "tiles" }, picture, ...columns.map(name));
      row.style.setProperty("--tile", `${width}px`);
      row.append(make("span", { className: "facts" }), names);
    }
  }

  return { show };
})();
