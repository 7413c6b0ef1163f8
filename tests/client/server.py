"""The server that people know, as in the tutorials: it prints where it listens, then each ping."""

import asyncio
import json
import os
import ssl

import websockets

DELAY = float(os.environ["DELAY"])


async def pong(websocket):
    async for text in websocket:
        ping = json.loads(text)
        print(f'Recieved from client ("{ping["client_name"]}"): {ping["message"]}', flush=True)
        await asyncio.sleep(DELAY)
        await websocket.send("Pong!")


def tls():
    if "CERTIFICATE" not in os.environ:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["CERTIFICATE"], os.environ["KEY"])
    return context


async def main():
    async with websockets.serve(pong, "127.0.0.1", 0, ssl=tls()) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
