#!/usr/bin/python3
"""A server of the given kind, for health monitors to find: monitor_server.py KIND PORT CODE DIRECTORY

  http    answers with CODE, but 421 to HTTP/1.1 without the Host www.example.com
  https   the same through TLS (cert.pem and key.pem in DIRECTORY), not to another server name than www.example.com
  udp     takes datagrams and says nothing
  sctp    acknowledges every INIT; the kernel needs no SCTP
"""

import http.server
import pathlib
import socket
import ssl
import struct
import sys

DOMAIN = "www.example.com"


class Handler(http.server.BaseHTTPRequestHandler):
    code = 200

    def do_GET(self):
        named = self.request_version == "HTTP/1.0" or self.headers["Host"] == DOMAIN
        self.send_response(self.code if named else 421)
        self.end_headers()

    do_HEAD = do_OPTIONS = do_GET

    def log_message(self, *_):
        pass


def serve_http(port, code, tls=False):
    Handler.code = int(code)
    server = http.server.ThreadingHTTPServer(("", port), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        directory = pathlib.Path(sys.argv[4])
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
        context.sni_callback = lambda _socket, name, _context: (
            None if name in (DOMAIN, None) else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


def serve_udp(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", port))
        while True:
            server.recv(4096)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def serve_sctp(port):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP) as server:
        while True:
            packet, (client, _) = server.recvfrom(4096)
            packet = packet[(packet[0] & 15) * 4:]
            source, destination = struct.unpack("!HH", packet[:4])
            if destination != port or packet[12] != 1:
                continue
            tag = packet[16:20]
            reply = struct.pack("!HH4sIBBHIIHHI", port, source, tag, 0, 2, 0, 20, 0x1234, 65536, 1, 1, 1)
            reply = reply[:8] + struct.pack("<I", crc32c(reply)) + reply[12:]
            server.sendto(reply, (client, 0))


if __name__ == "__main__":
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "udp":
        serve_udp(port)
    elif kind == "sctp":
        serve_sctp(port)
    else:
        serve_http(port, sys.argv[3], tls=kind == "https")
