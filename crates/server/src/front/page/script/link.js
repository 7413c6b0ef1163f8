// A connection that reconnects by itself.

const ANSWER_TIMEOUT = 10_000; // ms until an answer counts as lost
const FIRST_PAUSE = 100; // ms; the first pause between tries is at most this long, the next ones at most twice as long as before
const LONGEST_PAUSE = 10_000; // ms

/** Sends one request at a time, and reconnects whenever the connection is lost, until it is stopped. */
class Link {
  #url;
  #on;
  #socket = null;
  #timer = 0;
  #bound = FIRST_PAUSE;

  /** Calls `opened()`, `answered(text)` and `lost(why)` of `on`. */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    this.#open();
  }

  ask(text) {
    this.#socket.send(text);
    this.#expect();
  }

  /** Drops this connection and opens another one after a pause. */
  drop(why) {
    this.#release();
    this.#timer = setTimeout(() => this.#open(), Math.random() * this.#bound);
    this.#bound = Math.min(2 * this.#bound, LONGEST_PAUSE);
    this.#on.lost(why);
  }

  stop() {
    this.#release();
  }

  #open() {
    const socket = new WebSocket(this.#url);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#on.opened();
    };
    socket.onmessage = ({ data }) => {
      clearTimeout(this.#timer);
      this.#bound = FIRST_PAUSE;
      this.#on.answered(data);
    };
    socket.onclose = (event) => this.drop(closeWords(event));
    this.#socket = socket;
    this.#expect();
  }

  #expect() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.drop(`no answer within ${ANSWER_TIMEOUT / 1000} s`), ANSWER_TIMEOUT);
  }

  #release() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
