// Search, sorting, and the choices of layout and view above the list.
"use strict";

becamGallery.toolbar = (() => {
  const { heading, state, choices, byId, make } = becamGallery;

  const several = heading.columns.length > 1;

  function search() {
    const input = byId("search");
    input.addEventListener("input", () => state.set({ q: input.value }));
    return () => {
      if (input.value !== state.get().q) input.value = state.get().q;
    };
  }

  function sorting() {
    const sort = byId("sort");
    const column = choices.columnOptions(byId("column"));
    const direction = byId("direction");
    for (const [value, textContent] of Object.entries(choices.SORTS)) {
      if (!several && choices.BETWEEN.includes(value)) continue;
      sort.append(make("option", { value, textContent }));
    }
    const set = (patch) => state.set(patch, { push: true });
    sort.addEventListener("change", () => set({ sort: sort.value }));
    column.addEventListener("change", () => set({ column: Number(column.value) }));
    direction.addEventListener("click", () => set({ down: !state.get().down }));
    column.hidden = !several;
    return () => {
      const now = state.get();
      sort.value = now.sort;
      column.value = now.column;
      const label = heading.columns[now.column]?.name ?? "";
      column.title = `Sorting, filters and the grid go by ${label}`;
      direction.textContent = now.down ? "↓" : "↑";
      direction.title = now.down ? "The largest first" : "The smallest first";
      direction.setAttribute("aria-pressed", String(now.down));
    };
  }

  function start() {
    const shows = [search(), sorting()];
    choices.segments(byId("layout"), "layout", choices.LAYOUTS);
    choices.segments(byId("view"), "view", choices.VIEWS);
    becamTheme.toggle(byId("theme"));
    const show = () => shows.forEach((one) => one());
    state.listen(show);
    show();
  }

  return { start };
})();
