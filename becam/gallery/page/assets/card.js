// An item in the list: a row of tiles, or a single tile in the grid, with its facts.
"use strict";

becamGallery.card = (() => {
  const { heading, index, state, tile, angle, blink } = becamGallery;
  const { make, own, count, degrees } = becamGallery;
  const ALT = 120;

  const title = (item) => index.titles[item] || index.ids[item] || "(untitled)";
  const label = (column) => (column === null ? "Picture" : heading.columns[column].name);

  /** A picture or a map in words. */
  function alt(item, column) {
    const name = title(item).slice(0, ALT);
    return column === null ? `Picture of ${name}` : `Map of ${label(column)}: ${name}`;
  }

  /** Angle and warnings of a column, under its tile. */
  function measures(item, column) {
    const theta = index.theta[column][item];
    const warnings = index.warnings[column][item];
    const box = make("span", { className: "measures" });
    if (!isNaN(theta)) {
      const track = angle.track(theta, index.control[column][item]);
      const text = { className: "number", textContent: degrees(theta), "aria-hidden": "true" };
      box.append(make("span", text), track);
    }
    if (warnings) {
      const words = count(warnings, "warning");
      const mark = make("span", { className: "warning number", title: words, role: "img" });
      mark.setAttribute("aria-label", words);
      mark.textContent = `▲${warnings}`;
      box.append(mark);
    }
    return box;
  }

  /** Title, category, popularity and id. */
  function facts(item) {
    const href = state.link({ item: index.ids[item] });
    const link = own("a", title(item), Infinity, { className: "open", href });
    const category = heading.categories[index.category[item]];
    const line = make("p", { className: "soft small" });
    if (category) line.append(own("bdi", category, 80), " · ");
    line.append(count(index.popularity[item], "interaction"));
    const id = own("p", index.ids[item], 80, { className: "soft small id" });
    return make("div", { className: "facts" }, make("h3", {}, link), line, id);
  }

  /** A tile with its caption, which names the column where no head of the list does. */
  function figure(item, column, shape, parts, named) {
    const made = tile.create(item, column, alt(item, column));
    made.fit(shape.width, shape.frame);
    parts.push(made);
    const caption = make("figcaption", { className: "small" });
    caption.append(own("span", label(column), Infinity, { className: named ? "label" : "unseen" }));
    if (column !== null) caption.append(measures(item, column));
    return make("figure", {}, make("div", { className: "frame" }, made.element), caption);
  }

  /** The picture, and one tile a column. */
  function row(item, shape, parts) {
    const figures = [null, ...state.get().columns].map((column) =>
      figure(item, column, shape, parts, !shape.aligned),
    );
    return [facts(item), make("div", { className: "tiles" }, ...figures)];
  }

  /** One tile, of the column that is measured, and the name of what it shows while it blinks. */
  function single(item, shape, parts) {
    const column = heading.columns.length ? state.get().column : null;
    const made = figure(item, column, shape, parts, false);
    const station = make("span", { className: "station small", hidden: true });
    station.setAttribute("aria-hidden", "true");
    made.firstChild.append(station);
    return [made, facts(item)];
  }

  /** An item at a place in the list; it loads nothing before `start`. */
  function create(item, position, total, shape) {
    const parts = [];
    const known = item < index.ready;
    const element = make("li", { className: "card", "aria-setsize": total });
    element.setAttribute("aria-posinset", position + 1);
    if (known) element.append(...(shape.grid ? single : row)(item, shape, parts));
    const station = element.querySelector(".station");

    const made = {
      element,
      item,
      /** Whether the index had come to this item. */
      known,
      link: element.querySelector(".open"),
      /** Whether it has one tile for all columns. */
      single: shape.grid,
      hovered: false,

      start: () => parts.forEach((part) => part.start()),

      /** Shows one step of blinking; null ends it. */
      blink(step) {
        const column = shape.grid ? (step?.column ?? state.get().column) : null;
        parts.forEach((part) => part.force(step?.view ?? null, column));
        if (!station) return;
        station.hidden = step === null;
        station.textContent = step?.name ?? "";
      },

      remove() {
        if (blink.shown() === made) blink.follow(null);
        parts.forEach((part) => part.dispose());
        element.remove();
      },
    };
    element.addEventListener("pointerenter", ({ pointerType }) => {
      made.hovered = pointerType === "mouse";
      blink.follow(made);
    });
    element.addEventListener("pointerleave", () => {
      made.hovered = false;
      blink.follow(element.contains(document.activeElement) ? made : null);
    });
    element.addEventListener("focusin", () => blink.follow(made));
    return made;
  }

  return { create, title, alt };
})();
