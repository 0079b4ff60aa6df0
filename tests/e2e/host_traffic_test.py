#!/usr/bin/python3
"""The host's own connections, ARP and ping on the NIC are unchanged while Sluice is attached."""

import support
from support import LB_ADDRESS, PYTHON, VIP


class HostTraffic(support.LabTest):
    def mac_of_lb(self):
        return self.lab.run("lb", "ip", "-brief", "link", "show", "eth0").stdout.split()[2]

    def arping(self, address, seconds=20):
        """Returns the MACs that answer for the address on the LAN: of two answers, or of those that come in time."""
        output = self.lab.run("router", "arping", "-c", "2", "-w", seconds, "-I", "lan", address, check=False).stdout
        return {word.strip("[]").lower() for line in output.splitlines() if "reply" in line
                for word in line.split() if word.startswith("[")}

    def ping(self, address, seconds=20):
        return self.lab.run("client", "ping", "-c", "1", "-i", "0.2", "-w", seconds, address, check=False).returncode == 0

    def test_a_login_to_the_lb_survives_attach_balancing_and_detach(self):
        lab = self.lab
        lab.start("lb", "login", PYTHON, support.HERE / "tcp_server.py", 22)
        lab.wait_listening("lb", 22)
        login = lab.start_client("echo", LB_ADDRESS, 22, 3)
        lab.serve()
        lab.balance()
        self.assertEqual(200, len(lab.client("who", VIP, 80, 200)))
        self.assertEqual(["lb"] * 20, lab.client("who", LB_ADDRESS, 22, 20), "new logins while attached")
        lab.loader("detach", "--all")
        report = lab.finish_client(login)
        self.assertEqual([], report["broken"])
        self.assertEqual({"lb"}, set(report["servers"]))

    def test_the_host_answers_arp_and_ping_for_itself(self):
        self.lab.balance()
        self.assertEqual({self.mac_of_lb()}, self.arping(LB_ADDRESS))
        self.assertTrue(self.ping(LB_ADDRESS))
        self.assertTrue(self.ping(self.lab.address(1)), "a neighbour's host address")

    def test_the_vip_answers_arp_and_ping_only_while_it_exists(self):
        self.lab.attach()
        self.lab.start_controller()
        self.assertEqual(set(), self.arping(VIP, seconds=2))
        self.lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP)
        self.assertEqual({self.mac_of_lb()}, self.arping(VIP))
        self.assertTrue(self.ping(VIP))
        self.lab.ctl("loadbalancer", "delete", "lb")
        self.assertEqual(set(), self.arping(VIP, seconds=2))
        self.assertFalse(self.ping(VIP, seconds=1))

    def test_the_lb_reaches_others_from_its_own_address(self):
        self.lab.serve()
        self.lab.balance()
        answer = self.lab.run("lb", PYTHON, support.HERE / "tcp_client.py", "whence", self.lab.address(1), 80)
        self.assertIn(LB_ADDRESS, answer.stdout)


if __name__ == "__main__":
    support.main()
