#!/usr/bin/python3
"""fleet_client.py ADDRESS PORT FLOWS: a datagram from each of so many sockets every 5 ms, until stdin is closed; prints, as
JSON, the longest time in milliseconds that each was without an answer, and how many answers there were."""

import json
import selectors
import socket
import sys
import time

PAUSE = 0.005


def main():
    address, port, flows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    sockets = []
    for number in range(flows):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setblocking(False)
        one.connect((address, port))
        selector.register(one, selectors.EVENT_READ, number)
        sockets.append(one)
    last = [time.monotonic()] * flows
    longest, answers = [0.0] * flows, 0
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            due = now + PAUSE
            for one in sockets:
                try:
                    one.send(b"x")
                except OSError:
                    pass  # the router says that it has no route yet
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            if key.data is None:
                print(json.dumps({"longest_ms": [each * 1000 for each in longest], "answers": answers}))
                return
            try:
                while key.fileobj.recv(100):
                    answers += 1
            except OSError:
                pass
            now = time.monotonic()
            longest[key.data] = max(longest[key.data], now - last[key.data])
            last[key.data] = now


main()
