"""The client that people know, as in the tutorials: python client.py (settings by environment)."""

import asyncio
import json
import os
from datetime import datetime

import websockets

URL = os.environ["SERVER_URL"]
NAME = os.environ["CLIENT_NAME"]
LAG_TIME = float(os.environ["LAG_TIME"])
PINGS = int(os.environ["PINGS"])


async def main():
    async with websockets.connect(URL) as websocket:
        for _ in range(PINGS):
            await websocket.send(json.dumps({"client_name": NAME, "message": "Ping!"}))
            reply = await websocket.recv()
            now = datetime.now().strftime("%d-%m-%Y %H:%M:%S")
            print(f"[{now}] Received from server: {reply}", flush=True)
            await asyncio.sleep(LAG_TIME)


asyncio.run(main())
