// One map over its picture, with what it is worth: a column of a method.

import { columnTitle, degrees, digits, format, make, own, signed } from "./dom.js";
import { thumbnail } from "./api.js";

const OMISSION = 60;
const DRIFT = 90;
const SAME_MAP = 0.8;
const THIRDS = [["upper left", "upper middle", "upper right"], ["middle left", "centre", "middle right"], ["lower left", "lower middle", "lower right"]];

/** A card without a map yet. `choose(item)` is called for an item nearby. */
export function mapCard(label, source, geometry, choose) {
  const image = make("img", { src: source, alt: "", draggable: false });
  const canvas = make("canvas", { role: "img", "aria-label": "No map yet" });
  const overlay = make("div", { className: "overlay" }, image, canvas, make("i", { className: "pointer" }));
  const value = make("span", { className: "value small number", hidden: true });
  overlay.append(value);
  const scale = make("div", { className: "scale small number" });
  const about = make("div", { className: "about" });
  const root = make("article", { className: "card waiting" }, make("header", {}, ...columnTitle(label, "h3")), overlay, scale, about);
  let panel = null;
  let view = null;

  function shape({ width, height }) {
    overlay.style.aspectRatio = `${width} / ${height}`;
  }

  function paint() {
    const muted = panel && !panel.sentence && view.mode !== "picture";
    image.classList.toggle("becam-muted", Boolean(muted));
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(overlay.clientWidth * ratio);
    canvas.height = Math.round(overlay.clientHeight * ratio);
    if (panel && !panel.sentence) becamMap.paint(canvas, panel.map, panel.geometry, view);
  }

  function drawScale() {
    if (!panel || panel.sentence) return scale.replaceChildren();
    const [low, high] = becamMap.range(panel.map, view.colormap);
    const bar = make("span", { className: "colours" });
    bar.style.background = becamMap.gradient(view.colormap);
    scale.replaceChildren(make("span", { textContent: digits(low) }), bar, make("span", { textContent: digits(high) }));
  }

  function fill() {
    root.classList.remove("waiting", "stale");
    root.classList.toggle("none", Boolean(panel.sentence));
    if (panel.sentence) {
      canvas.setAttribute("aria-label", "No map");
      about.replaceChildren(make("p", { className: "notice small", textContent: panel.sentence }));
      return;
    }
    shape(panel.geometry);
    canvas.setAttribute("aria-label", `Map of ${panel.label}. ${where(panel.map)}`);
    about.replaceChildren(
      ...(panel.controls.theta === null ? [] : [angle(panel.controls)]),
      make("ul", { className: "words small" },
        ...[panel.problem, ...panel.warnings].filter(Boolean).map((words) => make("li", { className: "warning", textContent: words })),
        ...panel.notes.map((words) => make("li", { textContent: words }))),
      likeness(panel.controls),
      make("p", { className: "soft small number", textContent: summary(panel) }),
      panel.nearest ? near(panel, choose) : ""
    );
  }

  // Until the map says better, the picture itself says how it is shaped.
  image.addEventListener("load", () => {
    if (!panel?.geometry) shape({ width: image.naturalWidth, height: image.naturalHeight });
  });
  if (geometry) shape(geometry);

  return {
    root,
    overlay,
    get panel() {
      return panel;
    },
    /** Takes a map, or the sentence that stands for it. */
    take(next) {
      const open = about.querySelector("details")?.open;
      panel = next;
      fill();
      if (open) about.querySelector("details").open = true;
      drawScale();
      paint();
    },
    /** What is shown belongs to another question until it is taken anew. */
    age() {
      root.classList.add(panel ? "stale" : "waiting");
    },
    /** Nothing more will come. */
    rest() {
      root.classList.remove("waiting");
    },
    /** How maps are shown: mode, opacity, colormap. */
    show(next) {
      const recoloured = view?.colormap !== next.colormap;
      view = next;
      if (recoloured) drawScale();
      paint();
    },
    repaint: paint,
    /** Shows the value at a point of the picture, in shares of its sides; none without one. */
    point(x, y) {
      value.hidden = x === null;
      if (x !== null) value.textContent = valueAt(panel, x, y);
    },
  };
}

/** The map's value in the cell under a point. */
function valueAt({ map, geometry }, x, y) {
  const [left, top, right, bottom] = geometry.box;
  const column = Math.floor(((x * geometry.width - left) / (right - left)) * map.columns);
  const row = Math.floor(((y * geometry.height - top) / (bottom - top)) * map.rows);
  if (row < 0 || row >= map.rows || column < 0 || column >= map.columns) return "not seen";
  return digits(becamMap.decode(map)[row * map.columns + column], true);
}

/** Where a map is strongest, in words. */
function where(map) {
  if (!(map.high > 0)) return "No region agrees with the target.";
  const values = becamMap.decode(map);
  const strongest = values.indexOf(Math.max(...values));
  const row = Math.floor(strongest / map.columns);
  const third = (index, length) => Math.min(2, Math.floor(((index + 0.5) / length) * 3));
  const place = THIRDS[third(row, map.rows)][third(strongest % map.columns, map.columns)];
  return `Strongest at the ${place} of what the encoder sees.`;
}

/** Theta on a track from 0 to 180 degrees, beside that of a blank picture. */
function angle({ theta, theta_blank: blank }) {
  const verdict = theta > DRIFT ? ", drift" : theta > OMISSION ? ", omission" : "";
  const marks = [["limit", OMISSION], ["limit", DRIFT], ...(blank === null ? [] : [["control", blank]]), ["dot", theta]];
  return make("div", { className: "theta small number" },
    make("p", {}, make("b", { textContent: `θ ${degrees(theta)}` }), verdict,
      blank === null ? "" : make("span", { className: "soft", textContent: ` · blank picture ${degrees(blank)}` })),
    track(marks.map(([kind, value]) => [kind, value / 180])));
}

/** Correlations with maps that it should not look like, from -1 to 1. */
function likeness(controls) {
  const rows = [
    ["other targets", controls.correlation_others],
    ["plain activation", controls.correlation_activation],
    ["the picture itself", controls.correlation_itself],
    ["shuffled encoder", controls.correlation_randomised],
  ].filter(([, value]) => value !== null);
  if (!rows.length) return "";
  const limits = [["limit", (1 - SAME_MAP) / 2], ["middle", 0.5], ["limit", (1 + SAME_MAP) / 2]];
  return make("table", { className: "likeness small" },
    make("caption", { className: "soft", textContent: "Correlation with the map for" }),
    make("tbody", {}, ...rows.map(([name, value]) => make("tr", {},
      make("th", { scope: "row", textContent: name }),
      make("td", { className: "number", textContent: signed(value) }),
      make("td", {}, track([...limits, ["dot", (value + 1) / 2]]))))));
}

/** Marks on a line, in shares of its length. */
function track(marks) {
  const line = make("span", { className: "track", "aria-hidden": "true" });
  for (const [kind, share] of marks) {
    const mark = make("i", { className: kind });
    mark.style.left = `${100 * share}%`;
    line.append(mark);
  }
  return line;
}

/** What the map rests on. */
function summary({ controls }) {
  const { weight_mean: mean, weight_std: spread, strongest_share: strongest, encoded, correlation_expected: expected } = controls;
  const parts = [];
  if (encoded !== null) parts.push(`${format(encoded)} masks encoded${expected === null ? "" : `, expected r with the map of all ${expected.toFixed(2)}`}`);
  if (mean !== null) parts.push(`weights ${digits(Math.abs(mean) > 1e-3 * spread ? mean : 0, true)} ± ${digits(spread)}`);
  if (strongest !== null) parts.push(`strongest channel ${Math.round(100 * strongest)}%`);
  return parts.length ? `${parts.join("; ")}.` : "";
}

function near({ nearest }, choose) {
  const strip = (title, items) =>
    make("div", { className: "strip" },
      make("p", { className: "small", textContent: title }),
      make("ul", {}, ...items.map((item) => make("li", {}, neighbour(item, choose)))));
  const rank = `${format(nearest.rank)} of ${format(nearest.items)}`;
  return make("details", { className: "nearest" },
    make("summary", { className: "small", textContent: `Nearest items (by content the item itself is ${rank})` }),
    strip("Behaviour puts near", nearest.behaviour),
    strip("The picture’s content alone points to", nearest.content));
}

function neighbour(item, choose) {
  const name = item.text || item.id;
  const button = make("button", { type: "button", className: "thumb", title: `${name.slice(0, 120)} (cosine ${item.cosine.toFixed(2)})` });
  button.setAttribute("aria-label", `Choose ${name.slice(0, 120)}, cosine ${item.cosine.toFixed(2)}`);
  button.append(item.picture
    ? make("img", { src: thumbnail(item.index), alt: "", loading: "lazy" })
    : own("span", item.id, 40, { className: "small" }));
  button.addEventListener("click", () => choose(item));
  return button;
}
