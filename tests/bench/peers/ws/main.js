// Records each ping in LOG_FILE, then answers it; listens on LISTEN.
'use strict';

const fs = require('fs');
const { WebSocketServer } = require('ws');

const log = fs.openSync(process.env.LOG_FILE, 'a');
const [host, port] = process.env.LISTEN.split(':');

const two = (number) => String(number).padStart(2, '0');

function time() {
  const now = new Date();
  const date = `${two(now.getDate())}-${two(now.getMonth() + 1)}-${now.getFullYear()}`;
  return `${date} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
}

const server = new WebSocketServer({ host, port: Number(port) });
server.on('connection', (socket) => {
  socket.on('error', (error) => console.error(error.message));
  socket.on('message', (text) => {
    const ping = JSON.parse(text);
    fs.writeSync(log, `[${time()}] Recieved from client ("${ping.client_name}"): ${ping.message}\n`);
    socket.send('Pong!');
  });
});
