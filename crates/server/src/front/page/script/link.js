// A connection that comes back by itself.

const PATIENCE = 10_000; // ms until an answer counts as lost
const FIRST_PAUSE = 100; // ms, bound of the first pause between tries
const LONGEST_PAUSE = 10_000; // ms

/** Asks one question at a time, and connects again whatever happens, until it is stopped. */
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

  /** Gives this connection up for another one. */
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
    this.#timer = setTimeout(() => this.drop(`no answer within ${PATIENCE / 1000} s`), PATIENCE);
  }

  #release() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
