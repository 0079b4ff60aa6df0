#!/usr/bin/python3
"""The walkthrough's balancing over IPv6: same NIC, behind another NIC, behind a gateway."""

import support
from support import VIP6, alternates


class SameNic(support.LabTest):
    def test_answers_alternate_and_members_see_the_vip(self):
        lab = self.lab
        lab.serve()
        lab.balance(vip=VIP6)
        self.assertTrue(alternates(lab.client("who", VIP6, 80, 100)))
        self.assertEqual(VIP6, lab.client("whence", VIP6, 80))
        self.assertTrue(lab.client("give", VIP6, 80, 5_000_000)["intact"])

    def test_live_connections_are_listed_and_forgotten_on_request(self):
        lab = self.lab
        lab.serve()
        lab.balance(vip=VIP6)
        lab.start_client("echo", VIP6, 80, 2)
        flows = lab.wait_for_connections(2)
        self.assertEqual({"[2001:db8::16]:80"}, {flow["vip"] for flow in flows})
        self.assertTrue(all(flow["client"].startswith("[2001:db8:c::10]:") for flow in flows))
        self.assertEqual("2", lab.value("flows", "flush", "--client", "2001:db8:c::/48", "flushed"))
        self.assertEqual([], lab.connections())

    def test_both_versions_live_side_by_side(self):
        lab = self.lab
        lab.serve()
        lab.balance(vip=VIP6)
        lab.ctl("loadbalancer", "create", "--name", "lb4", "--vip-address", support.VIP)
        lab.ctl("loadbalancer", "listener", "create", "--name", "l4", "--protocol", "TCP", "--protocol-port", 80, "lb4")
        lab.ctl("loadbalancer", "pool", "create", "--name", "p4", "--listener", "l4", "--protocol", "TCP",
                "--lb-algorithm", "ROUND_ROBIN")
        for member in (1, 2):
            lab.ctl("loadbalancer", "member", "create", "--address", lab.address(member), "--protocol-port", 80, "p4")
        self.assertTrue(alternates(lab.client("who", support.VIP, 80, 20)))
        self.assertTrue(alternates(lab.client("who", VIP6, 80, 20)))


class BothVersions(support.LabTest):
    def test_one_load_balancer_serves_both_with_members_of_each(self):
        lab = self.lab
        lab.serve()
        lab.attach()
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", support.VIP, "--additional-vip",
                f"ip-address={VIP6}")
        self.assertIn(VIP6, lab.value("loadbalancer", "show", "lb", "additional_vips"))
        lab.ctl("loadbalancer", "listener", "create", "--name", "l", "--protocol", "TCP", "--protocol-port", 80, "lb")
        lab.ctl("loadbalancer", "pool", "create", "--name", "p", "--listener", "l", "--protocol", "TCP",
                "--lb-algorithm", "ROUND_ROBIN")
        for ipv6 in (False, True):
            for member in (1, 2):
                lab.ctl("loadbalancer", "member", "create", "--name", f"m{member}{'v6' if ipv6 else ''}", "--address",
                        lab.address(member, ipv6), "--protocol-port", 80, "p")
        self.assertTrue(alternates(lab.client("who", support.VIP, 80, 20)))
        self.assertTrue(alternates(lab.client("who", VIP6, 80, 20)))
        self.assertEqual(VIP6, lab.client("whence", VIP6, 80))

        exported = lab.ctl("export").stdout
        self.assertIn("additional_vips", exported)
        file = lab.directory / "exported.yaml"
        for spelling in (VIP6, VIP6.upper().replace("::", ":0:0::")):
            file.write_text(exported.replace(f"ip_address: {VIP6}", f"ip_address: {spelling}"))
            self.assertEqual("nothing to change\n", lab.ctl("apply", "-f", file).stdout)

        lab.kill("lb", "sluiced")
        lab.start_controller()
        self.assertTrue(alternates(lab.client("who", VIP6, 80, 20)))
        for member in (1, 2):
            lab.ctl("loadbalancer", "member", "delete", "p", f"m{member}v6")
        self.assertTrue(alternates(lab.client("who", support.VIP, 80, 20)))
        lab.ctl("loadbalancer", "delete", "--cascade", "lb")
        self.assertEqual([], lab.rows("loadbalancer", "list"))


class SecondNic(support.LabTest):
    topology = "routed"

    def test_dnat_keeps_the_clients_address(self):
        lab = self.lab
        lab.serve()
        lab.balance(mode="dnat", vip=VIP6)
        self.assertEqual("2001:db8:c::10", lab.client("whence", VIP6, 80))
        self.assertTrue(alternates(lab.client("who", VIP6, 80, 50)))


class BehindGateway(support.LabTest):
    topology = "gateway"

    def test_members_behind_a_gateway_are_reached_through_it(self):
        lab = self.lab
        lab.serve()
        lab.balance(vip=VIP6)
        self.assertTrue(alternates(lab.client("who", VIP6, 80, 50)))


if __name__ == "__main__":
    support.main()
