#!/usr/bin/python3
"""Connections of all kinds, held open while something happens to the nodes that they go through.

  fleet_traffic.py serve                  on members: answers TCP (80), UDP (53), SCTP (36412), and notes UDP (514)
  fleet_traffic.py notes                  on a member: prints which sessions its server has noted since it was last asked
  fleet_traffic.py hold SECONDS KIND...   on the client: sessions, of which each has an exchange about every so many seconds (0:
                                          none but those of `check`). KIND is NAME=PROTOCOL,ADDRESS,COUNT

What `hold` does is told it by lines on stdin; each gets a line of JSON, by NAME:

  open            opens what is not open:      {"NAME": {"open": 8, "failed": ["why", ...]}}
  check SECONDS   gives each session so much time for an exchange that begins now, and forgets those that are broken:
                  {"NAME": {"alive": 8, "broken": ["why", ...]}}
  bulk SECONDS    the same with an exchange of many full segments (TCP) or in fragments (UDP); the others as above
  fresh SECONDS   opens, uses and closes one of each, one after the other, each within so much time:
                  {"NAME": {"alive": 1, "broken": ["why", ...]}}

PROTOCOL is TCP, of which every second one is a download, in which the client says nothing (not with 0 seconds: the member would
say something); UDP; SCTP; or NOTE: datagrams of one direction. A session that is answered by two members is broken; members tell which sessions of NOTE have come to them.
"""

import asyncio
import collections
import contextlib
import json
import os
import random
import socket
import sys
import time

import sctp

PORTS = {"TCP": 80, "UDP": 53, "SCTP": 36412, "NOTE": 514}
NOTES_PORT = 5140
BULK = 60_000           # bytes of a line
FRAGMENTED = 4000       # bytes of a datagram
OPEN_AT_ONCE = 40
PATIENCE_TO_OPEN = 300  # seconds
NAME = socket.gethostname()
IP_PKTINFO = 8


# ---- members ----

async def serve_connection(reader, writer):
    """Answers lines, or gives a line from time to time."""
    with contextlib.suppress(ConnectionError):
        while request := await reader.readline():
            if request.startswith(b"download "):
                return await give(writer, float(request.split()[1]))
            if request == b"bulk\n":
                request = b"x" * BULK + b"\n"
            writer.write(NAME.encode() + b" " + request)
            await writer.drain()
    writer.close()


async def give(writer, pause):
    number = 0
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(f"{NAME} {number}\n".encode())
            await writer.drain()
            number += 1
            await asyncio.sleep(pause)


def datagram_server(port, take):
    """Calls take(datagram), and returns its answer from the address that was asked."""
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    server.setblocking(False)
    server.bind(("::", port))

    def read():
        with contextlib.suppress(OSError):
            data, control, _, peer = server.recvmsg(65536, 256)
            answer = take(data)
            # The answer need not leave by the question's interface, which may be a tunnel's end.
            asked = [(level, kind, value[:16] + bytes(4)) for level, kind, value in control if level == socket.IPPROTO_IPV6]
            if answer:
                server.sendmsg([answer], asked, 0, peer)

    asyncio.get_running_loop().add_reader(server, read)


async def serve():
    noted = collections.Counter()
    answer = lambda text: NAME.encode() + b" " + text

    async def tell_notes(_, writer):
        writer.write(json.dumps(noted).encode())
        noted.clear()
        writer.close()

    datagram_server(PORTS["UDP"], answer)
    datagram_server(PORTS["NOTE"], lambda data: noted.update([data.decode(errors="replace")]))
    keep = sctp.Server(PORTS["SCTP"], answer)
    await asyncio.start_server(tell_notes, "127.0.0.1", NOTES_PORT)
    server = await asyncio.start_server(serve_connection, None, PORTS["TCP"], backlog=1024)
    await server.serve_forever()
    return keep


def notes():
    with socket.create_connection(("127.0.0.1", NOTES_PORT), 60) as server:
        answer = b""
        while data := server.recv(65536):
            answer += data
    print(answer.decode())


# ---- the client: a session of each protocol. exchange() returns when one has succeeded, open() is told of by it ----

class Session:
    number = 0

    def __init__(self, address, seconds):
        Session.number += 1
        self.number = Session.number
        self.address = address
        self.pause = seconds  # between exchanges, about
        self.member = None
        self.lines = 0

    def take(self, answer):
        """Notes who has answered; it is always the same member."""
        member, _, rest = answer.partition(b" ")
        if self.member not in (None, member):
            raise ConnectionError(f"from {member.decode()}, no longer {self.member.decode()}")
        self.member = member
        return rest

    async def bulk(self):
        await self.exchange()

    def question(self, size=0):
        self.lines += 1
        return f"{self.number} {self.lines}".encode().ljust(size, b".")


class Talk(Session):
    async def open(self):
        # A line of many segments must fit.
        self.reader, self.writer = await asyncio.open_connection(self.address, PORTS["TCP"], limit=2 * BULK)
        await self.exchange()

    async def ask(self, request, wanted):
        self.writer.write(request + b"\n")
        await self.writer.drain()
        answer = await self.reader.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionResetError("ended by the other side")
        if self.take(answer.rstrip(b"\n")) != wanted:
            raise ConnectionError(f"wrong answer {answer[:40]!r}")

    async def exchange(self):
        question = self.question()
        await self.ask(question, question)

    async def bulk(self):
        await self.ask(b"bulk", b"x" * BULK)

    def close(self):
        with contextlib.suppress(AttributeError):
            self.writer.transport.abort()


class Download(Talk):
    """The client says nothing. It has keep-alives, so that members that are silent hear of it."""

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(self.address, PORTS["TCP"])
        connection = self.writer.get_extra_info("socket")
        for level, option, value in ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
                                     (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 60)):
            connection.setsockopt(level, option, value)
        self.writer.write(f"download {self.pause / 2:g}\n".encode())
        await self.line()

    async def line(self):
        line = await self.reader.readline()
        if not line:
            raise ConnectionResetError("ended by the other side")
        if int(self.take(line)) != self.lines:
            raise ConnectionError(f"wrong line {line!r}, not number {self.lines}")
        self.lines += 1

    async def exchange(self):
        """Reads what has come, then a line that was not sent yet."""
        began = time.monotonic()
        while True:
            await self.line()
            if time.monotonic() - began > self.pause / 4:
                return

    async def bulk(self):
        await self.exchange()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.arrived = asyncio.Queue()

    def datagram_received(self, data, _):
        self.arrived.put_nowait(data)

    def error_received(self, error):
        pass  # what is unreachable for a moment is asked again


class Queries(Session):
    async def open(self):
        self.transport, self.datagrams = await asyncio.get_running_loop().create_datagram_endpoint(
            Datagrams, remote_addr=(self.address, PORTS["UDP"]))
        # The second one is told to the other nodes, where the member's answers don't pass the first.
        await self.exchange()
        await self.exchange()

    async def exchange(self, size=0):
        while True:
            question = self.question(size)
            self.transport.sendto(question)
            with contextlib.suppress(asyncio.TimeoutError):
                return await asyncio.wait_for(self.answer_to(question), 1)

    async def bulk(self):
        """A datagram of several fragments, and its answer of as many."""
        await self.exchange(FRAGMENTED)

    async def answer_to(self, question):
        while self.take(await self.datagrams.arrived.get()) != question:
            pass  # late: that one was given up

    def close(self):
        with contextlib.suppress(AttributeError):
            self.transport.close()


class Notes(Session):
    """Datagrams of one direction: nobody here knows whether they come."""

    async def open(self):
        self.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(self.address, PORTS["NOTE"]))
        for _ in range(3):
            await self.exchange()
            await asyncio.sleep(0.02)

    async def exchange(self):
        self.transport.sendto(f"{self.address} {os.getpid()} {self.number}".encode())

    def close(self):
        with contextlib.suppress(AttributeError):
            self.transport.close()


class Association(Session):
    associations = None

    async def open(self):
        if not Association.associations:
            Association.associations = sctp.Client(first_port=20000)
        self.association = await Association.associations.open(self.address, PORTS["SCTP"])
        await self.exchange()

    async def exchange(self):
        question = self.question()
        self.take(await self.association.ask(question))

    def close(self):
        with contextlib.suppress(AttributeError):
            self.association.close()


class Held:
    """A session and the task that keeps it busy."""

    def __init__(self, session, seconds):
        self.session, self.seconds = session, seconds
        self.why = None
        self.turn = asyncio.Lock()
        self.task = asyncio.create_task(self.keep_busy())

    async def keep_busy(self):
        if not self.seconds:
            return
        await asyncio.sleep(random.random() * self.seconds)
        while not self.why:
            await self.one(self.session.exchange)
            await asyncio.sleep(self.seconds * (0.5 + random.random()))

    async def one(self, exchange):
        async with self.turn:
            if not self.why:
                try:
                    await exchange()
                except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                    self.why = f"{type(error).__name__} {error}"

    async def check(self, exchange, seconds):
        """Returns why it is broken; None if it is not."""
        try:
            await asyncio.wait_for(self.one(exchange), seconds)
        except asyncio.TimeoutError:
            self.why = self.why or f"nothing within {seconds:g} s"
        return self.why

    def end(self):
        self.task.cancel()
        self.session.close()


class Holder:
    def __init__(self, seconds, kinds):
        self.seconds = seconds
        self.kinds = {}  # name -> (protocol, address, count)
        for kind in kinds:
            name, _, rest = kind.partition("=")
            protocol, address, count = rest.split(",")
            self.kinds[name] = protocol, address, int(count)
        self.held = {name: [] for name in self.kinds}

    def new_session(self, name):
        protocol, address, _ = self.kinds[name]
        kinds = {"TCP": [Talk, Download] if self.seconds else [Talk], "UDP": [Queries], "SCTP": [Association], "NOTE": [Notes]}[protocol]
        return kinds[Session.number % len(kinds)](address, self.seconds)

    async def open_one(self, name, enough, report):
        async with enough:
            session = self.new_session(name)
            try:
                await asyncio.wait_for(session.open(), PATIENCE_TO_OPEN)
                self.held[name].append(Held(session, self.seconds))
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                session.close()
                report[name]["failed"].append(f"{type(error).__name__} {error}")

    async def open(self):
        report = {name: {"failed": []} for name in self.kinds}
        enough = asyncio.Semaphore(OPEN_AT_ONCE)
        await asyncio.gather(*(self.open_one(name, enough, report) for name, (_, _, count) in self.kinds.items()
                               for _ in range(count - len(self.held[name]))))
        for name, held in self.held.items():
            report[name]["open"] = len(held)
        return report

    async def check(self, seconds, exchange="exchange"):
        every = [(name, held) for name, of_name in self.held.items() for held in of_name]
        found = await asyncio.gather(*(held.check(getattr(held.session, exchange), seconds) for _, held in every))
        report = {name: {"alive": 0, "broken": []} for name in self.kinds}
        for (name, held), why in zip(every, found):
            if why:
                report[name]["broken"].append(why)
                held.end()
                self.held[name].remove(held)
            else:
                report[name]["alive"] += 1
        return report

    async def bulk(self, seconds):
        return await self.check(seconds, "bulk")

    async def fresh(self, seconds):
        report = {name: {"alive": 0, "broken": []} for name in self.kinds}
        for name in self.kinds:
            session = self.new_session(name)
            try:
                await asyncio.wait_for(session.open(), seconds)
                report[name]["alive"] += 1
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                report[name]["broken"].append(f"{type(error).__name__} {error}")
            session.close()
        return report


async def hold(seconds, kinds):
    holder = Holder(float(seconds), kinds)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command, *words = line.decode().split()
        print(json.dumps(await getattr(holder, command)(*map(float, words))), flush=True)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "serve":
        asyncio.run(serve())
    elif command == "notes":
        notes()
    else:
        asyncio.run(hold(arguments[0], arguments[1:]))
