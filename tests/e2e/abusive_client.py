#!/usr/bin/python3
"""Does everything that a client should not do to an HTTP server, for some seconds: abusive_client.py HOST PORT SECONDS

It opens silent connections, sends headers byte by byte, announces bodies that never come, and ignores answers.
"""

import itertools
import os
import socket
import sys
import time

HOST, PORT, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
REQUEST = b"GET /v2.0/lbaas/loadbalancers HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HALF_A_POST = (b"POST /v2.0/lbaas/loadbalancers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
               b"Content-Length: 1000000\r\n\r\n{\"loadbalancer\":")
BEGINNINGS = [b"", b"G", HALF_A_POST, os.urandom(4096), b"GET / HTTP/1.1\r\nX: " + b"x" * 15000, b"\x16\x03\x01\x02\x00" * 50,
              REQUEST * 500, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"]

held = []
print("begun", flush=True)
end = time.monotonic() + SECONDS
for beginning in itertools.cycle(BEGINNINGS):
    if time.monotonic() > end:
        break
    try:
        connection = socket.create_connection((HOST, PORT), timeout=1)
        connection.setblocking(False)
        connection.send(beginning)
        held.append(connection)
    except OSError:
        pass
    for connection in list(held):  # keep the slow ones going, a byte at a time
        try:
            connection.send(b"x")
        except BlockingIOError:
            pass
        except OSError:
            held.remove(connection)
            connection.close()
    if len(held) > 200:
        held.pop(0).close()
    time.sleep(0.02)
