// The picture: the item's own, or one that is chosen, dropped or pasted.

import { about, upload } from "./api.js";
import { alert, announce, byId, own } from "./dom.js";
import { picture, state } from "./state.js";

/** `changed()` is called when there is another picture. Returns what draws the present one. */
export function pictureChooser(changed) {
  const drop = byId("drop");
  const preview = byId("preview");
  const input = byId("file");

  async function take(file) {
    alert("picture-problem", "");
    if (file.size > about.limits.bytes) {
      return alert("picture-problem", `The picture has more than ${about.limits.bytes / 1e6} MB; make it smaller before you send it.`);
    }
    drop.classList.add("busy");
    announce("Reading the picture");
    try {
      state.upload = { ...(await upload(file)), file };
      announce("Picture read");
      changed();
    } catch (problem) {
      alert("picture-problem", problem.message);
    } finally {
      drop.classList.remove("busy");
    }
  }

  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  });
  byId("own").addEventListener("click", () => {
    state.upload = null;
    alert("picture-problem", "");
    changed();
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  // Dropped anywhere: a page that opens the picture in its own place would be a nuisance.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) take(file);
  });

  return function draw() {
    const now = picture();
    const sent = state.upload;
    preview.hidden = !now;
    if (!now) preview.removeAttribute("src");
    else if (preview.getAttribute("src") !== now.source) preview.src = now.source;
    byId("picture-name").hidden = !now;
    byId("picture-name").replaceChildren(own("span", sent ? `${sent.name}, ${sent.width} × ${sent.height}` : "The item’s own picture", 100));
    byId("drop-hint").textContent = now ? "Drop or paste another one here." : "Drop or paste a picture here.";
    byId("own").hidden = !(sent && state.item?.picture);
  };
}
