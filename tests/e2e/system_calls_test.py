#!/usr/bin/python3
"""The daemon needs no system call that its unit's SystemCallFilter forbids: loading, attaching, all kinds of probes, a
question, a failover, a capture and a restart, watched by strace."""

import os
import pathlib
import re
import signal
import subprocess
import unittest

import support
from support import wait_for

UNIT = support.ROOT / "tools/sluiced/sluiced.service.in"
MONITORS = {"tcp": ["tcp", "http", "https", "ping", "tls-hello", "external"], "udp": ["udp-connect", "sctp"]}


def allowed(name):
    """Returns the calls of a word of SystemCallFilter."""
    if not name.startswith("@"):
        return {name}
    lines = subprocess.run(["systemd-analyze", "syscall-filter", name], text=True, capture_output=True,
                           check=True).stdout.splitlines()[1:]
    words = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return set().union(*map(allowed, words))


class SystemCalls(support.LabTest):
    members = 1

    @unittest.skipIf(support.missing("systemd-analyze"), "systemd-analyze is missing: it knows the groups of calls")
    @unittest.skipIf(support.missing("strace"), "strace is missing")
    def test_the_units_filter_lets_through_what_the_daemon_does(self):
        lab = self.lab
        lab.serve()
        calls = lab.directory / "calls"
        lab.start("lb", "sluiced", "strace", "-f", "-qq", "-c", "-U", "name", "-o", calls, support.program("sluiced"),
                  "--state-dir", lab.state, "--socket", lab.socket, "--pin-dir", lab.pins, "--flows", "1024",
                  "--interface", "eth0", "--listen", "127.0.0.1:9876", "--check", "true=/bin/true", "--check-user", "nobody")
        wait_for(lambda: lab.ctl("loadbalancer", "list", check=False).returncode == 0, 30, "sluiced answers")
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", support.VIP)
        port = 80
        for protocol, monitors in MONITORS.items():
            for monitor in monitors:
                port += 1
                pool = f"p{port}"
                lab.ctl("loadbalancer", "listener", "create", "--name", f"l{port}", "--protocol", protocol,
                        "--protocol-port", port, "lb")
                lab.ctl("loadbalancer", "pool", "create", "--name", pool, "--protocol", protocol, "--lb-algorithm",
                        "round_robin", "--listener", f"l{port}")
                lab.ctl("loadbalancer", "member", "create", "--address", "10.0.0.4", "--protocol-port", 80, pool)
                check = ["--check", "true"] if monitor == "external" else []
                lab.ctl("loadbalancer", "healthmonitor", "create", "--type", monitor, "--delay", 3, "--timeout", 1,
                        "--max-retries", 1, *check, pool)
        lab.ctl("explain", "--from", "192.0.2.7:50514", "--to", f"{support.VIP}:81")
        lab.ctl("flows", "list")
        lab.ctl("loadbalancer", "failover", "--wait", "lb")
        self.assertIn("data plane reloaded", lab.ctl("events").stdout)
        wait_for(lambda: lab.member_statuses("p81") and "ONLINE" in str(lab.member_statuses("p81")), 15, "probes")
        strace = lab.service_pid("lb", "sluiced")
        for child in pathlib.Path(f"/proc/{strace}/task/{strace}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        wait_for(lambda: calls.read_text().strip(), 10, "strace's count")  # the file is there from the start

        used = set(calls.read_text().split()) - {"syscall", "total"}
        used = {name for name in used if re.fullmatch(r"[a-z]\w+", name)}
        self.assertIn("bpf", used)
        words = re.search(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE)[1].split()
        self.assertEqual(set(), used - set().union(*map(allowed, [*words, "@default"])))


if __name__ == "__main__":
    support.main()
