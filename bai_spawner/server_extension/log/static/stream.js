// Following the log: an answer that goes on, asked for again whenever it breaks off, from where
// it was. Not an EventSource: that neither says why it was refused nor sends the token that
// JupyterHub wants to see with what a page asks for.

const SILENCE = 45_000;  // the server says something every 15 s
const LONGEST = 30;

const NOT_RUNNING = 424;  // how JupyterHub answers for a server that is not there

/** The server does not want to: asking again by oneself would not help. */
export class Refused extends Error {}
/** There is no server any more. */
class Ended extends Refused {}

const token = () => /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? "";

/** Why a connection was let go of on purpose. */
const HELD = Symbol("held");

/** Why an answer is none, in the server's words where it has some. */
const reason = async (response) => {
  let told = "";
  try {
    told = String(JSON.parse(await response.text()).message ?? "");
  } catch {
    // a proxy's page, which is for somebody else
  }
  const status = `HTTP ${response.status}`;
  return told ? `${told.slice(0, 300)} (${status})` : status;
};

const fields = (event) => {
  const found = { event: "", id: "", data: "" };
  for (const line of event.split("\n")) {
    const [, name, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
    if (name) found[name] = value;
  }
  return found;
};

/**
 * Follows for as long as there is a page; `again()` asks at once. While `hold(true)` holds it
 * has no connection, and goes on where it was with `hold(false)`.
 *
 * Told are: `piece(text)`, `gap(words)`, `live()`, `held()`, `lost(words, seconds)` before it
 * asks again, and `refused(words)` or `ended()`, after which only `again()` does, or `hold(false)`.
 */
export class Stream {
  #url;
  #told;
  #mark = "";
  #wake = () => {};
  #held = false;
  #connection = null;

  constructor(url, told) {
    this.#url = url;
    this.#told = told;
    window.addEventListener("online", () => this.again());
  }

  again() {
    this.#wake();
  }

  hold(held) {
    this.#held = held;
    if (held) this.#connection?.abort(HELD);
    else this.again();
  }

  async run() {
    for (let failed = 0; ; failed += 1) {
      while (this.#held) await this.#pause();
      try {
        await this.#once(() => { failed = 0; });
        this.#told.lost("the connection ended", 1);
        await this.#pause(1);
      } catch (error) {
        if (error === HELD) {
          failed = -1;
          this.#told.held();
        } else if (error instanceof Refused) {
          if (error instanceof Ended) this.#told.ended();
          else this.#told.refused(error.message);
          await this.#pause();
        } else {
          const seconds = Math.min(LONGEST, 2 ** failed);
          this.#told.lost(error.message, seconds);
          await this.#pause(seconds);
        }
      }
    }
  }

  #pause(seconds) {
    return new Promise((resolve) => {
      const timer = seconds && setTimeout(resolve, seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #once(opened) {
    const ended = this.#connection = new AbortController();
    let timer = 0;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => ended.abort(), SILENCE);
    };
    heard();
    try {
      const response = await this.#ask(ended.signal);
      this.#told.live();
      opened();
      await this.#read(response.body, heard);
    } catch (error) {
      if (ended.signal.reason === HELD) throw HELD;
      if (error instanceof TypeError) throw new Error("the session does not answer");
      if (ended.signal.aborted) throw new Error("the session has fallen silent");
      throw error;
    } finally {
      clearTimeout(timer);
      ended.abort();
    }
  }

  async #ask(signal) {
    const headers = { Accept: "text/event-stream", "X-XSRFToken": token() };
    if (this.#mark) headers["Last-Event-ID"] = this.#mark;
    const response = await fetch(this.#url, { headers, signal, cache: "no-store" });
    const kind = response.headers.get("Content-Type") ?? "";
    if (response.ok && kind.startsWith("text/event-stream")) return response;
    if (response.status === NOT_RUNNING) throw new Ended();
    const words = response.ok ? "it answers with something else" : await reason(response);
    const final = response.status >= 400 && response.status < 500 && response.status !== 429;
    throw final ? new Refused(words) : new Error(words);
  }

  async #read(body, heard) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) this.#take(fields(event));
    }
  }

  #take({ event, id, data }) {
    if (!data) return;
    const text = JSON.parse(data);
    if (event === "gap") this.#told.gap(text);
    else if (!event) this.#told.piece(text);
    if (id) this.#mark = id;
  }
}
