// Items and users as lines of a list.

import { thumbnail } from "./api.js";
import { count, make, own } from "./dom.js";

const thumb = (item) => make("img", { src: thumbnail(item.index), alt: "", loading: "lazy" });

export function itemLine(item) {
  const facts = [item.text ? item.id : null, item.category, item.popularity === null ? null : count(item.popularity, "interaction")];
  return make("span", { className: "item" },
    item.picture ? thumb(item) : null,
    make("span", { className: "lines" },
      own("span", item.text || item.id, 140, { className: "title" }),
      own("span", facts.filter(Boolean).join(" · "), 120, { className: "soft small" })));
}

/** With some of what the user bought. */
export function userLine(user) {
  return make("span", { className: "item" },
    make("span", { className: "lines" },
      own("span", user.id, 80, { className: "title" }),
      user.purchases === null ? null : make("span", { className: "soft small", textContent: count(user.purchases, "interaction") })),
    make("span", { className: "bought" }, ...user.items.filter((item) => item.picture).map(thumb)));
}

/** A picture to begin with. */
export function itemTile(item, choose) {
  const button = make("button", { type: "button", className: "thumb" }, thumb(item), own("span", item.text || item.id, 60, { className: "small" }));
  button.addEventListener("click", () => choose(item));
  return make("li", {}, button);
}
