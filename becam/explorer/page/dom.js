// What all pages share, and what is the explorer's own.

export const { byId, make, format, count, degrees } = becamElements;

/** Text of the user's own: in whatever direction it is written, and cut off when long. */
export const own = (tag, text, longest = 300, properties = {}) =>
  becamElements.own(tag, text, longest, properties);

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
