#!/usr/bin/python3
"""Members on the same NIC, behind another NIC, behind a gateway and in a VLAN, and what they see of the client."""

import json
import time
import unittest

import support
from support import VIP, VIP6, alternates

CLIENT = "203.0.113.10"


class SameNic(support.LabTest):
    def test_fullnat_shows_members_the_vip_as_client(self):
        self.lab.serve()
        self.lab.balance()
        self.assertEqual(VIP, self.lab.client_as_seen_by_member())
        self.members_see_snat_addresses_in_its_place()

    def members_see_snat_addresses_in_its_place(self):
        lab, sources = self.lab, ["10.0.0.18", "10.0.0.19"]
        balancer = ("loadbalancer", "set", "lb")
        refused = lab.ctl(*balancer, "--snat-address", "10.0.0.1", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("10.0.0.1 is the gateway", refused.stderr)
        lab.ctl(*balancer, *(word for source in sources for word in ("--snat-address", source)))
        self.assertEqual(sources, lab.value("loadbalancer", "show", "lb", "snat_addresses").splitlines())
        self.assertEqual(set(sources), {lab.client_as_seen_by_member() for _ in range(20)})
        explained = json.loads(lab.ctl("explain", "--from", f"{CLIENT}:50514", "--to", f"{VIP}:80", "-f", "json").stdout)
        self.assertIn(explained["source"].rpartition(":")[0], sources)
        for source in sources:
            lab.run("member1", "ping", "-c", "1", "-W", "2", source)
        file = lab.directory / "exported.yaml"
        file.write_text(lab.ctl("export").stdout)
        self.assertEqual("nothing to change\n", lab.ctl("apply", "-f", file).stdout)
        # Open connections keep the address that is taken away, new ones have the VIP again.
        held = lab.start_client("echo", VIP, 80, 8)
        lab.wait_for_connections(8)
        lab.ctl("loadbalancer", "unset", "--snat-addresses", "lb")
        self.assertEqual(VIP, lab.client_as_seen_by_member())
        lab.stop("lb", "sluiced")
        lab.start_controller()
        self.assertEqual(VIP, lab.client_as_seen_by_member())
        for member in ("member1", "member2"):
            lab.run(member, "ip", "neigh", "flush", "dev", "eth0")
            for source in sources:
                lab.run(member, "ping", "-c", "1", "-W", "2", source)
        self.assertEqual([], lab.finish_client(held)["broken"])

    def test_a_client_in_the_members_own_subnet_is_balanced_too(self):
        self.lab.serve()
        self.lab.balance()
        answers = [self.lab.run("member2", support.PYTHON, support.HERE / "tcp_client.py", "who", VIP, 80, 4).stdout]
        self.assertEqual(2, answers[0].count("member1"))
        self.assertEqual(2, answers[0].count("member2"))

    def test_members_may_listen_on_another_port_than_the_vip(self):
        self.lab.serve(8080)
        self.lab.balance(port=80, member_port=8080)
        self.assertTrue(alternates(self.lab.client("who", VIP, 80, 20)))

    def test_a_member_that_gets_another_mac_without_a_word_is_found(self):
        """arp_notify and ndisc_notify are off by default, so the kernel doesn't announce a new MAC."""
        lab = self.lab
        lab.serve()
        lab.balance()
        self.assertTrue(alternates(lab.client("who", VIP, 80, 10)))
        lab.run("member1", "ip", "link", "set", "eth0", "address", "02:00:00:00:77:04")
        known = lambda: lab.run("lb", "ip", "neigh", "show", "10.0.0.4").stdout
        support.wait_for(lambda: "02:00:00:00:77:04" in known(), 4, "the kernel knows the new MAC")
        self.assertTrue(alternates(lab.client("who", VIP, 80, 10)))


# Connects to each of these addresses from port 5000, and keeps the connections.
FROM_ONE_PORT = """
import json, socket, sys
tried, held = {}, []
for address in sys.argv[1:]:
    held.append(socket.socket())
    held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held[-1].settimeout(50)
    held[-1].bind(("", 5000))
    try:
        held[-1].connect((address, 80))
        tried[address] = "connected"
    except ConnectionRefusedError:
        tried[address] = "refused"
print(json.dumps(tried))
"""


class SecondNic(support.LabTest):
    topology = "routed"

    def test_dnat_keeps_the_clients_address(self):
        self.lab.serve()
        self.lab.balance(mode="dnat")
        self.assertEqual(CLIENT, self.lab.client_as_seen_by_member())
        self.assertTrue(alternates(self.lab.client("who", VIP, 80, 100)))
        # Its member can't tell a connection to its own address from the one through the VIP, if their port is the same.
        members = [self.lab.address(member) for member in (1, 2)]
        tried = json.loads(self.lab.run("client", support.PYTHON, "-c", FROM_ONE_PORT, VIP, *members).stdout)
        self.assertEqual("connected", tried.pop(VIP))
        self.assertEqual(["connected", "refused"], sorted(tried.values()))

    def test_fullnat_works_there_too(self):
        self.lab.serve()
        self.lab.balance(mode="fullnat")
        self.assertEqual(VIP, self.lab.client_as_seen_by_member())
        self.assertTrue(alternates(self.lab.client("who", VIP, 80, 100)))


class ContainerOnTheHost(support.LabTest):
    """A member in a container, behind a bridge of the load balancer's host such as docker's."""

    def setUp(self):
        super().setUp()
        lab = self.lab
        for command in (
                "ip link add docker0 type bridge", "ip address add 172.17.0.1/16 dev docker0", "ip link set docker0 up",
                f"ip link add ctr0 type veth peer name c0 netns sluice-{lab.name}-member1",
                "ip link set ctr0 master docker0 up", "ethtool -K ctr0 tx off"):
            lab.run("lb", *command.split())
        for command in ("ip link set eth0 down", "ip address add 172.17.0.2/16 dev c0", "ip link set c0 up",
                        "ip route add default via 172.17.0.1", "ethtool -K c0 tx off tso off gso off"):
            lab.run("member1", *command.split())
        lab.serve_on(1)

    def offer(self):
        lab = self.lab
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP)
        lab.ctl("loadbalancer", "listener", "create", "--name", "web", "--protocol", "TCP", "--protocol-port", "80", "lb")
        lab.ctl("loadbalancer", "pool", "create", "--name", "web", "--lb-algorithm", "ROUND_ROBIN", "--listener", "web",
                "--protocol", "TCP")
        lab.ctl("loadbalancer", "member", "create", "--name", "container", "--address", "172.17.0.2", "--protocol-port", "80",
                "web")

    def test_with_the_nic_in_native_mode_it_is_refused_and_said_what_is_missing(self):
        lab = self.lab
        lab.attach("eth0")
        self.offer()
        lab.spawn("client", support.PYTHON, support.HERE / "tcp_client.py", "who", VIP, 80, 1)
        support.wait_for(lambda: lab.reasons().get("egress_not_native", 0) > 0, 10, "a refused SYN")
        self.assertEqual(0, lab.reasons().get("forwarded", 0) + lab.reasons().get("flow_created", 0))
        found = lab.ctl("explain", "--from", f"{CLIENT}:40000", "--to", f"{VIP}:80").stdout
        self.assertIn("--mode generic", found)

    def test_with_both_in_generic_mode_it_is_served(self):
        lab = self.lab
        lab.loader("attach", "--mode", "generic", "eth0", "docker0", "--flows", "65536")
        self.offer()
        self.assertEqual(["member1"] * 5, lab.client("who", VIP, 80, 5))
        self.assertTrue(lab.client("give", VIP, 80, 500_000)["intact"])
        # As containers are by default: the checksum of its SYN-ACK is left for a NIC that there isn't.
        lab.run("member1", "ethtool", "-K", "c0", "tx", "on")
        lab.spawn("client", support.PYTHON, support.HERE / "tcp_client.py", "who", VIP, 80, 1)
        support.wait_for(lambda: lab.reasons().get("partial_checksum", 0) > 0, 10, "a SYN-ACK with half a checksum")

    def test_attach_says_what_else_is_needed_of_a_port_of_a_bridge_and_of_a_veth(self):
        said = self.lab.loader("attach", "ctr0", "docker0", "--flows", "65536").stdout
        self.assertIn("ctr0: is a port of docker0", said)
        self.assertIn("ctr0: is a veth", said)
        self.assertNotIn("docker0: is a port", said)
        self.assertNotIn("docker0: is a veth", said)


class BehindGateway(support.LabTest):
    topology = "gateway"

    def test_members_behind_a_gateway_are_reached_through_it(self):
        self.lab.serve()
        self.lab.balance()
        self.assertTrue(alternates(self.lab.client("who", VIP, 80, 100)))
        self.assertTrue(self.lab.client("give", VIP, 80, 5_000_000)["intact"])

    def test_a_new_mac_of_the_gateway_is_followed(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lines = lab.start_client("echo", VIP, 80, 4)
        lab.wait_for_connections(4)
        lab.run("router", "ip", "link", "set", "lan", "address", "02:00:00:00:77:01")
        lab.run("router", "arping", "-c", "1", "-U", "-I", "lan", "10.0.0.1", check=False)
        self.assertTrue(alternates(lab.client("who", VIP, 80, 20)))
        self.assertEqual([], lab.finish_client(lines)["broken"])

    def test_a_route_that_leads_nowhere_for_a_while_breaks_no_connection(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lines = lab.start_client("echo", VIP, 80, 4)
        lab.wait_for_connections(4)
        lab.run("lb", "ip", "route", "add", "blackhole", "10.0.2.0/24")
        time.sleep(1.5)
        lab.run("lb", "ip", "route", "del", "blackhole", "10.0.2.0/24")
        self.assertTrue(alternates(lab.client("who", VIP, 80, 20)))
        report = lab.finish_client(lines)  # when each has had an answer, after it has sent its line again
        self.assertEqual([], report["broken"])
        self.assertGreater(report["longest_wait"], 1, "the route was taken")


@unittest.skipIf(support.vlans_are_missing(), support.vlans_are_missing())
class InAVlan(support.LabTest):
    """Client and VIP are outside of the VLAN: tags are added in one direction and removed in the other."""

    topology = "vlan"

    def test_fullnat_and_its_health_monitor_reach_members_through_the_tag(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "hm", "--type", "TCP", "--delay", "1", "--timeout", "1",
                "--max-retries", "1", "80_pool")
        support.wait_for(lambda: set(lab.member_statuses("80_pool").values()) == {"ONLINE"}, 10, "members are ONLINE")
        self.assertEqual(VIP, lab.client_as_seen_by_member())
        self.assertTrue(alternates(lab.client("who", VIP, 80, 100)))
        self.assertTrue(lab.client("give", VIP, 80, 5_000_000)["intact"])
        self.assertTrue(lab.client("take", VIP, 80, 5_000_000)["intact"])

    def test_dnat_keeps_the_clients_address(self):
        self.lab.serve()
        self.lab.balance(mode="dnat")
        self.assertEqual(CLIENT, self.lab.client_as_seen_by_member())
        self.assertTrue(alternates(self.lab.client("who", VIP, 80, 100)))

    def test_ipv6_too(self):
        self.lab.serve()
        self.lab.balance(vip=VIP6)
        self.assertTrue(alternates(self.lab.client("who", VIP6, 80, 100)))

    def test_members_see_the_tag_and_clients_do_not(self):
        """Frames are captured with their link headers where they arrive."""
        lab = self.lab
        lab.serve()
        lab.balance()
        captures = {host: lab.capture(host, "-e", f"tcp or (vlan 3 and tcp and host {VIP})") for host in ("client", "member1")}
        lab.client("who", VIP, 80, 10)
        seen = {host: lab.captured(process, 20) for host, process in captures.items()}
        self.assertTrue(all("vlan 3," in frame for frame in seen["member1"]), seen["member1"])
        self.assertFalse(any("vlan" in frame for frame in seen["client"]), seen["client"])


if __name__ == "__main__":
    support.main()
