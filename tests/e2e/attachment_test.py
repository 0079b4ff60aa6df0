#!/usr/bin/python3
"""What sluice-loader puts on a NIC it can take off again without a trace, and it refuses what cannot work."""

import os
import subprocess
import time

import support


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
