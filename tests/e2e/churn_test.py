#!/usr/bin/python3
"""Members come and go every second while TCP, UDP and ICMP of both IP versions go on.

member1 and member2 stay; member2 is in a VLAN where the kernel has such. member3 is drained, removed and added again, in turn: its connections must live all the same,
because its server does. member4, behind a gateway, fails (its servers are killed) and returns: its connections may break,
and no others. What client and member1 receive is captured, and every checksum looked at.

SLUICE_CHURN_SECONDS says how long (15; scripts/soak: for as long as you like).

With SLUICE_CHURN_ATTACK a stranger behind the router attacks meanwhile (stranger.py) with so many packets a second, half of
them IPv6: floods that take what there is only so much of, and forged ends of the clients' connections. New connections go on,
too, and what is said above of those that exist is as true.
"""

import ipaddress
import json
import os
import re
import time

import support
from support import VIP, VIP6

SECONDS = int(os.environ.get("SLUICE_CHURN_SECONDS", "15"))
GATEWAY, FAR = {4: "10.0.9.1", 6: "2001:db8:0:9::1"}, {4: "10.0.9.4", 6: "2001:db8:0:9::4"}
VLAN_GATEWAY, IN_VLAN = {4: "10.0.3.1", 6: "2001:db8:0:3::1"}, {4: "10.0.3.6", 6: "2001:db8:0:3::6"}
VIPS = {4: VIP, 6: VIP6}
KINDS = {"tcp": ("TCP", 80), "udp": ("UDP", 53)}
PINGS_PER_SECOND = 5
CONNECTIONS = 16  # of each IP version
ATTACK = int(os.environ.get("SLUICE_CHURN_ATTACK", "0"))


def host_of(endpoint):
    """Returns the address of ADDRESS:PORT or [ADDRESS]:PORT."""
    return ipaddress.ip_address(endpoint.rpartition(":")[0].strip("[]"))


class Churn(support.LabTest):
    members = 4

    # ---- the mixed lab ----

    def move_member4_behind_a_gateway(self):
        lab = self.lab
        for family in (4, 6):
            prefix = 24 if family == 4 else 64
            lab.run("router", "ip", "address", "add", f"{GATEWAY[family]}/{prefix}", "dev", "lan", *["nodad"][:family == 6])
            lab.run("member4", "ip", f"-{family}", "address", "flush", "dev", "eth0", "scope", "global")
            lab.run("member4", "ip", "address", "add", f"{FAR[family]}/{prefix}", "dev", "eth0", *["nodad"][:family == 6])
            lab.run("member4", "ip", f"-{family}", "route", "replace", "default", "via", GATEWAY[family])
            self.addresses[4, family] = FAR[family]
        # Two subnets share a wire, so the router would send redirects.
        lab.run("router", "sysctl", "-qw", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.lan.send_redirects=0")

    def move_member2_into_a_vlan(self):
        lab = self.lab
        lab.join_vlan("lb", f"{VLAN_GATEWAY[4]}/24")
        lab.run("lb", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        lab.join_vlan("member2", f"{IN_VLAN[4]}/24")
        for family, gateway in VLAN_GATEWAY.items():
            lab.run("member2", "ip", f"-{family}", "address", "flush", "dev", "eth0", "scope", "global")
            lab.run("member2", "ip", f"-{family}", "route", "replace", "default", "via", gateway)
            self.addresses[2, family] = IN_VLAN[family]

    def address(self, member, family):
        return self.addresses.get((member, family)) or self.lab.address(member, family == 6)

    def add_member(self, member, kind, family):
        self.lab.ctl("loadbalancer", "member", "create", "--name", f"{kind}{family}_{member}", "--address",
                     self.address(member, family), "--protocol-port", KINDS[kind][1], f"{kind}{family}")

    def set_up(self):
        lab = self.lab
        self.addresses = {}  # (member, IP version) -> where it is, if not where the lab has put it
        self.move_member4_behind_a_gateway()
        reason = support.vlans_are_missing()
        if reason:
            print(f"member2 is in no VLAN: {reason}", flush=True)
        else:
            self.move_member2_into_a_vlan()
        lab.serve()
        lab.serve_udp()
        lab.attach()
        lab.start_controller()
        for family, vip in VIPS.items():
            lab.ctl("loadbalancer", "create", "--name", f"lb{family}", "--vip-address", vip)
            for kind, (protocol, port) in KINDS.items():
                pool = f"{kind}{family}"
                lab.ctl("loadbalancer", "listener", "create", "--name", f"listener_{pool}", "--protocol", protocol,
                        "--protocol-port", port, f"lb{family}")
                lab.ctl("loadbalancer", "pool", "create", "--name", pool, "--listener", f"listener_{pool}", "--protocol",
                        protocol, "--lb-algorithm", "ROUND_ROBIN")
                for member in range(1, 5):
                    self.add_member(member, kind, family)
                # Killed servers refuse at once; live ones have time to answer, because the machine is busy.
                lab.ctl("loadbalancer", "healthmonitor", "create", "--type", "TCP" if kind == "tcp" else "UDP-CONNECT",
                        "--delay", "3" if kind == "udp" else "1", "--timeout", "10" if kind == "tcp" else "1",
                        "--max-retries", "1", "--max-retries-down", "1", pool)

    # ---- the attack ----

    def make_room_for_adopted(self):
        """Adds listeners whose pools choose by hash and take connections from their middle, which strangers like."""
        for family in VIPS:
            self.lab.ctl("loadbalancer", "listener", "create", "--name", f"hash{family}", "--protocol", "TCP", "--protocol-port", "81",
                         f"lb{family}")
            self.lab.ctl("loadbalancer", "pool", "create", "--name", f"hash{family}", "--listener", f"hash{family}", "--protocol", "TCP",
                         "--lb-algorithm", "SOURCE_IP_PORT", "--forwarding-mode", "dnat")
            self.lab.ctl("loadbalancer", "member", "create", "--address", self.address(1, family), "--protocol-port", "80", f"hash{family}")

    def start_attack(self):
        """Forges ends of the connections that must live: not of member3's, whose clients' SYNs open new ones while it is
        removed, because nobody probes it then (bpf/README.md)."""
        self.lab.add_stranger()
        attackers = []
        for family, vip in VIPS.items():
            ports = [row["client"].rpartition(":")[2] for row in self.lab.connections()
                     if support.CLIENT[family] in row["client"] and host_of(row["member"]) != ipaddress.ip_address(self.address(3, family))]
            self.assertEqual(CONNECTIONS * 3 // 4, len(ports))
            attackers.append(self.lab.spawn("stranger", support.PYTHON, support.HERE / "stranger.py", ATTACK // 2,
                                            support.STRANGER[family], vip, support.CLIENT[family], *ports))
        return attackers

    def newcomers(self):
        return [self.lab.start_client("try", vip, 80) for vip in VIPS.values()]

    def end_attack(self, attackers, newcomers):
        for tries in newcomers:
            seen = [what for _, what in self.lab.finish_client(tries)]
            served = [what for what in seen if not what.startswith("error")]
            print(f"{len(served)} of {len(seen)} newcomers were served", flush=True)
            # Those of member4 fail for as long as it takes until its monitor says so.
            self.assertGreater(len(served), len(seen) * 0.7, [what for what in seen if what.startswith("error")][:5])
        for attacker in attackers:
            self.assertIsNone(attacker.poll(), "the attack has ended by itself")
            print("attacked:", attacker.communicate(timeout=30 * support.PATIENCE)[0].strip(), flush=True)
        print("by reason:", json.dumps({reason: packets for reason, packets in self.lab.reasons().items() if packets}), flush=True)

    # ---- what happens, a step a second ----

    def for_every_pool(self, *command):
        for family in VIPS:
            for kind in KINDS:
                self.lab.ctl("loadbalancer", "member", *command, f"{kind}{family}", f"{kind}{family}_3")

    def drain(self):
        self.for_every_pool("set", "--weight", "0")

    def undrain(self):
        self.for_every_pool("set", "--weight", "1")

    def remove(self):
        self.for_every_pool("delete")

    def add(self):
        for family in VIPS:
            for kind in KINDS:
                self.add_member(3, kind, family)

    def member4_fails(self):
        for service in ("tcp80", "udp53"):
            self.lab.stop("member4", service)

    def member4_returns(self):
        self.lab.start("member4", "tcp80", support.PYTHON, support.HERE / "tcp_server.py", 80)
        self.lab.start("member4", "udp53", support.PYTHON, support.HERE / "udp_echo.py", "serve", 53)

    def churn(self, seconds):
        steps = [self.drain, self.member4_fails, self.undrain, self.remove, self.member4_returns, self.add]
        end, taken = time.monotonic() + seconds, 0
        while time.monotonic() < end or taken % len(steps):
            began = time.monotonic()
            steps[taken % len(steps)]()
            taken += 1
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))
        return taken

    # ---- what is looked at ----

    def wrong_checksums(self, capture, least):
        lines = self.lab.captured(capture, least)
        return [line.strip() for line in lines if re.search(r"incorrect|bad (cksum|udp cksum|icmp6 cksum)|wrong icmp", line)]

    def received_by_xdp(self):
        """Returns the packets that the NIC's driver has given to the XDP program."""
        statistics = self.lab.run("lb", "ethtool", "-S", "eth0").stdout
        return sum(int(count) for count in re.findall(r"rx_queue_\d+_xdp_packets: (\d+)", statistics))

    def accounted(self):
        """Returns packets by NIC, by reason, and by NIC again. (The NIC also counts those that came before Sluice.)"""
        before = self.received_by_xdp()
        counted = sum(self.lab.reasons().values())
        return before, counted, self.received_by_xdp()

    def test_nothing_that_could_have_lived_is_broken(self):
        lab = self.lab
        self.set_up()
        if ATTACK:
            self.make_room_for_adopted()
        first = self.accounted()
        captures = {host: lab.capture(host, "-vv", "ip or ip6") for host in ("client", "member1")}
        echoes = {family: lab.start_client("echo", vip, 80, CONNECTIONS) for family, vip in VIPS.items()}
        talks = {family: lab.spawn("client", support.PYTHON, support.HERE / "udp_echo.py", "talk", vip, 53)
                 for family, vip in VIPS.items()}
        pings = {family: lab.spawn("client", "ping", "-q", "-i", str(1 / PINGS_PER_SECOND), "-c",
                                   str(SECONDS * PINGS_PER_SECOND), vip) for family, vip in VIPS.items()}
        lab.wait_for_connections(CONNECTIONS * len(VIPS))  # while all members are there
        attack = (self.start_attack(), self.newcomers()) if ATTACK else None
        steps = self.churn(SECONDS)
        print(f"{steps} steps", flush=True)
        if attack:
            self.end_attack(*attack)
        echoed = 0
        for family in VIPS:
            with self.subTest(family=family):
                report = lab.finish_client(echoes[family])
                echoed += report["lines"]
                broken = [line for line in report["broken"] if not line.startswith("member4:")]
                self.assertEqual([], broken)
                self.assertEqual({"member1", "member2", "member3", "member4"}, set(report["servers"]))
                print(f"IPv{family}: {report['lines']} lines over {CONNECTIONS} connections, {len(report['broken'])} of member4's broken")
                talk = json.loads(talks[family].communicate(timeout=30 * support.PATIENCE)[0])
                print(f"IPv{family}: {talk}")
                self.assertEqual(0, talk["wrong"])
                self.assertGreater(talk["answered"], talk["asked"] * 0.7)
                self.assertIn(" 0% packet loss", pings[family].communicate(timeout=30 * support.PATIENCE)[0])
        for host, capture in captures.items():
            # Each line and its echo take some packets, a quarter of them member1's; the capture may lose some.
            self.assertEqual([], self.wrong_checksums(capture, least=echoed / 10)[:5], f"captured on {host}")
        last = self.accounted()
        least, counted, most = last[0] - first[2], last[1] - first[1], last[2] - first[0]
        print(f"packets: {least} to {most} came in, {counted} are counted by reason")
        self.assertLessEqual(least, counted)
        self.assertLessEqual(counted, most)


if __name__ == "__main__":
    support.main()
