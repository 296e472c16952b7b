// The log of a trial: its end first, earlier pieces on demand, and what comes while it runs.

import { follow, logPiece } from "/api.js";
import { h, section, write } from "/dom.js";
import { bytes } from "/text.js";

const PIECE_BYTES = 64 * 1024;
/** What the page holds at most; the earliest lines go first. */
const MAX_CHARS = 1 << 20;

export class LogView {
  constructor(path) {
    this.path = path;
    this.text = h("pre", { class: "log", tabindex: "0", role: "group", "aria-label": "Log" });
    this.earlier = h("button", { class: "small", hidden: true, onclick: () => this.loadEarlier() }, "Earlier lines");
    this.follows = h("input", { type: "checkbox", checked: true, onchange: () => this.toEnd() });
    this.replica = h("select", { "aria-label": "Replica", hidden: true, onchange: () => this.start() });
    this.hint = h("span", { class: "hint" });
    this.element = section(
      "Log",
      { hint: this.hint, tools: [this.replica, this.earlier, h("label", { class: "tick" }, this.follows, "Follow")] },
      this.text,
    );
    this.text.addEventListener(
      "scroll",
      () => {
        const isAtEnd = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 24;
        if (this.isOurs) this.isOurs = false;
        else this.follows.checked = isAtEnd;
      },
      { passive: true },
    );
  }

  close() {
    this.abort?.abort();
    this.stream?.close();
  }

  setReplicas(replicas, isOver) {
    const names = replicas.map(({ name }) => name);
    this.isOver = isOver;
    if (this.names === names.join("\n")) return;
    this.names = names.join("\n");
    this.replica.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    this.replica.hidden = names.length < 2;
    this.start();
  }

  query() {
    return this.replica.value ? { replica: this.replica.value } : {};
  }

  async start() {
    this.close();
    const abort = (this.abort = new AbortController());
    this.text.replaceChildren();
    write(this.hint, "");
    try {
      const piece = await logPiece(`${this.path}/log`, { ...this.query(), offset: -PIECE_BYTES, limit: PIECE_BYTES }, abort.signal);
      this.from = piece.from;
      this.next = piece.next;
      this.append(piece.from > 0 ? piece.text.slice(piece.text.indexOf("\n") + 1) : piece.text);
      this.showEarlier();
    } catch (error) {
      if (abort.signal.aborted) return;
      write(this.hint, error.message);
      // What is about to run has none yet.
      if (!this.isOver)
        setTimeout(() => {
          if (!abort.signal.aborted) this.start();
        }, 2000);
      return;
    }
    if (abort.signal.aborted) return;
    this.stream = follow(() => `${this.path}/log?${new URLSearchParams({ ...this.query(), offset: this.next, follow: "true" })}`, {
      log: ({ offset, text }) => {
        if (offset < this.next) return;
        this.next = offset + new TextEncoder().encode(text).length;
        this.append(text);
      },
      end: () => {
        write(this.hint, this.text.textContent ? "" : "It printed nothing.");
        return false;
      },
      refused: (error) => write(this.hint, error.message),
    });
  }

  showEarlier() {
    this.earlier.hidden = !(this.from > 0);
    this.earlier.title = `${bytes(this.from)} more`;
  }

  async loadEarlier() {
    const from = Math.max(0, this.from - PIECE_BYTES);
    const piece = await logPiece(`${this.path}/log`, { ...this.query(), offset: from, limit: this.from - from }, this.abort.signal);
    this.follows.checked = false;
    const height = this.text.scrollHeight;
    this.text.prepend(document.createTextNode(cleaned(piece.text)));
    this.isOurs = true;
    this.text.scrollTop += this.text.scrollHeight - height;
    this.from = from;
    this.showEarlier();
  }

  append(text) {
    if (!text) return;
    const last = this.text.lastChild,
      piece = cleaned(text);
    if (last && last.length < 32768) last.appendData(piece);
    else this.text.append(document.createTextNode(piece));
    let size = [...this.text.childNodes].reduce((sum, node) => sum + node.length, 0);
    while (size > MAX_CHARS && this.text.childNodes.length > 1) {
      size -= this.text.firstChild.length;
      this.text.firstChild.remove();
    }
    this.toEnd();
  }

  toEnd() {
    if (!this.follows.checked) return;
    this.isOurs = true;
    this.text.scrollTop = this.text.scrollHeight;
  }
}

/** Without the codes of terminals; of a line that was written over, what it said last. */
function cleaned(text) {
  return text
    .replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "")
    .replace(/\r\n/g, "\n")
    .replace(/[^\n]*\r(?=[^\n])/g, "")
    .replaceAll("\r", "");
}
