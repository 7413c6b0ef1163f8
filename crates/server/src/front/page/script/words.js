// Formats numbers, times and texts from outside for people.

const MAX_SHOWN = 1000; // characters of one message

const wholeNumber = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

function clockTime(date) {
  const pad = (number, width) => String(number).padStart(width, '0');
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${parts.map((part) => pad(part, 2)).join(':')}.${pad(date.getMilliseconds(), 3)}`;
}

/** Milliseconds, as finely as the browser's clock tells them. */
function milliseconds(ms) {
  if (ms >= 1000) return wholeNumber.format(ms);
  return ms.toFixed(ms >= 100 ? 0 : crossOriginIsolated && ms < 10 ? 2 : 1);
}

function duration(seconds) {
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return '0 s';
  let rest = seconds;
  const parts = units.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return `${count} ${unit}`;
  });
  return parts.filter((part, index) => index === 0 || !part.startsWith('0 ')).join(' ');
}

function ago(seconds) {
  if (seconds < 1) return 'now';
  return seconds < 10 ? `${seconds.toFixed(1)} s ago` : `${duration(seconds)} ago`;
}

/** The text with JSON escapes for characters that are invisible or change the direction of text. */
function plain(text) {
  const escape = (char) => {
    const known = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[char];
    const units = Array.from({ length: char.length }, (_, index) => char.charCodeAt(index));
    return known ?? units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  };
  // Zero-width joiners stay: letters and emoji are composed with them.
  return text.replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, escape);
}

/** Whether messages are compressed, by the extensions of a connection. */
function compression(extensions) {
  return extensions.includes('permessage-deflate') ? 'compressed' : 'not compressed';
}

/** Whether a server of this project says that it cannot use a message. */
function isRefusal(text) {
  return text.startsWith('Error: ');
}

function shortened(text, most = MAX_SHOWN) {
  if (text.length <= most) return plain(text);
  return `${plain(text.slice(0, most))} … (${wholeNumber.format(text.length)} characters in all)`;
}

function hexBeginning(buffer) {
  const bytes = [...new Uint8Array(buffer, 0, Math.min(buffer.byteLength, 32))];
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const more = buffer.byteLength > bytes.length ? ' …' : '';
  return `${wholeNumber.format(buffer.byteLength)} bytes, binary: ${hex}${more}`;
}

/** The value of a text in JSON, or null. */
function readJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
