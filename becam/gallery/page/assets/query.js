// Which items are shown, and in which order.
"use strict";

becamGallery.query = (() => {
  const { heading, index, texts } = becamGallery;
  const orders = new Map();
  let foldedTexts = null;

  /** Number of a pair of columns among heading.pairs, in whatever order. */
  function pair(a, b) {
    return heading.pairs.findIndex(([i, j]) => (i === a && j === b) || (i === b && j === a));
  }

  /** The value of an item that a key sorts by; NaN where it has none. */
  function reader(key, { column, from, to }) {
    const { theta, control, warnings, likeness, popularity } = index;
    switch (key) {
      case "popularity":
        return (item) => popularity[item];
      case "theta":
        return (item) => theta[column][item];
      case "excess":
        return (item) => theta[column][item] - control[column][item];
      case "change":
        return (item) => theta[to][item] - theta[from][item];
      case "warnings":
        return (item) => warnings[column][item];
      case "likeness": {
        if (from === to) return () => 1;
        const values = likeness[pair(from, to)];
        return (item) => (values && values[item] !== -128 ? values[item] / 100 : NaN);
      }
      default:
        return (item) => item;
    }
  }

  /** All items in ascending order of a key, and how many have a value; the others come last. */
  function order(key, state) {
    const name = [key, state.column, state.from, state.to].join();
    if (!orders.has(name)) orders.set(name, key === "title" ? byTitle() : byNumber(key, state));
    return orders.get(name);
  }

  function byTitle() {
    const sorted = Uint32Array.from(index.titled.slice().sort(index.compareTitles));
    return { sorted, present: index.count };
  }

  /** A number that rises with a float32, without its sign: the order of its bits. */
  function rising(bits) {
    return bits >>> 31 ? ~bits >>> 0 : (bits | 0x80000000) >>> 0;
  }

  /** Sorts by value, equal ones in the gallery's order. */
  function byNumber(key, state) {
    const { count } = index;
    const read = reader(key, state);
    const values = Float32Array.from({ length: count }, (_, item) => read(item));
    const bits = new Uint32Array(values.buffer);
    // Value and item in one number each: numbers are sorted many times faster than by a function.
    const keys = new Float64Array(count);
    const without = [];
    let present = 0;
    for (let item = 0; item < count; item++) {
      if (isNaN(values[item])) without.push(item);
      else keys[present++] = rising(bits[item]) * count + item;
    }
    keys.subarray(0, present).sort();
    const sorted = new Uint32Array(count);
    for (let i = 0; i < present; i++) sorted[i] = keys[i] % count;
    sorted.set(without, present);
    return { sorted, present };
  }

  /** One test an active filter, but for categories. */
  function tests(state) {
    const found = [];
    const value = (key) => reader(key, state);
    const within = (key, low, high, strict = false) => {
      if (low === null && high === null) return;
      const read = value(key);
      found.push((item) => {
        const one = read(item);
        if (isNaN(one)) return false;
        if (low !== null && (strict ? one <= low : one < low)) return false;
        return high === null || one <= high;
      });
    };
    within("theta", state.theta_over, state.theta_to, true);
    within("warnings", state.warnings_from, state.warnings_to);
    within("popularity", state.popularity_from, state.popularity_to);
    within("change", state.change_from, state.change_to);
    within("likeness", null, state.likeness_to);
    const words = index.fold(state.q).split(/\s+/).filter(Boolean);
    if (words.length) {
      const { folded } = index;
      const whole = state.whole ? foldedTexts : null;
      found.push((item) =>
        words.every((word) => folded[item].includes(word) || whole?.[item].includes(word)),
      );
    }
    return found;
  }

  /**
   * The items of a state: their numbers in order, and how many there were in each category before
   * categories were chosen among.
   */
  function run(state) {
    const checks = tests(state);
    const chosen = new Set(state.category.map((name) => heading.categories.indexOf(name)));
    const categories = new Uint32Array(heading.categories.length);
    const { sorted, present } = order(state.sort, state);
    const items = new Uint32Array(sorted.length);
    let found = 0;
    const visit = (item) => {
      for (const check of checks) if (!check(item)) return;
      const category = index.category[item];
      categories[category]++;
      if (!chosen.size || chosen.has(category)) items[found++] = item;
    };
    if (state.down) for (let i = present; i--;) visit(sorted[i]);
    else for (let i = 0; i < present; i++) visit(sorted[i]);
    for (let i = present; i < sorted.length; i++) visit(sorted[i]);
    return { items: items.subarray(0, found), categories };
  }

  /** Reads the texts of all items, so that they can be searched; `progress` gets a share. */
  async function readTexts(progress) {
    const read = [];
    for (let first = 0; first < index.count; first += texts.size) {
      const block = await texts.block(first / texts.size);
      for (const { text } of block) read.push(index.fold(text));
      progress(read.length / index.count);
    }
    foldedTexts = read;
  }

  return { run, reader, pair, readTexts, hasTexts: () => foldedTexts !== null };
})();
