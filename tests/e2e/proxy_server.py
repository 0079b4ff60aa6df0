#!/usr/bin/python3
"""A TCP server that speaks first, and believes the PROXY header, version 2: proxy_server.py PORT

It greets at once, before the header can have come, and then says who connects, as the header has it. The client's lines:
  give SIZE SEED  SIZE bytes made from SEED
  take SIZE       reads SIZE bytes and answers their SHA-256
  end             ends the connection
"""

import hashlib
import random
import socket
import struct
import sys
import threading

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CHUNK = 1 << 16


def read_header(stream):
    """Returns the client's address and port; LOCAL if there is none; raises ValueError if this is no header."""
    start = stream.read(16)
    if start[:12] != SIGNATURE:
        raise ValueError(f"no header: {start!r}")
    command, family, length = struct.unpack("!BBH", start[12:])
    rest = stream.read(length)
    if (command, family, length) == (0x20, 0, 0):
        return "LOCAL", 0
    size, version = {(0x11, 12): (4, socket.AF_INET), (0x21, 36): (16, socket.AF_INET6)}[family, length]
    if command != 0x21:
        raise ValueError(f"unknown command {command:x}")
    return socket.inet_ntop(version, rest[:size]), struct.unpack("!H", rest[2 * size:2 * size + 2])[0]


def serve(connection):
    with connection, connection.makefile("rb") as stream:
        connection.sendall(b"220 hello\n")
        try:
            address, port = read_header(stream)
        except (ValueError, KeyError, ConnectionError) as error:
            print(error, flush=True)
            return
        connection.sendall(f"{address} {port}\n".encode())
        for line in stream:
            words = line.split()
            if words[0] == b"give":
                connection.sendall(random.Random(int(words[2])).randbytes(int(words[1])))
            elif words[0] == b"take":
                digest, left = hashlib.sha256(), int(words[1])
                while left and (data := stream.read(min(left, CHUNK))):
                    digest.update(data)
                    left -= len(data)
                connection.sendall(f"{digest.hexdigest()}\n".encode())
            else:
                return


def main():
    server = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
