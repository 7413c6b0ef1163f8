// The connection that the user opens with the form.

const talk = {
  socket: null,
  isOpen: false,
  isLeaving: false,

  toggle() {
    if (this.socket) this.disconnect();
    else this.connect();
  },

  connect() {
    const url = fields.url();
    if (!url) {
      log.add('error', `${plain(fields.host.value)}:${fields.port.value} is no address of a server: a host name or an IP address, and a port up to 65535.`);
      return;
    }
    try {
      this.open(url, fields.protocols());
    } catch (error) {
      log.add('error', `cannot connect to ${plain(url.href)}: ${refusal(url) || plain(error.message)}`);
    }
  },

  open(url, protocols) {
    const socket = new WebSocket(url, protocols);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.opened(url);
    socket.onmessage = ({ data }) => this.received(data);
    socket.onclose = (event) => this.closed(event, url);
    this.socket = socket;
    this.isOpen = false;
    this.isLeaving = false;
    log.add('connecting', plain(url.href));
    this.show('wait', 'Connecting…', 'Cancel');
  },

  opened(url) {
    this.isOpen = true;
    const { protocol, extensions } = this.socket;
    const agreed = protocol && `, subprotocol ${plain(protocol)}`;
    log.add('connected', `to ${plain(url.href)}${agreed}, ${compression(extensions)}`);
    this.show('on', 'Connected', 'Disconnect');
    // On a touch screen, focus on the field would bring up the keyboard.
    const isTouched = matchMedia('(pointer: coarse)').matches;
    if (!isTouched && [$('connect'), document.body].includes(document.activeElement)) draft.field.select();
  },

  received(data) {
    const hello = typeof data === 'string' && readHello(data);
    if (hello) showHello(hello);
    if (typeof data === 'string') log.add(isRefusal(data) ? 'refused' : 'received', shortened(data));
    else log.add('received', hexBeginning(data));
  },

  closed(event, url) {
    const { isOpen, isLeaving } = this;
    this.socket = null;
    if (isOpen) log.add('disconnected', closeWords(event));
    else if (isLeaving) log.add('disconnected', 'given up before the connection was made');
    else this.failed(url);
    this.show(isLeaving || event.wasClean ? 'off' : 'bad', isOpen || isLeaving ? 'Disconnected' : 'No connection', 'Connect');
  },

  failed(url) {
    const why = refusal(url);
    if (why) log.add('error', `cannot connect to ${plain(url.href)}: ${why}`);
    else log.add('error', `cannot connect to ${plain(url.href)} (1006). ${likelyCauses(url)}`, securePage(url));
  },

  disconnect() {
    this.isLeaving = true;
    this.socket.close(1000);
    this.show('wait', 'Disconnecting…', 'Disconnect');
  },

  send() {
    const text = draft.field.value;
    this.socket.send(text);
    log.add('sending', text ? shortened(text) : '(an empty message)');
    draft.field.select();
  },

  show(state, words, label) {
    const hadFocus = $('server-fields').contains(document.activeElement);
    setPill($('talk-state'), state, words);
    put($('connect'), label);
    $('connect').classList.toggle('on', this.socket !== null);
    $('send').disabled = this.socket?.readyState !== WebSocket.OPEN;
    $('server-fields').disabled = this.socket !== null;
    if (hadFocus && this.socket) $('connect').focus();
  },
};
