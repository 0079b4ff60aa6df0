#!/usr/bin/python3
"""Bad input: one line on stderr that names the value and the next step, exit code 1 or 2, nothing changed."""

import shutil
import subprocess

import support
from support import VIP, program

MEMBER = ["loadbalancer", "member", "create", "--name", "bad"]
LISTENER = ["loadbalancer", "listener", "create", "--name", "bad", "--protocol", "TCP"]
POOL = ["loadbalancer", "pool", "create", "--name", "bad", "--protocol", "TCP"]
MONITOR = ["loadbalancer", "healthmonitor", "create", "--delay", "1", "--timeout", "1", "--type", "tcp"]

# The words that are typed, and those that the error must have.
REFUSED_BY_CTL = [
    (["loadbalancer", "show", "nowhere"], ["nowhere"]),
    (["loadbalancer", "delete", "nowhere"], ["nowhere"]),
    (["loadbalancer", "listener", "show", "nowhere"], ["nowhere"]),
    (["loadbalancer", "member", "list", "nowhere"], ["nowhere"]),
    (["loadbalancer", "member", "show", "80_pool", "nobody"], ["nobody"]),
    (LISTENER + ["--protocol-port", "81", "nowhere"], ["nowhere"]),
    (LISTENER + ["--protocol-port", "80", "lb"], ["already using", "80"]),
    (LISTENER + ["--protocol-port", "0", "lb"], ["0"]),
    (LISTENER + ["--protocol-port", "65536", "lb"], ["65536"]),
    (LISTENER + ["--protocol-port", "http", "lb"], ["http"]),
    (["loadbalancer", "listener", "create", "--protocol", "GRE", "--protocol-port", "81", "lb"], ["GRE"]),
    (POOL + ["--listener", "80_listener", "--lb-algorithm", "ROUND_ROBIN"], ["already has a default pool"]),
    (POOL + ["--listener", "nowhere", "--lb-algorithm", "ROUND_ROBIN"], ["nowhere"]),
    (POOL + ["--loadbalancer", "lb", "--lb-algorithm", "DICE"], ["DICE"]),
    (MEMBER + ["--address", "10.0.0.300", "--protocol-port", "80", "80_pool"], ["10.0.0.300"]),
    (MEMBER + ["--address", "web.example", "--protocol-port", "80", "80_pool"], ["web.example"]),
    (MEMBER + ["--address", "10.0.0.7", "--protocol-port", "65536", "80_pool"], ["65536"]),
    (MEMBER + ["--address", "10.0.0.7", "--protocol-port", "80", "--weight", "257", "80_pool"], ["257", "256"]),
    (MEMBER + ["--address", "10.0.0.4", "--protocol-port", "80", "80_pool"], ["10.0.0.4", "already using"]),
    (["loadbalancer", "member", "set", "--weight", "257", "80_pool", "80_member_1"], ["257", "256"]),
    (["loadbalancer", "create", "--vip-address", "10.0.0.999"], ["10.0.0.999"]),
    (["loadbalancer", "create", "--vip-address", VIP], [VIP]),
    (MONITOR + ["--max-retries", "11", "80_pool"], ["11", "10"]),
    (MONITOR + ["--max-retries", "2", "--url-path", "/x", "80_pool"], ["url_path"]),
    (["floating-ip", "set", "--load-balancer", "lb", "172.24.4.x"], ["172.24.4.x"]),
    (["loadbalancer", "member", "create", "80_pool"], ["address"]),
    (["loadbalancer", "dance"], ["dance"]),
    (["loadbalancer", "list", "--no-such-option"], ["no-such-option"]),
]


class BadInput(support.LabTest):
    def check(self, result, *named, codes=(1, 2)):
        self.assertIn(result.returncode, codes, result.stdout + result.stderr)
        lines = result.stderr.strip().splitlines()
        self.assertEqual(1, len(lines), f"not one line: {result.stderr!r}")
        for words in named:
            self.assertIn(words, lines[0])

    def as_nobody(self, name, *arguments):
        """Runs the program as an unprivileged user (from a copy: the tree may lie in somebody's home)."""
        copy = self.lab.directory / name
        if not copy.exists():
            shutil.copy(program(name), copy)
        return self.lab.run("lb", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", copy, *arguments, check=False)

    def everything(self):
        lab = self.lab
        lists = [("loadbalancer", "list"), ("loadbalancer", "listener", "list"), ("loadbalancer", "pool", "list"),
                 ("loadbalancer", "member", "list", "80_pool"), ("loadbalancer", "healthmonitor", "list"),
                 ("floating-ip", "list"), ("loadbalancer", "member", "show", "80_pool", "80_member_1")]
        return [lab.rows(*words) for words in lists]

    def test_what_sluicectl_is_told_wrongly_changes_nothing(self):
        self.lab.balance()
        before = self.everything()
        for typed, named in REFUSED_BY_CTL:
            with self.subTest(typed=" ".join(typed)):
                self.check(self.lab.ctl(*typed, check=False), *named)
        self.assertEqual(before, self.everything())

    def test_a_socket_without_permission(self):
        self.lab.start_controller()
        result = self.as_nobody("sluicectl", "--socket", self.lab.socket, "loadbalancer", "list")
        self.check(result, str(self.lab.socket), "no permission", codes=(1,))

    def test_sluiced_not_running_says_how_to_start_it(self):
        result = self.lab.ctl("loadbalancer", "list", check=False)
        self.check(result, str(self.lab.socket), "sluiced", codes=(1,))

    def test_an_interface_that_does_not_exist(self):
        self.check(self.lab.loader("attach", "eth9", check=False), "eth9", codes=(1,))
        self.assertFalse(self.lab.pins.exists() and any(self.lab.pins.iterdir()), "pins were left behind")

    def test_loader_without_root(self):
        result = self.as_nobody("sluice-loader", "attach", "eth0", "--pin-dir", self.lab.pins)
        self.check(result, "root", codes=(1,))

    def test_controller_without_root(self):
        result = self.as_nobody("sluiced", "--state-dir", self.lab.state, "--socket", self.lab.socket, "--pin-dir",
                                self.lab.pins)
        self.check(result, codes=(1,))

    def test_a_second_controller_is_refused(self):
        self.lab.start_controller()
        second = self.lab.run("lb", program("sluiced"), "--state-dir", self.lab.state, "--socket", self.lab.socket,
                              "--pin-dir", self.lab.pins, check=False, timeout=10)
        self.assertEqual(1, second.returncode)
        self.assertEqual(0, self.lab.ctl("loadbalancer", "list").returncode, "the first one still answers")

    def test_wrong_usage_is_code_2_and_points_at_help(self):
        for name in ("sluice-loader", "sluiced", "sluicectl"):
            with self.subTest(program=name):
                result = subprocess.run([program(name), "--no-such-option"], text=True, capture_output=True, timeout=10 * support.PATIENCE,
                                        stdin=subprocess.DEVNULL)
                self.check(result, "no-such-option", "--help", codes=(2,))


if __name__ == "__main__":
    support.main()
