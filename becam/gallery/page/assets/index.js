// The index: what sorting, filtering and the list need of every item, as one array a property.
"use strict";

becamGallery.index = (() => {
  const { indexBlocks, heading } = becamGallery;
  const { count, columns, pairs } = heading;
  const each = (Type) => columns.map(() => new Type(count));

  const index = {
    count,
    /** So many items are read, the first ones. */
    ready: 0,
    ids: new Array(count),
    titles: new Array(count),
    /** Title and id as the search compares them. */
    folded: new Array(count),
    /** Number in heading.categories. */
    category: new Uint32Array(count),
    popularity: new Float64Array(count),
    /** Of the thumbnail. */
    width: new Uint16Array(count),
    height: new Uint16Array(count),
    /** Degrees by column; NaN where there is none. */
    theta: each(Float32Array),
    control: each(Float32Array),
    warnings: each(Uint8Array),
    /** Pearson's r of the maps of two columns in percent, by pair; -128 where there is none. */
    likeness: pairs.map(() => new Int8Array(count)),
    byId: new Map(),
    /** All items, those of each block by title: runs that a sort has but to merge. */
    titled: [],
    /** The order of two items by title, equal ones in the gallery's order. */
    compareTitles: (a, b) =>
      index.folded[a] < index.folded[b] ? -1 : index.folded[a] > index.folded[b] ? 1 : a - b,
  };

  /** As the search compares texts: without case and accents. */
  function fold(text) {
    const lower = text.toLowerCase();
    if (/^[\x00-\x7f]*$/.test(lower)) return lower;
    return lower.normalize("NFKD").replace(/\p{M}/gu, "");
  }

  const TYPES = {
    category: Uint32Array,
    popularity: Float64Array,
    width: Uint16Array,
    height: Uint16Array,
  };
  const LISTS = {
    theta: Float32Array,
    control: Float32Array,
    warnings: Uint8Array,
    likeness: Int8Array,
  };
  const numbers = (base64, Type) => new Type(becamMap.bytes(base64).buffer);

  function add(block, first) {
    block.ids.forEach((id, i) => {
      const item = first + i;
      index.ids[item] = id;
      index.titles[item] = block.titles[i];
      index.folded[item] = `${fold(block.titles[i])}\n${fold(id)}`;
      index.byId.set(id, item);
    });
    for (const [name, Type] of Object.entries(TYPES)) {
      index[name].set(numbers(block[name], Type), first);
    }
    for (const [name, Type] of Object.entries(LISTS)) {
      block[name].forEach((one, k) => index[name][k].set(numbers(one, Type), first));
    }
    const run = block.ids.map((_, i) => first + i).sort(index.compareTitles);
    for (const item of run) index.titled.push(item);
    index.ready = first + block.ids.length;
  }

  /** Reads all blocks in their order, and calls `progress` after each. */
  async function read(progress) {
    const last = Math.ceil(count / indexBlocks.size);
    let next = last ? indexBlocks.block(0) : null;
    for (let number = 0; number < last; number++) {
      const block = await next;
      if (number + 1 < last) next = indexBlocks.block(number + 1);
      add(block, number * indexBlocks.size);
      progress();
    }
  }

  return Object.assign(index, { fold, read });
})();
