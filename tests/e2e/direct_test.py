#!/usr/bin/python3
"""Members that answer clients directly: dsr on the same link, ipip behind another subnet."""

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


class Ipip(support.LabTest):
    topology = "gateway"

    def test_members_elsewhere_answer_themselves(self):
        lab = self.lab
        for vip in (VIP, VIP6):
            lab.hold_vip(vip)
        # The endpoint passes packets on byte by byte, so none may be merged or lack its checksum.
        for host, nic in (("router", "lan"), ("member1", "eth0"), ("member2", "eth0")):
            lab.run(host, "ethtool", "-K", nic, "gro", "off")
        for member in (1, 2):
            lab.start(f"member{member}", "ipip", support.PYTHON, support.HERE / "ipip_endpoint.py")
            support.wait_for(lambda: "ready" in lab.log(f"member{member}", "ipip"), 5, "the tunnel's end")
        lab.serve()
        lab.balance(mode="ipip")
        self.assertTrue(alternates(lab.client("who", VIP, 80, 30)))
        # Full-sized segments don't fit into the tunnel; the client gets an error and sends smaller ones.
        self.assertTrue(lab.client("take", VIP, 80, 2_000_000)["intact"])
        self.assertGreater(lab.reasons().get("too_big_sent", 0), 0)
        self.assertEqual(0, lab.reasons().get("replied", 0))
        lab.ctl("loadbalancer", "delete", "--cascade", "lb")
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP6)
        lab.add_service("lb", 80, 80, mode="ipip", ipv6=True)
        self.assertTrue(alternates(lab.client("who", VIP6, 80, 30)))


if __name__ == "__main__":
    support.main()
