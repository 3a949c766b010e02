// The explorer's page: what is chosen, and what follows from it.

import * as address from "./address.js";
import { about, get } from "./api.js";
import { alert, byId, columnTitle, count, make, own } from "./dom.js";
import { finder } from "./finder.js";
import { itemLine, itemTile, userLine } from "./lines.js";
import { mapMaker } from "./maps.js";
import { methodCards } from "./methods.js";
import { pictureChooser } from "./pictures.js";
import { resultsView } from "./results.js";
import { missing, state } from "./state.js";
import { listenForKeys, listenForView } from "./view.js";

const PAUSE = 150; // several changes at once are one
const QUERY = 500;

becamMap.load(about.colormaps);
const results = resultsView((item) => chooseItem(item));
const methods = methodCards(() => changed());
const maps = mapMaker(results, methods.title);
const drawPicture = pictureChooser(() => changed());

/* What is chosen */

let timer = null;

/** Something else is asked for; `step` makes it one that can be gone back from. */
function changed(step = false) {
  address.write(state, step);
  draw();
  clearTimeout(timer);
  timer = setTimeout(maps.run, PAUSE);
}

function chooseItem(item) {
  state.item = item;
  alert("item-problem", "");
  changed(true);
}

function chooseUser(id) {
  state.user = id;
  changed(true);
}

async function enterItem(id) {
  try {
    chooseItem(await get("api/item", { id }));
  } catch (problem) {
    alert("item-problem", problem.message);
  }
}

function draw() {
  const { target, item, user, text } = state;
  const title = item && (item.text || item.id).slice(0, 60);
  document.title = [title, "becam explorer"].filter(Boolean).join(" · ");
  for (const input of byId("target").querySelectorAll("input")) input.checked = input.value === target;
  byId("item-field").hidden = target === "text" && !about.pictures;
  byId("user-field").hidden = target !== "user";
  byId("text-field").hidden = target !== "text";
  byId("item-chosen").hidden = !item;
  byId("item-chosen").replaceChildren(item ? itemLine(item) : "");
  byId("user-chosen").hidden = !user;
  byId("user-chosen").replaceChildren(user ? own("span", user, 80) : "");
  if (document.activeElement !== byId("text")) byId("text").value = text;
  for (const box of byId("columns").querySelectorAll("input")) box.checked = state.columns.includes(Number(box.value));
  byId("shuffled").checked = state.shuffled;
  byId("change").checked = state.change;
  byId("missing").textContent = missing();
  byId("go").querySelector("button").disabled = Boolean(missing());
  byId("welcome").hidden = Boolean(byId("results").childElementCount);
  drawPicture();
}

/** Takes over what the address asks for. */
async function restore() {
  const asked = address.read();
  const known = (asked.columns ?? []).filter((column) => about.columns[column]);
  Object.assign(state, {
    target: asked.target ?? "item",
    item: null,
    user: asked.user ?? null,
    text: asked.text ?? "",
    columns: known.length ? known : about.columns.map((_, index) => index),
    shuffled: asked.shuffled ?? true,
    change: asked.change ?? false,
  });
  methods.set(asked.methods);
  alert("item-problem", "");
  if (asked.item) {
    await get("api/item", { id: asked.item }).then(
      (item) => { state.item = item; },
      (problem) => alert("item-problem", problem.message));
  }
  draw();
  maps.run();
}

/* The form */

function listen() {
  finder(byId("item"), {
    find: (query, signal) => get("api/items", { query: query.slice(0, QUERY) }, signal),
    show: itemLine,
    choose: chooseItem,
    enter: enterItem,
  });
  finder(byId("user"), {
    find: (query, signal) => get("api/users", { query: query.slice(0, QUERY), item: state.item?.id ?? null }, signal),
    show: userLine,
    choose: (user) => chooseUser(user.id),
    enter: chooseUser,
  });
  byId("item").addEventListener("input", () => alert("item-problem", ""));
  byId("random").addEventListener("click", async () => chooseItem(await get("api/items/random")));
  byId("target").addEventListener("change", (event) => {
    state.target = event.target.value;
    changed();
  });
  byId("text").addEventListener("change", (event) => {
    state.text = event.target.value.trim();
    changed();
  });
  byId("columns").addEventListener("change", () => {
    state.columns = [...byId("columns").querySelectorAll(":checked")].map((box) => Number(box.value));
    methods.draw();
    changed();
  });
  for (const name of ["shuffled", "change"]) {
    byId(name).addEventListener("change", (event) => {
      state[name] = event.target.checked;
      changed();
    });
  }
  byId("question").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    maps.run();
  });
  byId("cancel").addEventListener("click", () => {
    maps.cancel();
    byId("missing").textContent = "Cancelled.";
    byId("go").querySelector("button").focus();
  });
  window.addEventListener("popstate", restore);
}

/** What depends on the server alone. */
async function drawAbout() {
  const facts = [about.dataset, count(about.items, "item"), count(about.users, "user"), count(about.columns.length, "column")];
  byId("serves").textContent = facts.filter(Boolean).join(" · ");
  byId("columns").append(...about.columns.map(({ label }, value) =>
    make("label", {}, make("input", { type: "checkbox", value }), make("span", {}, ...columnTitle(label, "span")))));
  byId("item").placeholder = about.pictures ? "Search titles and ids" : "Search ids";
  byId("user").placeholder = about.dataset ? "Search ids; the item’s buyers first" : "Search ids";
  const text = byId("target").querySelector("[value=text]");
  text.disabled = !about.encoders.some((encoder) => encoder.text);
  if (text.disabled) text.parentElement.title = "No encoder here has a text tower";
  byId("target").querySelector("[value=user]").disabled = !about.users;
  const begin = about.pictures
    ? "Search an item, drop a picture of your own, or begin with one of these."
    : "Choose an item by its id, and drop a picture of it.";
  byId("welcome").append(make("h2", { textContent: "What does behaviour say about a picture?" }), make("p", { textContent: begin }));
  if (!about.pictures) return;
  const items = (await get("api/items")).filter((item) => item.picture);
  byId("welcome").append(make("ul", { className: "shelf" }, ...items.map((item) => itemTile(item, chooseItem))));
}

listen();
listenForView(results);
listenForKeys(results, maps);
becamTheme.toggle(byId("theme"));
await drawAbout();
await restore();
document.documentElement.dataset.ready = "";
