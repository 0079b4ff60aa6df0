#!/usr/bin/python3
"""The far end of IP-in-IP and GUE tunnels, for kernels without these modules: ipip_endpoint.py

It removes the outer headers (IPv4 or IPv6, and UDP for GUE's variant 1) of packets in a tunnel and passes them to this
host's own stack through a tun interface. Answers leave without the tunnel. It prints each new outer source (address and, of
GUE, port), by which a NIC would choose its queue.
"""

import fcntl
import os
import select
import socket
import struct

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
UDP_NO_CHECK6_RX = 102  # datagrams without a checksum are taken over IPv6, too (RFC 6935)
GUE_PORT = 6080

tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"ipip0", IFF_TUN | IFF_NO_PI))
os.system("ip link set ipip0 up && sysctl -qw net.ipv4.conf.ipip0.rp_filter=0")
tunnels4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
tunnels6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 41)
gue = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
gue.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
gue.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
gue.bind(("::", GUE_PORT))
print("ready", flush=True)
seen = set()
while True:
    for ready in select.select([tunnels4, tunnels6, gue], [], [])[0]:
        packet, source = ready.recvfrom(65536)
        mark = f"{source[0]} {source[1]}" if ready is gue else source[0]
        if mark not in seen:
            seen.add(mark)
            print("source", mark, flush=True)
        # A raw IPv4 socket returns the outer header, too; an IPv6 one does not.
        os.write(tun, packet[(packet[0] & 15) * 4:] if ready is tunnels4 else packet)
