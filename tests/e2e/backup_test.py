#!/usr/bin/python3
"""The whole state as a file: backed up, compared and restored; and sluiced is started from it."""

import os
import pathlib
import pty
import stat
import subprocess

import support
from support import VIP, alternates


class Backups(support.LabTest):
    def setUp(self):
        super().setUp()
        self.lab.serve()
        self.lab.balance()
        self.file = pathlib.Path(self.lab.directory) / "backup.db"

    def who(self):
        return self.lab.client("who", VIP, 80, 10)

    def test_a_mistake_is_undone_and_ids_stay(self):
        lab, file = self.lab, self.file
        ids = [row["id"] for row in lab.rows("loadbalancer", "member", "list", "80_pool")]
        lab.ctl("backup", file)
        self.assertEqual(0o600, stat.S_IMODE(file.stat().st_mode))
        self.assertEqual("nothing to change\n", lab.ctl("restore", file, "--dry-run").stdout)
        lab.ctl("loadbalancer", "delete", "--cascade", "lb")
        shown = lab.ctl("restore", file, "--dry-run").stdout
        self.assertIn("+ created Load Balancer lb", shown)
        self.assertEqual([], lab.rows("loadbalancer", "list"))
        unasked = lab.ctl("restore", file, check=False)
        self.assertEqual(1, unasked.returncode)
        self.assertIn("--yes", unasked.stderr)
        self.assertEqual([], lab.rows("loadbalancer", "list"))
        lab.ctl("restore", file, "--yes")
        self.assertEqual(ids, [row["id"] for row in lab.rows("loadbalancer", "member", "list", "80_pool")])
        self.assertTrue(alternates(self.who()))
        lab.kill("lb", "sluiced")
        lab.start_controller()
        self.assertTrue(alternates(self.who()), "what was restored is the newest")

    def ask(self, answer):
        """Restores on a terminal and answers the question."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([*self.lab.prefix("lb"), support.program("sluicectl"), "--socket", str(self.lab.socket),
                                    "restore", str(self.file)], stdin=theirs, stdout=subprocess.PIPE, text=True)
        os.close(theirs)
        os.write(ours, answer.encode() + b"\n")
        output, _ = process.communicate(timeout=60)
        os.close(ours)
        return process.returncode, output

    def test_on_a_terminal_it_asks(self):
        lab = self.lab
        lab.ctl("backup", self.file)
        lab.ctl("loadbalancer", "set", "--name", "other", "lb")
        code, output = self.ask("n")
        self.assertEqual(1, code)
        self.assertIn("name other -> lb", output)
        self.assertIn("Make it so? [y/N]", output)
        self.assertEqual(["other"], [row["name"] for row in lab.rows("loadbalancer", "list")])
        self.assertEqual(0, self.ask("y")[0])
        self.assertEqual(["lb"], [row["name"] for row in lab.rows("loadbalancer", "list")])

    def test_a_lost_state_directory_is_filled_from_it_and_no_connection_breaks(self):
        lab = self.lab
        lab.ctl("backup", self.file)
        lines = lab.start_client("echo", VIP, 80, 4)
        lab.wait_for_connections(4)
        lab.kill("lb", "sluiced")
        state = pathlib.Path(lab.state)
        for file in state.iterdir():
            if file.name.startswith("sluice.db"):
                file.unlink()
        (state / "sluice.db").write_bytes(self.file.read_bytes())
        lab.start_controller("--accept-older-state")
        self.assertTrue(alternates(self.who()))
        self.assertEqual([], lab.finish_client(lines)["broken"])

    def test_what_is_no_backup_changes_nothing(self):
        self.file.write_text("loadbalancers: []\n")
        result = self.lab.ctl("restore", self.file, "--yes", check=False)
        self.assertEqual(1, result.returncode)
        self.assertIn("restore", result.stderr)
        self.assertTrue(alternates(self.who()))
        self.assertEqual(1, self.lab.ctl("backup", "/nowhere/backup.db", check=False).returncode)


if __name__ == "__main__":
    support.main()
