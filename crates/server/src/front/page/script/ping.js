// Ping mode: a ping at a time, with statistics.

const MAX_SAMPLES = 600; // round trips that are drawn

/** The statistics of a run of pings. A sample is a round trip in ms, LOST or BREAK. */
class Figures {
  static LOST = 'lost';
  static BREAK = 'break';

  sent = 0;
  received = 0;
  lost = 0;
  last = NaN;
  min = Infinity;
  max = -Infinity;
  sum = 0;
  samples = [];

  reply(ms) {
    this.received += 1;
    this.last = ms;
    this.min = Math.min(this.min, ms);
    this.max = Math.max(this.max, ms);
    this.sum += ms;
    this.#keep(ms);
  }

  lose() {
    this.lost += 1;
    this.#keep(Figures.LOST);
  }

  breakOff() {
    this.#keep(Figures.BREAK);
  }

  get average() {
    return this.sum / this.received;
  }

  /** 99th percentile of the samples that are kept (nearest rank). */
  get p99() {
    const sorted = this.samples.filter(Number.isFinite).sort((a, b) => a - b);
    return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? NaN;
  }

  #keep(sample) {
    this.samples.push(sample);
    if (this.samples.length > MAX_SAMPLES) this.samples.shift();
  }
}

class Pinger {
  figures = new Figures();
  #url;
  #name;
  #interval;
  #link;
  #next = 0;
  #sentAt = null;
  #lostAt = null;
  #wasOpen = false;
  #error = '';

  constructor(url, name, interval) {
    this.#url = url;
    this.#name = name;
    this.#interval = interval;
    this.#link = new Link(url, this);
    this.#show('wait', 'Connecting…');
  }

  stop() {
    clearTimeout(this.#next);
    this.#link.stop();
    this.#show('off', 'Stopped');
  }

  opened() {
    const again = this.#wasOpen ? 'again ' : '';
    const after = this.#lostAt === null ? '' : ` after ${((performance.now() - this.#lostAt) / 1000).toFixed(1)} s`;
    log.add(this.#lostAt === null ? 'connected' : 'back', `ping mode: connected ${again}to ${plain(this.#url.href)}${after}`);
    this.#lostAt = null;
    this.#wasOpen = true;
    this.#show('on', 'Pinging');
    this.#ping();
  }

  answered(text) {
    // A message without a ping under way is no reply.
    if (this.#sentAt === null) return;
    const ms = performance.now() - this.#sentAt;
    this.#sentAt = null;
    if (typeof text === 'string' && isRefusal(text)) this.#refused(text);
    else this.#replied(ms);
    showFigures(this.figures);
    this.#next = setTimeout(() => this.#ping(), this.#interval);
  }

  lost(why) {
    clearTimeout(this.#next);
    if (this.#sentAt !== null) this.figures.lose();
    this.#sentAt = null;
    if (this.#lostAt === null) this.#begins(why);
    showFigures(this.figures);
  }

  #begins(why) {
    this.#lostAt = performance.now();
    this.figures.breakOff();
    const what = this.#wasOpen ? 'lost the connection to' : 'no connection yet to';
    log.add('lost', `ping mode: ${what} ${plain(this.#url.href)}: ${why}; trying again until it works`);
    if (this.#wasOpen) this.#show('bad', 'Lost', `${why}. Trying again until it works.`);
    else this.#show('bad', 'No connection', `Trying again until it works. ${refusal(this.#url) || `${likelyCauses(this.#url)} ${securePage(this.#url) ?? ''}`}`);
  }

  #ping() {
    this.figures.sent += 1;
    this.#sentAt = performance.now();
    this.#link.ask(pingText(this.#name));
  }

  #replied(ms) {
    this.figures.reply(ms);
    if (!this.#error) return;
    this.#error = '';
    this.#show('on', 'Pinging');
  }

  #refused(text) {
    this.figures.lose();
    if (text === this.#error) return;
    this.#error = text;
    log.add('error', `ping mode: ${shortened(text)}`);
    this.#show('bad', 'Refused', shortened(text));
  }

  #show(state, words, hint = '') {
    setPill($('ping-state'), state, words);
    put($('ping-hint'), hint);
  }
}

const pinging = {
  current: null,
  figures: new Figures(),

  toggle() {
    if (this.current) this.stop();
    else this.start();
    put($('ping-start'), this.current ? 'Stop' : 'Start');
    $('ping-start').classList.toggle('on', this.current !== null);
    $('ping-name').disabled = $('ping-interval').disabled = this.current !== null;
  },

  start() {
    const url = fields.url('/');
    const name = $('ping-name').value;
    try {
      if (!url) throw new Error('the form above names no server');
      this.current = new Pinger(url, name, 1000 * $('ping-interval').valueAsNumber);
      this.figures = this.current.figures;
      showFigures(this.figures);
    } catch (error) {
      put($('ping-hint'), (url && refusal(url)) || `Cannot ping: ${plain(error.message)}.`);
    }
  },

  stop() {
    this.current.stop();
    this.current = null;
  },
};

function showFigures(figures) {
  const { sent, received, lost, last, min, average, max, p99 } = figures;
  for (const [name, ms] of Object.entries({ last, min, average, max, p99 })) {
    put($(`ping-${name}`), Number.isFinite(ms) ? milliseconds(ms) : '–');
  }
  for (const [name, count] of Object.entries({ sent, received, lost })) {
    put($(`ping-${name}`), wholeNumber.format(count));
  }
  charts.redraw();
}
