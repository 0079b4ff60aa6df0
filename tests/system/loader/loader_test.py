"""sluice-loader as its operator runs it: on veth pairs of a network namespace that each test makes and removes."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

LOADER = sys.argv.pop(1)
NAME = f"sluice-loader-test-{os.getpid()}"
PIN_DIR = pathlib.Path("/sys/fs/bpf", NAME)
SKIPPED = 77


def run(*command, check=True):
    result = subprocess.run(command, capture_output=True, text=True)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {result.stderr}")
    return result


def inside(*command, check=True):
    return run("nsenter", f"--net=/run/netns/{NAME}", *command, check=check)


class LoaderTest(unittest.TestCase):
    def setUp(self):
        run("ip", "netns", "add", NAME)
        self.add_nic("nic0")
        self.add_nic("nic1")

    def tearDown(self):
        inside(LOADER, "detach", "--all", "--pin-dir", str(PIN_DIR), check=False)
        run("ip", "netns", "del", NAME)
        self.assertFalse(PIN_DIR.exists())

    def add_nic(self, name):
        inside("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-peer")
        inside("ip", "link", "set", name, "up")

    def loader(self, *arguments):
        return inside(LOADER, *arguments, "--pin-dir", str(PIN_DIR), check=False)

    def succeed(self, *arguments):
        result = self.loader(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def fail_with(self, code, words, *arguments):
        result = self.loader(*arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def attach(self, *arguments):
        return self.succeed("attach", *arguments, "--flows", "64")

    def interfaces(self):
        return {nic["interface"]: nic for nic in json.loads(self.succeed("status", "-f", "json"))["interfaces"]}

    def forwarding(self, name):
        return inside("sysctl", "-n", f"net.ipv4.conf.{name}.forwarding").stdout.strip()

    def runs_xdp(self, name):
        return "xdp" in inside("ip", "link", "show", name).stdout

    def test_attach_and_detach_leave_the_nic_as_it_was(self):
        self.assertEqual(self.forwarding("nic0"), "0")
        self.attach("nic0")
        self.assertTrue(self.runs_xdp("nic0"))
        self.assertEqual(self.forwarding("nic0"), "1")
        self.succeed("detach", "nic0")
        self.assertFalse(self.runs_xdp("nic0"))
        self.assertEqual(self.forwarding("nic0"), "0")
        self.assertTrue((PIN_DIR / "maps/flows4").exists())

    def test_forwarding_that_was_on_stays_on(self):
        inside("sysctl", "-qw", "net.ipv4.conf.nic0.forwarding=1")
        self.attach("nic0")
        self.succeed("detach", "nic0")
        self.assertEqual(self.forwarding("nic0"), "1")

    def test_attaching_twice_says_so(self):
        self.attach("nic0")
        self.assertIn("nic0: already attached in native mode", self.attach("nic0"))

    def test_native_falls_back_to_generic_with_the_drivers_reason(self):
        inside("ip", "link", "add", "slow0", "type", "ifb")
        self.fail_with(1, ["slow0", "native", "--mode"], "attach", "slow0", "--mode", "native")
        self.assertIn("does not support XDP in native mode", self.attach("slow0"))
        self.assertEqual(self.interfaces()["slow0"]["mode"], "generic")

    def test_all_nics_or_none(self):
        self.fail_with(1, ["'nope'"], "attach", "nic0", "nope", "--flows", "64")
        self.assertFalse(PIN_DIR.exists())
        inside(LOADER, "attach", "nic1", "--flows", "64", "--pin-dir", f"{PIN_DIR}-other")
        try:
            self.fail_with(1, ["attach to nic1", "'sluice_xdp'", "bpftool link detach id"],
                           "attach", "nic0", "nic1", "--flows", "64")
            self.assertFalse(self.runs_xdp("nic0"))
            self.assertEqual(self.forwarding("nic0"), "0")
            self.assertFalse(PIN_DIR.exists())
        finally:
            inside(LOADER, "detach", "--all", "--pin-dir", f"{PIN_DIR}-other")

    def test_a_vanished_interface_is_shown_and_its_name_can_be_attached_again(self):
        self.attach("nic0")
        inside("ip", "link", "del", "nic0")
        self.assertEqual(self.interfaces()["nic0"]["mode"], "(interface gone)")
        self.add_nic("nic0")
        self.assertEqual(self.interfaces()["nic0"]["mode"], "(interface gone)")
        self.attach("nic0")
        self.assertEqual(self.interfaces()["nic0"]["mode"], "native")
        inside("ip", "link", "del", "nic0")
        self.assertIn("gone", self.succeed("detach", "nic0"))
        self.assertEqual(self.interfaces(), {})

    def test_a_renamed_interface_keeps_its_attachment(self):
        self.attach("nic0")
        inside("ip", "link", "set", "nic0", "name", "wan.1")
        self.assertEqual(list(self.interfaces()), ["wan.1"])
        self.add_nic("nic2")
        inside("ip", "link", "set", "nic2", "name", "nic0")
        self.attach("nic0")
        self.assertEqual(sorted(self.interfaces()), ["nic0", "wan.1"])
        self.succeed("detach", "wan.1")
        self.assertEqual(list(self.interfaces()), ["nic0"])

    def test_upgrade_replaces_the_program_on_every_nic(self):
        self.attach("nic0", "nic1")
        before = self.interfaces()
        self.succeed("upgrade")
        after = self.interfaces()
        for nic in ("nic0", "nic1"):
            self.assertNotEqual(before[nic]["program"], after[nic]["program"])
            self.assertEqual(before[nic]["link"], after[nic]["link"])

    def test_maps_of_another_layout_are_refused_by_name(self):
        self.attach("nic0")
        (PIN_DIR / "maps/runtime").unlink()
        run("bpftool", "map", "create", str(PIN_DIR / "maps/runtime"), "type", "array", "key", "4", "value", "8",
            "entries", "1", "name", "runtime")
        for verb in (["upgrade"], ["status"], ["attach", "nic1"]):
            self.fail_with(1, ["runtime", "value size is 8", "detach --all"], *verb)
        self.succeed("detach", "--all")
        self.assertFalse(self.runs_xdp("nic0"))

    def test_maps_and_programs_that_an_older_version_did_not_have_are_added(self):
        self.attach("nic0")
        for later in ("member_failures", "member_silences", "suspicions", "store_position", "address_filter"):
            (PIN_DIR / "maps" / later).unlink()
        programs = [PIN_DIR / name for name in ("flow_sweep", "flow_expire_short", "flow_rehome", "flow_walk", "flow_put", "flow_replicas")]
        for program in programs:
            program.unlink()
        self.succeed("status")
        self.assertFalse((PIN_DIR / "maps/suspicions").exists(), "who only looks adds nothing")
        self.succeed("upgrade")
        self.assertEqual([], [program for program in programs if not program.exists()])
        self.assertIn("ringbuf", run("bpftool", "map", "show", "pinned", str(PIN_DIR / "maps/suspicions")).stdout)
        (PIN_DIR / "maps/vips4").unlink()
        self.fail_with(1, ["vips4", "is not pinned", "detach --all"], "upgrade")
        self.succeed("detach", "--all")

    def set_version(self, index, version):
        run("bpftool", "map", "update", "pinned", str(PIN_DIR / "maps/map_versions"),
            "key", str(index), "0", "0", "0", "value", str(version), "0", "0", "0")

    def test_maps_of_a_version_that_this_build_cannot_read_are_refused(self):
        """Maps of another version may mean something else: a build that can't read them leaves them alone."""
        self.attach("nic0")
        before = self.interfaces()
        self.set_version(10, 9)
        for verb in (["upgrade"], ["status"], ["attach", "nic1"]):
            self.fail_with(1, ["members", "version 9", "this build reads 1", "a newer Sluice", "detach --all"], *verb)
        self.assertFalse(self.runs_xdp("nic1"))
        self.set_version(10, 1)
        self.assertEqual(self.interfaces(), before, "a refusal changes nothing")
        self.succeed("upgrade")

    def test_a_data_plane_without_versions_counts_as_the_first_version(self):
        self.attach("nic0")
        (PIN_DIR / "maps/map_versions").unlink()
        self.succeed("status")
        self.assertFalse((PIN_DIR / "maps/map_versions").exists())
        self.succeed("upgrade")
        noted = json.loads(run("bpftool", "-j", "map", "dump", "pinned", str(PIN_DIR / "maps/map_versions")).stdout)
        self.assertEqual(["0x01", "0x00", "0x00", "0x00"], noted[10]["value"])

    def map_id(self, name):
        return json.loads(run("bpftool", "-j", "map", "show", "pinned", str(PIN_DIR / "maps" / name)).stdout)["id"]

    def test_the_flow_table_is_resized_in_place(self):
        """Another --flows on a running data plane replaces its tables; everything else stays, including the links."""
        self.attach("nic0", "nic1")
        before, members, flows = self.interfaces(), self.map_id("members"), self.map_id("flows4")
        self.assertIn("had room for 64 flows", self.succeed("attach", "nic0", "--flows", "1000"))
        after = self.interfaces()
        for nic in ("nic0", "nic1"):
            self.assertNotEqual(before[nic]["program"], after[nic]["program"])
            self.assertEqual(before[nic]["link"], after[nic]["link"])
        self.assertEqual(members, self.map_id("members"))
        self.assertNotEqual(flows, self.map_id("flows4"))
        self.assertFalse((PIN_DIR / "moving").exists())
        self.assertIn("with room for 1000 flows", self.succeed("attach", "nic0"))
        self.succeed("attach", "nic0", "--flows", "64")
        self.succeed("upgrade")
        self.assertIn("with room for 64 flows", self.succeed("attach", "nic0"))

    def test_a_resize_that_cannot_be_leaves_everything_as_it_was(self):
        self.attach("nic0")
        before = self.interfaces()
        self.fail_with(1, ["MiB", "--flows"], "attach", "nic0", "--flows", "200000000")
        self.fail_with(1, ["at most 268435456"], "attach", "nic0", "--flows", "536870912")
        self.assertEqual(before, self.interfaces())
        self.assertFalse((PIN_DIR / "moving").exists())
        self.attach("nic1", "--shared")
        self.fail_with(1, ["nic1", "--shared"], "attach", "nic0", "--flows", "128")

    def test_shared_goes_on_and_off_through_libxdp(self):
        self.attach("nic0", "--shared")
        self.assertTrue(self.runs_xdp("nic0"))
        self.assertIn("native", self.interfaces()["nic0"]["mode"])
        self.succeed("upgrade")
        self.assertTrue(self.runs_xdp("nic0"))
        self.succeed("detach", "nic0")
        self.assertFalse(self.runs_xdp("nic0"))

    def test_wrong_usage_is_2_and_names_the_value(self):
        self.fail_with(2, ["interface"], "attach")
        self.fail_with(2, ["'fast'"], "attach", "nic0", "--mode", "fast")
        for flows in ("0", "-1", "many", "4294967296"):
            self.fail_with(2, [f"'{flows}'"], "attach", "nic0", f"--flows={flows}")
        self.fail_with(2, ["--bogus"], "attach", "nic0", "--bogus")
        self.fail_with(2, ["--all"], "detach", "nic0", "--all")
        self.fail_with(2, ["'xml'"], "status", "-f", "xml")
        self.attach("nic0")
        self.fail_with(2, ["'colour'", "interface, index"], "status", "-c", "colour")

    def test_failures_are_1_and_say_what_to_do(self):
        self.fail_with(1, ["'nope'", "ip -brief link"], "attach", "nope")
        self.fail_with(1, ["'lo'", "Ethernet"], "attach", "lo")
        self.fail_with(1, [str(PIN_DIR), "attach first"], "status")
        self.fail_with(1, ["MiB", "--flows"], "attach", "nic0", "--flows", "536870912")
        self.attach("nic0")
        self.fail_with(1, ["'nic1'", "status"], "detach", "nic1")

    def test_a_private_sys_is_refused_with_the_command_that_works(self):
        result = run("ip", "netns", "exec", NAME, LOADER, "attach", "nic0", "--pin-dir", str(PIN_DIR), check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"nsenter --net=/run/netns/{NAME}", result.stderr)

    def test_without_root_nothing_happens(self):
        nobody = ["setpriv", "--reuid=65534", "--clear-groups"]
        if run(*nobody, "test", "-x", LOADER, check=False).returncode != 0:
            self.skipTest(f"nobody may not execute {LOADER}")
        result = inside(*nobody, LOADER, "attach", "nic0", "--pin-dir", str(PIN_DIR), check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("run as root", result.stderr)
        self.assertFalse(self.runs_xdp("nic0"))


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: needs root to load BPF programs and to make network namespaces")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
