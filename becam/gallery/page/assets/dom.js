// Small helpers. Whatever comes from data enters the page as text, never as markup.
"use strict";

Object.assign(
  becamGallery,
  (() => {
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

    const count = (number, one, many = `${one}s`) =>
      `${formatter.format(number)} ${number === 1 ? one : many}`;
    /** A number in few characters, whatever its size. */
    function brief(number) {
      const size = Math.abs(number);
      return number === 0 || (size >= 1e-3 && size < 1e5)
        ? String(Number(number.toPrecision(3)))
        : number.toExponential(1);
    }

    const degrees = (value) => `${value >= 10 ? Math.round(value) : value.toFixed(1)}°`;

    return { byId, make, own, count, degrees, brief, format: (number) => formatter.format(number) };
  })(),
);
