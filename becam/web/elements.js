// Small helpers of pages. Whatever comes from data enters a page as text, never as markup.
"use strict";

const becamElements = (() => {
  const formatter = new Intl.NumberFormat("en");
  const byId = (id) => document.getElementById(id);

  /** An element with properties, attributes (those with a dash, and role) and children. */
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || name === "role") element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  /** Text of the user's own: in whatever direction it is written, and cut off when endless. */
  function own(tag, text, longest = Infinity, properties = {}) {
    const cut = text.length > longest ? `${text.slice(0, longest)}…` : text;
    const element = make(tag, { dir: "auto", ...properties });
    element.textContent = cut;
    if (cut !== text) element.title = text.slice(0, 1000);
    return element;
  }

  const format = (number) => formatter.format(number);

  /** A count with its noun. */
  const count = (number, one, many = `${one}s`) => `${format(number)} ${number === 1 ? one : many}`;

  const degrees = (value) => `${value >= 10 ? Math.round(value) : value.toFixed(1)}°`;

  return { byId, make, own, format, count, degrees };
})();
