#!/usr/bin/python3
"""A light TCP server for volume and long transfers: tcp_server.py PORT

The client's first line says what it wants:
  who             the host's name, then the end; counted
  count           how many `who` there were
  whence          the client's address as the server sees it
  echo            every further line comes back with the host's name before it
  give SIZE SEED  SIZE bytes made from SEED
  take SIZE       reads SIZE bytes and answers their SHA-256
"""

import asyncio
import hashlib
import random
import socket
import sys

NAME = socket.gethostname()
CHUNK = 1 << 16


class Server:
    def __init__(self):
        self.served = 0

    async def handle(self, reader, writer):
        try:
            request = (await reader.readline()).decode().split()
            if request:
                await getattr(self, request[0])(reader, writer, *map(int, request[1:]))
            await writer.drain()
        except (ConnectionError, AttributeError):
            pass
        writer.close()

    async def who(self, _, writer):
        self.served += 1
        writer.write(f"{NAME}\n".encode())

    async def count(self, _, writer):
        writer.write(f"{self.served}\n".encode())

    async def whence(self, _, writer):
        writer.write(f"{writer.get_extra_info('peername')[0]}\n".encode())

    async def echo(self, reader, writer):
        while line := await reader.readline():
            writer.write(NAME.encode() + b" " + line)
            await writer.drain()

    async def give(self, _, writer, size, seed):
        source = random.Random(seed)
        for offset in range(0, size, CHUNK):
            writer.write(source.randbytes(min(CHUNK, size - offset)))
            await writer.drain()
            await asyncio.sleep(0)  # drain() alone keeps the loop while the socket takes all: others would starve

    async def take(self, reader, writer, size):
        digest = hashlib.sha256()
        while size > 0 and (data := await reader.read(min(CHUNK, size))):
            digest.update(data)
            size -= len(data)
        writer.write(f"{digest.hexdigest()}\n".encode())


async def main():
    server = await asyncio.start_server(Server().handle, None, int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
