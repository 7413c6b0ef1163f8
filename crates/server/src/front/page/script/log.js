// The log of events.

const MAX_ENTRIES = 1000;

const log = {
  list: $('log'),
  pending: [],
  /** Whether the list keeps showing its end: nobody has scrolled away from it. */
  isFollowing: true,

  start() {
    const { list } = this;
    list.addEventListener('scroll', () => {
      this.isFollowing = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    });
    new ResizeObserver(() => this.follow()).observe(list);
  },

  follow() {
    if (this.isFollowing) this.list.scrollTop = this.list.scrollHeight;
  },

  /** Adds an event; a link is an address to open. */
  add(kind, text, link) {
    this.pending.push({ at: clockTime(new Date()), kind, text, link });
    if (this.pending.length > MAX_ENTRIES) this.pending.shift();
    // Shown in batches, so that a flood of messages does not cause a layout for each.
    if (this.pending.length === 1) setTimeout(() => this.show(), 16);
  },

  show() {
    const { list } = this;
    const newest = this.pending.at(-1);
    if (newest) put($('newest'), `${newest.kind}  ${newest.text}`);
    list.append(...this.pending.splice(0).map(entry));
    while (list.childElementCount > MAX_ENTRIES) list.firstElementChild.remove();
    this.follow();
  },

  clear() {
    this.pending.length = 0;
    this.list.replaceChildren();
    put($('newest'), '');
    this.isFollowing = true;
    put($('log-note'), 'Cleared');
  },

  text() {
    this.show();
    const line = (row) => [...row.children].map((part) => part.textContent).join('  ');
    return [...this.list.children].map((row) => `${line(row)}\n`).join('');
  },

  async copy() {
    const done = await copied(this.text());
    put($('log-note'), done ? 'Copied' : 'The browser does not allow copying');
  },
};

function entry({ at, kind, text, link }) {
  const row = document.createElement('div');
  row.className = 'entry';
  row.append(part('time', at), part('span', kind, `kind kind-${kind}`), part('span', text, 'text'));
  if (link) row.lastElementChild.append(' ', anchor(link));
  return row;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page over plain HTTP has no clipboard, except from this machine.
    return copiedBySelection(text);
  }
}

function copiedBySelection(text) {
  const field = document.createElement('textarea');
  const focused = document.activeElement;
  field.className = 'hidden';
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  focused?.focus();
  return done;
}
