// Which methods make the maps, and with which options: one card each.

import { about } from "./api.js";
import { byId, duration, format, make } from "./dom.js";
import { chosenEncoders, state } from "./state.js";

const FIRST = { name: "becam", options: { budget: 64 } };
const COMPARED = ["grad-cam", "grad-eclip", "rise"]; // the quick ones first
const MOST = 4;
const LEAST_MASKS = 16;

/** The cards; `changed()` is called after every change. */
export function methodCards(changed) {
  const byName = new Map(about.methods.map((method) => [method.name, method]));
  const place = byId("methods");
  const add = byId("add-method");
  let number = 0;

  /** Numbers of masks to choose from; 0 stands for all of them. */
  function budgets() {
    const most = Math.max(...chosenEncoders().map((encoder) => encoder.channels), LEAST_MASKS);
    const steps = [];
    for (let masks = LEAST_MASKS; masks < most; masks *= 2) steps.push(masks);
    return [...steps, 0];
  }

  function budgetWords(budget) {
    const counts = chosenEncoders().map(({ channels }) => (budget ? Math.min(budget, channels) : channels));
    const seconds = chosenEncoders().reduce(
      (sum, encoder, i) => sum + counts[i] * encoder.seconds, 0
    );
    const masks = budget ? `${format(budget)} masks, the others inferred` : `all ${counts.map(format).join(" and ")} masks`;
    return `${masks}; ${duration(seconds)}`;
  }

  function slider(method, id) {
    const steps = budgets();
    const now = Number(method.options.budget ?? 0);
    const index = now ? steps.findIndex((step) => step === 0 || step >= now) : steps.length - 1;
    const input = make("input", { type: "range", id: `${id}-budget`, min: 0, max: steps.length - 1, step: 1, value: index });
    const words = make("output", { className: "soft small number", htmlFor: input.id });
    const show = () => {
      words.textContent = budgetWords(steps[input.value]);
      input.setAttribute("aria-valuetext", words.textContent);
    };
    input.addEventListener("input", show);
    input.addEventListener("change", () => {
      method.options.budget = steps[input.value];
      changed();
    });
    show();
    return make("div", { className: "budget" },
      make("label", { htmlFor: input.id, className: "small", textContent: "Masks" }),
      make("span", { className: "ends soft small" }, make("span", { textContent: "fast" }), make("span", { textContent: "exact" })),
      input,
      words
    );
  }

  function optionField(method, option, id) {
    const value = method.options[option.name] ?? option.default;
    const properties = { id: `${id}-${option.name}` };
    let input;
    if (option.choices.length) {
      input = make("select", properties, ...option.choices.map((choice) => new Option(choice, choice, false, choice === value)));
    } else if (option.kind === "bool") {
      input = make("input", { ...properties, type: "checkbox", checked: String(value) === "true" });
    } else {
      const step = option.kind === "int" ? 1 : "any";
      input = make("input", { ...properties, type: "number", step, value, required: true });
      if (option.least !== null) input.min = option.least;
      if (option.most !== null) input.max = option.most;
    }
    input.setAttribute("aria-describedby", `${input.id}-help`);
    input.addEventListener("change", () => {
      if (!input.reportValidity()) return;
      const given = input.type === "checkbox" ? String(input.checked) : input.value;
      if (given === String(option.default)) delete method.options[option.name];
      else method.options[option.name] = given;
      changed();
    });
    return make("div", { className: "option" },
      make("label", { htmlFor: input.id, className: "small", textContent: option.name.replaceAll("_", " ") }),
      input,
      make("p", { id: `${input.id}-help`, className: "soft small", textContent: option.help })
    );
  }

  function card(method, index) {
    const id = `method-${number++}`;
    const kind = byName.get(method.name);
    const select = make("select", { id }, ...about.methods.map((one) => {
      const title = one.missing ? `${one.title} (${one.missing})` : one.title;
      const option = new Option(title, one.name, false, one.name === method.name);
      option.disabled = one.missing !== null;
      return option;
    }));
    select.setAttribute("aria-label", index ? `Method ${index + 1}` : "Method");
    select.addEventListener("change", () => {
      state.methods[index] = { name: select.value, options: select.value === FIRST.name ? { ...FIRST.options } : {} };
      draw();
      place.querySelectorAll("select[aria-label^=Method]")[index].focus();
      changed();
    });
    const remove = make("button", { type: "button", className: "plain", textContent: "Remove", "aria-label": `Remove ${kind.title}` });
    remove.addEventListener("click", () => {
      state.methods.splice(index, 1);
      draw();
      add.focus();
      changed();
    });
    const options = kind.options.filter((option) => option.name !== "budget");
    const hasBudget = options.length < kind.options.length;
    const changes = options.filter((option) => option.name in method.options).length;
    return make("div", { className: "method" },
      make("div", { className: "row" }, select, state.methods.length > 1 ? remove : null),
      make("p", { className: "soft small", textContent: kind.summary }),
      hasBudget ? slider(method, id) : null,
      options.length
        ? make("details", { open: changes > 0 }, make("summary", { className: "small", textContent: "Options" }),
            ...options.map((option) => optionField(method, option, id)))
        : null
    );
  }

  function draw() {
    place.replaceChildren(...state.methods.map(card));
    add.hidden = state.methods.length >= MOST;
  }

  add.addEventListener("click", () => {
    const used = new Set(state.methods.map((method) => method.name));
    const free = about.methods.filter((method) => !method.missing && !used.has(method.name));
    const next = COMPARED.map((name) => free.find((method) => method.name === name)).find(Boolean) ?? free[0];
    state.methods.push({ name: next.name, options: {} });
    draw();
    place.lastElementChild.querySelector("select").focus();
    changed();
  });

  return {
    /** Takes methods from an address: those that there are. */
    set(methods) {
      const known = methods.filter((method) => byName.has(method.name)).slice(0, MOST);
      state.methods = known.length ? known : [structuredClone(FIRST)];
      draw();
    },
    /** What depends on the columns, too. */
    draw,
    title: (name) => byName.get(name)?.title ?? name,
  };
}
