#!/usr/bin/python3
"""From one release's package to another's and back, under clients: releases.py OLD.deb NEW.deb

On a copy of this machine (package_test.py) with a switch, two members and a client in namespaces of their own. One
client opens a connection every 10 ms all the time, another one keeps one connection and asks on it. Going forward, none
may notice; going back either works as well or is refused with its reason, and then the newer release goes on.
scripts/upgrade-test makes the packages.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import package_test
from package_test import support

VIP = "10.0.0.16"
HOSTS = {"m1": "10.0.0.4", "m2": "10.0.0.6", "client": "10.0.0.7"}
SERVER = support.ROOT / "tests/e2e/tcp_server.py"

PASS = '#include <linux/bpf.h>\n__attribute__((section("xdp.frags"),used)) int pass(struct xdp_md *c) { return 2; }\n' \
       '__attribute__((section("license"),used)) char _license[] = "GPL";\n'

# Asks until it is told to end, whatever goes wrong; prints how many were answered, and what went wrong.
ASKER = r"""
import json, socket, sys, threading, time
vip, patience, ended = sys.argv[1], float(sys.argv[2]), threading.Event()
answers, faults, slowest = {}, [], 0.0
kept = socket.create_connection((vip, 80), patience)
kept.sendall(b"echo\n")
lines = kept.makefile()
def ask():
    global slowest
    began = time.monotonic()
    try:
        with socket.create_connection((vip, 80), patience) as one:
            one.sendall(b"who\n")
            name = one.makefile().readline().strip()
        answers[name] = answers.get(name, 0) + 1
    except OSError as problem:
        faults.append(f"new connection: {problem!r}")
    slowest = max(slowest, time.monotonic() - began)
threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
def ask_on_the_kept_one():
    # Says whether it answered.
    try:
        kept.sendall(b"x\n")
        if lines.readline():
            return True
        faults.append("kept connection: closed by the other end")
    except OSError as problem:
        faults.append(f"kept connection: {problem!r}")
    return False
print("ready", flush=True)
echoed, is_kept = 0, True
while not ended.is_set():
    ask()
    is_kept = is_kept and ask_on_the_kept_one()
    echoed += is_kept
    time.sleep(0.01)
print(json.dumps({"answers": answers, "echoed": echoed, "faults": faults[:20], "slowest": slowest}))
"""


class Releases(unittest.TestCase):
    old = new = None  # packages

    def setUp(self):
        mount_point = tempfile.mkdtemp(prefix="sluice-copy-")
        self.machine = package_test.Machine(mount_point)
        self.addCleanup(self.machine.end)
        self.machine.run("rm", "-rf", "/etc/sluice", "/var/lib/sluice", "/etc/default/sluiced")
        self.controller = None

    def on(self, namespace, *command, **options):
        return self.machine.run("ip", "netns", "exec", namespace, *command, **options)

    def cable(self, namespace, device, address, port):
        """A cable from the switch to a device."""
        run = self.machine.run
        run("ip", "link", "add", device, "type", "veth", "peer", "name", port)
        run("ip", "link", "set", port, "netns", "switch")
        self.on("switch", "ip", "link", "set", port, "master", "br0", "up")
        if namespace:
            run("ip", "link", "set", device, "netns", namespace)
        at = (lambda *command: self.on(namespace, *command)) if namespace else run
        at("ip", "address", "add", f"{address}/24", "dev", device)
        at("ip", "link", "set", device, "up")
        at("ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off")

    def make_network(self):
        run = self.machine.run
        for namespace in ["switch", *HOSTS]:
            run("ip", "netns", "add", namespace)
            self.on(namespace, "ip", "link", "set", "lo", "up")
        self.on("switch", "ip", "link", "add", "br0", "type", "bridge")
        self.on("switch", "ip", "link", "set", "br0", "up")
        run("ip", "link", "set", "lo", "up")
        self.cable(None, "nic0", "10.0.0.2", "p0")
        for number, (name, address) in enumerate(HOSTS.items(), 1):
            self.cable(name, "eth0", address, f"p{number}")
        # A veth end receives what XDP sends only if it has a program, too.
        run("sh", "-c", f"printf '%s' '{PASS}' | clang -target bpf -O2 -g -I/usr/include/x86_64-linux-gnu -x c -c -o /tmp/p.o -")
        run("bpftool", "prog", "load", "/tmp/p.o", "/sys/fs/bpf/pass", "type", "xdp")
        self.on("switch", "bpftool", "net", "attach", "xdpdrv", "id", self.program_id(), "dev", "p0")
        for name in ["m1", "m2"]:
            self.serve(name)

    def program_id(self):
        told = self.machine.run("bpftool", "prog", "show", "pinned", "/sys/fs/bpf/pass").stdout
        return told.split(":")[0]

    def serve(self, name):
        with SERVER.open("rb") as program:  # its folder may not be in the copy
            self.machine.run("sh", "-c", "cat > /srv/tcp_server.py", stdin=program)
        server = self.machine.start("ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c",
                                    f"hostname {name}; exec /usr/bin/python3 /srv/tcp_server.py 80")
        self.addCleanup(server.wait, 30)
        self.addCleanup(server.kill)
        listens = lambda: ":80 " in self.on(name, "ss", "-ltn").stdout
        support.wait_for(listens, 20, f"{name} listens")

    def restart(self):
        """As systemd does when the package's scripts ask it to."""
        if self.controller:
            package_test.Package.stop(self, self.controller)
        self.controller = self.machine.start("sluiced", "--config", package_test.CONFIGURATION)
        answers = lambda: self.machine.run("sluicectl", "loadbalancer", "list", expect=None).returncode == 0
        support.wait_for(answers, 20, "sluiced answers")

    def install(self, package, expect=0):
        name = f"/tmp/{package.name}"
        with package.open("rb") as content:
            self.machine.run("sh", "-c", f"cat > {name}", stdin=content)
        return self.machine.run("dpkg", "--force-confold", "--force-downgrade", "-i", name, expect=expect)

    def balance(self):
        ctl = lambda *words: self.machine.run("sluicectl", *words)
        ctl("loadbalancer", "create", "--vip-address", VIP, "--name", "lb")
        ctl("loadbalancer", "listener", "create", "--name", "l", "--protocol", "TCP", "--protocol-port", "80", "lb")
        ctl("loadbalancer", "pool", "create", "--name", "p", "--listener", "l", "--protocol", "TCP", "--lb-algorithm",
            "ROUND_ROBIN")
        for name in ["m1", "m2"]:
            ctl("loadbalancer", "member", "create", "--name", name, "--address", HOSTS[name], "--protocol-port", "80", "p")

    def start_client(self):
        client = self.machine.start("ip", "netns", "exec", "client", "/usr/bin/python3", "-c", ASKER, VIP, "5")
        self.addCleanup(client.kill)
        first = client.stdout.readline()
        if first != "ready\n":
            self.fail(first + client.stdout.read() + self.machine.run("sluicectl", "drops").stdout)
        return client

    def finish(self, client):
        client.stdin.write("\n")
        client.stdin.flush()
        report = json.loads(client.communicate(timeout=120)[0])
        print(report, file=sys.stderr)
        self.assertEqual([], report["faults"])
        self.assertEqual({"m1", "m2"}, set(report["answers"]))
        self.assertGreater(report["echoed"], 50)

    def version(self):
        return self.machine.run("sluiced", "--version").stdout.strip()

    def test_forward_and_back_without_losing_a_connection(self):
        self.make_network()
        self.install(self.old)
        self.machine.run("sh", "-c", f"echo 'interface = nic0' >> {package_test.CONFIGURATION}")
        self.restart()
        self.balance()
        client = self.start_client()
        time.sleep(1)
        print(self.version(), file=sys.stderr)
        told = self.install(self.new)
        self.assertNotIn("still the old one", told.stderr)
        self.restart()
        print(self.version(), file=sys.stderr)
        time.sleep(1)
        self.finish(client)

        client = self.start_client()
        told = self.install(self.old)
        print(told.stdout + told.stderr, file=sys.stderr)
        if "still the old one" in told.stderr:
            self.assertIn("sluice-loader:", told.stderr, "it says why")
        time.sleep(1)
        self.install(self.new)
        self.restart()
        time.sleep(1)
        self.finish(client)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    options = parser.parse_args()
    Releases.old, Releases.new = options.old.resolve(), options.new.resolve()
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
