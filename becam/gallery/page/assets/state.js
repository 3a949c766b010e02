// What the reader has chosen, and its place in the address: links keep it, back and forward work.
"use strict";

becamGallery.state = (() => {
  const { columns } = becamGallery.heading;

  /** The change through the adapter: from a column without it to one with it, where there are. */
  function ends() {
    const plain = columns.map((column) => column.adapter === "none");
    const to = Math.max(0, plain.indexOf(false));
    const before = { label: `${columns[to].label}, no adapter`, method: columns[to].method };
    const partner = columns.findIndex(
      ({ label, method }) => label === before.label && method === before.method,
    );
    const from = partner >= 0 ? partner : plain.findIndex((none, i) => none && i !== to);
    return from >= 0 ? [from, to] : [0, Math.min(1, columns.length - 1)];
  }
  const [from, to] = columns.length ? ends() : [0, 0];
  const all = columns.map((_, i) => i);

  // How each choice is written; what is at its default is left out of the address.
  const number = {
    read: (text) => (text === "" || isNaN(text) ? undefined : Number(text)),
    write: String,
  };
  const text = { read: (value) => value, write: (value) => value };
  const flag = { read: (value) => value === "1" || undefined, write: () => "1" };
  const column = {
    read: (value) => (columns[value] ? Number(value) : undefined),
    write: String,
  };
  const numbers = {
    read: (value) =>
      value
        .split(".")
        .filter((i) => columns[i])
        .map(Number),
    write: (value) => value.join("."),
  };
  const oneOf = (...values) => ({
    read: (value) => (values.includes(value) ? value : undefined),
    write: (value) => value,
  });
  const strings = { many: true };

  const FIELDS = {
    q: ["", text],
    whole: [false, flag],
    sort: [
      "order",
      oneOf("order", "title", "popularity", "theta", "excess", "change", "likeness", "warnings"),
    ],
    down: [false, flag],
    column: [0, column],
    theta_over: [null, number],
    theta_to: [null, number],
    warnings_from: [null, number],
    warnings_to: [null, number],
    from: [from, column],
    to: [to, column],
    change_from: [null, number],
    change_to: [null, number],
    likeness_to: [null, number],
    popularity_from: [null, number],
    popularity_to: [null, number],
    category: [[], strings],
    columns: [all, numbers],
    layout: ["rows", oneOf("rows", "grid")],
    view: ["overlay", oneOf("overlay", "map", "picture")],
    colormap: [
      Object.keys(becamGallery.heading.colormaps)[0],
      oneOf(...Object.keys(becamGallery.heading.colormaps)),
    ],
    opacity: [Math.round(100 * becamMap.OPACITY), number],
    size: [0, number],
    item: [null, text],
  };

  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const defaults = () =>
    Object.fromEntries(Object.entries(FIELDS).map(([key, [value]]) => [key, value]));

  /** The state that an address names; what it does not understand is left at its default. */
  function parse(hash) {
    const found = new URLSearchParams(hash.replace(/^#/, ""));
    const state = defaults();
    for (const [key, [, kind]] of Object.entries(FIELDS)) {
      if (!found.has(key)) continue;
      const value = kind.many ? found.getAll(key) : kind.read(found.get(key));
      if (value !== undefined) state[key] = value;
    }
    state.opacity = Math.min(100, Math.max(0, state.opacity));
    return state;
  }

  /** The address of a state. */
  function write(state) {
    const written = new URLSearchParams();
    for (const [key, [value, kind]] of Object.entries(FIELDS)) {
      if (same(state[key], value)) continue;
      if (kind.many) state[key].forEach((one) => written.append(key, one));
      else if (state[key] !== null) written.append(key, kind.write(state[key]));
    }
    return `#${written}`;
  }

  let current = parse(location.hash);
  let later = null;
  const listeners = [];

  function tell(before) {
    const changed = new Set(Object.keys(FIELDS).filter((key) => !same(before[key], current[key])));
    if (changed.size) for (const listener of listeners) listener(current, changed);
  }

  function move(method) {
    try {
      history[method](null, "", write(current));
    } catch {
      // A page in a sandbox may not change its address; the choices hold all the same.
    }
  }

  /** Writes the address now, if it was put off. */
  function flush() {
    if (later === null) return;
    clearTimeout(later);
    later = null;
    move("replaceState");
  }

  /**
   * Changes some choices. `push` adds to the history; without it, the address follows after a
   * pause, for browsers refuse hundreds of changes a minute.
   */
  function set(patch, { push = false } = {}) {
    const before = current;
    if (push) flush();
    current = { ...current, ...patch };
    if (same(before, current)) return;
    if (push) {
      move("pushState");
    } else {
      clearTimeout(later);
      later = setTimeout(flush, 250);
    }
    tell(before);
  }

  function moved() {
    clearTimeout(later);
    later = null;
    const before = current;
    current = parse(location.hash);
    tell(before);
  }
  window.addEventListener("popstate", moved);
  window.addEventListener("hashchange", moved);
  window.addEventListener("pagehide", flush);

  const FILTERS = [
    "q",
    "theta_over",
    "theta_to",
    "warnings_from",
    "warnings_to",
    "change_from",
    "change_to",
    "likeness_to",
    "popularity_from",
    "popularity_to",
    "category",
  ];

  return {
    FILTERS,
    /** The choices as they are. */
    get: () => current,
    set,
    /** The address with some choices changed. */
    link: (patch) => write({ ...current, ...patch }),
    /** Back to defaults. */
    clear: (keys, options) =>
      set(Object.fromEntries(keys.map((key) => [key, FIELDS[key][0]])), options),
    isDefault: (key) => same(current[key], FIELDS[key][0]),
    listen: (listener) => listeners.push(listener),
  };
})();
