// Draws a saliency map over its picture, as becam.figures.overlay and Heatmap.full() do.
//
// The canvas lies over the <img> and is only ever written to: pages from disk may not read the
// pixels of their own pictures. The muting of the picture is theme.css's class "becam-muted".
"use strict";

const becamMap = (() => {
  const OPACITY = 0.85;
  const UNSEEN_FADE = 0.65;
  // OpenCV's bicubic kernel.
  const A = -0.75;
  const SIGNED = "RdBu_r";
  const STRIPE = { period: 12, width: 2, darker: 40 };

  const tables = {};

  /** Takes in colour maps: base64 of 256 RGB entries each, by name. */
  function load(colormaps) {
    for (const [name, table] of Object.entries(colormaps)) tables[name] = bytes(table);
  }

  /** The bytes of base64. */
  function bytes(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  /** The map as it was: rows * columns values, signed. */
  function decode(map) {
    const levels = new Uint16Array(bytes(map.data).buffer);
    const values = new Float32Array(levels.length);
    for (let i = 0; i < levels.length; i++) {
      const share = levels[i] / 65535;
      // Exact at both ends: a map that is nowhere positive must not become so by rounding.
      values[i] = map.low * (1 - share) + map.high * share;
    }
    return values;
  }

  /** ReLU, then min-max to [0, 1]; zeros where nothing stands out. */
  function display(map) {
    const values = decode(map);
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < values.length; i++) {
      values[i] = Math.max(values[i], 0);
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
    }
    const range = high - low;
    for (let i = 0; i < values.length; i++) values[i] = range > 0 ? (values[i] - low) / range : 0;
    return values;
  }

  /** Divided by the largest magnitude: [-1, 1], where zero stays zero. */
  function signed(map) {
    const values = decode(map);
    const largest = Math.max(Math.abs(map.low), Math.abs(map.high));
    if (largest > 0) for (let i = 0; i < values.length; i++) values[i] /= largest;
    return values;
  }

  // Python's round(): halves go to the even neighbour.
  function round(value) {
    const floor = Math.floor(value);
    const part = value - floor;
    if (part !== 0.5) return Math.round(value);
    return floor % 2 === 0 ? floor : floor + 1;
  }

  /** The encoder's crop in whole pixels of the original, and what of it lies on the picture. */
  function crop(geometry) {
    const [left, top, right, bottom] = geometry.box.map(round);
    return {
      left,
      top,
      width: Math.max(1, right - left),
      height: Math.max(1, bottom - top),
      x0: Math.max(0, left),
      y0: Math.max(0, top),
      x1: Math.min(geometry.width, right),
      y1: Math.min(geometry.height, bottom),
    };
  }

  /** Four cells and their weights for each of `count` points along an axis. */
  function taps(count, pixels, start, length, cells) {
    const index = new Int32Array(4 * count);
    const weight = new Float32Array(4 * count);
    for (let i = 0; i < count; i++) {
      const position = (((i + 0.5) / count) * pixels - start) * (cells / length) - 0.5;
      const base = Math.floor(position);
      const x = position - base;
      const w0 = ((A * (x + 1) - 5 * A) * (x + 1) + 8 * A) * (x + 1) - 4 * A;
      const w1 = ((A + 2) * x - (A + 3)) * x * x + 1;
      const w2 = ((A + 2) * (1 - x) - (A + 3)) * (1 - x) * (1 - x) + 1;
      const weights = [w0, w1, w2, 1 - w0 - w1 - w2];
      for (let k = 0; k < 4; k++) {
        index[4 * i + k] = Math.min(cells - 1, Math.max(0, base - 1 + k));
        weight[4 * i + k] = weights[k];
      }
    }
    return { index, weight };
  }

  /** A grid laid on the whole picture at width x height: bicubic, NaN outside the crop. */
  function place(grid, rows, columns, geometry, width, height) {
    const seen = crop(geometry);
    const across = taps(width, geometry.width, seen.left, seen.width, columns);
    const down = taps(height, geometry.height, seen.top, seen.height, rows);
    const lines = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let k = 4 * x; k < 4 * x + 4; k++) {
          sum += across.weight[k] * grid[row * columns + across.index[k]];
        }
        lines[row * width + x] = sum;
      }
    }
    const placed = new Float32Array(width * height).fill(NaN);
    const inside = (i, count, pixels, from, to) => {
      const centre = ((i + 0.5) / count) * pixels;
      return centre >= from && centre < to;
    };
    const visible = [];
    for (let x = 0; x < width; x++) {
      if (inside(x, width, geometry.width, seen.x0, seen.x1)) visible.push(x);
    }
    for (let y = 0; y < height; y++) {
      if (!visible.length || !inside(y, height, geometry.height, seen.y0, seen.y1)) continue;
      for (const x of visible) {
        let sum = 0;
        for (let k = 4 * y; k < 4 * y + 4; k++) {
          sum += down.weight[k] * lines[down.index[k] * width + x];
        }
        placed[y * width + x] = sum;
      }
    }
    return placed;
  }

  /** What is shown, in [0, 1], at width x height on the whole picture; NaN outside the crop. */
  function heat(map, geometry, width, height) {
    const placed = place(display(map), map.rows, map.columns, geometry, width, height);
    // Bicubic interpolation overshoots at steps; Math.min and max would keep NaN as well.
    for (let i = 0; i < placed.length; i++) {
      if (placed[i] < 0) placed[i] = 0;
      else if (placed[i] > 1) placed[i] = 1;
    }
    return placed;
  }

  // Typed arrays and canvases are little-endian wherever browsers run.
  const rgba = (r, g, b, a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

  /** Colours by level, the hotter the more opaque; opaque ones where `opacity` is null. */
  function palette(table, opacity, both) {
    return Uint32Array.from({ length: 256 }, (_, level) => {
      const strength = both ? Math.abs(level - 127.5) / 127.5 : level / 255;
      const alpha = opacity === null ? 255 : Math.round(255 * opacity * strength);
      return rgba(...table.subarray(3 * level, 3 * level + 3), alpha);
    });
  }

  /**
   * Draws on a canvas that lies over the whole picture. Its width and height, in device pixels,
   * are the caller's to set.
   *
   * mode: "overlay" (the hotter, the more opaque), "map" (opaque), or "picture" (nothing).
   * colormap: a name that `load` took in; with the signed one what speaks against is drawn too.
   * opacity: of the hottest point of an overlay.
   */
  function paint(canvas, map, geometry, options = {}) {
    const { colormap = "inferno", opacity = OPACITY, mode = "overlay" } = options;
    const { width, height } = canvas;
    const context = canvas.getContext("2d");
    if (mode === "picture" || !width || !height) {
      context.clearRect(0, 0, width, height);
      return;
    }
    const both = colormap === SIGNED;
    const values = both
      ? place(signed(map), map.rows, map.columns, geometry, width, height)
      : heat(map, geometry, width, height);
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = palette(tables[colormap], mode === "map" ? null : opacity, both);
    const scale = window.devicePixelRatio || 1;
    const period = Math.round(STRIPE.period * scale);
    const stripe = Math.round(STRIPE.width * scale);
    const faded = Math.round(255 * UNSEEN_FADE);
    const plain = rgba(255, 255, 255, faded);
    const dark = Math.round(255 - STRIPE.darker / UNSEEN_FADE);
    const striped = rgba(dark, dark, dark, faded);
    let i = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const value = values[i];
        if (value !== value) {
          pixels[i] = (x + y) % period < stripe ? striped : plain;
        } else {
          const share = both ? (value + 1) / 2 : value;
          pixels[i] = colours[share < 0 ? 0 : share >= 1 ? 255 : (256 * share) | 0];
        }
      }
    }
    context.putImageData(image, 0, 0);
  }

  /** The ends of the colour bar under a map, in its own units: [low, high]. */
  function range(map, colormap) {
    if (colormap === SIGNED) {
      const largest = Math.max(Math.abs(map.low), Math.abs(map.high));
      return [-largest, largest];
    }
    return [Math.max(map.low, 0), Math.max(map.high, 0)];
  }

  /** RGB of a share in [0, 1] of a colour map. */
  function colour(colormap, share) {
    const entry = 3 * Math.min(255, Math.floor(256 * share));
    return tables[colormap].subarray(entry, entry + 3);
  }

  /** A colour bar, as a CSS background. */
  function gradient(colormap) {
    const steps = Array.from({ length: 17 }, (_, i) => `rgb(${colour(colormap, i / 16).join()})`);
    return `linear-gradient(90deg, ${steps.join()})`;
  }

  return { SIGNED, OPACITY, load, bytes, decode, heat, paint, range, colour, gradient };
})();
