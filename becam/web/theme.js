// Light or dark: the system's choice until the reader makes one, which is kept where it can be.
"use strict";

const becamTheme = (() => {
  const KEY = "becam-theme";
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // Pages from disk and private windows may refuse to keep anything.
  const kept = {
    read() {
      try {
        return window.localStorage.getItem(KEY);
      } catch {
        return null;
      }
    },
    write(value) {
      try {
        window.localStorage.setItem(KEY, value);
      } catch {
        // The choice then holds until the page is closed.
      }
    },
  };

  const current = () => root.dataset.theme || (dark.matches ? "dark" : "light");

  /** Makes a button switch between light and dark; it is pressed while the page is dark. */
  function toggle(button) {
    const show = () => button.setAttribute("aria-pressed", String(current() === "dark"));
    button.addEventListener("click", () => {
      root.dataset.theme = current() === "dark" ? "light" : "dark";
      kept.write(root.dataset.theme);
      show();
    });
    dark.addEventListener("change", show);
    show();
  }

  const before = kept.read();
  if (before === "light" || before === "dark") root.dataset.theme = before;
  return { current, toggle };
})();
