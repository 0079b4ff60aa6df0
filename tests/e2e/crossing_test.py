#!/usr/bin/python3
"""`sluice-loader upgrade` carries all connections to flow tables of another layout and back, and breaks none."""

import re
import threading

import support
from moving import MovingTest
from support import wait_for


class Crossing(MovingTest):
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
            self.assertFalse(self.is_under_way())


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
        changes = Changes(lab)

        def upgrade(connections):
            changes.start()
            try:
                self.there_and_back(connections)
            finally:
                changes.stop()

        self.expect_that_nobody_notices(upgrade)
        # What was changed meanwhile is as it should be.
        self.assertGreater(len(changes.kept), 0)
        statuses = lambda: {row["name"]: row["provisioning_status"] for row in lab.rows("loadbalancer", "list")}
        wait_for(lambda: statuses() == {name: "ACTIVE" for name in ["lb", *changes.kept]}, 30, "all load balancers are ACTIVE")
        self.expect_that_ends_were_counted_once()


class Killed(Crossing):
    def test_an_upgrade_that_was_killed_is_finished_by_the_next_command(self):
        if support.missing("strace"):
            self.skipTest("needs strace")
        lines = self.start_lines(10)
        self.there("upgrade")
        # Each is killed before that call: before the former tables are published, and when some of the programs that ask the
        # former one are pinned.
        for call, number in (("renameat2", 1), ("rename", 5)):
            self.kill_at(call, number, "upgrade")
            self.back()
            self.assertFalse(self.is_under_way())
            self.there("upgrade")
        self.back()
        self.assertEqual([], self.lab.finish_client(lines)["broken"])


class Maglev(Crossing):
    def test_connections_stay_with_members_that_get_no_new_ones(self):
        self.expect_that_members_keep_their_connections(self.there_and_back)


class Ipv6(Crossing):
    def test_ipv6_connections_are_carried_too(self):
        lines = self.start_lines(20, support.VIP6)
        self.there_and_back(20)
        self.assertEqual([], self.lab.finish_client(lines)["broken"])


if __name__ == "__main__":
    support.main()
