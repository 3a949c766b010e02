// How large tiles and items are in the width there is, and how many stand on a line.
"use strict";

becamGallery.shape = (() => {
  const { heading, card, state } = becamGallery;
  const LEAST = 110;
  const MOST = 230;
  const GRID = 180;
  const GAP = 12;

  /** How many things of a width stand side by side. */
  const fit = (room, width) => Math.max(1, Math.floor((room + GAP) / (width + GAP)));
  /** The width of things that fill a line. */
  const fill = (room, number) => Math.floor((room + GAP) / number) - GAP;

  /** One tile an item: lines are full from edge to edge, unless the reader set a size. */
  function grid(room, size) {
    const width = Math.min(room, size || fill(room, fit(room, GRID)));
    const perLine = fit(room, width);
    return { grid: true, aligned: false, width, perLine, stride: (room + GAP) / perLine };
  }

  /** One line of tiles an item where they fit, or else lines of equal length. */
  function rows(room, size, tiles) {
    const lines = Math.ceil(tiles / fit(room, LEAST));
    const width = Math.min(room, size || Math.min(MOST, fill(room, Math.ceil(tiles / lines))));
    return { grid: false, aligned: fit(room, width) >= tiles, width, perLine: 1, stride: 0 };
  }

  /** The height of an item whose texts take all the lines that they may. */
  function probe(box, shape) {
    const made = card.create(0, 0, 1, shape);
    made.element.classList.add("probe");
    for (const line of made.element.querySelectorAll(".facts > *")) {
      line.textContent = "x ".repeat(300);
    }
    box.append(made.element);
    const height = made.element.offsetHeight;
    made.remove();
    return height;
  }

  /**
   * Measures for a box: `width` of a tile and `frame`, its height; `height` of an item; `perLine`
   * items a line, `stride` apart; `aligned` where the tiles of all items stand in columns.
   */
  function measure(box) {
    const { layout, columns, size } = state.get();
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const facts = parseFloat(getComputedStyle(box).getPropertyValue("--facts")) * rem;
    const shape =
      layout === "grid"
        ? grid(box.clientWidth, size)
        : rows(box.clientWidth - facts, size, 1 + columns.length);
    shape.frame = Math.round(shape.width * heading.aspect);
    box.style.setProperty("--tile", `${shape.width}px`);
    box.style.setProperty("--frame", `${shape.frame}px`);
    shape.height = probe(box, shape);
    return shape;
  }

  return { measure };
})();
