// A search box with suggestions: the combobox pattern of the ARIA authoring practices.

import { announce, count, make } from "./dom.js";

const WAIT = 120;

/**
 * Turns an input into one.
 *
 * options.find(query, signal): suggestions, a promise.
 * options.show(suggestion): the element of one, to be put into the list.
 * options.name(suggestion): one line for the input.
 * options.choose(suggestion): the user chose one.
 * options.enter(text): the user pressed Enter with a text and no suggestion chosen.
 */
export function finder(input, options) {
  const list = make("ul", { id: `${input.id}-list`, role: "listbox", hidden: true });
  list.setAttribute("aria-label", "Suggestions");
  input.after(list);
  for (const [name, value] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
    autocomplete: "off",
    spellcheck: "false",
  })) {
    input.setAttribute(name, value);
  }

  let found = [];
  let active = -1;
  let timer = null;
  let controller = null;

  function mark(index) {
    list.children[active]?.removeAttribute("aria-selected");
    active = index;
    const option = list.children[active];
    if (!option) return input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  }

  function open(suggestions) {
    found = suggestions;
    list.replaceChildren(
      ...found.map((suggestion, index) => {
        const option = make("li", { role: "option", id: `${list.id}-${index}` });
        option.append(options.show(suggestion));
        option.addEventListener("pointerdown", (event) => event.preventDefault()); // keep the focus
        option.addEventListener("click", () => take(suggestion));
        return option;
      })
    );
    mark(-1);
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
  }

  function close() {
    clearTimeout(timer);
    controller?.abort();
    open([]);
  }

  function take(suggestion) {
    close();
    input.value = "";
    options.choose(suggestion);
  }

  async function search() {
    controller?.abort();
    controller = new AbortController();
    const { signal } = controller;
    try {
      const suggestions = await options.find(input.value, signal);
      if (signal.aborted || document.activeElement !== input) return;
      open(suggestions);
      announce(found.length ? count(found.length, "suggestion") : "No suggestions");
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(search, WAIT);
  }

  function key(event) {
    const last = found.length - 1;
    const steps = {
      ArrowDown: () => (list.hidden ? search() : mark(active < last ? active + 1 : 0)),
      ArrowUp: () => (list.hidden ? search() : mark(active > 0 ? active - 1 : last)),
      Enter: () => {
        if (found[active]) take(found[active]);
        else if (input.value.trim()) {
          const text = input.value.trim();
          close();
          options.enter(text);
        }
      },
      Escape: () => {
        if (list.hidden) input.value = "";
        close();
      },
    };
    if (!steps[event.key] || event.isComposing) return;
    // With nothing to close, Escape is the page's.
    if (event.key === "Escape" && list.hidden && !input.value) return;
    event.preventDefault();
    event.stopPropagation();
    steps[event.key]();
  }

  input.addEventListener("input", later);
  input.addEventListener("focus", later);
  input.addEventListener("click", () => list.hidden && later());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", key);
  return { close };
}
