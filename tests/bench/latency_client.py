#!/usr/bin/python3
"""latency_client.py ADDRESS PORT RATE SECONDS new|kept: small HTTP requests at a fixed rate; prints JSON.

`new` opens a connection for each request (connect to answer is timed), `kept` sends all on one. Each request
is timed from when it really starts, so a late wake-up of this process is not counted as latency; how many
slots came more than one interval late is printed as "late".
"""

import json
import socket
import sys
import time


def connect(address, port):
    connection = socket.create_connection((address, port), timeout=5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection, close):
    # The answer's small body comes in one segment with its head.
    connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n" + (b"Connection: close\r\n" if close else b"") + b"\r\n")
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise RuntimeError("not the answer that was asked for")


def main(address, port, rate, seconds, kind):
    port, interval = int(port), 1 / float(rate)
    kept = connect(address, port) if kind == "kept" else None
    nanoseconds, late = [], 0
    first = time.perf_counter()
    for slot in range(int(float(seconds) / interval)):
        pause = first + slot * interval - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        late += pause < -interval
        start = time.perf_counter_ns()
        if kept:
            ask(kept, close=False)
            nanoseconds.append(time.perf_counter_ns() - start)
        else:
            with connect(address, port) as connection:
                ask(connection, close=True)
                nanoseconds.append(time.perf_counter_ns() - start)
    print(json.dumps({"nanoseconds": nanoseconds, "late": late}))


if __name__ == "__main__":
    main(*sys.argv[1:])
