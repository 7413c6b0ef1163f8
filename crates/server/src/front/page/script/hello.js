// The hello of /probe: how the server sees this browser.

/** The hello in a message, or null. */
function readHello(text) {
  const hello = readJson(text);
  return hello?.hello === 1 && Array.isArray(hello.request?.headers) ? hello : null;
}

function showHello({ instance, version, connection, peer, tls, subprotocol, extensions, request }) {
  const rows = {
    'answered by': `${instance}, version ${version}`,
    'connection': connection,
    'came from': `${peer}, ${tls ? 'with TLS up to the server' : 'without TLS at the server'}`,
    'subprotocol': subprotocol ?? 'none',
    'extensions': extensions ?? 'none',
    'request': request.line,
  };
  const all = [...Object.entries(rows), ...request.headers];
  fillTable($('hello-rows'), all.map(([name, value]) => [shortened(`${name}`, MAX_NAME), shortened(`${value}`)]));
  $('hello').hidden = false;
}
