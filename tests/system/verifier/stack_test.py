#!/usr/bin/python3
"""The stack of all calls that can be open at a time, as kernel 6.1 counts it: at most 512 bytes.

Usage: stack_test.py OBJECT [LINES]. Newer kernels count less, because they round each function's share up to 16 bytes,
not to 32. Prints the deepest chain of calls.
"""

import re
import subprocess
import sys

LIMIT, ROUNDING = 512, 32  # check_max_stack_depth() in kernel/bpf/verifier.c


def run(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def functions(path):
    """(section number, first address, end, name) of each function."""
    found = []
    for line in run("llvm-readelf", "-s", "-W", path).splitlines():
        words = line.split()
        if len(words) == 8 and words[3] == "FUNC":
            begin = int(words[1], 16)
            found.append((int(words[6]), begin, begin + int(words[2]), words[7]))
    return found


def section_numbers(path):
    table = run("llvm-readelf", "-S", "-W", path)
    return {name: int(number) for number, name in re.findall(r"\[ *(\d+)\] (\S+)", table)}


def look_at(path):
    """name -> (bytes of stack, names of the functions that it calls, or has called back by bpf_loop() and the like)."""
    sections, known = section_numbers(path), functions(path)

    def function_at(section, address):
        return next(name for number, begin, end, name in known if number == section and begin <= address < end)

    stacks = {name: [0, set()] for *_, name in known}
    section, current, handed, called = None, None, None, None
    for line in run("llvm-objdump", "-d", "-r", path).splitlines():
        if match := re.match(r"Disassembly of section (\S+):", line):
            section = sections[match[1]]
        elif match := re.match(r" *(\d+):\t((?:[0-9a-f]{2} ?)+)\t(.*)", line):
            address, raw, code = int(match[1]) * 8, match[2].split(), match[3]
            if called:  # without a relocation: a static function of the same section
                stacks[current][1].add(function_at(section, called))
            current = function_at(section, address)
            for offset in re.findall(r"r10 - (0x[0-9a-f]+|\d+)", code):
                stacks[current][0] = max(stacks[current][0], int(offset, 0))
            if match := re.search(r"r(\d+) \+= (-\d+)", code):
                stacks[current][0] = max(stacks[current][0], 0 if int(match[2]) < -512 else -int(match[2]))
            # A call of a function and not of a helper has a 1 for its source register, and the distance, in instructions.
            distance = int.from_bytes(bytes.fromhex("".join(raw[4:8])), "little", signed=True)
            called = address + 8 * (distance + 1) if raw[:2] == ["85", "10"] else None
            handed = re.match(r"r\d+ = (\d+|0x[0-9a-f]+) ll$", code)  # the address of a callback, or of data
        elif called is not None and (match := re.search(r"R_BPF_64_32\s+(\S+)", line)):
            # A local function's is relative to its section.
            stacks[current][1].add(function_at(sections[".text"], 8 * (distance + 1)) if match[1] == ".text" else match[1])
            called = None
        elif handed and (match := re.search(r"R_BPF_64_64\s+(\S+)", line)):
            name = function_at(sections[".text"], int(handed[1], 0)) if match[1] == ".text" else match[1]
            if name in stacks:
                stacks[current][1].add(name)
    return stacks


def deepest(stacks, name, memory):
    """(bytes, chain of names) from this function down."""
    if name not in memory:
        own, called = stacks[name]
        below = max((deepest(stacks, callee, memory) for callee in called), default=(0, []))
        share = -(-max(own, 1) // ROUNDING) * ROUNDING
        memory[name] = (share + below[0], [f"{name} {own}"] + below[1])
    return memory[name]


def main(path, lines="8"):
    stacks, memory = look_at(path), {}
    depth, chain = max(deepest(stacks, name, memory) for name in stacks)
    print(f"{depth} bytes of {LIMIT}:", " -> ".join(chain))
    if depth > LIMIT:
        for more, other in sorted(memory.values(), reverse=True)[:int(lines)]:
            print(more, " -> ".join(other))
        print("Make one of these functions' locals smaller, or call from the entry point what it calls.")
    return depth > LIMIT


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
