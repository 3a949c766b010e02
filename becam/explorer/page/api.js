// What the server is asked, and what it answers.

/** Something that the user should read: one sentence. */
export class Problem extends Error {
  constructor(sentence, status = 0, retryAfter = 0) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

// Tells this page from others, for a fair order. randomUUID would need https.
const CLIENT = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
  byte.toString(16).padStart(2, "0")
).join("");

const SILENT = "The explorer does not answer; is becam serve still running?";

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(SILENT);
  }
  if (response.ok) return response;
  const words = await response.json().catch(() => ({}));
  throw new Problem(
    typeof words.detail === "string" ? words.detail : `The explorer failed (${response.status}).`,
    response.status,
    Number(response.headers.get("Retry-After"))
  );
}

/** Reads something, as JSON. */
export async function get(path, values = {}, signal = undefined) {
  const given = Object.entries(values).filter(([, value]) => value !== null);
  const query = new URLSearchParams(given).toString();
  return (await ask(query ? `${path}?${query}` : path, { signal })).json();
}

/** Sends a picture; what the server says of it. */
export async function upload(file, signal) {
  const name = encodeURIComponent(file.name.slice(0, 200) || "picture");
  const options = { method: "POST", body: file, signal };
  return (await ask(`api/pictures?name=${name}`, options)).json();
}

export const uploaded = (id) => `api/pictures/${encodeURIComponent(id)}`;
/** What the server serves; its edition keeps pictures of another server out of the cache. */
export const about = await get("api/about");
export const itemPicture = (index) => `api/items/${index}/picture?${about.edition}`;
export const thumbnail = (index) => `api/items/${index}/thumbnail?${about.edition}`;
export const download = (answer, file) => `api/answers/${encodeURIComponent(answer)}/${file}`;

/**
 * Asks for maps. `listen` has a function for each kind of event. Leaving early, by the signal,
 * cancels the work.
 */
export async function explain(question, listen, signal) {
  const response = await ask("api/explanations", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Becam-Client": CLIENT },
    body: JSON.stringify(question),
    signal,
  });
  let last = null;
  for await (const { name, values } of events(response.body)) {
    if (name === "failed") throw new Problem(values.sentence);
    listen[name]?.(values);
    last = name;
  }
  if (last !== "done") throw new Problem(SILENT);
}

/** The server-sent events of a body. */
async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(SILENT);
    }
    if (piece.done) return;
    text += decoder.decode(piece.value, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const [first, second] = block.split("\n");
      if (!second) continue; // a heartbeat
      yield { name: first.slice("event: ".length), values: JSON.parse(second.slice("data: ".length)) };
    }
  }
}
