// Why connections end, and why they cannot be made.

const CLOSE_CODES = {
  1000: 'normal closure: the purpose of the connection is fulfilled',
  1001: 'going away: the server stops, or the page was left',
  1002: 'protocol error: a frame that breaks the rules of WebSocket',
  1003: 'unsupported data: a kind of message that this service does not take, such as binary',
  1004: 'reserved: this code has no meaning',
  1005: 'no code was given',
  1006: 'abnormal closure: the connection ended without a Close frame',
  1007: 'invalid data: text that is not valid UTF-8',
  1008: 'policy violation: something that the server does not allow, or silence for too long',
  1009: 'message too big',
  1010: 'an extension is missing that the client needs',
  1011: 'internal error: the server met something unexpected',
  1012: 'service restart: connect again in a moment',
  1013: 'try again later: the server is overloaded',
  1014: 'bad gateway: a proxy got no valid answer from the server',
  1015: 'the TLS handshake failed',
};

/** What a close code means (RFC 6455, section 7.4). */
function closeMeaning(code) {
  if (CLOSE_CODES[code]) return CLOSE_CODES[code];
  if (code < 1000) return 'not in use';
  if (code < 3000) return 'reserved for the protocol and its extensions';
  if (code < 4000) return 'registered by a library or framework';
  if (code < 5000) return 'private: agreed between this server and its clients';
  return 'not in use';
}

function closeWords({ code, reason, wasClean }) {
  const said = reason ? `, and it says: ${shortened(reason)}` : '';
  return `${code}, ${closeMeaning(code)}${said} (${wasClean ? 'clean' : 'not clean'})`;
}

/** Ports that a browser never connects to (WHATWG Fetch, section "Port blocking"). */
const BLOCKED_PORTS = new Set([
  0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
  111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
  540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
  6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

/** Why the browser will not even try to connect to an address, or ''. */
function refusal(url) {
  if (url.port && BLOCKED_PORTS.has(Number(url.port))) {
    return `Browsers block port ${url.port}: no page can connect to it. Let the server listen at another port; programs that are not browsers can use this one.`;
  }
  if (url.protocol === 'ws:' && location.protocol === 'https:') {
    return 'This page came over https:, and browsers refuse ws:// from there as mixed content. Choose wss://, or open the page over http:.';
  }
  return '';
}

/** Likely reasons why a connection was not made; browsers do not tell a page the reason. */
function likelyCauses(url) {
  if (url.protocol === 'wss:') {
    return 'Browsers do not tell why. Likely: nothing listens there for TLS, which has a port of its own (10443 as a rule), or this browser does not trust the certificate. '
      + 'Then trust the authority that signed it, or open this address once, accept it, and connect again:';
  }
  return 'Browsers do not tell why. Likely: nothing listens at this host and port, the server does not know the path or refuses the origin of this page, or it speaks TLS there (choose wss://).';
}

/** The address at which a browser shows the certificate of a server, or null. */
function securePage(url) {
  return url.protocol === 'wss:' ? `https://${url.host}/` : null;
}
