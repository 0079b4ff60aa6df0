#!/usr/bin/python3
"""UDP echo: udp_echo.py serve PORT | ask ADDRESS PORT SOCKETS SIZE

A datagram comes back with the server's host name and a space before it. `ask` sends one datagram of SIZE bytes
from each of SOCKETS new sockets and prints, as JSON, who answered each (null: nobody within a second, or something
else than what was sent).
"""

import json
import random
import socket
import sys


def serve(port):
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    # Answers come from the address that was asked, as a server with several addresses must see to itself.
    server.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    server.bind(("::", port))
    name = socket.gethostname().encode()
    while True:
        data, control, _, peer = server.recvmsg(65536, 256)
        server.sendmsg([name + b" " + data], [entry for entry in control if entry[0] == socket.IPPROTO_IPV6], 0, peer)


def ask(address, port, sockets, size):
    answers = []
    for number in range(sockets):
        data = random.Random(number).randbytes(size)
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.connect((address, port))
            try:
                client.send(data)
                name, _, echo = client.recv(65536).partition(b" ")
                answers.append(name.decode() if echo == data else None)
            except OSError:
                answers.append(None)
    print(json.dumps(answers))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        ask(sys.argv[2], *map(int, sys.argv[3:6]))
