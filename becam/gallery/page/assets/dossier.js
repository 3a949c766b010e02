// The parts of an item's details: figures, controls in words, coloured text, nearest items.
"use strict";

becamGallery.dossier = (() => {
  const { heading, index, state, tile, angle, bars, card, picture } = becamGallery;
  const { make, own, degrees, brief, format } = becamGallery;
  const CHOICES = ["method", "adapter", "space"];
  const READING =
    "Red words speak for what behaviour says of the item, blue ones against it; those that the " +
    "encoder does not read are struck out. Each text has its own scale.";

  const label = (column) => heading.columns[column].name;
  const small = (textContent) => make("span", { className: "soft small number", textContent });
  const soft = (textContent) => make("p", { className: "soft small", textContent });

  /** Three texts below a bar: at its left end, in the middle, at its right end. */
  function ends(...texts) {
    const parts = texts.map((textContent) => make("span", { textContent }));
    return make("span", { className: "ends number soft small" }, ...parts);
  }

  /** The colour bar of a map, which `show` fills once the map is here. */
  function scale(column) {
    const bar = make("span", { className: "bar" });
    const below = ends("", "agreement", "");
    const element = make("div", { className: "scale", hidden: true }, bar, below);
    function show({ maps }) {
      const { colormap } = state.get();
      const [low, high] = becamMap.range(maps[column], colormap);
      bar.style.background = becamMap.gradient(colormap);
      below.firstChild.textContent = brief(low);
      below.lastChild.textContent = brief(high);
      element.hidden = false;
    }
    return { element, show };
  }

  /** Theta and its control, in degrees and on a track. */
  function angles(item, column) {
    const theta = index.theta[column][item];
    const control = index.control[column][item];
    if (isNaN(theta)) return null;
    const text = make("span", { className: "number small", "aria-hidden": "true" });
    text.append(make("b", { textContent: `θ ${degrees(theta)}` }));
    if (!isNaN(control)) text.append("  ", small(`control ${degrees(control)}`));
    return make("div", { className: "angles" }, text, angle.track(theta, control));
  }

  /** Id, category and popularity, below the picture. */
  function facts(item) {
    const list = make("dl");
    const add = (name, value) => list.append(make("dt", { textContent: name }), value);
    add("id", own("dd", index.ids[item], 300, { className: "id" }));
    const category = heading.categories[index.category[item]];
    if (category) add("category", own("dd", category, 200));
    const sold = format(index.popularity[item]);
    add("interactions", make("dd", { className: "number", textContent: sold }));
    return list;
  }

  /**
   * The picture (`column` null) or a map, large. `said` is where the controls go, and `scale` is
   * to be shown, once they are here.
   */
  function figure(item, column) {
    const made = tile.create(item, column, card.alt(item, column));
    const frame = make("div", { className: "frame" }, made.element);
    const element = make("figure", {}, frame);
    if (column === null) {
      const caption = make("figcaption", {}, make("h3", { textContent: "Picture" }), facts(item));
      element.append(caption);
      return { element, tile: made };
    }
    const bar = scale(column);
    const said = make("div", { className: "said" });
    const name = own("h3", label(column));
    element.append(make("figcaption", {}, name, bar.element, angles(item, column), said));
    return { element, tile: made, column, scale: bar, said };
  }

  /** A control in words; those that speak against the map carry a mark. */
  function sentence(text, grave) {
    const item = own("li", text);
    if (grave) {
      item.className = "warning";
      const mark = make("span", { "aria-hidden": "true", textContent: "▲ " });
      item.prepend(mark, make("span", { className: "unseen", textContent: "Warning: " }));
    }
    return item;
  }

  /** Weights of the channels, with a line at zero. */
  function weights(counts, [low, high]) {
    const chart = bars.histogram({
      counts,
      limits: low < 0 && high > 0 ? [-low / (high - low)] : [],
      label: `Weights of the channels, from ${brief(low)} to ${brief(high)}`,
    });
    const below = ends(brief(low), "channel weights", brief(high));
    return make("div", { className: "weights" }, chart, below);
  }

  function written(value) {
    if (typeof value === "number") return Number.isInteger(value) ? String(value) : brief(value);
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  /** All numbers of the controls, and the choices that made the map. */
  function numbers(controls, column) {
    const { options, ...named } = heading.columns[column];
    const choices = Object.fromEntries(CHOICES.map((name) => [name, named[name]]));
    const list = make("dl", { className: "numbers" });
    for (const [name, value] of Object.entries({ ...controls, ...choices, ...options })) {
      if (value === null) continue;
      const term = own("dt", name.replaceAll("_", " "), 60);
      list.append(term, own("dd", written(value), 300));
    }
    return make("details", {}, make("summary", { textContent: "Numbers and choices" }), list);
  }

  /** What the controls say of a map: warnings first, then the rest, then the weights. */
  function controls(panel, column) {
    const sentences = [
      ...panel.warnings.map((text) => sentence(text, true)),
      ...panel.notes.map((text) => sentence(text, false)),
    ];
    const parts = [make("ul", {}, ...sentences)];
    if (panel.weights) parts.push(weights(panel.weights, panel.range));
    return [...parts, numbers(panel.controls, column)];
  }

  function coloured({ columns, texts }, column) {
    const { words } = columns[column];
    const element = make("p", { className: "words", dir: "auto" });
    becamWords.fill(element, texts[words.text], words.weights);
    const most = becamWords.largest(words.weights);
    const scaled = small(most ? `scale ±${brief(most)}` : "no word adds anything");
    const head = make("div", { className: "line" }, own("h4", label(column)), scaled);
    return make("div", {}, head, element);
  }

  /** The item's text, coloured by each column that weighed its words. */
  function text(found, full) {
    const section = make("section", { className: "text" }, make("h3", { textContent: "Text" }));
    const weighed = state.get().columns.filter((column) => found.columns[column].words);
    if (weighed.length) {
      const texts = weighed.map((column) => coloured(found, column));
      section.append(soft(READING), make("div", { className: "texts", tabIndex: 0 }, ...texts));
    } else if (full) {
      section.append(own("p", full, Infinity, { className: "plain", tabIndex: 0 }));
    } else {
      section.append(soft("This item has no text."));
    }
    return section;
  }

  /** A near item: a link where it is in the gallery, and its name alone where it is not. */
  function neighbour([id, title, similarity], pictured) {
    const item = index.byId.get(id);
    const name = own("span", title || id, 120, { className: "name" });
    const cosine = small(similarity.toFixed(2));
    if (item === undefined) {
      const absent = make("span", { className: "absent", title: "not in this gallery" });
      return make("li", {}, pictured ? absent : null, name, cosine);
    }
    const image = make("img", { src: picture(item), alt: "", loading: "lazy" });
    const link = make("a", { href: state.link({ item: id }) }, image, name, cosine);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      becamGallery.open(item);
    });
    return make("li", {}, link);
  }

  function nearest(title, explanation, found) {
    if (!found.length) return null;
    const pictured = found.some(([id]) => index.byId.has(id));
    const items = found.map((near) => neighbour(near, pictured));
    const list = make("ol", { className: "nearest" }, ...items);
    return make("section", {}, make("h3", { textContent: title }), soft(explanation), list);
  }

  /** Items near this one, by behaviour and by content. */
  function neighbours({ behaviour, content }) {
    return make(
      "div",
      { className: "two" },
      nearest("Nearest by behaviour", "Items whose ID embeddings are most alike.", behaviour),
      nearest("Nearest by content", "Items whose content features are most alike.", content),
    );
  }

  return { figure, controls, text, neighbours };
})();
