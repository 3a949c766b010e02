// Browsers refuse workers to pages that are opened from disk, and the search is one: there it runs in
// a hidden frame, which is asked and answers as a worker does.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #waiting = [];

    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "Search";
      document.body.append(frame);
      const inside = frame.contentWindow;
      const deliver = inside.postMessage.bind(inside);
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = (...urls) => Promise.all(urls.map((each) => this.#load(frame, each)));
      this.postMessage = (data) => this.#waiting.push(data);
      this.#load(frame, url).then(() => {
        this.postMessage = (data) => deliver(data, "*");
        this.#waiting.forEach(this.postMessage);
      });
    }

    #load(frame, url) {
      return new Promise((done) => {
        const script = frame.contentDocument.createElement("script");
        script.src = url;
        script.onload = done;
        frame.contentDocument.body.append(script);
      });
    }
  };
}
