"""Reads the pcapng files that `sluicectl capture` writes (scapy's reader loses comments that end without a newline)."""

import collections
import struct

from scapy.layers.l2 import Ether

Frame = collections.namedtuple("Frame", "interface direction reason verdict time length packet")
SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
COMMENT, NAME, FLAGS = 1, 2, 2


def blocks(data):
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0 and data[at + length - 4:at + length] == struct.pack("<I", length), f"block at {at}"
        yield kind, data[at + 8:at + length - 4]
        at += length


def options(data):
    found, at = {}, 0
    while at < len(data):
        code, length = struct.unpack_from("<HH", data, at)
        found[code] = data[at + 4:at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
    return found


def frames(path):
    """Returns every frame in the file; `packet` is scapy's."""
    interfaces, found = [], []
    with open(path, "rb") as file:
        data = file.read()
    for kind, body in blocks(data):
        if kind == SECTION:
            assert struct.unpack_from("<IHH", body) == (0x1A2B3C4D, 1, 0)
        elif kind == INTERFACE:
            interfaces.append(options(body[8:])[NAME].decode())
        elif kind == PACKET:
            interface, high, low, kept, length = struct.unpack_from("<5I", body)
            more = options(body[20 + (kept + 3) // 4 * 4:])
            reason, verdict = more[COMMENT].decode().removesuffix(")").split(" (")
            direction = {1: "in", 2: "out"}[struct.unpack("<I", more[FLAGS])[0]]
            found.append(Frame(interfaces[interface], direction, reason, verdict, (high << 32 | low) / 1e9, length,
                               Ether(body[20:20 + kept])))
    return found
