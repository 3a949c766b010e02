// A tile: a thumbnail, and a canvas over it on which the map of one column is drawn.
"use strict";

becamGallery.tile = (() => {
  const { maps, picture, state, index, make } = becamGallery;
  const MAX_SIDE = 1024;
  const BUDGET = 8;

  const live = new Set();
  const queue = new Set();
  let scheduled = false;

  /** Paints as many tiles as a frame has time for, and the others in the next frames. */
  function work() {
    const end = performance.now() + BUDGET;
    for (const tile of queue) {
      queue.delete(tile);
      tile.paint();
      if (performance.now() > end) break;
    }
    scheduled = queue.size > 0;
    if (scheduled) requestAnimationFrame(work);
  }

  function enqueue(tile) {
    queue.add(tile);
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(work);
  }

  /**
   * A tile of an item; with `column` null it shows the picture alone. It loads nothing before
   * `start`.
   */
  function create(item, column, alt) {
    const image = make("img", { alt: "", draggable: false, decoding: "async" });
    const element = make("div", { className: "overlay" }, image);
    let canvas = null;
    let started = false;
    let forced = null;

    if (column === null) {
      image.alt = alt;
    } else {
      canvas = make("canvas", { role: "img", "aria-label": alt });
      image.className = "becam-muted";
      element.append(canvas);
    }

    const mode = () => forced ?? state.get().view;

    const tile = {
      element,

      /** Sizes the tile to lie in a box, as large as it goes. */
      fit(width, height) {
        const shape = index.width[item] / index.height[item] || 1;
        const wide = Math.min(width, height * shape);
        const size = [Math.max(1, Math.round(wide)), Math.max(1, Math.round(wide / shape))];
        element.style.width = `${size[0]}px`;
        element.style.height = `${size[1]}px`;
        if (!canvas) return;
        const scale = Math.min(window.devicePixelRatio || 1, MAX_SIDE / Math.max(...size));
        canvas.width = Math.round(size[0] * scale);
        canvas.height = Math.round(size[1] * scale);
        if (started) enqueue(tile);
      },

      /** Begins to load picture and map. */
      start() {
        if (started) return;
        started = true;
        live.add(tile);
        image.src = picture(item);
        tile.refresh();
      },

      /** Shows the tile as it is now to be shown. */
      refresh() {
        if (!canvas) return;
        element.dataset.mode = mode();
        element.toggleAttribute("data-forced", forced !== null);
        if (started) enqueue(tile);
      },

      /** Overrides the reader's choice of view, and the column; null for neither. */
      force(view, other = null) {
        forced = view;
        column = other ?? column;
        tile.refresh();
      },

      paint() {
        if (!live.has(tile) || column === null) return;
        const found = maps.peek(item);
        if (!found) {
          maps.get(item).then(() => live.has(tile) && enqueue(tile), becamGallery.missing);
          return;
        }
        const { colormap, opacity } = state.get();
        const map = found.maps[column];
        becamMap.paint(canvas, map, map.geometry ?? found.geometry, {
          colormap,
          opacity: opacity / 100,
          // Under the pointer a picture shows its overlay, so that is what must be there.
          mode: mode() === "map" ? "map" : "overlay",
        });
      },

      dispose() {
        live.delete(tile);
        queue.delete(tile);
        // A picture that is still loading for nobody holds up those that somebody looks at.
        if (!image.complete) image.removeAttribute("src");
      },
    };
    element.dataset.mode = column === null ? "picture" : mode();
    return tile;
  }

  state.listen((_, changed) => {
    if (["colormap", "opacity", "view"].some((key) => changed.has(key))) {
      for (const tile of live) tile.refresh();
    }
  });

  return { create };
})();
