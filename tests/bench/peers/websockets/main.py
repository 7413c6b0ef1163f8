"""Records each ping in LOG_FILE, then answers it; listens on LISTEN."""

import asyncio
import json
import os
from datetime import datetime

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def main():
    host, port = os.environ["LISTEN"].rsplit(":", 1)
    # Line buffering: one write a line.
    with open(os.environ["LOG_FILE"], "a", buffering=1, encoding="utf-8") as log:

        async def talk(socket):
            try:
                async for text in socket:
                    ping = json.loads(text)
                    time = datetime.now().strftime("%d-%m-%Y %H:%M:%S")
                    name, message = ping["client_name"], ping["message"]
                    log.write(f'[{time}] Recieved from client ("{name}"): {message}\n')
                    await socket.send("Pong!")
            except ConnectionClosed:
                pass

        async with serve(talk, host, int(port)) as server:
            await server.serve_forever()


asyncio.run(main())
