// What all pages share, and numbers in few characters.
"use strict";

Object.assign(becamGallery, becamElements, {
  /** A number in few characters, whatever its size. */
  brief(number) {
    const size = Math.abs(number);
    return number === 0 || (size >= 1e-3 && size < 1e5)
      ? String(Number(number.toPrecision(3)))
      : number.toExponential(1);
  },
});
