"""Shared by the tests that move all connections to other flow tables: what must not be noticed, and by whom."""

import os

import support
from support import VIP, wait_for

# The number of silent connections; set it to some thousands to measure.
SILENT = int(os.environ.get("SLUICE_TEST_SILENT", 300))
TALKING = 20


class MovingTest(support.LabTest):
    def expect_that_nobody_notices(self, move):
        """Calls move(connections) beside a download, new connections, and so many that talk or are silent."""
        lab = self.lab
        lab.serve()
        lab.balance()
        # A packet whose flow was not found would end its connection.
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        silent = lab.start_client("keep", VIP, 80, SILENT)
        self.assertEqual("ready\n", silent.stdout.readline())
        lines = lab.start_client("echo", VIP, 80, TALKING)
        tries = lab.start_client("try", VIP, 80)
        download = lab.start_client("give", VIP, 80, 100_000_000)
        wait_for(lambda: self.active() >= SILENT + TALKING, 30, "all clients are connected")
        move(SILENT + TALKING)
        self.assertTrue(lab.finish_client(download)["intact"])
        report, seen, kept = (lab.finish_client(process) for process in (lines, tries, silent))
        self.assertEqual([], report["broken"])
        self.assertEqual([], [what for _, what in seen if what.startswith("error")])
        self.assertGreater(len(seen), 10)
        self.assertEqual({"answered": SILENT, "broken": []}, kept)

    def active(self):
        return int(self.lab.rows("loadbalancer", "stats", "show", "lb")["active_connections"])

    def expect_that_ends_were_counted_once(self):
        """All clients have ended their connections. What is closing may be so for 240 s: a FIN that comes before its end's last data,
        by way of another CPU, is taken back by it, with and without a move. But it is in the table, and counts."""
        def seen():
            states = [row["state"] for row in self.lab.rows("flows", "list") if row["protocol"] == "TCP"]
            return states.count("established"), states.count("closing") - self.active()

        wait_for(lambda: seen() == (0, 0), 30, "no connection is established, and those that are closing count as active")

    def expect_that_members_keep_their_connections(self, move):
        """Calls move(connections) while one of two members of a MAGLEV pool gets no new ones."""
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
        move(70)
        self.assertEqual({"member2"}, set(lab.client("who", VIP, 80, 10)))
        report = lab.finish_client(lines)
        self.assertEqual([], report["broken"])
        self.assertIn("member1", report["servers"])
        self.assertEqual({"answered": 50, "broken": []}, lab.finish_client(silent))

    def start_lines(self, count, vip=VIP):
        """Some clients that talk, and that a packet whose flow was not found would end."""
        lab = self.lab
        lab.serve()
        lab.balance(vip=vip)
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        lines = lab.start_client("echo", vip, 80, count)
        lab.wait_for_connections(count)
        return lines

    def kill_at(self, call, number, *arguments):
        """Runs sluice-loader until it makes so many of these system calls; then it is killed, and not done."""
        lab = self.lab
        killed = lab.run("lb", "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                         f"inject={call}:signal=KILL:when={number}", support.program("sluice-loader"), *arguments, "--pin-dir",
                         lab.pins, check=False)
        self.assertNotEqual(0, killed.returncode, f"{call} {number} did not happen")
        self.assertTrue(self.is_under_way(), f"killed at {call} {number}")

    def is_under_way(self):
        return (self.lab.pins / "moving").exists()
