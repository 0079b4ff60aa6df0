#!/usr/bin/python3
"""Processes of the load balancer's own host are clients of its VIPs after `sluice-loader attach --host`."""

import json
import pathlib

import support
from support import PYTHON, VIP, VIP6, wait_for

# Asks each member in turn, and tells whom it takes for its peer.
ASK = """
import json, socket, sys
seen = []
for _ in range(int(sys.argv[2])):
    with socket.create_connection((sys.argv[1], 80), timeout=60) as s, s.makefile("r") as stream:
        s.sendall(b"who\\n")
        seen.append((stream.readline().strip(), s.getpeername()[0], s.getpeername()[1]))
print(json.dumps(seen))
"""
# Sends three datagrams from one socket that is not connected; tells from whom the answers came.
DATAGRAMS = """
import json, socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
seen = []
for _ in range(3):
    s.sendto(b"who", (sys.argv[1], 53))
    data, peer = s.recvfrom(100)
    seen.append((data.decode().split()[0], *peer[:2]))
print(json.dumps(seen))
"""


class HostClient(support.LabTest):
    def asks(self, vip, times=4):
        return json.loads(self.lab.run("lb", PYTHON, "-c", ASK, vip, times).stdout)

    def refusal(self, vip):
        code = f"import socket; socket.create_connection(('{vip}', 80), 60)"
        return self.lab.run("lb", PYTHON, "-c", code, check=False).stderr

    def counts(self):
        return json.loads(self.lab.loader("status", "-f", "json").stdout)["host"]

    def test_its_processes_reach_members_by_the_vip(self):
        if " cgroup2 " not in pathlib.Path("/proc/self/mounts").read_text():
            self.skipTest("no cgroup file system of version 2 is mounted")
        lab = self.lab
        lab.serve()
        lab.serve_udp(53)
        lab.balance()
        lab.ctl("loadbalancer", "create", "--name", "lb6", "--vip-address", VIP6)
        lab.add_service("lb", 53, 53, protocol="UDP")
        lab.ctl("loadbalancer", "listener", "create", "--name", "l6", "--protocol", "TCP", "--protocol-port", 80, "lb6")
        lab.ctl("loadbalancer", "pool", "create", "--name", "p6", "--listener", "l6", "--protocol", "TCP",
                "--lb-algorithm", "ROUND_ROBIN")
        lab.ctl("loadbalancer", "member", "create", "--address", lab.address(1, True), "--protocol-port", 80, "p6")
        self.assertIsNone(self.counts())
        self.assertIn("reach VIPs", lab.loader("attach", "--host").stdout)
        self.assertIn("already attached", lab.loader("attach", "--host").stdout)

        seen = self.asks(VIP)
        self.assertTrue(support.alternates([member for member, *_ in seen]))
        self.assertEqual([[VIP, 80]] * 4, [peer for _, *peer in seen])
        self.assertEqual([["member1", VIP6, 80]] * 2, self.asks(VIP6, 2))
        # One socket is one session, whose answers come from the VIP.
        answers = json.loads(lab.run("lb", PYTHON, "-c", DATAGRAMS, VIP).stdout)
        self.assertEqual([[answers[0][0], VIP, 53]] * 3, answers)
        self.assertEqual({"connected": 7, "refused": 0}, self.counts())
        # Other hosts' sockets are left alone, though they are in the same cgroup.
        self.assertTrue(support.alternates(lab.client("who", VIP, 80, 4)))
        self.assertEqual({"connected": 7, "refused": 0}, self.counts())

        # A member that is down is not chosen; without any the process is told at once.
        lab.ctl("loadbalancer", "member", "set", "--disable", "80_pool", "80_member_1")
        self.assertEqual({"member2"}, {member for member, *_ in self.asks(VIP)})
        lab.ctl("loadbalancer", "member", "set", "--disable", "80_pool", "80_member_2")
        self.assertIn("ConnectionRefusedError", self.refusal(VIP))
        self.assertEqual(1, self.counts()["refused"])
        lab.ctl("loadbalancer", "member", "set", "--enable", "80_pool", "80_member_1")

        lab.loader("upgrade")
        self.assertEqual({"member1"}, {member for member, *_ in self.asks(VIP)})
        self.assertEqual({"connected": 15, "refused": 1}, self.counts(), "an upgrade keeps the counts")
        self.assertIn("detached", lab.loader("detach", "--host").stdout)
        self.assertIsNone(self.counts())
        lab.loader("attach", "--host")
        lab.loader("detach", "--all")
        wait_for(lambda: "Error" in self.refusal(VIP), 10, "with all pins gone these programs are gone, too")

    def test_what_can_not_be_attached_is_refused(self):
        lab = self.lab
        self.assertIn("Sluice is not loaded", lab.loader("attach", "--host", check=False).stderr)
        lab.attach()
        refused = lab.loader("attach", "--host", "--cgroup", "/nowhere", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("/nowhere", refused.stderr)
        self.assertIsNone(self.counts())
        self.assertIn("--cgroup needs --host", lab.loader("attach", "eth0", "--cgroup", "/", check=False).stderr)


if __name__ == "__main__":
    support.main()
