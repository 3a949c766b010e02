// What the page knows: the heading that stands in it, and blocks that are loaded when needed.
//
// A page from disk may not fetch files. So a block is a script, which hands in what it has by
// becamGallery.take.
"use strict";

const becamGallery = (() => {
  const heading = JSON.parse(document.getElementById("heading").textContent);
  const awaited = new Map();

  /** Called by every block. */
  function take(name, value) {
    awaited.get(name)?.(value);
  }

  function load(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const done = () => {
        awaited.delete(name);
        script.remove();
        // Without effect where the block has handed itself in.
        reject(new Error(`data/${name}.js is missing`));
      };
      awaited.set(name, resolve);
      script.addEventListener("load", done);
      script.addEventListener("error", done);
      script.src = `data/${name}.js`;
      document.head.append(script);
    });
  }

  const digits = (number) => String(number).padStart(3, "0");
  const path = (number) => `${digits(Math.floor(number / 1000))}/${digits(number % 1000)}`;

  /** Blocks of `size` items each, of which the last `keep` used stay in memory. */
  function blocks(kind, size, keep) {
    const kept = new Map();
    const coming = new Map();

    async function fetchBlock(number) {
      const block = await load(`${kind}/${path(number)}`);
      kept.set(number, block);
      if (kept.size > keep) kept.delete(kept.keys().next().value);
      return block;
    }

    /** A whole block. */
    function block(number) {
      if (kept.has(number)) return Promise.resolve(kept.get(number));
      if (!coming.has(number)) {
        const request = fetchBlock(number).finally(() => coming.delete(number));
        coming.set(number, request);
      }
      return coming.get(number);
    }

    /** What the block of an item says of it, if it is here. */
    function peek(item) {
      const number = Math.floor(item / size);
      const found = kept.get(number);
      if (!found) return undefined;
      kept.delete(number);
      kept.set(number, found);
      return found[item % size];
    }

    /** The same, loaded if it must be. */
    async function get(item) {
      return (await block(Math.floor(item / size)))[item % size];
    }

    return { block, peek, get, size };
  }

  const { sizes } = heading;
  return {
    heading,
    take,
    /** Columns of the index for so many items a block; see index.js. */
    indexBlocks: blocks("index", sizes.index, 1),
    /** Geometry and maps of each item. */
    maps: blocks("maps", sizes.maps, 64),
    /** Controls, weights, coloured words and nearest items of each item. */
    details: blocks("details", sizes.details, 16),
    /** Title and text of each item, in full. */
    texts: blocks("texts", sizes.texts, 8),
    picture: (item) => `thumbs/${path(item)}.jpg`,
  };
})();
