// Printing: the first items of the result with their maps, on paper instead of the list.
"use strict";

becamGallery.printing = (() => {
  const { heading, index, state, list, maps, picture, angle, card, chips, choices } = becamGallery;
  const { byId, make, own, count } = becamGallery;
  const LIMIT = 100;
  const SIDE = 320;

  const paper = byId("print");
  let prepared = false;

  function overlay(item, column, found) {
    const image = make("img", { src: picture(item), alt: "" });
    const box = make("div", { className: "overlay" }, image);
    if (column === null) return box;
    const canvas = make("canvas");
    const shape = index.width[item] / index.height[item];
    canvas.width = Math.round(SIDE * Math.min(1, shape));
    canvas.height = Math.round(canvas.width / shape);
    const { colormap, opacity, view } = state.get();
    const mode = view === "map" ? "map" : "overlay";
    const options = { colormap, opacity: opacity / 100, mode };
    const map = found.maps[column];
    becamMap.paint(canvas, map, map.geometry ?? found.geometry, options);
    image.className = "becam-muted";
    box.append(canvas);
    return box;
  }

  function figure(item, column, found) {
    const lines = ["Picture"];
    if (column !== null) {
      const theta = index.theta[column][item];
      const warnings = index.warnings[column][item];
      lines[0] = heading.columns[column].name;
      if (!isNaN(theta)) lines.push(angle.words(theta, index.control[column][item]));
      if (warnings) lines.push(`▲ ${count(warnings, "warning")}`);
    }
    const caption = make("figcaption", {}, ...lines.map((text) => own("div", text, 160)));
    return make("figure", {}, overlay(item, column, found), caption);
  }

  function entry(item, found) {
    const facts = [
      own("h3", card.title(item), 160),
      own("p", index.ids[item], 80),
      own("p", heading.categories[index.category[item]], 80),
      make("p", { textContent: count(index.popularity[item], "interaction") }),
    ];
    const columns = [null, ...state.get().columns];
    const figures = columns.map((column) => figure(item, column, found));
    return make(
      "article",
      {},
      make("div", { className: "facts" }, ...facts),
      make("div", { className: "row" }, ...figures),
    );
  }

  /** How the items are sorted, in words; empty for the gallery's own order. */
  function order() {
    const { sort, down, column, from, to } = state.get();
    if (sort === "order") return "";
    const label = (number) => heading.columns[number]?.name ?? "";
    const of = choices.WITHIN.includes(sort) ? ` in ${label(column)}` : "";
    const between = choices.BETWEEN.includes(sort) ? ` from ${label(from)} to ${label(to)}` : "";
    return `by ${choices.SORTS[sort]}${of}${between}, ${down ? "descending" : "ascending"}`;
  }

  function head(sentence) {
    const filters = chips.active().map(({ text }) => text);
    const found = [count(list.items().length, "item"), order(), ...filters].filter(Boolean);
    const bar = make("span", { className: "bar" });
    bar.style.background = becamMap.gradient(state.get().colormap);
    const reading =
      " high agreement; each map has its own scale. Hatched: never seen by the encoder.";
    const copied = (selector, tag) =>
      Array.from(document.querySelectorAll(selector), (one) => own(tag, one.textContent, 1000));
    return make(
      "header",
      {},
      ...copied(".masthead h1", "h1"),
      ...copied(".masthead > p", "p"),
      own("p", `${found.join("; ")}. ${sentence}`, 1000),
      make("p", {}, "low ", bar, reading),
      ...copied(".notes li", "p"),
    );
  }

  /** Loads what the first items need and lays them out. */
  async function prepare() {
    const items = Array.from(list.items().slice(0, LIMIT));
    const entries = [];
    for (const item of items) entries.push(entry(item, await maps.get(item)));
    const all = items.length === list.items().length;
    paper.replaceChildren(head(all ? "" : `Printed: the first ${LIMIT}.`), ...entries);
    // A picture that cannot be read must not keep the others from being printed.
    await Promise.allSettled(Array.from(paper.querySelectorAll("img"), (image) => image.decode()));
    prepared = true;
  }

  async function print() {
    byId("announcement").textContent = "Preparing to print";
    try {
      await prepare();
    } catch (error) {
      becamGallery.missing(error);
      return;
    }
    window.print();
  }

  // The browser's own command leaves no time to load anything: it prints what is in view.
  window.addEventListener("beforeprint", () => {
    if (prepared || !index.ready) return;
    const ready = list.visible().filter(({ item }) => maps.peek(item));
    const entries = ready.map(({ item }) => entry(item, maps.peek(item)));
    const sentence =
      `Printed: the ${count(entries.length, "item")} in view; ` +
      `the page’s own Print button prints the first ${LIMIT}.`;
    paper.replaceChildren(head(sentence), ...entries);
  });
  window.addEventListener("afterprint", () => {
    prepared = false;
    paper.replaceChildren();
  });
  byId("print-button").addEventListener("click", print);
  byId("print-button").title = `Print the first ${LIMIT} items with their maps (p)`;
  return { print, prepare };
})();
