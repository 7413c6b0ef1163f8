"""A server of the `websockets` package on a Unix socket, which answers each message with a Pong."""

import asyncio
import sys

import websockets


async def pong(websocket):
    async for _ in websocket:
        await websocket.send("Pong!")


async def main():
    async with websockets.unix_serve(pong, sys.argv[1]):
        print("listening", flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
