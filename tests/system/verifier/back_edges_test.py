#!/usr/bin/python3
"""No loop is entered again by an instruction that is no jump, which kernel 6.1 refuses ("back-edge from insn N to M").

Usage: back_edges_test.py OBJECT... The compiler is free to lay a loop's blocks out like that, and newer kernels don't mind.
JUMP_BACK() in bpf/verifier.h mends it.
"""

import re
import subprocess
import sys

NUMBER = r"\+?(-?(?:0x[0-9a-f]+|\d+))"


def functions(path):
    """name -> [(address, instruction)], addresses counted in instructions."""
    found, current = {}, None
    listing = subprocess.run(["llvm-objdump", "-d", "--no-show-raw-insn", path], check=True, text=True, capture_output=True).stdout
    for line in listing.splitlines():
        if (match := re.match(r"[0-9a-f]{16} <(.*)>:", line)) and not match[1].startswith("LBB"):
            current = found.setdefault(match[1], [])
        elif match := re.match(r" *(\d+):\t(.*)", line):
            current.append((int(match[1]), match[2]))
    return found


def next_ones(code, place, place_of):
    """(place, is reached by a jump) of each instruction that may follow, in the order in which the kernel looks at them."""
    address, instruction = code[place]
    jump = re.match(r"(if .* )?goto " + NUMBER, instruction)
    target = [(place_of[address + 1 + int(jump[2], 0)], True)] if jump else []
    if instruction.startswith("exit") or (jump and not jump[1]) or place + 1 == len(code):
        return target
    return [(place + 1, bool(jump)), *target]


def back_edges(code):
    """check_cfg() in kernel/bpf/verifier.c: a walk that knows which instructions it came by."""
    place_of = {address: place for place, (address, _) in enumerate(code)}
    on_the_way, seen, found = {0}, {0}, []
    walk = [(0, iter(next_ones(code, 0, place_of)))]
    while walk:
        place, followers = walk[-1]
        follower, jumps = next(followers, (None, None))
        if follower is None:
            on_the_way.discard(place)
            walk.pop()
        elif follower not in seen:
            seen.add(follower)
            on_the_way.add(follower)
            walk.append((follower, iter(next_ones(code, follower, place_of))))
        elif follower in on_the_way and not jumps:
            found.append((code[place], code[follower]))
    return found


def main(*paths):
    status = 0
    for path in paths:
        for name, code in functions(path).items():
            for (address, instruction), (first, beginning) in back_edges(code):
                print(f"{path}: {name}: the loop at {first} ({beginning}) is entered again by {address} ({instruction})")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
