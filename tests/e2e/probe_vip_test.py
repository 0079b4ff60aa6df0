#!/usr/bin/python3
"""Health monitors with probe_vip find members that lack the VIP, or the tunnel's end (dsr, ipip, gue)."""

import contextlib
import pathlib
import unittest

import support
from support import PYTHON, VIP, VIP6, wait_for

TIMES = ["--delay", "1", "--timeout", "1", "--max-retries", "1", "--max-retries-down", "1"]


class ProbeVip(support.LabTest):
    def monitor(self, *options, port=80):
        """Replaces the pool's health monitor."""
        self.lab.ctl("loadbalancer", "healthmonitor", "delete", f"{port}_check", check=False)
        self.lab.ctl("loadbalancer", "healthmonitor", "create", "--name", f"{port}_check", *TIMES, *options, f"{port}_pool")

    def wait_for_statuses(self, first, second, port=80):
        wanted = {f"{port}_member_1": first, f"{port}_member_2": second}
        wait_for(lambda: self.lab.member_statuses(f"{port}_pool") == wanted, 10, f"statuses {wanted}")

    def wait_for_line(self, words):
        wait_for(lambda: words in self.lab.log("lb", "sluiced"), 10, f"the log says: {words}")

    def programs(self):
        """How many of the daemon's descriptors are tc programs."""
        found = 0
        for info in pathlib.Path(f"/proc/{self.lab.service_pid('lb', 'sluiced')}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):  # a probe's socket, which is closed by now
                found += "prog_type:\t3\n" in info.read_text()
        return found

    def drop_vip(self, member, vip=VIP):
        self.lab.run(f"member{member}", "ip", "address", "del", f"{vip}/{128 if ':' in vip else 32}", "dev", "lo")

    def serve_page(self, member):
        lab = self.lab
        lab.start(f"member{member}", "page", PYTHON, "-m", "http.server", "-b", "::", "8080")
        lab.wait_listening(f"member{member}", 8080)


class Dsr(ProbeVip):
    def test_a_member_without_the_vip_is_down(self):
        lab = self.lab
        lab.hold_vip(VIP)
        lab.serve()
        for member in (1, 2):
            self.serve_page(member)
        lab.balance(mode="dsr")
        # The worst case for its answers: this host holds the VIP itself, and takes only packets that it could answer.
        lab.run("lb", "ip", "address", "add", f"{VIP}/32", "dev", "lo")
        lab.run("lb", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
        self.drop_vip(2)
        self.monitor("--type", "tcp")
        self.wait_for_statuses("ONLINE", "ONLINE")
        lab.ctl("loadbalancer", "healthmonitor", "set", "--probe-vip", "80_check")
        self.wait_for_statuses("ONLINE", "ERROR")
        self.wait_for_line(f"is down: timeout after 1 s on the link, for VIP {VIP}")

        # A member that forwards what it doesn't accept would send the probe back here, and the other one would answer.
        lab.run("member2", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        # Without its short TTL the next probe would reach member 1 through the load balancer.
        failed = lambda: lab.reasons().get("time_exceeded_sent", 0)
        before, mark = failed(), len(lab.log("lb", "sluiced"))
        wait_for(lambda: failed() >= before + 3, 20, "three forwarded probes come back, and are refused")
        self.assertNotIn("is up", lab.log("lb", "sluiced")[mark:])
        for kind in (["--type", "tcp"], ["--type", "http", "--url-path", "/"], ["--type", "ping"]):
            with self.subTest(kind=kind[1]):
                for member in (1, 2):
                    lab.ctl("loadbalancer", "member", "set", "--monitor-port", 8080, "80_pool", f"80_member_{member}")
                self.monitor(*kind, "--probe-vip")
                self.wait_for_statuses("ONLINE", "ERROR")
        lab.run("member2", "ip", "address", "add", f"{VIP}/32", "dev", "lo")
        self.wait_for_statuses("ONLINE", "ONLINE")
        # A refusal comes from the VIP, and is heard at once.
        self.monitor("--type", "tcp", "--probe-vip")
        self.wait_for_statuses("ONLINE", "ONLINE")
        lab.stop("member1", "page")
        self.wait_for_statuses("ERROR", "ONLINE")
        self.wait_for_line(f"is down: connection refused on the link, for VIP {VIP}")

    def test_ipv6_and_datagrams(self):
        lab = self.lab
        lab.hold_vip(VIP6)
        lab.serve()
        lab.attach()
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP6)
        lab.add_service("lb", 80, 80, mode="dsr", ipv6=True)
        lab.add_service("lb", 53, 53, mode="dsr", ipv6=True, protocol="UDP")
        self.drop_vip(2, VIP6)
        self.monitor("--type", "tcp", "--probe-vip")
        self.wait_for_statuses("ONLINE", "ERROR")
        self.monitor("--type", "ping", "--probe-vip")
        self.wait_for_statuses("ONLINE", "ERROR")
        # Member 1 refuses at the VIP.
        self.monitor("--type", "udp-connect", "--delay", "3", "--probe-vip", port=53)
        wait_for(lambda: lab.member_statuses("53_pool")["53_member_1"] == "ERROR", 10, "port unreachable")
        self.wait_for_line(f"is down: port unreachable on the link, for VIP {VIP6}")
        lab.serve_udp(53)
        wait_for(lambda: lab.member_statuses("53_pool")["53_member_1"] == "ONLINE", 10, "it serves")

    def test_nothing_is_left_on_the_nic(self):
        lab = self.lab
        lab.hold_vip(VIP)
        lab.serve()
        lab.balance(mode="dsr")
        self.assertEqual(0, self.programs())
        self.monitor("--type", "tcp", "--probe-vip")
        self.wait_for_statuses("ONLINE", "ONLINE")
        # Links to the NIC are descriptors, too, so what the daemon closes is off.
        self.assertGreaterEqual(self.programs(), 2)
        lab.ctl("loadbalancer", "healthmonitor", "set", "--no-probe-vip", "80_check")
        wait_for(lambda: self.programs() == 0, 5, "the programs are taken off")
        lab.ctl("loadbalancer", "healthmonitor", "set", "--probe-vip", "80_check")
        self.wait_for_statuses("ONLINE", "ONLINE")

        for mode in ("fullnat", "dnat"):
            refused = lab.ctl("loadbalancer", "pool", "set", "--forwarding-mode", mode, "80_pool", check=False)
            self.assertIn(f"probe_vip is not possible with forwarding_mode {mode}", refused.stderr)
        self.assertIn("probe_vip is not possible with a health monitor of type SCTP",
                      lab.ctl("loadbalancer", "healthmonitor", "create", *TIMES, "--type", "sctp", "--probe-vip", "80_pool",
                              check=False).stderr)


@unittest.skipIf(support.vlans_are_missing(), support.vlans_are_missing())
class Vlan(ProbeVip):
    topology = "vlan"

    def test_members_in_a_vlan(self):
        lab = self.lab
        lab.hold_vip(VIP)
        lab.serve()
        lab.balance(mode="dsr")
        self.drop_vip(2)
        self.monitor("--type", "tcp", "--probe-vip")
        self.wait_for_statuses("ONLINE", "ERROR")


class Tunnels(ProbeVip):
    topology = "gateway"

    def test_a_member_without_the_tunnels_end_is_down(self):
        lab = self.lab
        for vip in (VIP, VIP6):
            lab.hold_vip(vip)
        lab.run("lb", "ethtool", "-K", "eth0", "tx", "off")  # nor may probes lack their checksums
        lab.end_tunnels(1)
        lab.serve()
        lab.attach()
        lab.start_controller()
        for vip in (VIP, VIP6):
            for mode in ("ipip", "gue"):
                with self.subTest(mode=mode, vip=vip):
                    lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", vip)
                    lab.add_service("lb", 80, 80, mode=mode, ipv6=vip == VIP6)
                    self.monitor("--type", "tcp")
                    self.wait_for_statuses("ONLINE", "ONLINE")
                    self.monitor("--type", "tcp", "--probe-vip")
                    self.wait_for_statuses("ONLINE", "ERROR")
                    self.wait_for_line(f"is down: timeout after 1 s through {mode}, for VIP {vip}")
                    self.monitor("--type", "ping", "--probe-vip")
                    self.wait_for_statuses("ONLINE", "ERROR")
                    self.assertEqual({"member1"}, set(lab.client("who", vip, 80, 5)))
                    lab.ctl("loadbalancer", "delete", "--cascade", "lb")


if __name__ == "__main__":
    support.main()
