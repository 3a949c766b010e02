// The angle to behaviour on a track from 0 to 180 degrees, beside its control.
"use strict";

becamGallery.angle = (() => {
  const { make, degrees, heading } = becamGallery;
  const DRIFT = 90;
  const limits = [heading.omission, DRIFT];

  function mark(kind, theta) {
    const element = make("i", { className: kind });
    element.style.left = `${(theta / 180) * 100}%`;
    return element;
  }

  /** In words: what a track shows, for those who do not see it. */
  function words(theta, control) {
    if (isNaN(theta)) return "no angle";
    const verdict = theta > DRIFT ? ", drift" : theta > heading.omission ? ", omission" : "";
    const other = isNaN(control) ? "" : `; with another item's content ${degrees(control)}`;
    return `θ ${degrees(theta)}${verdict}${other}`;
  }

  /** A dot for theta, a ring for the control, and ticks where omission and drift begin. */
  function track(theta, control) {
    const element = make("span", {
      className: "angle",
      role: "img",
      "aria-label": words(theta, control),
    });
    for (const limit of limits) element.append(mark("limit", limit));
    if (!isNaN(control)) element.append(mark("control", control));
    if (!isNaN(theta)) element.append(mark("theta", theta));
    return element;
  }

  return { DRIFT, track, words };
})();
