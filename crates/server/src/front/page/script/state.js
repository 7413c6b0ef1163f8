// The state of the server that the page is from, asked at /status.

const ASK_EVERY = 1000; // ms between questions
const MAX_RATES = 60; // pings a second that are drawn
const MAX_NAME = 60; // characters of one name

const state = {
  link: null,
  rates: [],
  last: null,
  isOpen: false,
  isWaiting: false,
  unknownSince: null,
  next: 0,

  start() {
    this.link = new Link(new URL(`${fields.own.scheme}://${location.host}/status`), this);
    document.addEventListener('visibilitychange', () => this.ask());
  },

  ask() {
    clearTimeout(this.next);
    if (document.hidden || !this.isOpen || this.isWaiting) return;
    this.isWaiting = true;
    this.link.ask('status');
  },

  opened() {
    this.isOpen = true;
    this.isWaiting = false;
    this.ask();
  },

  answered(text) {
    this.isWaiting = false;
    this.next = setTimeout(() => this.ask(), ASK_EVERY);
    const status = readJson(text);
    if (status) this.show(status);
  },

  lost() {
    clearTimeout(this.next);
    this.isOpen = false;
    this.last = null;
    this.unknownSince ??= clockTime(new Date()).slice(0, 8);
    setPill($('server-live'), 'bad', `State unknown since ${this.unknownSince}`);
    $('server').classList.add('stale');
  },

  show(status) {
    this.unknownSince = null;
    setPill($('server-live'), status.healthy ? 'on' : 'bad', status.healthy ? 'Live' : 'In trouble');
    $('server').classList.remove('stale');
    showServer(status, this.rate(status));
    charts.redraw();
  },

  /** Pings a second since the last status; NaN if the server was restarted since. */
  rate(status) {
    const { last } = this;
    this.last = status;
    if (!last || status.uptime <= last.uptime) return NaN;
    const rate = (status.pings - last.pings) / (status.uptime - last.uptime);
    this.rates.push(rate);
    if (this.rates.length > MAX_RATES) this.rates.shift();
    return rate;
  },
};

function showServer(status, rate) {
  const open = status.services.reduce((sum, service) => sum + service.open, 0);
  put($('server-about'), `Server ${status.version} · ${count(status.workers, 'worker')} · at most ${wholeNumber.format(status.max_connections)} connections`);
  put($('server-host'), `host ${plain(status.host)}`);
  put($('server-total'), `Running total: ${plain(status.total)}`);
  put($('server-trouble'), status.trouble ? plain(status.trouble) : '');
  put($('server-open'), wholeNumber.format(open));
  put($('server-pings'), wholeNumber.format(status.pings));
  put($('server-rate'), Number.isFinite(rate) ? rateText(rate) : '–');
  put($('server-uptime'), duration(status.uptime));
  fillTable($('services'), status.services.map(({ path, open, total }) => [path, wholeNumber.format(open), wholeNumber.format(total)]));
  showClients(status);
}

function count(number, noun) {
  return `${wholeNumber.format(number)} ${noun}${number === 1 ? '' : 's'}`;
}

function rateText(rate) {
  return rate < 9.95 ? rate.toFixed(1) : wholeNumber.format(rate);
}

function showClients({ clients, clients_left_out: leftOut }) {
  const byName = clients.toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  const row = ({ name, pings, idle }) => [shortened(name, MAX_NAME), wholeNumber.format(pings), ago(idle)];
  fillTable($('clients'), byName.map(row));
  const more = leftOut ? `and ${wholeNumber.format(leftOut)} that pinged longer ago` : '';
  put($('clients-note'), clients.length ? more : 'Nobody has pinged yet.');
}

/** Fills a table with `rows`, and changes only cells whose text differs. */
function fillTable(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, index) => {
    const row = body.rows[index] ?? body.insertRow();
    texts.forEach((text, column) => put(row.cells[column] ?? newCell(row), text));
  });
}

function newCell(row) {
  const cell = row.insertCell();
  if (row.cells.length > 1) cell.className = 'number';
  return cell;
}
