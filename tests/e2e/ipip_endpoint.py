#!/usr/bin/python3
"""The far end of IP-in-IP tunnels, for kernels without the ipip module: ipip_endpoint.py

It removes the outer header (IPv4 or IPv6) of packets in a tunnel and passes them to this host's own stack through a tun
interface. Answers leave without the tunnel.
"""

import fcntl
import os
import select
import socket
import struct

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000

tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"ipip0", IFF_TUN | IFF_NO_PI))
os.system("ip link set ipip0 up && sysctl -qw net.ipv4.conf.ipip0.rp_filter=0")
tunnels4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
tunnels6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 41)
print("ready", flush=True)
while True:
    for ready in select.select([tunnels4, tunnels6], [], [])[0]:
        packet = ready.recv(65536)
        # A raw IPv4 socket returns the outer header, too; an IPv6 one does not.
        os.write(tun, packet[(packet[0] & 15) * 4:] if ready is tunnels4 else packet)
