// Small helpers. Whatever comes from data enters the page as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** An element with properties, attributes (those with a dash, and role) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Text of the user's own: in whatever direction it is written, and cut off when endless. */
export function own(tag, text, longest = 300, properties = {}) {
  const cut = text.length > longest ? `${text.slice(0, longest)}…` : text;
  const element = make(tag, { dir: "auto", textContent: cut, ...properties });
  if (cut !== text) element.title = text.slice(0, 1000);
  return element;
}

const whole = new Intl.NumberFormat("en");

/** A count with its noun. */
export const count = (number, one, many = `${one}s`) =>
  `${whole.format(number)} ${number === 1 ? one : many}`;

export const format = (number) => whole.format(number);

export const degrees = (value) => `${value >= 10 ? Math.round(value) : value.toFixed(1)}°`;

/** Three digits, and a sign where asked for. */
export function digits(value, sign = false) {
  const size = Math.abs(value);
  const plain = size && (size < 1e-3 || size >= 1e4) ? size.toExponential(1) : size.toPrecision(3);
  const number = size ? plain : "0";
  return `${value < 0 ? "−" : sign && size ? "+" : ""}${number}`;
}

/** A correlation. */
export const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

/** A column's label, NAME (PATH), no adapter: the name, a mark, and the rest below it. */
export function columnTitle(label, tag) {
  const [, name, path, mark] = label.match(/^(.*?)(?: \((.*)\))?(?:, (no adapter))?$/s);
  return [
    make(tag, { className: "name" }, own("span", name), mark ? make("span", { className: "mark", textContent: mark }) : null),
    ...(path ? [own("p", path, 120, { className: "soft small" })] : []),
  ];
}

/** How long something takes, for people. */
export function duration(seconds) {
  if (seconds < 1) return "less than 1 s";
  if (seconds < 100) return `about ${Math.round(seconds)} s`;
  return `about ${Math.round(seconds / 60)} min`;
}

/** Says something to those who do not see the page. */
export function announce(words) {
  byId("announcement").textContent = words;
}

/** Shows a sentence in a place that has role alert, or hides the place. */
export function alert(id, sentence) {
  const place = byId(id);
  place.hidden = !sentence;
  place.textContent = sentence || "";
}
