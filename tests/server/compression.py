"""Sends messages of many kinds to /mirror with and without compression: python compression.py"""

import asyncio
import os
import random

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

URL = os.environ["SERVER_URL"] + "/mirror"
RANDOM = random.Random(1)
MESSAGES = [
    "",
    "short",
    "ü€😀 " * 2000,
    b"\0" * 65536,
    RANDOM.randbytes(65536),
    RANDOM.randbytes(700) * 2,
    [b"a" * 1000, RANDOM.randbytes(1000), b""],
    "end",
]


async def talk(name, expected, **options):
    async with websockets.connect(URL, **options) as websocket:
        extensions = [extension.name for extension in websocket.protocol.extensions]
        assert extensions == expected, extensions
        for message in MESSAGES:
            await websocket.send(message)
            whole = b"".join(message) if isinstance(message, list) else message
            assert await websocket.recv() == whole, f"{name}: {whole[:20]!r}"
        print(f"{name}: {len(MESSAGES)} messages")


async def main():
    await talk("deflate", ["permessage-deflate"])
    small = ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9)
    await talk("window of 9 bits", ["permessage-deflate"], extensions=[small], compression=None)
    await talk("plain", [], compression=None)


asyncio.run(main())
