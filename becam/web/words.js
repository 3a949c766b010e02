// Colours words by what each adds to the similarity, as becam.figures.words does.
"use strict";

const becamWords = (() => {
  // Relative luminance of the grey on which black and white letters have the same contrast.
  const LIGHT = 0.179;

  /** Of an sRGB colour in bytes, from 0 to 1 (WCAG 2). */
  function luminance(rgb) {
    const [r, g, b] = Array.from(rgb, (byte) => {
      const c = byte / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  /** The largest magnitude among the weights: both ends of the scale. */
  function largest(weights) {
    return weights.reduce((most, weight) => Math.max(most, Math.abs(weight ?? 0)), 0);
  }

  /**
   * Fills an element with words: red ones speak for the target, blue ones against it, and those
   * whose weight is null are struck out, for the encoder does not read them.
   */
  function fill(element, words, weights) {
    const limit = largest(weights) || 1;
    element.replaceChildren();
    words.forEach((word, i) => {
      const weight = weights[i];
      const tag = document.createElement(weight === null ? "s" : "span");
      tag.textContent = word;
      if (weight === null) {
        tag.title = "not read by the encoder";
      } else {
        const rgb = becamMap.colour(becamMap.SIGNED, (weight / limit + 1) / 2);
        tag.style.backgroundColor = `rgb(${rgb.join()})`;
        tag.style.color = luminance(rgb) > LIGHT ? "#000" : "#fff";
        tag.title = (weight > 0 ? "+" : "") + weight.toPrecision(2);
      }
      if (i) element.append(" ");
      element.append(tag);
    });
  }

  return { fill, largest };
})();
