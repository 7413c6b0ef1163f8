"""One message over wss://: python wss.py URL AUTHORITY TEXT prints the reply."""

import asyncio
import ssl
import sys

import websockets

URL, AUTHORITY, TEXT = sys.argv[1:]


async def main():
    trust = ssl.create_default_context(cafile=AUTHORITY)
    async with websockets.connect(URL, ssl=trust) as websocket:
        await websocket.send(TEXT)
        print(await websocket.recv())


asyncio.run(main())
