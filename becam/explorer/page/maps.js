// Asks for the maps of what is chosen, and shows how far they are.

import { Problem, download, explain, upload } from "./api.js";
import { alert, announce, byId, count, duration, format, make } from "./dom.js";
import { columns, missing, picture, question, state } from "./state.js";

const RETRIES = 5;
const FILES = { "sheet.png": "Sheet (PNG)", "maps.zip": "Maps (.npz)", "numbers.json": "Numbers (JSON)" };

/**
 * results: where maps are shown.
 * title(name): of a method.
 */
export function mapMaker(results, title) {
  const words = byId("progress-words");
  let controller = null;

  /** Makes the maps; whatever was being made is cancelled. */
  async function run() {
    controller?.abort();
    controller = null;
    alert("problem", "");
    rest();
    if (missing()) return results.age();
    const mine = new AbortController();
    controller = mine;
    begin();
    try {
      await patiently(mine.signal);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      const known = problem instanceof Problem;
      if (!known) console.error(problem);
      alert("problem", known ? problem.message : `The page failed (${problem.message}); reload it.`);
    } finally {
      if (controller === mine) {
        controller = null;
        rest();
      }
    }
  }

  function begin() {
    results.begin({ ...picture(), about: state.target === "text" ? state.text : state.item.text }, state.methods.map(rowTitle), columns());
    byId("downloads").replaceChildren();
    byId("toolbar").hidden = false;
    byId("welcome").hidden = true;
    byId("progress").hidden = false;
    byId("bar").removeAttribute("value");
    words.textContent = "Asking";
    byId("maps").setAttribute("aria-busy", "true");
    announce("Making maps");
  }

  function rowTitle({ name, options }) {
    const given = Object.entries(options).filter(([option, value]) => option !== "budget" || Number(value));
    return [title(name), ...given.map((pair) => pair.join(" "))].join(", ");
  }

  /** Nothing more will come. */
  function rest() {
    byId("progress").hidden = true;
    byId("maps").removeAttribute("aria-busy");
    results.end();
  }

  /** Asks until it is served: the queue may be full, and a picture may have been forgotten. */
  async function patiently(signal) {
    for (let left = RETRIES; ; left--) {
      try {
        return await ask(signal);
      } catch (problem) {
        if (!left || signal.aborted) throw problem;
        if (problem.status === 410 && state.upload) {
          const { file } = state.upload;
          state.upload = { ...(await upload(file, signal)), file };
        } else if (problem.retryAfter) {
          words.textContent = `${problem.message} Trying again.`;
          await pause(1000 * problem.retryAfter, signal);
        } else throw problem;
      }
    }
  }

  async function ask(signal) {
    let started = performance.now();
    await explain(question(), {
      waiting({ ahead }) {
        words.textContent = ahead ? `${count(ahead, "request")} before this one` : "Starting";
      },
      started() {
        started = performance.now();
        words.textContent = "Starting";
      },
      progress(step) {
        byId("bar").value = step.share;
        words.textContent = progressWords(step, (performance.now() - started) / 1000);
      },
      panel: results.take,
      done({ answer }) {
        const links = Object.entries(FILES).map(([file, name]) =>
          make("a", { href: download(answer, file), download: `becam-${file}`, className: "button", textContent: name }));
        byId("downloads").replaceChildren(...links);
        announce("The maps are done");
      },
    }, signal);
  }

  function cancel() {
    controller?.abort();
    controller = null;
    rest();
    announce("Cancelled");
  }

  return { run, cancel, running: () => controller !== null };
}

/** How far it is, and how long it takes after some seconds. */
function progressWords({ words, done, total, share }, passed) {
  const masks = total ? `: ${format(done)} of ${format(total)} masks` : "";
  const left = share > 0.05 && passed > 2 ? `; ${duration((passed / share) * (1 - share))} left` : "";
  return `${words}${masks}${left}`;
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const waiting = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(waiting);
      reject(signal.reason);
    });
  });
}
