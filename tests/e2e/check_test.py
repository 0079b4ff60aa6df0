#!/usr/bin/python3
"""`sluice-loader check` says what stands in the way on real interfaces, and `attach` warns of the same."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import support

# Interfaces in a network namespace of their own, made by one shell. What the kernel can't make is left out.
INTERFACES = """
ip link add nic0 type veth peer name far0
ip link set nic0 up
ip link add port0 type veth peer name far1
ip link add br0 type bridge
ip link set port0 master br0
ip link add bond0 type bond mode active-backup
ip link add port1 type veth peer name far2
ip link set port1 master bond0
ip link add link nic0 name nic0.5 type vlan id 5
ip link add link nic0 name mac0 type macvlan
ip link add wg0 type wireguard
ethtool -K far2 tx off tso off gso off
sysctl -qw net.ipv4.conf.nic0.rp_filter=1
nft add table ip filter
nft 'add chain ip filter input { type filter hook input priority 0; }'
nft add chain ip filter plain
true
"""


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep infinity"],
                                      stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.end)
        cls.holder.stdout.readline()
        cls.prefix = ["nsenter", f"--net=/proc/{cls.holder.pid}/ns/net", "--"]
        subprocess.run([*cls.prefix, "sh", "-c", INTERFACES], check=True, capture_output=True)
        listed = subprocess.run([*cls.prefix, "ip", "-j", "link"], check=True, capture_output=True, text=True).stdout
        cls.present = {one["ifname"] for one in json.loads(listed)}
        cls.pins = f"/sys/fs/bpf/sluice-check-{os.getpid()}"

    @classmethod
    def end(cls):
        cls.loader("detach", "--all")
        cls.holder.kill()
        cls.holder.communicate()

    @classmethod
    def loader(cls, *arguments):
        command = [support.program("sluice-loader"), *arguments, "--pin-dir", cls.pins]
        return subprocess.run([*cls.prefix, *command], text=True, capture_output=True)

    def check(self, interface):
        """Returns the exit code and {subject: (result, command that mends)}; skips what the kernel has not made."""
        if interface not in self.present:
            self.skipTest(f"this kernel makes no {interface}")
        done = self.loader("check", interface, "-f", "json")
        rows = json.loads(done.stdout)
        self.assertEqual({interface}, {row["interface"] for row in rows})
        return done.returncode, {row["subject"]: (row["result"], row["mend"]) for row in rows}

    def test_a_veth_whose_other_end_leaves_checksums_open_fails_until_it_is_told(self):
        code, found = self.check("nic0")
        command = "ethtool -K far0 tx off tso off gso off"
        self.assertEqual((1, ("fail", command)), (code, found["veth"]))
        self.assertEqual("warn", found["rp_filter"][0])
        subprocess.run([*self.prefix, *command.split()], check=True, capture_output=True)
        code, found = self.check("nic0")
        self.assertEqual((0, "ok"), (code, found["veth"][0]))

    def test_a_bridge_port_leads_to_its_bridge(self):
        code, found = self.check("port0")
        self.assertEqual((1, ("fail", "sluice-loader attach br0")), (code, found["master"]))
        self.assertEqual(("warn", "sluice-loader attach br0 --mode generic"), self.check("br0")[1]["kind"])

    def test_a_bond_is_good_and_its_port_leads_to_it(self):
        code, found = self.check("bond0")
        self.assertEqual((0, "ok"), (code, found["kind"][0]))
        self.assertEqual(("warn", "sluice-loader attach bond0 --mode native"), self.check("port1")[1]["master"])

    def test_a_vlan_interface_leads_to_its_parent(self):
        self.assertEqual(("warn", "sluice-loader attach nic0"), self.check("nic0.5")[1]["kind"])
        self.assertIn("vlans", self.check("nic0")[1])

    def test_a_macvlan_interface_leads_to_its_parent(self):
        self.assertEqual(("warn", "sluice-loader attach nic0"), self.check("mac0")[1]["kind"])

    def test_wireguard_fails(self):
        code, found = self.check("wg0")
        self.assertEqual((1, "fail"), (code, found["kind"][0]))

    def test_a_firewall_is_told_that_it_will_not_see_this_traffic(self):
        if support.missing("nft"):
            self.skipTest("nft is not installed (run: sudo scripts/install-deps --bench)")
        chains = subprocess.run([*self.prefix, "nft", "list", "ruleset"], text=True, capture_output=True).stdout
        if "hook input" not in chains:
            self.skipTest("this kernel has no nftables")
        self.assertEqual("warn", self.check("nic0")[1]["firewall"][0])
        self.assertIn("1 nftables chains will", self.loader("check", "nic0").stdout, "the other one has no hook")

    def test_on_a_machine_whose_loads_keep_no_order_nothing_is_loaded(self):
        # uname(2) says i686 to what runs in this personality.
        command = ["setarch", "linux32", support.program("sluice-loader"), "attach", "nic0", "--pin-dir", self.pins]
        done = subprocess.run([*self.prefix, *command], text=True, capture_output=True)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("this machine is i686: the flow table relies on loads and stores that keep their order", done.stderr)

    def test_attach_warns_of_the_same_and_attaches(self):
        self.check("port0")
        done = self.loader("attach", "port0", "--flows", "1024", "--mode", "generic")
        self.assertEqual(0, done.returncode, done.stderr)
        warned, attached = done.stdout.index("is a port of br0"), done.stdout.index("attached in generic mode")
        self.assertLess(warned, attached)

    def test_sluiced_that_attaches_by_itself_warns_in_its_log(self):
        pins = f"{self.pins}-daemon"
        with tempfile.TemporaryDirectory(prefix="sluice-check-") as directory:
            log = pathlib.Path(directory) / "log"
            with log.open("w") as output:
                daemon = subprocess.Popen(
                    [*self.prefix, support.program("sluiced"), "--interface", "br0", "--flows", "1024", "--pin-dir", pins,
                     "--state-dir", directory, "--socket", f"{directory}/api.sock"],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            try:
                support.wait_for(lambda: "attached to br0" in log.read_text(), 10, "sluiced attaches")
            finally:
                daemon.terminate()
                daemon.wait()
                subprocess.run([*self.prefix, support.program("sluice-loader"), "detach", "--all", "--pin-dir", pins],
                               capture_output=True)
            text = log.read_text()
            warned = text.index("br0: is a bridge, which has no native XDP")
            self.assertLess(warned, text.index("attached to br0"))
            self.assertIn("sluice-loader attach br0 --mode generic", text)
        self.assertEqual("ok", self.check("port0")[1]["program"][0])
        self.assertEqual("fail", self.check_elsewhere("port0"))

    def check_elsewhere(self, interface):
        """Returns what another pin directory's owner is told about the program on the interface."""
        command = [support.program("sluice-loader"), "check", interface, "-f", "value", "-c", "subject", "-c", "result"]
        command += ["--pin-dir", self.pins + "-other"]
        done = subprocess.run([*self.prefix, *command], text=True, capture_output=True)
        self.assertEqual(1, done.returncode)
        return dict(line.split() for line in done.stdout.splitlines())["program"]

    def test_wrong_usage_is_told(self):
        self.assertEqual(2, self.loader("check").returncode)
        self.assertEqual(2, self.loader("check", "nic0", "-f", "yaml").returncode)
        unknown = self.loader("check", "nix0")
        self.assertEqual((1, "sluice-loader: there is no interface 'nix0' (list them with: ip -brief link)\n"),
                         (unknown.returncode, unknown.stderr))


if __name__ == "__main__":
    support.main()
