"""As much of SCTP (RFC 9260) as tests of connections need, for kernels without it: associations over raw sockets, on which each
message has an answer. Nothing is divided, ordered or acknowledged in bulk; what gets no answer is sent again.
"""

import asyncio
import random
import socket
import struct

DATA, INIT, INIT_ACK, SACK, ABORT, COOKIE_ECHO, COOKIE_ACK = 0, 1, 2, 3, 6, 10, 11
STATE_COOKIE = 7
WHOLE_MESSAGE = 3           # flags of DATA: its beginning and its end
WITHOUT_ASSOCIATION = 1     # flag of ABORT: the tag is the one that the other end sent
WINDOW, STREAMS = 65536, 1
IPV6_RECVPKTINFO, IP_PKTINFO = socket.IPV6_RECVPKTINFO, 8


def _table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        yield byte


CRC32C = tuple(_table())


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = CRC32C[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


def chunk(kind, body=b"", flags=0):
    return struct.pack("!BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


def packet(source_port, port, tag, *chunks):
    head, body = struct.pack("!HHI", source_port, port, tag), b"".join(chunks)
    return head + struct.pack("<I", crc32c(head + bytes(4) + body)) + body


def chunks_of(data):
    """Returns (kind, flags, body) of each chunk; none of a packet that is damaged."""
    if len(data) < 16 or struct.unpack("<I", data[8:12])[0] != crc32c(data[:8] + bytes(4) + data[12:]):
        return []
    found, offset = [], 12
    while offset + 4 <= len(data):
        kind, flags, length = struct.unpack_from("!BBH", data, offset)
        if length < 4 or offset + length > len(data):
            return []
        found.append((kind, flags, data[offset + 4:offset + length]))
        offset += length + -length % 4
    return found


def initiation(kind, tag, number, cookie=b""):
    parameter = struct.pack("!HH", STATE_COOKIE, 4 + len(cookie)) + cookie if cookie else b""
    return chunk(kind, struct.pack("!IIHHI", tag, WINDOW, STREAMS, STREAMS, number) + parameter)


def message(number, text):
    return chunk(DATA, struct.pack("!IHHI", number, 0, 0, 0) + text, WHOLE_MESSAGE)


def acknowledgement(number):
    return chunk(SACK, struct.pack("!IIHH", number, WINDOW, 0, 0))


def raw_socket(ipv6):
    opened = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    opened.setblocking(False)
    return opened


def payload_of(data, ipv6):
    """Returns what follows the IP header, which a raw socket of IPv4 returns, too."""
    return data if ipv6 else data[(data[0] & 15) * 4:]


# ---- the server's end ----

class Server:
    """Answers each message with what `answer(text)` returns, from the address that was asked."""

    def __init__(self, port, answer):
        self.port, self.answer = port, answer
        self.tags = {}  # (client's address, client's port, this end's tag) -> the client's tag
        self.next = random.getrandbits(32)
        for ipv6 in (False, True):
            listener = raw_socket(ipv6)
            if ipv6:
                listener.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
            asyncio.get_running_loop().add_reader(listener, self._read, listener, ipv6)

    def _read(self, listener, ipv6):
        try:
            data, control, _, client = listener.recvmsg(65536, 256)
        except OSError:
            return
        body = payload_of(data, ipv6)
        if len(body) < 16 or struct.unpack_from("!H", body, 2)[0] != self.port:
            return
        asked = next((value[:16] for *_, value in control), b"") if ipv6 else data[16:20]
        reply = self._reply(client[0], body)
        if not reply:
            return
        info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked + bytes(4)) if ipv6 else \
            (socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + asked + bytes(4))
        try:
            listener.sendmsg([reply], [info], 0, (client[0], 0))
        except OSError:  # no route for a moment
            pass

    def _reply(self, address, body):
        port, _, tag = struct.unpack_from("!HHI", body)
        reply, to = [], self.tags.get((address, port, tag))
        for kind, _, content in chunks_of(body):
            if kind == INIT:
                mine = random.getrandbits(32) or 1
                cookie = struct.pack("!II", mine, struct.unpack_from("!I", content)[0])
                return packet(self.port, port, struct.unpack_from("!I", content)[0], initiation(INIT_ACK, mine, 1, cookie))
            if kind == COOKIE_ECHO and struct.unpack_from("!I", content)[0] == tag:
                to = self.tags[address, port, tag] = struct.unpack_from("!I", content, 4)[0]
                reply.append(chunk(COOKIE_ACK))
            elif kind == ABORT:
                self.tags.pop((address, port, tag), None)
                return None
            elif not to:
                return packet(self.port, port, tag, chunk(ABORT, flags=WITHOUT_ASSOCIATION))
            elif kind == DATA:
                self.next = (self.next + 1) & 0xffffffff
                reply += [acknowledgement(struct.unpack_from("!I", content)[0]), message(self.next, self.answer(content[12:]))]
        return packet(self.port, port, to, *reply) if reply else None


# ---- the client's end ----

class Client:
    """All associations of a process; open() returns one."""

    def __init__(self, first_port):
        self.next_port = first_port
        self.waiting = {}  # own port -> queue of the packets that have come to it
        self.sockets = {}
        for ipv6 in (False, True):
            self.sockets[ipv6] = raw_socket(ipv6)
            asyncio.get_running_loop().add_reader(self.sockets[ipv6], self._read, ipv6)

    def _read(self, ipv6):
        try:
            data, _ = self.sockets[ipv6].recvfrom(65536)
        except OSError:
            return
        body = payload_of(data, ipv6)
        queue = self.waiting.get(struct.unpack_from("!H", body, 2)[0]) if len(body) >= 16 else None
        if queue:
            queue.put_nowait(body)

    async def open(self, address, port):
        self.next_port += 1
        association = Association(self, address, port, self.next_port)
        await association.shake_hands()
        return association


class Association:
    def __init__(self, client, address, port, own_port):
        self.client, self.address, self.port, self.own_port = client, address, port, own_port
        self.ipv6 = ":" in address
        self.arrived = client.waiting[own_port] = asyncio.Queue()
        self.tag, self.peer_tag, self.number = random.getrandbits(32) or 1, 0, 1

    def _send(self, *chunks):
        try:
            self.client.sockets[self.ipv6].sendto(packet(self.own_port, self.port, self.peer_tag, *chunks), (self.address, 0))
        except OSError:
            pass  # it is sent again

    async def _until(self, kind, *chunks, wanted=lambda _: True, times=60):
        """Sends the chunks, each second anew, until one of that kind has come."""
        for _ in range(times):
            self._send(*chunks)
            try:
                return await asyncio.wait_for(self._next(kind, wanted), 1)
            except asyncio.TimeoutError:
                pass
        raise TimeoutError(f"no answer to {times} packets")

    async def _next(self, kind, wanted):
        while True:
            body = await self.arrived.get()
            tag = struct.unpack_from("!I", body, 4)[0]
            for found, flags, content in chunks_of(body):
                if found == ABORT and tag == (self.peer_tag if flags & WITHOUT_ASSOCIATION else self.tag):
                    raise ConnectionResetError("ABORT")
                if found == kind and tag == self.tag and wanted(content):
                    return content

    async def shake_hands(self):
        answer = await self._until(INIT_ACK, initiation(INIT, self.tag, self.number))
        self.peer_tag = struct.unpack_from("!I", answer)[0]
        cookie_bytes = struct.unpack_from("!H", answer, 18)[0] - 4
        await self._until(COOKIE_ACK, chunk(COOKIE_ECHO, answer[20:20 + cookie_bytes]))

    async def ask(self, text):
        """Returns the answer to this text, which ends with it."""
        self.number = (self.number + 1) & 0xffffffff
        answer = await self._until(DATA, message(self.number, text), wanted=lambda content: content.endswith(text))
        self._send(acknowledgement(struct.unpack_from("!I", answer)[0]))
        return answer[12:]

    def close(self):
        self._send(chunk(ABORT))
        self.client.waiting.pop(self.own_port, None)
