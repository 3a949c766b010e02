// What is chosen.

import { about, itemPicture, uploaded } from "./api.js";

export const state = {
  target: "item",
  item: null,
  user: null,
  text: "",
  upload: null, // what the server says of it, and the file
  columns: about.columns.map((_, index) => index),
  methods: [],
  shuffled: true,
  change: false,
};

/** Whether no column is left out. */
export const allColumns = () => state.columns.length === about.columns.length;

/** Encoders of the chosen columns. */
export const chosenEncoders = () =>
  [...new Set(state.columns.map((column) => about.columns[column].encoder))].map((index) => about.encoders[index]);

/** The picture that the maps will be of; null where there is none. */
export function picture() {
  const { upload, item } = state;
  if (upload) return { source: uploaded(upload.id), name: upload.name, width: upload.width, height: upload.height };
  if (!item?.picture) return null;
  return { source: itemPicture(item.index), name: `Item ${item.id}`, width: 3, height: 4 };
}

/** What is still to be chosen, in words; empty where nothing is. */
export function missing() {
  if (state.target !== "text" && !state.item) return "Choose an item.";
  if (state.target === "user" && !state.user) return "Choose a user.";
  if (state.target === "text" && !state.text) return "Write a text.";
  if (!picture()) return state.item && about.pictures ? "This item has no picture here; choose one." : "Choose a picture.";
  if (!state.columns.length) return "Choose a column.";
  return "";
}

/** The same for the server. */
export function question() {
  const { target, item, user, text } = state;
  return {
    picture: state.upload?.id ?? null,
    target,
    item: item?.id ?? null,
    user: target === "user" ? user : null,
    text: target === "text" ? text : null,
    columns: state.columns,
    methods: state.methods,
    space: state.change ? "change" : "adapted",
    shuffled: state.shuffled,
  };
}

/** Columns of the maps to come: number and label of each. */
export function columns() {
  const chosen = state.columns.map((number) => ({ number, ...about.columns[number] }));
  if (state.target !== "text") return chosen.map(({ number, label }) => ({ number, label }));
  // Texts are compared in the encoder's own space: one column for each encoder.
  const first = chosen.filter(({ encoder }, i) => chosen.findIndex((other) => other.encoder === encoder) === i);
  return first.map(({ number, encoder }) => ({ number, label: about.encoders[encoder].name }));
}
