"""The terminal client that people know, as in the tutorials: python total.py URL. It connects anew
for every number."""

import asyncio
import sys

import websockets

URL = sys.argv[1]


async def send(number):
    async with websockets.connect(URL) as websocket:
        await websocket.send(number)
        print(await websocket.recv(), flush=True)


while True:
    try:
        number = input("Number: ")
    except EOFError:
        break
    asyncio.run(send(number))
