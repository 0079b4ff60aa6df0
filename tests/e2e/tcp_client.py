#!/usr/bin/python3
"""The other end of tcp_server.py; prints its findings as JSON.

  who ADDRESS PORT COUNT [WORKERS]   COUNT connections one after the other (per worker, each on a CPU
                                     of its own): the names of the servers that answered, in order
  count ADDRESS PORT                 how many the server has served
  whence ADDRESS PORT                this client's address as the server sees it
  give|take ADDRESS PORT SIZE        one transfer: seconds and whether it arrived intact
  echo ADDRESS PORT CONNECTIONS      long-lived connections, a line on each every 20 ms until stdin is
                                     closed: which server each had, lines, what broke, longest wait
  keep ADDRESS PORT CONNECTIONS      opens them, says a line on each, prints "ready" and is silent until stdin is
                                     closed; then says another line on each: how many were answered, what broke
  try ADDRESS PORT [SECONDS]         connections until stdin is closed, one after the other with 20 ms in
                                     between, each with so much time (30): [[time, server or error], ...]

Timeouts are generous, because the machine may be busy; tests of durations measure them.
"""

import asyncio
import hashlib
import json
import multiprocessing
import os
import random
import socket
import sys
import threading
import time

CHUNK = 1 << 16


def connect(address, port, timeout=60):
    return socket.create_connection((address, int(port)), timeout=timeout)


def ask(address, port, question, timeout=60):
    """Sends one line, returns the whole answer."""
    with connect(address, port, timeout) as connection:
        connection.sendall(question.encode() + b"\n")
        answer = b""
        while data := connection.recv(CHUNK):
            answer += data
    return answer.decode().strip()


def ask_many(worker, address, port, count):
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[worker % len(cpus)]})
    return [ask(address, port, "who") for _ in range(count)]


def who(address, port, count, workers="1"):
    jobs = [(worker, address, port, int(count)) for worker in range(int(workers))]
    if len(jobs) == 1:
        return [ask(address, port, "who") for _ in range(int(count))]
    with multiprocessing.Pool(len(jobs)) as pool:
        return [name for names in pool.starmap(ask_many, jobs, chunksize=1) for name in names]


def count(address, port):
    return int(ask(address, port, "count"))


def whence(address, port):
    return ask(address, port, "whence")


def made_from(seed, size):
    source = random.Random(seed)
    for offset in range(0, size, CHUNK):
        yield source.randbytes(min(CHUNK, size - offset))


def checksum(chunks):
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def give(address, port, size):
    """The server gives: a download."""
    size, seed, start = int(size), 20, time.monotonic()
    with connect(address, port) as connection:
        connection.sendall(f"give {size} {seed}\n".encode())
        got = checksum(iter(lambda: connection.recv(CHUNK), b""))
    return {"intact": got == checksum(made_from(seed, size)), "seconds": time.monotonic() - start}


def take(address, port, size):
    """The server takes: an upload."""
    size, seed, start = int(size), 21, time.monotonic()
    sent = hashlib.sha256()
    with connect(address, port) as connection:
        connection.sendall(f"take {size}\n".encode())
        for chunk in made_from(seed, size):
            sent.update(chunk)
            connection.sendall(chunk)
        got = connection.recv(CHUNK).decode().strip()
    return {"intact": got == sent.hexdigest(), "seconds": time.monotonic() - start}


def stopped_when_stdin_closes():
    stop = threading.Event()

    def wait():
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


async def one_echo(address, port, number, stop, report):
    server, lines = None, 0
    try:
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(b"echo\n")
        while not stop.is_set():
            asked = time.monotonic()
            writer.write(f"line {number} {lines}\n".encode())
            answer = await asyncio.wait_for(reader.readline(), 60)
            name, _, rest = answer.decode().partition(" ")
            if rest != f"line {number} {lines}\n" or server not in (None, name):
                raise ConnectionError(f"wrong answer {answer!r}")
            server, lines = name, lines + 1
            report["longest_wait"] = max(report["longest_wait"], time.monotonic() - asked)
            await asyncio.sleep(0.02)
        writer.close()
    except (OSError, asyncio.TimeoutError) as error:
        report["broken"].append(f"{server}: {type(error).__name__} {error}")
    report["servers"].append(server)
    report["lines"] += lines


async def echo_all(address, port, connections):
    report = {"servers": [], "lines": 0, "broken": [], "longest_wait": 0.0}
    stop = stopped_when_stdin_closes()
    await asyncio.gather(*(one_echo(address, port, number, stop, report) for number in range(connections)))
    return report


def echo(address, port, connections):
    return asyncio.run(echo_all(address, int(port), int(connections)))


async def say(reader, writer, line):
    writer.write(line.encode())
    answer = await asyncio.wait_for(reader.readline(), 60)
    if not answer.decode().endswith(f" {line}"):
        raise ConnectionError(f"wrong answer {answer!r}")


async def open_and_say(address, port, enough):
    async with enough:
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(b"echo\n")
        await say(reader, writer, "first\n")
        return reader, writer


async def say_again(connection, report):
    try:
        await say(*connection, "second\n")
        report["answered"] += 1
    except (OSError, asyncio.TimeoutError) as error:
        report["broken"].append(f"{type(error).__name__} {error}")
    connection[1].close()


async def keep_all(address, port, connections):
    enough = asyncio.Semaphore(100)
    all_of_them = await asyncio.gather(*(open_and_say(address, port, enough) for _ in range(connections)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    report = {"answered": 0, "broken": []}
    await asyncio.gather(*(say_again(connection, report) for connection in all_of_them))
    return report


def keep(address, port, connections):
    return asyncio.run(keep_all(address, int(port), int(connections)))


def try_(address, port, seconds="30"):
    stop, seen = stopped_when_stdin_closes(), []
    while not stop.is_set():
        began = time.time()
        try:
            seen.append([began, ask(address, port, "who", timeout=float(seconds)) or "empty answer"])
        except OSError as error:
            seen.append([began, f"error: {error}"])
        time.sleep(0.02)
    return seen


def pace(address, port):
    """Opens one connection after the other; returns the milliseconds of each handshake."""
    stop, took = stopped_when_stdin_closes(), []
    while not stop.is_set():
        began = time.monotonic()
        with connect(address, int(port)):
            took.append((time.monotonic() - began) * 1e3)
        time.sleep(0.001)
    return took


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    print(json.dumps({"who": who, "count": count, "whence": whence, "give": give, "take": take, "echo": echo, "keep": keep,
                      "try": try_, "pace": pace}[command](*arguments)))
