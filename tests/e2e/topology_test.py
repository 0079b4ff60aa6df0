#!/usr/bin/python3
"""Members on the same NIC, behind another NIC and behind a gateway; what they see of the client in each mode."""

import support
from support import VIP, alternates

CLIENT = "203.0.113.10"


class SameNic(support.LabTest):
    def test_fullnat_shows_members_the_vip_as_client(self):
        self.lab.serve()
        self.lab.balance()
        self.assertEqual(VIP, self.lab.client_as_seen_by_member())

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


class SecondNic(support.LabTest):
    topology = "routed"

    def test_dnat_keeps_the_clients_address(self):
        self.lab.serve()
        self.lab.balance(mode="dnat")
        self.assertEqual(CLIENT, self.lab.client_as_seen_by_member())
        self.assertTrue(alternates(self.lab.client("who", VIP, 80, 100)))

    def test_fullnat_works_there_too(self):
        self.lab.serve()
        self.lab.balance(mode="fullnat")
        self.assertEqual(VIP, self.lab.client_as_seen_by_member())
        self.assertTrue(alternates(self.lab.client("who", VIP, 80, 100)))


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
        lab.client("who", VIP, 80, 10)
        lab.run("router", "ip", "link", "set", "lan", "address", "02:00:00:00:77:01")
        lab.run("router", "arping", "-c", "1", "-U", "-I", "lan", "10.0.0.1", check=False)
        self.assertTrue(alternates(lab.client("who", VIP, 80, 20)))
        self.assertEqual([], lab.finish_client(lines)["broken"])


if __name__ == "__main__":
    support.main()
