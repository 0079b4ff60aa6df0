#!/usr/bin/python3
"""Ping, traceroute and path MTU discovery: to the VIP and through it."""

import support
from support import VIP, VIP6


class Icmp(support.LabTest):
    topology = "gateway"

    def test_the_vip_answers_pings(self):
        lab = self.lab
        lab.balance()
        lab.ctl("loadbalancer", "create", "--name", "lb6", "--vip-address", VIP6)
        for vip in (VIP, VIP6):
            lab.run("client", "ping", "-c", "3", "-i", "0.2", "-w", "30", vip)

    def test_traceroute_shows_the_way_to_the_member(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        trace = lab.run("client", "traceroute", "-n", "-T", "-p", "80", "-q", "1", "-w", "20", "-m", "8", VIP).stdout
        hops = [line.split()[1] for line in trace.splitlines()[1:]]
        # The hops are the router and then, all with the VIP as source, the load balancer, the router to the member, and
        # the member.
        self.assertEqual(["203.0.113.1", VIP, VIP, VIP], hops, trace)

    def test_a_smaller_mtu_behind_the_load_balancer_is_discovered(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.run("router", "ip", "link", "set", "far", "mtu", "1280")
        self.assertTrue(lab.client("take", VIP, 80, 2_000_000)["intact"])
        self.assertGreater(lab.reasons().get("icmp_forwarded", 0), 0)

    def test_and_in_ipv6_too(self):
        lab = self.lab
        lab.serve()
        lab.balance(vip=VIP6)
        lab.run("router", "ip", "link", "set", "far", "mtu", "1280")
        self.assertTrue(lab.client("take", VIP6, 80, 2_000_000)["intact"])
        self.assertGreater(lab.reasons().get("icmp_forwarded", 0), 0)


if __name__ == "__main__":
    support.main()
