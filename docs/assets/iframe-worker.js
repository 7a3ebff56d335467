/* Lets the search work where a page is opened by double click: browsers start no worker from a file, so a hidden frame
   stands in for it. The theme's plugin `offline` would load a script of this purpose, and of this name, from elsewhere. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = `<script src="${url}"></script>`;
      this.loaded = new Promise((done) => frame.addEventListener("load", () => done(frame.contentWindow)));
      document.body.append(frame);
      const inside = frame.contentWindow;
      const prepare = (target) => {
        target.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        target.importScripts = async (...scripts) => {
          for (const src of scripts) {
            await new Promise((done, failed) => {
              const script = target.document.createElement("script");
              Object.assign(script, { src, onload: done, onerror: failed });
              target.document.head.append(script);
            });
          }
        };
      };
      if (inside) prepare(inside);
      this.loaded.then(prepare);
    }

    postMessage(data) {
      this.loaded.then((inside) => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
    }
  };
}
