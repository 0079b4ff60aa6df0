#!/usr/bin/python3
"""UDP echo: udp_echo.py serve PORT | ask ADDRESS PORT SOCKETS SIZE [FIRST] | talk ADDRESS PORT

A datagram is returned with the server's host name and a space before it. `ask` sends one datagram of SIZE bytes
from each of SOCKETS new sockets (of the ports from FIRST on) and prints, as JSON, who answered each (null: nobody within half a minute, or something
else than what was sent). `talk` sends a datagram every 20 ms, ten per socket, the last of each longer than the MTU, until
stdin is closed, and prints how many were asked, answered, and answered with something else.
"""

import json
import random
import socket
import sys
import threading
import time


def serve(port):
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    # A server with several addresses must itself make sure that answers come from the address that was asked.
    server.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    server.bind(("::", port))
    name = socket.gethostname().encode()
    while True:
        data, control, _, peer = server.recvmsg(65536, 256)
        # The answer need not leave by the question's interface, which may be a tunnel's end.
        asked = [(level, kind, value[:16] + bytes(4)) for level, kind, value in control if level == socket.IPPROTO_IPV6]
        server.sendmsg([name + b" " + data], asked, 0, peer)


def ask(address, port, sockets, size, first=0):
    answers = []
    for number in range(sockets):
        data = random.Random(number).randbytes(size)
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(30)
            client.bind(("", first and first + number))
            client.connect((address, port))
            try:
                client.send(data)
                name, _, echo = client.recv(65536).partition(b" ")
                answers.append(name.decode() if echo == data else None)
            except OSError:
                answers.append(None)
    print(json.dumps(answers))


def talk(address, port):
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    report = {"asked": 0, "answered": 0, "wrong": 0}
    while not stop.is_set():
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            client.connect((address, port))
            datagrams = [random.Random(number).randbytes(4000 if number == 9 else 200) for number in range(10)]
            for number, data in enumerate(datagrams):
                report["asked"] += 1
                try:
                    client.send(data)
                    echo = client.recv(65536).partition(b" ")[2]
                    while echo in datagrams[:number]:  # late: that one was given up
                        echo = client.recv(65536).partition(b" ")[2]
                    report["answered"] += 1
                    report["wrong"] += echo != data
                except OSError:
                    pass
                time.sleep(0.02)
    print(json.dumps(report))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    elif sys.argv[1] == "talk":
        talk(sys.argv[2], int(sys.argv[3]))
    else:
        ask(sys.argv[2], *map(int, sys.argv[3:7]))
