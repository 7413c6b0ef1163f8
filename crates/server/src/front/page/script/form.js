// The form: which server, and the first message to it.

const fields = {
  scheme: $('scheme'),
  host: $('host'),
  port: $('port'),
  path: $('path'),
  protocol: $('protocol'),

  fill() {
    this.scheme.value = location.protocol === 'https:' ? 'wss://' : 'ws://';
    this.host.value = location.hostname;
    this.port.value = location.port;
    this.path.value = new URLSearchParams(location.search).get('path') ?? '/';
  },

  /** Takes the parts of a whole address that was put into the field of the host. */
  takeApart() {
    if (!/^(ws|http)s?:\/\//i.test(this.host.value.trim())) return;
    const url = parsed(this.host.value.trim());
    if (!url) return;
    this.scheme.value = /^(wss|https):$/.test(url.protocol) ? 'wss://' : 'ws://';
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
    return parsed(`${this.scheme.value}${bracketed}${port}/${path.replace(/^\//, '')}`);
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

/** What the message field begins with; what somebody typed stays. */
const draft = {
  field: $('message'),
  isOwn: false,

  suggest(path) {
    if (this.isOwn) return;
    const known = { '/': pingText('Browser'), '/total': '1' };
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
  put($('talk-hint'), url && refusedAsMixed(url) ? MIXED : '');
  draft.suggest(url?.pathname);
}
