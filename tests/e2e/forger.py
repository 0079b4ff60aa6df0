#!/usr/bin/python3
"""Sends forged TCP segments: forger.py SOURCE DESTINATION PORT COUNT SOURCE_PORT...

From each source port it sends COUNT rounds of a reset, one with ACK, a FIN and a SYN, close behind each other, with
sequence numbers that no end of a connection would believe.
"""

import random
import socket
import struct
import sys

FIN, SYN, RST, ACK = 1, 2, 4, 16


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def segment(source, destination, source_port, port, flags):
    header = struct.pack("!HHIIBBHHH", source_port, port, random.getrandbits(32), random.getrandbits(32), 0x50, flags, 512, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", socket.IPPROTO_TCP, len(header))
    return header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]


def main():
    source, destination, port, count, *source_ports = sys.argv[1:]
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    for _ in range(int(count)):
        for source_port in map(int, source_ports):
            for flags in (RST, RST | ACK, FIN | ACK, SYN):
                raw.sendto(segment(source, destination, source_port, int(port), flags), (destination, 0))


if __name__ == "__main__":
    main()
