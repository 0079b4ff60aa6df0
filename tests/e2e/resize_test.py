#!/usr/bin/python3
"""`sluice-loader attach --flows N` on a running data plane moves all connections to tables of another size."""

import os

import support
from support import VIP, wait_for

# The number of silent connections; set it to some thousands to measure.
SILENT = int(os.environ.get("SLUICE_TEST_SILENT", 300))


class Resize(support.LabTest):
    topology = "routed"  # two NICs: what one's packets make the other's must find at every moment

    def test_no_connection_notices_that_the_flow_table_gets_another_size(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        # A packet whose flow was not found would end its connection.
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        silent = lab.start_client("keep", VIP, 80, SILENT)
        self.assertEqual("ready\n", silent.stdout.readline())
        lines = lab.start_client("echo", VIP, 80, 20)
        tries = lab.start_client("try", VIP, 80)
        download = lab.start_client("give", VIP, 80, 100_000_000)
        active = lambda: int(lab.rows("loadbalancer", "stats", "show", "lb")["active_connections"])
        wait_for(lambda: active() >= SILENT + 20, 30, "all clients are connected")
        for flows in (200_000, SILENT * 8, 65_536):
            said = lab.loader("attach", "eth0", "--flows", flows).stdout
            self.assertIn(f"with room for {flows} flows", said)
            self.assertIn("connections were moved", said)
        self.assertTrue(lab.finish_client(download)["intact"])
        report, seen, kept = (lab.finish_client(process) for process in (lines, tries, silent))
        self.assertEqual([], report["broken"])
        self.assertEqual([], [what for _, what in seen if what.startswith("error")])
        self.assertGreater(len(seen), 10)
        self.assertEqual({"answered": SILENT, "broken": []}, kept)
        # Each end was noted in the table that had the flow, and counted once.
        wait_for(lambda: active() == 0, 30, "all connections have ended")

    def test_the_controller_sees_the_connections_in_the_other_table(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lines = lab.start_client("echo", VIP, 80, 5)
        lab.wait_for_connections(5)
        lab.loader("attach", "eth0", "--flows", 1000)
        lab.wait_for_connections(5)
        self.assertEqual([], lab.finish_client(lines)["broken"])
        wait_for(lambda: not lab.connections(), 30, "no connection is left")

    def test_a_resize_that_was_killed_is_finished_by_the_next_command(self):
        if support.missing("strace"):
            self.skipTest("needs strace")
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        lines = lab.start_client("echo", VIP, 80, 10)
        lab.wait_for_connections(10)
        # The first rename publishes the new tables, four each the programs of the first, second and last phase; in between
        # the maps are exchanged. Each load keeps the verifier busy for seconds, so one kill per kind.
        for call, number, flows in (("rename", 2, 1000), ("renameat2", 1, 4000), ("rename", 10, 5000)):
            killed = lab.run("lb", "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                             f"inject={call}:signal=KILL:when={number}", support.program("sluice-loader"), "attach", "eth0",
                             "--flows", flows, "--pin-dir", lab.pins, check=False)
            self.assertNotEqual(0, killed.returncode, f"{call} {number} did not happen")
            self.assertTrue((lab.pins / "moving").exists(), f"killed at {call} {number}")
            # A capture is refused, because its program would know only one pair of tables.
            refused = lab.ctl("capture", "-w", "/dev/null", check=False)
            self.assertIn("resize of the flow table was interrupted", refused.stderr)
            self.assertIn(f"with room for {flows} flows", lab.loader("attach", "eth0").stdout)
            self.assertFalse((lab.pins / "moving").exists())
        self.assertEqual([], lab.finish_client(lines)["broken"])


class ResizeMaglev(support.LabTest):
    def test_connections_stay_with_members_that_get_no_new_ones(self):
        lab = self.lab
        lab.hold_vip(VIP)
        lab.serve()
        lab.balance(mode="dsr")
        # A packet whose flow was not found would be adopted: by the other member, which resets its connection.
        lab.ctl("loadbalancer", "pool", "set", "--lb-algorithm", "MAGLEV", "80_pool")
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        lines, silent = lab.start_client("echo", VIP, 80, 20), lab.start_client("keep", VIP, 80, 50)
        self.assertEqual("ready\n", silent.stdout.readline())
        lab.wait_for_connections(70)
        lab.ctl("loadbalancer", "member", "set", "--weight", 0, "80_pool", "80_member_1")
        self.assertIn("connections were moved", lab.loader("attach", "eth0", "--flows", 2000).stdout)
        self.assertEqual({"member2"}, set(lab.client("who", VIP, 80, 10)))
        report = lab.finish_client(lines)
        self.assertEqual([], report["broken"])
        self.assertIn("member1", report["servers"])
        self.assertEqual({"answered": 50, "broken": []}, lab.finish_client(silent))


class ResizeIpv6(support.LabTest):
    def test_ipv6_connections_move_too(self):
        lab = self.lab
        lab.serve()
        lab.balance(vip=support.VIP6)
        lines = lab.start_client("echo", support.VIP6, 80, 20)
        lab.wait_for_connections(20)
        for flows in (1000, 65_536):
            self.assertIn("about 20 connections were moved", lab.loader("attach", "eth0", "--flows", flows).stdout)
        self.assertEqual([], lab.finish_client(lines)["broken"])


if __name__ == "__main__":
    support.main()
