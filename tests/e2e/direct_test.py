#!/usr/bin/python3
"""Members that answer clients directly: dsr on the same link, ipip and gue behind another subnet."""

import json

import support
from support import VIP, VIP6, alternates


class Dsr(support.LabTest):
    def test_members_on_the_link_answer_themselves(self):
        lab = self.lab
        lab.hold_vip(VIP)
        lab.hold_vip(VIP6)
        lab.serve()
        lab.balance(mode="dsr")
        self.assertTrue(alternates(lab.client("who", VIP, 80, 50)))
        self.assertEqual("203.0.113.10", lab.client("whence", VIP, 80))
        self.assertTrue(lab.client("give", VIP, 80, 5_000_000)["intact"])
        self.assertEqual(0, lab.reasons().get("replied", 0), "nothing comes back through the load balancer")


    def test_datagrams_of_one_socket_go_to_each_member(self):
        lab = self.lab
        lab.hold_vip(VIP)
        lab.serve_udp(514)
        lab.attach()
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP)
        lab.add_service("lb", 514, 514, mode="dsr", protocol="UDP")
        lab.ctl("loadbalancer", "listener", "set", "--udp-scheduling", "packet", "514_listener")
        code = ("import json, socket\n"
                f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('{VIP}', 514)); s.settimeout(30)\n"
                "def ask(size):\n"
                " s.send(bytes(size)); answer = s.recv(65536); name = answer.split(b' ')[0]\n"
                " assert answer[len(name) + 1:] == bytes(size); return name.decode()\n"
                "print(json.dumps([[ask(size) for _ in range(20)] for size in (10, 4000)]))\n")
        small, fragmented = json.loads(lab.run("client", support.PYTHON, "-c", code).stdout)
        self.assertTrue(alternates(small), small)
        self.assertEqual({"member1", "member2"}, set(fragmented), "by their ids, and none has lost a fragment")
        self.assertEqual([], lab.rows("flows", "list"))
        self.assertGreaterEqual(lab.reasons()["datagram_forwarded"], 20 + 3 * 20)
        refused = lab.ctl("loadbalancer", "pool", "set", "--forwarding-mode", "fullnat", "514_pool", check=False)
        self.assertIn("without a flow nothing tells to whom", refused.stderr)


class Dnat(support.LabTest):
    topology = "routed"

    def test_datagrams_of_one_socket_go_to_each_member(self):
        lab = self.lab
        lab.serve_udp(514)
        lab.attach("eth0", "eth1")
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP)
        lab.add_service("lb", 1514, 514, mode="dnat", protocol="UDP")
        lab.ctl("loadbalancer", "listener", "set", "--udp-scheduling", "packet", "1514_listener")
        code = ("import json, socket\n"
                "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(30)\n"
                "def ask(size):\n"
                f" s.sendto(bytes(size), ('{VIP}', 1514)); answer, peer = s.recvfrom(65536); name = answer.split(b' ')[0]\n"
                " assert answer[len(name) + 1:] == bytes(size); return [name.decode(), *peer]\n"
                "print(json.dumps([[ask(size) for _ in range(20)] for size in (10, 4000)]))\n")
        small, fragmented = json.loads(lab.run("client", support.PYTHON, "-c", code).stdout)
        self.assertTrue(alternates([name for name, *_ in small]), small)
        wanted = {(f"member{member}", lab.address(member), 514) for member in (1, 2)}
        self.assertEqual(wanted, {tuple(one) for one in small}, "the members answer for themselves")
        self.assertEqual(wanted, {tuple(one) for one in fragmented}, "by their ids, and none has lost a fragment")
        self.assertEqual([], lab.rows("flows", "list"))


class Tunnels(support.LabTest):
    topology = "gateway"

    def start_endpoints(self):
        lab = self.lab
        for vip in (VIP, VIP6):
            lab.hold_vip(vip)
        lab.end_tunnels(1, 2)

    def sources(self):
        """The outer sources that the members' NICs have seen."""
        return {line.split(" ", 1)[1] for member in (1, 2) for line in self.lab.log(f"member{member}", "ipip").splitlines()
                if line.startswith("source ")}

    def serve_through(self, mode, vip):
        """Sets up a load balancer in this mode and uses it; returns the outer sources that have come."""
        lab = self.lab
        before = self.sources()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", vip)
        lab.add_service("lb", 80, 80, mode=mode, ipv6=vip == VIP6)
        self.assertTrue(alternates(lab.client("who", vip, 80, 30)))
        # Full-sized segments don't fit into the tunnel; the client gets an error and sends smaller ones.
        self.assertTrue(lab.client("take", vip, 80, 1_000_000)["intact"])
        lab.ctl("loadbalancer", "delete", "--cascade", "lb")
        return self.sources() - before

    def test_members_elsewhere_answer_themselves(self):
        lab = self.lab
        self.start_endpoints()
        lab.serve()
        lab.attach()
        lab.start_controller()
        self.assertEqual(1, len(self.serve_through("ipip", VIP)), "the load balancer's own address")
        self.assertGreater(lab.reasons().get("too_big_sent", 0), 0)
        self.assertEqual(1, len(self.serve_through("ipip", VIP6)))
        for vip in (VIP, VIP6):
            # 31 connections, of which some have the same port.
            ports = self.serve_through("gue", vip)
            self.assertGreaterEqual(len(ports), 28, "each connection has a UDP source port of its own")
        self.assertEqual(0, lab.reasons().get("replied", 0))

    def test_outer_sources_are_spread_over_a_network(self):
        lab = self.lab
        self.start_endpoints()
        lab.serve()
        lab.attach()
        lab.start_controller("--tunnel-source", "172.16.0.0/16", "--tunnel-source", "100::/64")
        for vip, begin in ((VIP, "172.16."), (VIP6, "100::")):
            sources = self.serve_through("ipip", vip)
            self.assertGreaterEqual(len(sources), 28, sources)
            self.assertEqual([], [source for source in sources if not source.startswith(begin)])


if __name__ == "__main__":
    support.main()
