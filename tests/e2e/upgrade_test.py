#!/usr/bin/python3
"""`sluice-loader upgrade` and `sluicectl loadbalancer failover` swap the program under live traffic and break nothing."""

import fcntl
import re

import support
from support import VIP


class Upgrade(support.LabTest):
    def program(self):
        return re.search(r"prog/xdp id (\d+)", self.lab.run("lb", "ip", "link", "show", "eth0").stdout)[1]

    def reloads(self):
        return [line for line in self.lab.ctl("events").stdout.splitlines() if "reloaded" in line]

    def fail_over(self):
        self.lab.ctl("loadbalancer", "failover", "--wait", "lb")
        self.assertEqual("ACTIVE", self.lab.value("loadbalancer", "show", "lb", "provisioning_status"))

    def test_eight_upgrades_under_load(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lines = lab.start_client("echo", VIP, 80, 10)
        tries = lab.start_client("try", VIP, 80)
        download = lab.start_client("give", VIP, 80, 200_000_000)
        for _ in range(8):
            lab.loader("upgrade")
        self.fail_over_three_times()
        self.assertTrue(lab.finish_client(download)["intact"])
        report, seen = lab.finish_client(lines), lab.finish_client(tries)
        self.assertEqual([], report["broken"])
        self.assertEqual([], [what for _, what in seen if what.startswith("error")])
        self.assertGreater(len(seen), 10)
        self.while_a_loader_works_the_old_program_goes_on()

    def fail_over_three_times(self):
        for number in range(1, 4):
            before = self.program()
            self.fail_over()
            self.assertNotEqual(before, self.program())
            self.assertEqual(number, len(self.reloads()))
            self.assertIn(f"program {before} replaced by {self.program()} (eth0)", str(self.reloads()))

    def while_a_loader_works_the_old_program_goes_on(self):
        before = self.program()
        name = str(self.lab.pins).strip("/").replace("/", "-")
        with open(f"/run/sluice/{name}.change", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.fail_over()
        self.assertEqual(before, self.program())
        self.assertIn("not reloaded: the pin directory", str(self.reloads()))
        self.assertTrue(support.alternates(self.lab.client("who", VIP, 80, 10)))


if __name__ == "__main__":
    support.main()
