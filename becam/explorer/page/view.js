// How maps are shown, and the keys.

import { about } from "./api.js";
import { byId, make } from "./dom.js";

export function listenForView(results) {
  const colours = byId("colormap");
  const opacity = byId("opacity");
  for (const name of Object.keys(about.colormaps)) {
    colours.append(new Option(name === becamMap.SIGNED ? "signed" : name, name));
  }
  opacity.value = becamMap.OPACITY;
  opacity.addEventListener("input", () => results.show({ opacity: Number(opacity.value) }));
  colours.addEventListener("change", () => results.show({ colormap: colours.value }));
  byId("mode").addEventListener("change", (event) => results.show({ mode: event.target.value }));
}

/** `maps` can be cancelled. */
export function listenForKeys(results, maps) {
  const help = byId("help");
  const mode = (name) => () => {
    for (const input of byId("mode").querySelectorAll("input")) input.checked = input.value === name;
    results.show({ mode: name });
  };
  const keys = {
    1: ["Overlay", mode("overlay")],
    2: ["Map alone", mode("map")],
    3: ["Picture alone", mode("picture")],
    b: ["Hold: the picture below the map; or hold the pointer down on a map", () => results.blink(true)],
    "/": ["Search an item", () => byId("item").focus()],
    r: ["Random item", () => byId("random").click()],
    t: ["Light or dark", () => byId("theme").click()],
    "?": ["This help", () => help.showModal()],
  };
  const row = (key, words) => make("div", {}, make("dt", {}, make("kbd", { textContent: key })), make("dd", { textContent: words }));
  byId("keys").append(...Object.entries(keys).map(([key, [words]]) => row(key, words)), row("Esc", "Cancel"));

  document.addEventListener("keydown", (event) => {
    if (help.open) return;
    if (event.key === "Escape" && maps.running()) return byId("cancel").click();
    const typing = event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!byId("single-keys").checked || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key][1]();
  });
  document.addEventListener("keyup", (event) => event.key === "b" && results.blink(false));
  byId("help-button").addEventListener("click", () => help.showModal());
  byId("help-close").addEventListener("click", () => help.close());
}
