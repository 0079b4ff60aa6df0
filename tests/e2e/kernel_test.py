#!/usr/bin/python3
"""Packets that the data plane leaves to the kernel (to resolve the next hop, to fragment) are sent in every mode."""

import json

import support
from support import VIP


class LeftToTheKernel(support.LabTest):
    def asked(self, size, sockets=3):
        """Returns the servers that answered datagrams of so many bytes."""
        return json.loads(self.lab.run("client", support.PYTHON, support.HERE / "udp_echo.py", "ask", VIP, 53, sockets, size,
                                       timeout=120).stdout)

    def everybody_answered(self, size):
        self.assertNotIn(None, self.asked(size), f"datagrams of {size} bytes")

    def end_tunnels(self):
        lab = self.lab
        lab.hold_vip(VIP)
        lab.end_tunnels(1, 2)

    def nobody_is_known(self, *interfaces):
        """Makes the kernel forget all neighbours, so that only it can find a member's MAC."""
        self.lab.kill("lb", "sluiced")
        for interface in interfaces:
            self.lab.run("lb", "ip", "neigh", "flush", "dev", interface)

    def counted_meanwhile(self, reason):
        self.lab.start_controller()
        return self.lab.reasons().get(reason, 0)

    def balance(self, mode):
        self.lab.serve_udp()
        self.lab.balance(port=53, protocol="UDP", mode=mode)


class OnTheLink(LeftToTheKernel):
    def test_a_first_packet_to_a_member_whose_mac_is_unknown_arrives_translated(self):
        self.balance("fullnat")
        self.nobody_is_known("eth0")
        self.everybody_answered(100)
        self.assertGreater(self.counted_meanwhile("next_hop_unresolved"), 0)

    def test_a_first_packet_to_a_member_whose_mac_is_unknown_arrives_in_a_tunnel(self):
        self.end_tunnels()
        self.balance("ipip")
        self.nobody_is_known("eth0")
        self.everybody_answered(100)
        self.assertGreater(self.counted_meanwhile("next_hop_unresolved"), 0)


class BehindTheSecondNic(LeftToTheKernel):
    topology = "routed"

    def test_a_first_packet_to_a_member_whose_mac_is_unknown_arrives_from_its_client(self):
        self.balance("dnat")
        self.nobody_is_known("eth1")
        self.everybody_answered(100)
        self.assertGreater(self.counted_meanwhile("next_hop_unresolved"), 0)

    def test_datagrams_that_do_not_fit_the_way_to_the_member_arrive_in_pieces(self):
        lab = self.lab
        for host, nic in (("lb", "eth1"), ("member1", "eth0"), ("member2", "eth0")):
            lab.run(host, "ip", "link", "set", nic, "mtu", 1400)
        lab.run("client", "sysctl", "-qw", "net.ipv4.ip_no_pmtu_disc=1")  # what the client sends may be fragmented
        self.balance("dnat")
        for size in (1300, 1460, 4000):
            self.everybody_answered(size)
        self.assertGreater(lab.reasons().get("left_to_fragment", 0), 0)


class BehindAGateway(LeftToTheKernel):
    topology = "gateway"

    def test_datagrams_that_do_not_fit_into_the_tunnel_arrive_in_pieces(self):
        self.lab.run("client", "sysctl", "-qw", "net.ipv4.ip_no_pmtu_disc=1")
        self.end_tunnels()
        self.balance("ipip")
        # The last ones come in fragments, the larger of which don't fit either.
        for size in (1400, 1453, 1472, 4000):
            self.everybody_answered(size)
        self.assertGreater(self.lab.reasons().get("left_to_fragment", 0), 0)


if __name__ == "__main__":
    support.main()
