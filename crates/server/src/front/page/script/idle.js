// The idle probe: after how long without traffic something cuts a connection, and which traffic keeps it.

const LONGEST_STEP = 2; // s between two messages of a busy connection
const LAST_ANSWER = 5_000; // ms for the answer that shows that a connection still works
const LAST_PING = 9; // number of the ping that is answered so

// The kinds of traffic. A schedule of no messages is a message that gets no answer.
const LANES = [
  { name: 'silence' },
  { name: 'messages from here', says: '{"push":{"every":1,"times":0}}' },
  { name: 'messages with answers', says: '{"ping":1}' },
  { name: 'messages from the server', asks: 'push' },
  { name: 'Ping frames from the server', asks: 'pings' },
];

/** A connection to /probe with one kind of traffic. */
class Lane {
  // opening -> none (no connection) | held; held -> cut | asked; asked -> kept | dumb (no answer).
  state = 'opening';
  seconds = 0;
  forServer = '';
  connection = '';
  #socket;
  #since = 0;
  #timer = 0;
  #on = {};

  constructor(url, kind, step, most) {
    this.kind = kind;
    this.opened = this.#when('opened');
    this.ended = this.#when('ended');
    this.answered = this.#when('answered');
    this.#socket = new WebSocket(url);
    this.#socket.onmessage = ({ data }) => this.#received(readJson(data), step, most);
    this.#socket.onclose = () => this.#closed();
  }

  /** Finds out whether a held connection still works: something between may have dropped it silently. */
  async check() {
    if (this.state !== 'held') return;
    clearInterval(this.#timer);
    this.tick();
    this.state = 'asked';
    this.#socket.send(`{"ping":${LAST_PING}}`);
    await Promise.race([this.answered, this.ended, sleep(LAST_ANSWER)]);
    if (this.state === 'asked') this.state = 'dumb';
    this.stop();
  }

  tick() {
    if (this.state === 'held') this.seconds = (performance.now() - this.#since) / 1000;
  }

  stop() {
    clearInterval(this.#timer);
    this.#socket.onclose = null;
    this.#socket.close();
  }

  #when(event) {
    return new Promise((resolve) => { this.#on[event] = resolve; });
  }

  #received(message, step, most) {
    if (message?.hello === 1) this.#begin(message, step, most);
    if (message?.pong === LAST_PING && this.state === 'asked') {
      this.state = 'kept';
      this.#on.answered();
    }
  }

  #begin(hello, step, most) {
    const { says, asks } = this.kind;
    showHello(hello);
    this.connection = hello.connection;
    this.state = 'held';
    this.#since = performance.now();
    if (says) this.#timer = setInterval(() => this.#socket.send(says), 1000 * step);
    if (asks) this.#socket.send(JSON.stringify({ [asks]: { every: step, times: Math.ceil(most / step) + 9 } }));
    this.#on.opened();
  }

  #closed() {
    clearInterval(this.#timer);
    this.tick();
    this.state = { held: 'cut', asked: 'dumb' }[this.state] ?? 'none';
    this.#on.opened();
    this.#on.ended();
  }
}

const idle = {
  lanes: null,
  next: 0,

  toggle() {
    if (this.lanes) this.stop('off', 'Stopped');
    else this.start();
  },

  start() {
    const path = fields.path.value.trim();
    const url = fields.url(path.endsWith('/probe') ? path : '/probe');
    const most = $('idle-most').valueAsNumber;
    try {
      if (!url) throw new Error('the form above names no server');
      const step = Math.min(LONGEST_STEP, most / 8);
      this.lanes = LANES.map((kind) => new Lane(url, kind, step, most));
    } catch (error) {
      put($('idle-verdict'), (url && refusal(url)) || `Cannot ask: ${plain(error.message)}.`);
      return;
    }
    put($('idle-verdict'), '');
    this.show('wait', 'Running');
    this.next = setInterval(() => this.tick(), 250);
    this.run(url, this.lanes, most);
  },

  async run(url, lanes, most) {
    await Promise.race([all(lanes, 'opened'), sleep(LAST_ANSWER)]);
    const missing = lanes.find(({ state }) => state === 'opening' || state === 'none');
    if (!missing) await Promise.race([all(lanes, 'ended'), sleep(1000 * most)]);
    if (this.lanes !== lanes) return;
    if (missing) return this.failed(url, missing);
    await Promise.all(lanes.map((lane) => lane.check()));
    await askTheServer(url, lanes);
    if (this.lanes !== lanes) return;
    put($('idle-verdict'), idleVerdict(lanes, most));
    this.stop('on', 'Done');
  },

  failed(url, { state }) {
    const isStrange = state === 'opening';
    put($('idle-verdict'), isStrange ? 'The server says no hello: it has no /probe there.' : likelyCauses(url));
    this.stop('bad', isStrange ? 'No probe' : 'No connection');
  },

  stop(state, words) {
    clearInterval(this.next);
    this.tick();
    this.lanes.forEach((lane) => lane.stop());
    this.lanes = null;
    this.show(state, words);
  },

  tick() {
    this.lanes.forEach((lane) => lane.tick());
    fillTable($('lanes'), this.lanes.map((lane) => [lane.kind.name, laneWords(lane), lane.forServer]));
  },

  show(state, words) {
    setPill($('idle-state'), state, words);
    put($('idle-start'), this.lanes ? 'Stop' : 'Start');
    $('idle-start').classList.toggle('on', this.lanes !== null);
    $('idle-most').disabled = this.lanes !== null;
  },
};

function all(lanes, event) {
  return Promise.all(lanes.map((lane) => lane[event]));
}

function sleep(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

function laneWords({ state, seconds }) {
  const time = `${seconds.toFixed(1)} s`;
  return { held: `held ${time}`, asked: `held ${time}`, kept: `held ${time}`, cut: `cut after ${time}`, dumb: `dead within ${time}`, none: 'not made' }[state] ?? 'opening';
}

/** Asks the server over a new connection how the lost lanes ended on its side. */
async function askTheServer(url, lanes) {
  const lost = lanes.filter(({ state }) => state === 'cut' || state === 'dumb');
  if (!lost.length) return;
  const socket = new WebSocket(url);
  let left = lost.length;
  const told = new Promise((resolve) => {
    socket.onopen = () => lost.forEach(({ connection }) => socket.send(JSON.stringify({ ended: connection })));
    socket.onclose = resolve;
    socket.onmessage = ({ data }) => {
      const { ended, seen, by } = readJson(data) ?? {};
      const lane = lost.find(({ connection }) => connection === ended);
      if (!lane) return;
      lane.forServer = shortened(`${seen}${by === 'server' ? ', by itself' : ''}`, MAX_NAME);
      left -= 1;
      if (!left) resolve();
    };
  });
  await Promise.race([told, sleep(LAST_ANSWER)]);
  socket.onclose = null;
  socket.close();
}

/** The result in a sentence or two. The first lane is the silent one. */
function idleVerdict(lanes, most) {
  const [silent, ...busy] = lanes;
  const after = `${silent.seconds.toFixed(1)} s`;
  const held = busy.filter(({ state }) => state === 'kept');
  const lost = busy.filter(({ state }) => state !== 'kept');
  const names = (some) => some.map(({ kind }) => kind.name).join(', ');
  if (silent.state === 'kept') {
    if (!lost.length) return `Nothing cuts a silent connection within ${most} s.`;
    return `The silent connection held for ${most} s, and others were cut (${names(lost)}): that is no idle timeout.`;
  }
  const atOnce = ({ seconds }) => Math.abs(seconds - silent.seconds) < Math.max(1, silent.seconds / 50);
  if (silent.state === 'cut' && lost.length === busy.length && busy.every(atOnce)) {
    return `Every connection was cut after ${after}, however busy: a limit on how long a connection may live, or a restart of the server or of what stands before it.`;
  }
  const what = silent.state === 'cut'
    ? `A silent connection is cut after ${after}.`
    : `A silent connection is dead within ${after}, and nobody says so: a firewall or a NAT forgot it.`;
  const advice = Math.max(silent.seconds / 2, 0.1).toPrecision(2);
  const keeps = held.length ? ` What keeps it: ${names(held)}; send something every ${Number(advice)} s.` : ' Nothing keeps it.';
  return what + keeps + (lost.length && held.length ? ` What does not: ${names(lost)}.` : '');
}
