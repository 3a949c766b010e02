// The address keeps what is asked, so that it can be shared and gone back to; never an upload.

import { allColumns } from "./state.js";

const TARGETS = ["item", "user", "text"];

/** What the address asks for: only what it has. */
export function read() {
  const values = new URLSearchParams(location.hash.slice(1));
  const found = { methods: values.getAll("method").map(parseMethod) };
  for (const name of ["item", "user", "text"]) if (values.get(name)) found[name] = values.get(name);
  if (TARGETS.includes(values.get("target"))) found.target = values.get("target");
  if (values.has("columns")) found.columns = values.get("columns").split(",").map(Number);
  if (values.has("shuffled")) found.shuffled = values.get("shuffled") !== "0";
  if (values.has("change")) found.change = values.get("change") === "1";
  return found;
}

/** Keeps a state; as a step to go back to, where `step` says so. */
export function write(state, step) {
  const values = new URLSearchParams();
  if (state.item) values.set("item", state.item.id);
  if (state.target !== "item") values.set("target", state.target);
  if (state.target === "user" && state.user) values.set("user", state.user);
  if (state.target === "text" && state.text) values.set("text", state.text);
  if (!allColumns()) values.set("columns", state.columns.join());
  for (const method of state.methods) values.append("method", formatMethod(method));
  if (!state.shuffled) values.set("shuffled", "0");
  if (state.change) values.set("change", "1");
  const hash = `#${values}`;
  if (hash === location.hash || hash.length > 8000) return;
  if (step) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash);
}

/** NAME,OPTION=VALUE..., as becam explain --method takes it. */
function formatMethod({ name, options }) {
  return [name, ...Object.entries(options).map((pair) => pair.join("="))].join();
}

function parseMethod(text) {
  const [name, ...pairs] = text.split(",");
  return { name, options: Object.fromEntries(pairs.map((pair) => pair.split("=", 2))) };
}
