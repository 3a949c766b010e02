// Categories to choose among, the most frequent ones of the results first.
"use strict";

becamGallery.categories = (() => {
  const { heading, index, state, make, own, format } = becamGallery;
  const MOST = 300;
  const SEARCHED = 12;

  const what = "Search categories";
  const search = make("input", { type: "search", placeholder: what, "aria-label": what });
  const named = { role: "group", "aria-label": "Categories", tabIndex: 0 };
  const list = make("div", { className: "checks scroll", ...named });
  const more = make("p", { className: "soft small" });
  const folded = heading.categories.map(index.fold);
  let counts = new Uint32Array(heading.categories.length);
  let drawn = "";

  search.hidden = heading.categories.length <= SEARCHED;
  search.addEventListener("input", () => fill());

  function choose(name, on) {
    const others = state.get().category.filter((one) => one !== name);
    state.set({ category: on ? [...others, name] : others }, { push: true });
  }

  function line({ name, number, chosen }) {
    const input = make("input", { type: "checkbox", checked: chosen, value: name });
    input.addEventListener("change", () => choose(name, input.checked));
    const count = make("span", { className: "soft small number" });
    count.textContent = format(counts[number]);
    return make("label", { className: "check" }, input, own("bdi", name || "(none)", 80), count);
  }

  function fill() {
    const chosen = new Set(state.get().category);
    const wanted = index.fold(search.value);
    const found = heading.categories
      .map((name, number) => ({ name, number, chosen: chosen.has(name) }))
      .filter((one) => one.chosen || (counts[one.number] && folded[one.number].includes(wanted)))
      .sort((a, b) => b.chosen - a.chosen || counts[b.number] - counts[a.number]);
    const shown = found.slice(0, MOST);
    const now = JSON.stringify(shown.map((one) => [one.number, one.chosen, counts[one.number]]));
    if (now === drawn) return;
    drawn = now;
    const focused = list.contains(document.activeElement) ? document.activeElement.value : null;
    list.replaceChildren(...shown.map(line));
    const rest = found.length - shown.length;
    more.textContent = rest ? `${format(rest)} more: search for them.` : "";
    if (focused === null) return;
    [...list.querySelectorAll("input")].find(({ value }) => value === focused)?.focus();
  }

  /** Shows how many results each category would have; null leaves the counts as they are. */
  function show(found) {
    counts = found ?? counts;
    fill();
  }

  return { parts: [search, list, more], show };
})();
