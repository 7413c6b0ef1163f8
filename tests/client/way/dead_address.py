"""Prints how many milliseconds a client takes to a server whose name has a dead address first."""

import socket
import subprocess
import sys
import time

listener = socket.create_server(("192.0.2.2", 0))
listener.settimeout(30)
port = listener.getsockname()[1]
given = f"server.test:{port}:192.0.2.1,192.0.2.2"
begun = time.monotonic()
command = [sys.argv[1], f"ws://server.test:{port}", "--resolve", given]
client = subprocess.Popen(command, stdout=subprocess.DEVNULL)
stream, _ = listener.accept()
stream.settimeout(30)
head = stream.recv(4096)
print((time.monotonic() - begun) * 1000)
assert head.startswith(b"GET / HTTP/1.1\r\n"), head
client.kill()
client.wait()
