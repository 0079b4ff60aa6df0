"""Hosts on one switch, each a network namespace, for tests of several nodes that have Sluice of their own. (Tests of one
node use the lab of support.py.)"""

import atexit
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import support
from support import program

LOG_END = 3000  # characters of each process's log that a failure shows


class HostsTest(unittest.TestCase):
    """A test with hosts: NODES are numbered, and SWITCH has the bridge br0 that their eth0 lead to. What a test starts
    by spawn() writes to NAME.log in `directory`, is killed at its end, and shows the end of its log if the test failed."""

    SUBJECT = SWITCH = ""
    NODES = {}
    GENTLY = ()  # beginnings of names: these processes have children, which they end when they are asked to end

    def make_hosts(self):
        self.prefix = f"e2e-{os.getpid()}-{self.SUBJECT}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"sluice-{self.prefix}-", dir="/run"))
        self.processes = {}
        self.addCleanup(self.remove_hosts)
        atexit.register(self.remove_hosts)  # Ctrl-C ends a test without its clean-up
        for host in (self.SWITCH, *self.NODES):
            subprocess.run(["ip", "netns", "add", f"{self.prefix}-{host}"], check=True)
            self.run_on(host, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
            self.run_on(host, "ip", "link", "set", "lo", "up")
        # An address of its own: else it has the lowest one of its ports, changes it when that port goes, and forgets its neighbours.
        self.run_on(self.SWITCH, "ip", "link", "add", "br0", "address", "02:00:00:00:00:fe", "type", "bridge")
        self.run_on(self.SWITCH, "ip", "link", "set", "br0", "up")
        for host in self.NODES:
            subprocess.run(["ip", "link", "add", f"to-{host}", "netns", f"{self.prefix}-{self.SWITCH}", "type", "veth",
                            "peer", "eth0", "netns", f"{self.prefix}-{host}"], check=True)
            self.run_on(self.SWITCH, "ip", "link", "set", f"to-{host}", "master", "br0", "up")
            self.run_on(host, "ip", "link", "set", "eth0", "up")

    def remove_hosts(self):
        atexit.unregister(self.remove_hosts)
        for name, process in self.processes.items():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM if name.startswith(self.GENTLY) else signal.SIGKILL)
            process.wait()
        if support.has_failed(self):
            for log in sorted(self.directory.glob("*.log")):
                print(f"--- {log.name} ---\n{log.read_text()[-LOG_END:]}")
        for host in self.NODES:
            self.run_on(host, program("sluice-loader"), "detach", "--all", "--pin-dir", self.pins(host), check=False)
        for host in (self.SWITCH, *self.NODES):
            subprocess.run(["ip", "netns", "del", f"{self.prefix}-{host}"], check=False)
        shutil.rmtree(self.directory)

    def address(self, host, interface, *addresses):
        for address in addresses:
            self.run_on(host, "ip", "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def command(self, host, *words):
        return ["nsenter", f"--net=/run/netns/{self.prefix}-{host}", "--", *map(str, words)]

    def run_on(self, host, *words, check=True):
        done = subprocess.run(self.command(host, *words), text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=60 * support.PATIENCE)
        if check and done.returncode != 0:
            raise AssertionError(f"on {host}: {words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def spawn(self, name, host, *words):
        with open(self.directory / f"{name}.log", "a") as log:
            self.processes[name] = subprocess.Popen(self.command(host, *words), stdin=subprocess.DEVNULL, stdout=log,
                                                    stderr=log)

    def end(self, name, how=signal.SIGKILL):
        self.processes[name].send_signal(how)
        self.processes[name].wait()

    def pins(self, host):
        return f"/sys/fs/bpf/sluice-{self.prefix}-{host}"

    def attach(self, host):
        self.run_on(host, program("sluice-loader"), "attach", "eth0", "--mode", "generic", "--flows", "4096", "--pin-dir",
                    self.pins(host))

    def ctl(self, host, *words, check=True):
        return self.run_on(host, program("sluicectl"), "--socket", self.directory / f"{host}.sock", *words, check=check)
