"""A server of the `websockets` package that returns each message; it prints where it listens."""

import asyncio

import websockets


async def mirror(websocket):
    async for message in websocket:
        await websocket.send(message)


async def main():
    async with websockets.serve(mirror, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
