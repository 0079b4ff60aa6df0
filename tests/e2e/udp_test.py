#!/usr/bin/python3
"""UDP sessions: small and fragmented datagrams, both IP versions; a failed member's sessions move on."""

import json

import support
from support import VIP, VIP6, alternates


class Udp(support.LabTest):
    def ask(self, vip, sockets, size):
        lab = self.lab
        return json.loads(lab.run("client", support.PYTHON, support.HERE / "udp_echo.py", "ask", vip, 53, sockets, size).stdout)

    def test_each_new_socket_is_a_session_and_datagrams_arrive_whole(self):
        lab = self.lab
        lab.serve_udp(53)
        for vip in (VIP, VIP6):
            with self.subTest(vip=vip):
                if vip == VIP:
                    lab.balance(port=53, vip=VIP, protocol="UDP")
                else:
                    lab.ctl("loadbalancer", "delete", "--cascade", "lb")
                    lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP6)
                    lab.add_service("lb", 53, 53, ipv6=True, protocol="UDP")
                self.assertTrue(alternates(self.ask(vip, 20, 100)))
                self.assertTrue(alternates(self.ask(vip, 6, 4000)), "fragmented datagrams")
        self.assertEqual(0, lab.reasons().get("fragment_without_first", 0))


if __name__ == "__main__":
    support.main()
