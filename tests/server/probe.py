"""A probe, as someone writes it with the package websockets."""
import asyncio
import json
import os

import websockets


async def main():
    url = os.environ["SERVER_URL"]
    async with websockets.connect(url) as probe:
        hello = json.loads(await probe.recv())
        print("hello", hello["hello"])
        await probe.send(json.dumps({"ping": 7}))
        pong = json.loads(await probe.recv())
        assert pong["arrived"] <= pong["left"], pong
        print("pong", pong["pong"])
        await probe.send(json.dumps({"push": {"every": 0.01, "times": 2}}))
        for _ in range(2):
            print("push", json.loads(await probe.recv())["push"])
    async with websockets.connect(url) as probe:
        await probe.recv()
        ended = {"seen": "open"}
        while ended["seen"] == "open":
            await probe.send(json.dumps({"ended": hello["connection"]}))
            ended = json.loads(await probe.recv())
        print(ended["seen"], ended["by"])


asyncio.run(main())
