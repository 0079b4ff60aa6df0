#!/usr/bin/python3
"""scripts/lab itself: hosts reach each other, labs are separate, and nothing is left behind."""

import os
import subprocess

import support
from support import Lab, ROOT


def lab(*arguments, **options):
    return subprocess.run([ROOT / "scripts/lab", *arguments], text=True, capture_output=True, **options)


class TheLab(support.LabTest):
    def traces(self, name):
        return [path for folder in ("/run/netns", "/run/sluice-lab", "/sys/fs/bpf")
                for path in os.listdir(folder) if name in path]

    def test_the_client_reaches_every_host_through_the_router(self):
        for address in (support.LB_ADDRESS, self.lab.address(1), self.lab.address(2)):
            self.lab.run("client", "ping", "-c", "1", "-w", "30", address)

    def test_two_labs_have_the_same_addresses_and_do_not_meet(self):
        with Lab() as other:
            self.lab.serve()
            other.run("client", "ping", "-c", "1", "-w", "30", self.lab.address(1))
            refused = other.curl(f"http://{self.lab.address(1)}/", check=False)
            self.assertEqual("", refused)

    def test_down_leaves_nothing_and_may_be_repeated(self):
        self.lab.start("member1", "sleeper", "sleep", "1000")
        pid = self.lab.service_pid("member1", "sleeper")
        for _ in range(2):
            self.assertEqual(0, lab("down", "--name", self.lab.name).returncode)
        self.assertEqual([], self.traces(self.lab.name))
        self.assertFalse(os.path.exists(f"/proc/{pid}/exe"))

    def test_a_failing_start_leaves_nothing(self):
        result = lab("up", "--name", "e2e-1-half", env={**os.environ, "PATH": f"{self.broken_tools()}:{os.environ['PATH']}"})
        self.assertNotEqual(0, result.returncode)
        self.assertEqual([], self.traces("e2e-1-half"))

    def broken_tools(self):
        """Makes a directory with an ethtool that fails."""
        directory = self.lab.directory / "broken"
        directory.mkdir()
        (directory / "ethtool").write_text("#!/bin/sh\nexit 1\n")
        (directory / "ethtool").chmod(0o755)
        return directory

    def test_a_name_in_use_and_unknown_hosts_are_refused(self):
        again = lab("up", "--name", self.lab.name)
        self.assertEqual((1, True), (again.returncode, "is up already" in again.stderr))
        unknown = lab("exec", "--name", self.lab.name, "member9", "--", "true")
        self.assertEqual((1, True), (unknown.returncode, "no host 'member9'" in unknown.stderr))


if __name__ == "__main__":
    support.main()
