#!/usr/bin/python3
"""VIPs that somebody else has are refused before anything changes, and taken with --force."""

import ipaddress

import support
from support import LB_ADDRESS, VIP, VIP6


class TakenVip(support.LabTest):
    def setUp(self):
        super().setUp()
        self.lab.attach()
        self.lab.start_controller()

    def create(self, address, *more):
        return self.lab.ctl("loadbalancer", "create", "--vip-address", address, *more, check=False)

    def assert_refused(self, address, why):
        result = self.create(address)
        self.assertEqual(1, result.returncode, result.stdout)
        self.assertIn(f"IP address {ipaddress.ip_address(address)} is {why}", result.stderr)
        self.assertIn("--force", result.stderr)
        self.assertEqual([], self.lab.rows("loadbalancer", "list"))

    def test_the_hosts_own_address_and_its_gateway_are_refused_and_stay_reachable(self):
        self.assert_refused(LB_ADDRESS, "this host's own (eth0)")
        self.assert_refused("10.0.0.1", "the gateway of a route of this host (eth0)")
        for address in (LB_ADDRESS, "10.0.0.1"):
            self.lab.run("member1", "ping", "-c", "1", "-W", "2", address)

    def test_a_neighbours_address_is_refused_over_ipv4_and_ipv6(self):
        self.assert_refused(self.lab.address(1), "in use: ")
        self.assert_refused(self.lab.address(2, ipv6=True), "in use: ")

    def test_the_same_for_additional_vips_and_floating_ips(self):
        result = self.create(VIP, "--additional-vip", f"ip-address={self.lab.address(1, ipv6=True)}")
        self.assertEqual(1, result.returncode)
        self.assertIn("is in use: ", result.stderr)
        self.lab.ctl("loadbalancer", "create", "--vip-address", VIP, "--name", "lb")
        result = self.lab.ctl("floating-ip", "set", "--load-balancer", "lb", self.lab.address(1), check=False)
        self.assertEqual(1, result.returncode)
        self.assertIn("is in use: ", result.stderr)
        self.lab.ctl("floating-ip", "set", "--load-balancer", "lb", "--force", self.lab.address(1))

    def test_force_takes_it_all_the_same(self):
        self.assertEqual(0, self.create(self.lab.address(1), "--force").returncode)

    def test_a_free_address_is_taken(self):
        for address in (VIP, VIP6):
            self.assertEqual(0, self.create(address).returncode)

    def test_a_vip_that_is_there_after_a_restart_stays(self):
        self.assertEqual(0, self.create(VIP).returncode)
        self.lab.kill("lb", "sluiced")
        self.lab.start_controller()
        self.assertEqual([VIP], [row["vip_address"] for row in self.lab.rows("loadbalancer", "list")])


if __name__ == "__main__":
    support.main()
