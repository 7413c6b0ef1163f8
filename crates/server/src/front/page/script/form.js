// The form: which server, and the first message to it.

const fields = {
  scheme: $('scheme'),
  host: $('host'),
  port: $('port'),
  path: $('path'),
  protocol: $('protocol'),
  service: $('service'),

  /** The server that the page is from. */
  own: {
    scheme: location.protocol === 'https:' ? 'wss' : 'ws',
    host: location.hostname,
    port: location.port,
    path: '/',
    protocol: '',
  },

  /** Fills the form from the address of the page, and with its own server. */
  fill() {
    const query = new URLSearchParams(location.search);
    for (const [name, own] of Object.entries(this.own)) {
      this[name].value = query.get(name) ?? own;
    }
    this.scheme.value ||= this.own.scheme;
  },

  /** Writes what differs from the own server to the address of the page, to be kept or passed on. */
  keep() {
    const query = new URLSearchParams();
    for (const [name, own] of Object.entries(this.own)) {
      if (this[name].value !== own) query.set(name, this[name].value);
    }
    // Slashes may stand in a query as they are (RFC 3986, section 3.4).
    const text = query.toString().replaceAll('%2F', '/');
    history.replaceState(null, '', text ? `?${text}` : location.pathname);
  },

  /** Shows which service has the path. */
  matchService() {
    const known = [...this.service.options].some(({ value }) => value === this.path.value.trim());
    this.service.value = known ? this.path.value.trim() : '';
  },

  /** Fills in the path of the chosen service. */
  takeService() {
    if (this.service.value) {
      this.path.value = this.service.value;
    } else {
      this.path.focus();
      this.path.select();
    }
  },

  /** Splits a whole address that was pasted into the field of the host. */
  takeApart() {
    if (!/^(ws|http)s?:\/\//i.test(this.host.value.trim())) return;
    const url = parsed(this.host.value.trim());
    if (!url) return;
    this.scheme.value = /^(wss|https):$/.test(url.protocol) ? 'wss' : 'ws';
    this.host.value = url.hostname;
    this.port.value = url.port;
    this.path.value = url.pathname + url.search;
  },

  /** The address of a path on the chosen server, or null. */
  url(path = this.path.value.trim()) {
    const host = this.host.value.trim();
    if (!host || /[/?#@\\\s]/.test(host)) return null;
    const bracketed = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
    const port = this.port.value && `:${this.port.value}`;
    return parsed(`${this.scheme.value}://${bracketed}${port}/${path.replace(/^\//, '')}`);
  },

  protocols() {
    return this.protocol.value.split(/[\s,]+/).filter(Boolean);
  },
};

function parsed(address) {
  try {
    const url = new URL(address);
    url.hash = '';
    return url;
  } catch {
    return null;
  }
}

/** The suggested message; a message that was typed stays. */
const draft = {
  field: $('message'),
  isOwn: false,

  suggest(path) {
    if (this.isOwn) return;
    const known = { '/': pingText('Browser'), '/total': '1', '/probe': '{"ping": 1}' };
    this.field.value = known[path] ?? 'Hello!';
  },

  typed() {
    this.isOwn = this.field.value !== '';
  },
};

function pingText(name) {
  return `{"client_name": ${JSON.stringify(name)}, "message": "Ping!"}`;
}

function showChoice() {
  const url = fields.url();
  put($('address'), url ? plain(url.href) : '');
  put($('talk-hint'), url ? refusal(url) : '');
  draft.suggest(url?.pathname);
  fields.matchService();
  fields.keep();
}
