// A histogram: bars, a second distribution as an outline, and dashed lines at limits.
"use strict";

becamGallery.bars = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 40;
  const ROOM = 2;
  const THIN = 0.06;

  /**
   * counts: of equal bins. outline: counts of the same bins. limits: places from 0 to 1 on the
   * axis. label: in words; without it the histogram is for the eye alone.
   */
  function histogram({ counts, outline = [], limits = [], label = null }) {
    const highest = Math.max(1, ...counts, ...outline);
    const rise = (number) => (number / highest) * (HEIGHT - ROOM);
    const svg = document.createElementNS(SVG, "svg");
    const draw = (tag, attributes) => {
      const shape = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
      svg.append(shape);
    };
    svg.setAttribute("class", "histogram");
    svg.setAttribute("viewBox", `0 0 ${counts.length} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    if (label === null) {
      svg.setAttribute("aria-hidden", "true");
    } else {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", label);
    }
    counts.forEach((number, i) => {
      if (!number) return;
      // A single item among thousands is still to be seen.
      const height = Math.max(1, rise(number));
      draw("rect", { class: "bar", x: i + THIN, y: HEIGHT - height, width: 1 - 2 * THIN, height });
    });
    if (outline.some(Boolean)) {
      const steps = Array.from(outline, (number, i) => {
        const y = HEIGHT - rise(number);
        return `${i} ${y} ${i + 1} ${y}`;
      });
      draw("polyline", { class: "outline", points: steps.join(" ") });
    }
    for (const limit of limits) {
      const x = limit * counts.length;
      draw("line", { class: "limit", x1: x, x2: x, y1: 0, y2: HEIGHT });
    }
    return svg;
  }

  return { histogram };
})();
