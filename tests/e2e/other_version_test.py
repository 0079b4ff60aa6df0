#!/usr/bin/python3
"""Clients of one IP version, members of the other: TCP and UDP, both ways round, across a hop of 1,300 bytes."""

import json

import support
from support import VIP, VIP6, alternates

SOURCES = {VIP: "2001:db8::18", VIP6: "10.0.0.18"}
# Datagrams of several fragments: who answers each, or None.
ASK_IN_FRAGMENTS = """
import json, random, socket, sys
answers = []
for number in range(6):
    data = random.Random(number).randbytes(4000)
    with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.connect((sys.argv[1], 53))
        try:
            client.send(data)
            name, _, echo = client.recv(65536).partition(b" ")
            answers.append(name.decode() if echo == data else "something else")
        except OSError:
            answers.append(None)
print(json.dumps(answers))
"""


class OtherVersion:
    vip = None
    topology = "gateway"

    def set_up(self, port, protocol):
        """A load balancer whose members have the other IP version."""
        lab = self.lab
        lab.attach()
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", self.vip)
        lab.ctl("loadbalancer", "listener", "create", "--name", "l", "--protocol", protocol, "--protocol-port", port, "lb")
        lab.ctl("loadbalancer", "pool", "create", "--name", "p", "--listener", "l", "--protocol", protocol, "--lb-algorithm",
                "ROUND_ROBIN")
        member = lab.address(1, self.vip == VIP)
        refused = lab.ctl("loadbalancer", "member", "create", "--address", member, "--protocol-port", port, "p", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("of different IP versions", refused.stderr)
        self.assertIn("snat_addresses", refused.stderr)
        lab.ctl("loadbalancer", "set", "lb", "--snat-address", SOURCES[self.vip])
        for number in (1, 2):
            lab.ctl("loadbalancer", "member", "create", "--name", f"m{number}", "--address",
                    lab.address(number, self.vip == VIP), "--protocol-port", port, "p")

    def client_address(self):
        return "203.0.113.10" if self.vip == VIP else "2001:db8:c::10"

    def test_a_hundred_megabytes_arrive_intact_across_a_narrow_hop(self):
        lab = self.lab
        lab.serve()
        self.set_up(80, "TCP")
        self.assertTrue(alternates(lab.client("who", self.vip, 80, 20)))
        self.assertEqual(SOURCES[self.vip], lab.client("whence", self.vip, 80))
        for direction in ("give", "take"):
            result = lab.client(direction, self.vip, 80, 100_000_000, timeout=180)
            self.assertTrue(result["intact"], f"{direction}: {result}")
        # A hop on the members' side of the way, then one on the clients'. (A veth drops what exceeds its own MTU, so each
        # is tried in the direction in which its router can say so.)
        for nic, direction in (("far", "take"), ("wan", "give")):
            lab.run("router", "ip", "link", "set", nic, "mtu", "1300")
            result = lab.client(direction, self.vip, 80, 2_000_000, timeout=120)
            self.assertTrue(result["intact"], f"{nic}, {direction}: {result}")
            lab.run("router", "ip", "link", "set", nic, "mtu", "1500")
        self.assertGreater(lab.reasons().get("icmp_forwarded", 0), 0)

        lab.start_client("echo", self.vip, 80, 2)
        flows = lab.wait_for_connections(2)
        self.assertEqual({f"[{VIP6}]:80" if self.vip == VIP6 else f"{VIP}:80"}, {flow["vip"] for flow in flows})
        client = self.client_address()
        ends = f"[{client}]" if ":" in client else client, f"[{self.vip}]" if ":" in self.vip else self.vip
        question = ("explain", "--from", f"{ends[0]}:50514", "--to", f"{ends[1]}:80", "-f", "json")
        # The first question loads the program, for which a busy machine takes longer than the client waits.
        support.wait_for(lambda: lab.ctl(*question, check=False).returncode == 0, 60, "explain")
        explained = json.loads(lab.ctl(*question).stdout)
        self.assertEqual("flow_created", explained["reason"])
        self.assertIn(SOURCES[self.vip], explained["source"])

        # The controller reads back what it has written.
        lab.kill("lb", "sluiced")
        lab.start_controller()
        self.assertTrue(alternates(lab.client("who", self.vip, 80, 20)))
        self.assertGreaterEqual(int(lab.value("flows", "flush", "--client", client, "flushed")), 2, "with closed ones")
        self.assertEqual([], lab.connections())
        lab.ctl("loadbalancer", "delete", "--cascade", "lb")
        self.assertEqual([], lab.rows("loadbalancer", "list"))

    def test_datagrams_arrive_too(self):
        lab = self.lab
        lab.serve_udp(53)
        self.set_up(53, "UDP")
        answers = json.loads(lab.run("client", support.PYTHON, support.HERE / "udp_echo.py", "ask", self.vip, 53, 20, 1000,
                                     20000).stdout)
        self.assertTrue(alternates(answers))

    def test_datagrams_in_fragments_arrive_too(self):
        lab = self.lab
        lab.serve_udp(53)
        self.set_up(53, "UDP")
        # The IPv4 end makes its fragments of 1,500 bytes until it is told what fits: its first datagrams are lost.
        answers = []

        def are_answered():
            answers[:] = json.loads(lab.run("client", support.PYTHON, "-c", ASK_IN_FRAGMENTS, self.vip).stdout)
            return None not in answers

        support.wait_for(are_answered, 30, "answers to datagrams in fragments")
        self.assertEqual({"member1", "member2"}, set(answers))
        self.assertGreater(lab.reasons().get("too_big_sent", 0), 0)


class Ipv4InFront(OtherVersion, support.LabTest):
    vip = VIP


class Ipv6InFront(OtherVersion, support.LabTest):
    vip = VIP6


class BothVersions(support.LabTest):
    def set_up(self, *of_pool):
        lab = self.lab
        lab.serve()
        lab.attach()
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP, "--additional-vip", f"ip-address={VIP6}")
        lab.ctl("loadbalancer", "listener", "create", "--name", "l", "--protocol", "TCP", "--protocol-port", 80, "lb")
        lab.ctl("loadbalancer", "pool", "create", "--name", "p", "--listener", "l", "--protocol", "TCP", "--lb-algorithm",
                "ROUND_ROBIN", *of_pool)
        for member, ipv6 in ((1, False), (2, True)):
            lab.ctl("loadbalancer", "member", "create", "--name", f"m{member}", "--address", lab.address(member, ipv6),
                    "--protocol-port", 80, "p")

    def test_members_of_both_versions_serve_side_by_side_if_their_pool_says_so(self):
        lab = self.lab
        self.set_up("--mixed-versions")
        for vip in (VIP, VIP6):
            self.assertTrue(alternates(lab.client("who", vip, 80, 20)), vip)
            for direction in ("give", "take"):
                self.assertTrue(lab.client(direction, vip, 80, 1_000_000)["intact"], f"{vip}, {direction}")
        # The controller reads back what it has written.
        lab.kill("lb", "sluiced")
        lab.start_controller()
        for vip in (VIP, VIP6):
            self.assertTrue(alternates(lab.client("who", vip, 80, 20)), vip)
        lab.ctl("loadbalancer", "member", "set", "--disable", "p", "m1")
        for vip in (VIP, VIP6):
            support.wait_for(lambda: set(lab.client("who", vip, 80, 5)) == {"member2"}, 20, "the other member")
        lab.ctl("loadbalancer", "member", "set", "--enable", "p", "m1")
        lab.ctl("loadbalancer", "pool", "set", "--no-mixed-versions", "p")
        support.wait_for(lambda: set(lab.client("who", VIP, 80, 5)) == {"member1"}, 20, "the own version")
        self.assertEqual({"member2"}, set(lab.client("who", VIP6, 80, 5)))

    def test_members_of_the_vips_own_version_serve_it_alone_while_one_is_usable(self):
        lab = self.lab
        self.set_up()
        self.assertEqual({"member1"}, set(lab.client("who", VIP, 80, 10)))
        self.assertEqual({"member2"}, set(lab.client("who", VIP6, 80, 10)))
        for vip, own, other in ((VIP, 1, 2), (VIP6, 2, 1)):
            lab.ctl("loadbalancer", "member", "set", "--disable", "p", f"m{own}")
            support.wait_for(lambda: set(lab.client("who", vip, 80, 5)) == {f"member{other}"}, 20, "the other version")
            lab.ctl("loadbalancer", "member", "set", "--enable", "p", f"m{own}")
            support.wait_for(lambda: set(lab.client("who", vip, 80, 5)) == {f"member{own}"}, 20, "the own version")


class SeveralVips(support.LabTest):
    VIPS, VIPS6 = (VIP, "10.0.0.20"), (VIP6, "2001:db8::20")

    def test_members_of_the_other_version_serve_all_of_them_but_later_ipv6_ones(self):
        lab = self.lab
        lab.serve()
        lab.attach()
        lab.start_controller()
        more = [text for vip in (*self.VIPS[1:], *self.VIPS6) for text in ("--additional-vip", f"ip-address={vip}")]
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP, *more)
        lab.ctl("loadbalancer", "listener", "create", "--name", "l", "--protocol", "TCP", "--protocol-port", 80, "lb")
        lab.ctl("loadbalancer", "pool", "create", "--name", "p", "--listener", "l", "--protocol", "TCP", "--lb-algorithm",
                "ROUND_ROBIN")
        for number, ipv6 in ((1, True), (2, False)):
            lab.ctl("loadbalancer", "member", "create", "--name", f"m{number}", "--address", lab.address(number, ipv6),
                    "--protocol-port", 80, "p")
        lab.ctl("loadbalancer", "member", "set", "--disable", "p", "m2")
        for vip in self.VIPS + self.VIPS6:
            support.wait_for(lambda: set(lab.client("who", vip, 80, 5)) == {"member1"}, 20, f"{vip}: the IPv6 member")
        lab.ctl("loadbalancer", "member", "set", "--disable", "p", "m1")
        lab.ctl("loadbalancer", "member", "set", "--enable", "p", "m2")
        for vip in self.VIPS + self.VIPS6[:1]:
            support.wait_for(lambda: set(lab.client("who", vip, 80, 5)) == {"member2"}, 20, f"{vip}: the IPv4 member")
        question = ("explain", "--from", "[2001:db8:c::10]:50514", "--to", f"[{self.VIPS6[1]}]:80", "-f", "json")
        # The first question loads the program, for which a busy machine takes longer than the client waits.
        support.wait_for(lambda: lab.ctl(*question, check=False).returncode == 0, 60, "explain")
        self.assertEqual("other_version_source", json.loads(lab.ctl(*question).stdout)["reason"])
        # It would lose connections to the last one.
        lab.ctl("loadbalancer", "member", "set", "--enable", "p", "m1")
        lab.ctl("loadbalancer", "pool", "set", "--mixed-versions", "p")
        for vips, member in ((self.VIPS, "member2"), (self.VIPS6, "member1")):
            for vip in vips:
                support.wait_for(lambda: set(lab.client("who", vip, 80, 5)) == {member}, 20, f"{vip}: its own version")


if __name__ == "__main__":
    support.main()
