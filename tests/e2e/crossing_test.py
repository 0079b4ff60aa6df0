#!/usr/bin/python3
"""`sluice-loader upgrade` carries all connections to flow tables of another layout and back, and breaks none."""

import os
import re
import threading

import support
from support import VIP, wait_for

# The number of silent connections; set it to some thousands to measure.
SILENT = int(os.environ.get("SLUICE_TEST_SILENT", 300))


class Crossing(support.LabTest):
    def there(self, *arguments, check=True):
        """Runs the loader of a version whose flow tables have another layout."""
        return self.lab.run("lb", support.BUILD / "tests/e2e/other_layout/loader_of_other_layout", *arguments, "--pin-dir",
                            self.lab.pins, check=check)

    def back(self):
        return self.lab.loader("upgrade")

    def carried(self, result):
        return int(re.search(r"(\d+) connections were carried", result.stdout)[1])

    def there_and_back(self, connections):
        for upgraded in (self.there("upgrade"), self.back()):
            self.assertGreaterEqual(self.carried(upgraded), connections)
            self.assertFalse((self.lab.pins / "moving").exists())


class Changes(threading.Thread):
    """Creates load balancers and deletes them again until stop() is called; each third one stays."""

    def __init__(self, lab):
        super().__init__()
        self.lab, self.over, self.kept = lab, threading.Event(), []

    def run(self):
        number = 0
        while not self.over.wait(0.1):
            number += 1
            name = f"other{number}"
            self.lab.ctl("loadbalancer", "create", "--name", name, "--vip-address", f"10.0.0.{100 + number}")
            if number % 3:
                self.lab.ctl("loadbalancer", "delete", name)
            else:
                self.kept.append(name)

    def stop(self):
        self.over.set()
        self.join()


class Upgrade(Crossing):
    topology = "routed"  # two NICs: what one's packets make the other's must find at every moment

    def test_no_connection_notices_another_layout(self):
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
        changes = Changes(lab)
        changes.start()
        self.there_and_back(SILENT + 20)
        changes.stop()
        self.assertTrue(lab.finish_client(download)["intact"])
        report, seen, kept = (lab.finish_client(process) for process in (lines, tries, silent))
        self.assertEqual([], report["broken"])
        self.assertEqual([], [what for _, what in seen if what.startswith("error")])
        self.assertGreater(len(seen), 10)
        self.assertEqual({"answered": SILENT, "broken": []}, kept)
        # What was changed meanwhile is as it should be.
        self.assertGreater(len(changes.kept), 0)
        statuses = lambda: {row["name"]: row["provisioning_status"] for row in lab.rows("loadbalancer", "list")}
        wait_for(lambda: statuses() == {name: "ACTIVE" for name in ["lb", *changes.kept]}, 30, "all load balancers are ACTIVE")
        # Each end was noted in the tables that had the flow, and counted once. That takes 240 s where data came later than its
        # end's FIN, by way of another CPU, as it may also without an upgrade: data takes a FIN back.
        wait_for(lambda: active() == 0, 30, "all connections have ended")


class Killed(Crossing):
    def test_an_upgrade_that_was_killed_is_finished_by_the_next_command(self):
        if support.missing("strace"):
            self.skipTest("needs strace")
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        lines = lab.start_client("echo", VIP, 80, 10)
        lab.wait_for_connections(10)
        self.there("upgrade")
        # Each is killed before that call: before the former tables are published, and when some of the programs that ask the
        # former one are pinned.
        for call, number in (("renameat2", 1), ("rename", 5)):
            killed = lab.run("lb", "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                             f"inject={call}:signal=KILL:when={number}", support.program("sluice-loader"), "upgrade",
                             "--pin-dir", lab.pins, check=False)
            self.assertNotEqual(0, killed.returncode, f"{call} {number} did not happen")
            self.assertTrue((lab.pins / "moving").exists(), f"killed at {call} {number}")
            self.back()
            self.assertFalse((lab.pins / "moving").exists())
            self.there("upgrade")
        self.back()
        self.assertEqual([], lab.finish_client(lines)["broken"])


class Maglev(Crossing):
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
        self.there_and_back(70)
        self.assertEqual({"member2"}, set(lab.client("who", VIP, 80, 10)))
        report = lab.finish_client(lines)
        self.assertEqual([], report["broken"])
        self.assertIn("member1", report["servers"])
        self.assertEqual({"answered": 50, "broken": []}, lab.finish_client(silent))


class Ipv6(Crossing):
    def test_ipv6_connections_are_carried_too(self):
        lab = self.lab
        lab.serve()
        lab.balance(vip=support.VIP6)
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        lines = lab.start_client("echo", support.VIP6, 80, 20)
        lab.wait_for_connections(20)
        self.there_and_back(20)
        self.assertEqual([], lab.finish_client(lines)["broken"])


if __name__ == "__main__":
    support.main()
