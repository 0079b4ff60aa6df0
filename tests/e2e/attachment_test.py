#!/usr/bin/python3
"""sluice-loader attaches to a NIC, detaches without a trace, and refuses what cannot work."""

import os
import shutil
import subprocess
import time

import support


class UnderTheController(support.LabTest):
    """Pins and NICs change while sluiced runs: it follows within a second or two, or says what is missing."""

    def setUp(self):
        super().setUp()
        self.lab.serve()
        self.lab.balance()
        self.assertTrue(support.alternates(self.who()))

    def who(self):
        return self.lab.client("who", support.VIP, 80, 10)

    def serves_again(self):
        curl = ["curl", "-s", "-o", "/dev/null", "--max-time", "0.5", f"http://{support.VIP}/"]
        unreachable = (7, 28)
        support.wait_for(lambda: self.lab.run("client", *curl, check=False).returncode not in unreachable, 5, "the VIP is served")
        self.assertTrue(support.alternates(self.who()))

    def status(self):
        return self.lab.value("loadbalancer", "show", "lb", "provisioning_status")

    def test_detached_and_attached_again_with_another_size_it_fills_the_new_maps(self):
        lab = self.lab
        lab.loader("detach", "--all")
        lab.loader("attach", "eth0", "--flows", "16384")
        support.wait_for(lambda: "adopted" in lab.log("lb", "sluiced"), 3, "the daemon says so")
        support.wait_for(lambda: self.status() == "ACTIVE", 3, "ACTIVE")
        self.assertTrue(support.alternates(self.who()))
        lab.ctl("loadbalancer", "member", "delete", "80_pool", "80_member_1")
        self.assertEqual({"member2"}, set(self.who()), "and changes go there too")

    def test_while_nothing_is_pinned_the_load_balancer_is_in_error_and_says_why(self):
        lab = self.lab
        lab.loader("detach", "--all")
        support.wait_for(lambda: self.status() == "ERROR", 3, "ERROR")
        lab.ctl("loadbalancer", "member", "set", "--weight", 0, "80_pool", "80_member_1")
        self.assertEqual("ERROR", self.status(), "a change is stored and mends nothing")
        self.assertIn("pins", lab.value("loadbalancer", "show", "lb", "provisioning_error"))
        self.assertIn("are gone", lab.log("lb", "sluiced"))
        lab.attach()
        support.wait_for(lambda: self.status() == "ACTIVE", 3, "ACTIVE again")
        self.assertEqual({"member2"}, set(self.who()))

    def test_pins_that_somebody_removes_by_hand(self):
        """The maps' pins come back unnoticed; without the whole directory nothing is attached, and ERROR says so."""
        lab = self.lab
        (lab.pins / "maps/members").unlink()
        (lab.pins / "flow_expire").unlink()
        support.wait_for(lambda: (lab.pins / "maps/members").exists() and (lab.pins / "flow_expire").exists(), 3, "pinned again")
        self.assertTrue(support.alternates(self.who()))
        self.assertEqual("ACTIVE", self.status())
        shutil.rmtree(lab.pins)
        support.wait_for(lambda: self.status() == "ERROR", 3, "ERROR")
        lab.attach()
        support.wait_for(lambda: self.status() == "ACTIVE", 3, "ACTIVE again")
        self.assertTrue(support.alternates(self.who()))

    def test_a_nic_that_is_deleted_and_made_again_is_attached_again(self):
        lab = self.lab
        lab.replace_nic()
        support.wait_for(lambda: "attached to it again" in lab.log("lb", "sluiced"), 6, "attached again")
        self.serves_again()
        self.assertEqual("ACTIVE", self.status())

    def test_a_link_whose_pin_is_lost_is_attached_again(self):
        lab = self.lab
        lines = lab.start_client("echo", support.VIP, 80, 4)
        lab.wait_for_connections(4)
        (lab.pins / "links/eth0").unlink()
        support.wait_for(lambda: "attached to it again" in lab.log("lb", "sluiced"), 6, "attached again")
        self.assertIn("attached to it again", lab.ctl("events").stdout)
        self.assertTrue(support.alternates(self.who()))
        self.assertEqual([], lab.finish_client(lines)["broken"], "connections outlive the gap")

    def test_a_nic_that_was_detached_on_purpose_stays_detached(self):
        lab = self.lab
        lab.loader("detach", "eth0")
        # A pin that comes back shows that the watch has looked since.
        (lab.pins / "flow_expire").unlink()
        support.wait_for(lambda: (lab.pins / "flow_expire").exists(), 3, "the watch looks")
        self.assertNotIn("prog/xdp", lab.run("lb", "ip", "link", "show", "eth0").stdout)
        self.assertNotIn("attached to it again", lab.log("lb", "sluiced"))


class Attachment(support.LabTest):
    def xdp_on(self, interface="eth0"):
        return "prog/xdp" in self.lab.run("lb", "ip", "link", "show", interface).stdout

    def forwarding(self, interface="eth0"):
        return self.lab.run("lb", "sysctl", "-n", f"net.ipv4.conf.{interface}.forwarding").stdout.strip()

    def test_detach_leaves_no_program_no_pin_and_the_sysctls_as_they_were(self):
        before = self.forwarding()
        self.lab.attach()
        self.assertTrue(self.xdp_on())
        self.assertTrue(self.lab.pins.exists())
        self.assertIn("eth0", self.lab.loader("status").stdout)
        self.lab.loader("detach", "--all")
        self.assertFalse(self.xdp_on())
        self.assertEqual([], sorted(map(str, self.lab.pins.rglob("*"))) if self.lab.pins.exists() else [])
        self.assertEqual(before, self.forwarding())

    def test_it_can_be_attached_again_after_detach(self):
        for _ in range(2):
            self.lab.attach()
            self.lab.loader("detach", "eth0")
        self.assertFalse(self.xdp_on())

    def test_traffic_flows_on_when_every_sluice_process_is_dead(self):
        self.lab.serve()
        self.lab.balance()
        self.lab.kill("lb", "sluiced")
        self.assertTrue(support.alternates(self.lab.client("who", support.VIP, 80, 20)))

    def test_the_first_packet_to_a_forgotten_neighbour_is_not_lost_while_no_controller_runs(self):
        self.lab.serve()
        self.lab.balance()
        self.lab.kill("lb", "sluiced")
        self.lab.run("lb", "ip", "neigh", "flush", "all")
        before = self.lab.syns_sent_again()
        self.assertTrue(support.alternates(self.lab.client("who", support.VIP, 80, 20)))
        self.assertEqual(before, self.lab.syns_sent_again(), "a SYN got lost")

    def test_a_nic_that_goes_down_and_up_breaks_no_connection(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lines = lab.start_client("echo", support.VIP, 80, 4)
        lab.wait_for_connections(4)
        default = lab.run("lb", "ip", "route", "show", "default").stdout.split()
        lab.run("lb", "ip", "link", "set", "eth0", "down")
        time.sleep(1.5)
        lab.run("lb", "ip", "link", "set", "eth0", "up")
        lab.run("lb", "ip", "route", "add", *default)  # as whoever manages the network does
        self.assertTrue(support.alternates(lab.client("who", support.VIP, 80, 20)))
        report = lab.finish_client(lines)  # when each has had an answer, after it has sent its line again
        self.assertEqual([], report["broken"])
        self.assertGreater(report["longest_wait"], 1, "it was down")

    def test_another_program_on_the_nic_is_named_and_left_there(self):
        pin = f"/sys/fs/bpf/{self.lab.name}-other"
        subprocess.run(["bpftool", "prog", "load", self.lab.directory / "pass.o", pin, "type", "xdp"], check=True)
        try:
            self.lab.run("lb", "bpftool", "net", "attach", "xdpdrv", "pinned", pin, "dev", "eth0")
        finally:
            os.remove(pin)
        result = self.lab.loader("attach", "eth0", check=False)
        self.assertEqual(1, result.returncode)
        self.assertIn("lab_pass", result.stderr)
        self.assertTrue(self.xdp_on())

    def test_in_ip_netns_exec_the_loader_explains_why_pins_would_not_last(self):
        result = subprocess.run(["ip", "netns", "exec", f"sluice-{self.lab.name}-lb", support.program("sluice-loader"),
                                 "attach", "eth0", "--pin-dir", str(self.lab.pins)], text=True, capture_output=True)
        self.assertEqual(1, result.returncode)
        self.assertEqual(1, len(result.stderr.strip().splitlines()), result.stderr)
        self.assertRegex(result.stderr, "nsenter")
        self.assertFalse(self.xdp_on())


if __name__ == "__main__":
    support.main()
