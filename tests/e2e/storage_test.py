#!/usr/bin/python3
"""The state directory's faults never touch traffic: its disk hangs, is full or becomes read-only; its files are
lost, old, or another daemon's. Dead members still lose their connections, and no VIP disappears that nobody removed."""

import atexit
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import support
from support import VIP, wait_for


def output_of(*command, check=True):
    return subprocess.run([str(word) for word in command], text=True, capture_output=True, check=check,
                          timeout=60 * support.PATIENCE)


def disk_is_missing():
    """Returns why there can be no file system on a loop device here; None if there can."""
    for tool in ("losetup", "mkfs.ext4", "fsfreeze", "mount"):
        if support.missing(tool):
            return f"{tool} is not installed (run: sudo scripts/install-deps)"
    if output_of("losetup", "--find", check=False).returncode != 0:
        return "this machine has no loop devices"
    return None


class Disk:
    """A small ext4 file system on a loop device, mounted in a directory of its own."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-storage-"))
        self.image = self.directory / "image"
        self.mount = self.directory / "mnt"
        self.mount.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(16 * 2**20)
        output_of("mkfs.ext4", "-q", "-F", "-O", "^has_journal", self.image)
        output_of("mount", "-o", "loop,errors=remount-ro", self.image, self.mount)
        self.frozen = False
        atexit.register(self.remove)

    def freeze(self):
        output_of("fsfreeze", "--freeze", self.mount)
        self.frozen = True

    def thaw(self):
        output_of("fsfreeze", "--unfreeze", self.mount)
        self.frozen = False

    def fill(self):
        with open(self.mount / "filler", "wb") as filler:
            try:
                while True:
                    filler.write(bytes(65536))
            except OSError:
                pass
        try:
            with open(self.mount / "filler2", "wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(512))
        except OSError:
            pass

    def make_room(self):
        for filler in self.mount.glob("filler*"):
            filler.unlink()

    def make_read_only(self):
        """Makes it read-only, as ext4 does itself after an error."""
        device = pathlib.Path(output_of("findmnt", "-n", "-o", "SOURCE", self.mount).stdout.strip()).name
        pathlib.Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")

    def remove(self):
        if not self.directory.exists():
            return
        if self.frozen:
            self.thaw()
        output_of("umount", "--lazy", self.mount, check=False)
        shutil.rmtree(self.directory)


class Storage(support.LabTest):
    def serve(self):
        self.lab.serve()
        self.lab.balance()

    def add_monitor(self):
        lab = self.lab
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "80_check", "--delay", 1, "--timeout", 1,
                "--max-retries", 1, "--max-retries-down", 2, "--type", "tcp", "80_pool")
        self.wait_for_statuses("ONLINE", "ONLINE")

    def wait_for_statuses(self, first, second):
        wanted = {"80_member_1": first, "80_member_2": second}
        wait_for(lambda: self.lab.member_statuses("80_pool") == wanted, 8, f"statuses {wanted}")

    def stop_controller(self):
        self.lab.stop("lb", "sluiced")

    def start_again(self, *options, state=None):
        """Starts sluiced, which must refuse; returns its message."""
        lab = self.lab
        return lab.run("lb", support.program("sluiced"), "--state-dir", state or lab.state, "--socket", lab.socket, "--pin-dir",
                       lab.pins, *options, check=False, timeout=10)


@unittest.skipIf(disk_is_missing(), disk_is_missing())
class SickDisk(Storage):
    def setUp(self):
        super().setUp()
        self.disk = Disk()
        self.addCleanup(self.disk.remove)  # before the lab goes: nothing ends while it hangs
        self.lab.state = self.disk.mount / "state"
        self.serve()
        self.add_monitor()

    def member_1_dies_and_is_evicted(self):
        lab = self.lab
        lab.run("member1", "ip", "link", "set", "eth0", "down")
        self.wait_for_statuses("ERROR", "ONLINE")
        self.assertEqual({"member2"}, set(lab.client("who", VIP, 80, 20)))

    def member_1_returns(self):
        self.lab.run("member1", "ip", "link", "set", "eth0", "up")
        self.lab.run("member1", "ip", "route", "replace", "default", "via", "10.0.0.1")
        self.wait_for_statuses("ONLINE", "ONLINE")

    def set_name(self, name):
        return ("loadbalancer", "set", "--name", name, "lb")

    def refused_with(self, text):
        """Makes changes until the disk is full (existing files may have room): nothing of the refused one may be
        visible."""
        lab = self.lab
        for _ in range(200):
            before = lab.ctl("loadbalancer", "show", "lb").stdout
            result = lab.ctl("loadbalancer", "set", "--description", "x" * 250, "lb", check=False)
            if result.returncode != 0:
                self.assertEqual(1, result.returncode)
                self.assertIn(text, result.stderr)
                self.assertEqual(before, lab.ctl("loadbalancer", "show", "lb").stdout)
                return
            lab.ctl("loadbalancer", "set", "--description", "y" * 250, "lb", check=False)
        self.fail("the disk took everything")

    def events_saying(self, text, kind):
        return [event for event in self.lab.rows("events", "--kind", kind) if text in event["message"]]

    def test_while_the_disk_hangs_a_dead_member_is_evicted_reads_answer_and_a_change_waits(self):
        lab = self.lab
        self.disk.freeze()
        change = lab.spawn("lb", support.program("sluicectl"), "--socket", lab.socket, *self.set_name("renamed"))
        self.member_1_dies_and_is_evicted()
        self.assertIsNone(change.poll(), "a change was acknowledged that is not on the disk")
        self.assertEqual("lb", lab.value("loadbalancer", "show", "lb", "name"), "reads are answered meanwhile")
        self.assertTrue(self.events_saying("is down", "health"), "and so are events of what happens")
        self.assertFalse(self.events_saying("-> renamed", "change"), "but none of a change that has not happened")
        wait_for(lambda: "has not taken a change" in lab.log("lb", "sluiced"), 15, "the log tells of the disk")
        self.disk.thaw()  # before sluicectl's patience ends, however busy the machine is
        self.assertEqual(0, change.wait(timeout=10 * support.PATIENCE), change.stderr.read())
        self.assertEqual("renamed", lab.value("loadbalancer", "show", "renamed", "name"))
        self.assertTrue(self.events_saying("-> renamed", "change"))
        self.disk.freeze()
        self.member_1_returns()
        self.disk.thaw()
        # Changes that the disk missed are there, too.
        lab.kill("lb", "sluiced")
        lab.start_controller()
        self.assertEqual("renamed", lab.value("loadbalancer", "show", "renamed", "name"))
        self.assertTrue(self.events_saying("-> renamed", "change"))
        self.wait_for_statuses("ONLINE", "ONLINE")

    def end(self):
        """SIGTERM; when nothing of sluiced is left to be seen but what waits for the disk."""
        lab = self.lab
        os.kill(lab.service_pid("lb", "sluiced"), signal.SIGTERM)
        wait_for(lambda: not lab.lives("lb", "sluiced"), 15, "sluiced ends")
        self.assertFalse(lab.socket.exists())
        self.assertEqual({"member1", "member2"}, set(lab.client("who", VIP, 80, 10)), "traffic goes on")

    def test_sluiced_ends_while_the_disk_hangs_and_what_was_acknowledged_is_there_later(self):
        lab = self.lab
        lab.ctl(*self.set_name("acknowledged"))
        self.disk.freeze()
        self.end()
        self.assertIn("does not take the last changes", lab.log("lb", "sluiced"))
        self.disk.thaw()
        wait_for(lambda: not self.holds_lock(), 5, "the kernel lets go of the process")
        lab.start_controller()
        self.assertEqual(["acknowledged"], [row["name"] for row in lab.rows("loadbalancer", "list")])

    def holds_lock(self):
        with open(self.lab.state / "lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def test_on_a_full_disk_changes_are_refused_and_a_dead_member_is_evicted(self):
        lab = self.lab
        self.disk.fill()
        self.refused_with("full")
        self.member_1_dies_and_is_evicted()
        self.disk.make_room()
        lab.ctl(*self.set_name("renamed"))
        self.member_1_returns()
        lab.kill("lb", "sluiced")
        lab.start_controller()
        self.assertEqual("renamed", lab.value("loadbalancer", "show", "renamed", "name"))

    def test_on_a_disk_that_becomes_read_only_changes_are_refused_and_a_dead_member_is_evicted(self):
        self.disk.make_read_only()
        self.refused_with("sluice.db")
        self.member_1_dies_and_is_evicted()
        self.assertIn("the store refuses changes", self.lab.log("lb", "sluiced"))


class WrongState(Storage):
    def setUp(self):
        super().setUp()
        self.serve()

    def assert_refused(self, result, *texts):
        self.assertEqual(1, result.returncode, result.stdout + result.stderr)
        for text in (*texts, "--accept-older-state"):
            self.assertIn(text, result.stderr)
        self.assertEqual({"member1", "member2"}, set(self.lab.client("who", VIP, 80, 10)), "traffic goes on")

    def test_a_state_directory_with_a_typo_removes_no_vip(self):
        self.stop_controller()
        typo = self.lab.directory / "sate"
        result = self.start_again(state=typo)
        self.assert_refused(result, str(typo), "holds nothing", f"would remove VIP {VIP}")
        self.lab.start_controller()
        self.assertEqual(["lb"], [row["name"] for row in self.lab.rows("loadbalancer", "list")])

    def test_a_database_that_lost_its_wal_removes_no_vip(self):
        lab = self.lab
        lab.kill("lb", "sluiced")  # no goodbye: what was changed last is in the WAL only
        wal = lab.state / "sluice.db-wal"
        self.assertGreater(wal.stat().st_size, 0)
        kept = wal.read_bytes()
        wal.unlink()
        self.assert_refused(self.start_again(), str(lab.state), f"would remove VIP {VIP}")
        # Half of the file is as bad.
        wal.write_bytes(kept[:len(kept) // 2])
        self.assert_refused(self.start_again(), "is older than what the data plane carries")
        wal.write_bytes(kept)
        lab.start_controller()
        self.assertEqual(["lb"], [row["name"] for row in lab.rows("loadbalancer", "list")])

    def test_an_old_copy_is_taken_only_by_request_and_is_the_newest_then(self):
        lab = self.lab
        self.stop_controller()
        copy = lab.directory / "copy"
        shutil.copytree(lab.state, copy)
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "second", "--vip-address", "10.0.0.17")
        self.stop_controller()
        newest, lab.state = lab.state, copy
        self.assert_refused(self.start_again(), "is older than what the data plane carries", "would remove VIP 10.0.0.17")
        lab.start_controller("--accept-older-state")
        self.assertEqual(["lb"], [row["name"] for row in lab.rows("loadbalancer", "list")])
        self.stop_controller()
        lab.start_controller()
        self.stop_controller()
        # From now on the other store is the old one.
        self.assert_refused(self.start_again(state=newest), "is older than what the data plane carries")


class TwoDaemons(Storage):
    def setUp(self):
        super().setUp()
        self.serve()

    def test_a_second_daemon_is_refused_by_name_on_the_pins_and_on_the_state(self):
        lab = self.lab
        first = f"in use by sluiced (pid {lab.service_pid('lb', 'sluiced')})"
        arguments = {"--state-dir": lab.state, "--socket": lab.socket, "--pin-dir": lab.pins}
        others = {"--state-dir": lab.directory / "other-state", "--socket": lab.directory / "other.sock",
                  "--pin-dir": f"{lab.pins}-other"}
        for shared, told in (("--pin-dir", f"the pin directory {lab.pins} is {first}"),
                             ("--state-dir", f"the state directory {lab.state} is {first}")):
            with self.subTest(shared=shared):
                mixed = others | {shared: arguments[shared]}
                result = lab.run("lb", support.program("sluiced"), *(word for pair in mixed.items() for word in pair),
                                 check=False, timeout=10)
                self.assertEqual(1, result.returncode)
                self.assertIn(told, result.stderr)
                self.assertIn(f"choose another {shared}", result.stderr)
        self.assertEqual({"member1", "member2"}, set(lab.client("who", VIP, 80, 10)))
        lab.kill("lb", "sluiced")
        lab.start_controller()  # the locks die with their process

    def test_a_running_daemon_keeps_nobody_from_looking_upgrading_or_attaching(self):
        lab = self.lab
        lab.loader("status")
        lab.loader("upgrade")
        lab.loader("attach", "eth0")
        self.assertEqual({"member1", "member2"}, set(lab.client("who", VIP, 80, 10)))

    def test_loaders_wait_for_each_other(self):
        lab = self.lab
        upgrades = [lab.spawn("lb", support.program("sluice-loader"), "upgrade", "--pin-dir", lab.pins) for _ in range(3)]
        for upgrade in upgrades:
            self.assertEqual(0, upgrade.wait(timeout=60 * support.PATIENCE), upgrade.stderr.read())
        self.assertEqual({"member1", "member2"}, set(lab.client("who", VIP, 80, 10)))


if __name__ == "__main__":
    support.main()
