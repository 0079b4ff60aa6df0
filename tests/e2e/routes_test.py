#!/usr/bin/python3
"""Nodes announce their VIPs to a router, with the BIRD and FRR configurations that the package ships.

    router 192.0.2.1, 2001:db8:1::1 (BIRD, AS 65000, ECMP) ─┬─ bird 192.0.2.11: Sluice and BIRD
                                                            └─ frr  192.0.2.12: Sluice and FRR
"""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import support
from support import ROOT, program, wait_for

EXAMPLES = ROOT / "tools/package/examples"
FRR = pathlib.Path("/usr/lib/frr")
VIPS = ["198.51.100.16", "2001:db8:f::16"]
NUMBER = {"bird": 11, "frr": 12}


def missing_daemon():
    """Returns why the lab can't be made; None if it can."""
    for tool, package in (("bird", "bird2"), ("birdc", "bird2"), ("vtysh", "frr")):
        if support.missing(tool):
            return f"{package} is not installed (run: sudo scripts/install-deps --routing)"
    return None if (FRR / "bgpd").exists() else "frr is not installed (run: sudo scripts/install-deps --routing)"


class Network:
    """The router and the two nodes, each a network namespace with its daemons."""

    def __init__(self):
        self.prefix = f"e2e-{os.getpid()}-routes"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-routes-", dir="/run"))
        self.directory.chmod(0o755)  # FRR's daemons give up root
        self.processes = {}
        self.hosts = ["router", *NUMBER]
        for host in self.hosts:
            subprocess.run(["ip", "netns", "add", f"{self.prefix}-{host}"], check=True)
            self.run(host, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
            self.run(host, "ip", "link", "set", "lo", "up")
        self.run("router", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.run("router", "ip", "link", "add", "br0", "type", "bridge")
        self.address("router", "br0", 1)
        for host, number in NUMBER.items():
            subprocess.run(["ip", "link", "add", f"to-{host}", "netns", f"{self.prefix}-router", "type", "veth",
                            "peer", "eth0", "netns", f"{self.prefix}-{host}"], check=True)
            self.run("router", "ip", "link", "set", f"to-{host}", "master", "br0", "up")
            self.address(host, "eth0", number)

    def address(self, host, interface, number):
        self.run(host, "ip", "link", "set", interface, "up")
        self.run(host, "ip", "address", "add", f"192.0.2.{number}/24", "dev", interface)
        self.run(host, "ip", "address", "add", f"2001:db8:1::{number}/64", "dev", interface, "nodad")

    def command(self, host, *words):
        return ["nsenter", f"--net=/run/netns/{self.prefix}-{host}", "--", *map(str, words)]

    def run(self, host, *words, check=True):
        done = subprocess.run(self.command(host, *words), text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=60 * support.PATIENCE)
        if check and done.returncode != 0:
            raise AssertionError(f"on {host}: {words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def spawn(self, name, host, *words):
        with open(self.directory / f"{name}.log", "a") as log:
            self.processes[name] = subprocess.Popen(self.command(host, *words), stdin=subprocess.DEVNULL, stdout=log,
                                                    stderr=log)

    def down(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        for host in NUMBER:
            self.run(host, program("sluice-loader"), "detach", "--all", "--pin-dir", self.pins(host), check=False)
        for host in self.hosts:
            subprocess.run(["ip", "netns", "del", f"{self.prefix}-{host}"], check=False)
        shutil.rmtree(self.directory)

    # ---- BGP daemons ----

    def start_bird(self, host, configuration):
        self.spawn(f"bird-{host}", host, "bird", "-f", "-c", EXAMPLES / configuration, "-s", self.directory / f"{host}.ctl",
                   "-P", self.directory / f"{host}.pid")

    def start_frr(self, host):
        sockets = self.directory / "frr"
        sockets.mkdir()
        shutil.chown(sockets, "frr", "frr")
        for daemon in ("zebra", "bgpd", "bfdd"):
            control = ["--bfdctl", sockets / "bfdd.sock"] if daemon == "bfdd" else []
            self.spawn(daemon, host, FRR / daemon, "-z", sockets / "zserv.api", "-i", sockets / f"{daemon}.pid",
                       "--vty_socket", sockets, "-f", "/dev/null", *control)
            wait_for(lambda: (sockets / f"{daemon}.vty").exists(), 5, f"{daemon} runs")
        self.run(host, "vtysh", "--vty_socket", sockets, "-f", EXAMPLES / "frr.conf")

    # ---- what the router knows ----

    def next_hops(self, vip):
        """Returns the nodes that the router's kernel sends packets for the VIP to."""
        shown = self.run("router", "ip", "-6" if ":" in vip else "-4", "route", "show", vip)
        words = shown.split()
        hops = {words[i + 1] for i, word in enumerate(words) if word == "via"}
        return {host for host, number in NUMBER.items() if {f"192.0.2.{number}", f"2001:db8:1::{number}"} & hops}

    def told(self, vip, host):
        """Returns what the router heard of the VIP from the host: BIRD's lines about it."""
        shown = self.run("router", "birdc", "-s", self.directory / "router.ctl", "show", "route", "all", "for", vip)
        hop = f"2001:db8:1::{NUMBER[host]}" if ":" in vip else f"192.0.2.{NUMBER[host]}"
        for route in shown.split("unicast")[1:]:
            if f"via {hop} " in route:
                return route
        return ""

    # ---- Sluice ----

    def pins(self, host):
        return f"/sys/fs/bpf/sluice-{self.prefix}-{host}"

    def start_sluiced(self, host):
        self.spawn(f"sluiced-{host}", host, program("sluiced"), "--state-dir", self.directory / f"state-{host}", "--socket",
                   self.directory / f"{host}.sock", "--pin-dir", self.pins(host), "--interface", "eth0", "--metrics",
                   "127.0.0.1:9101", "--node", host, "--announce-routes",
                   *(["--announce-ipv6-in-main-table"] if host == "frr" else []))
        wait_for(lambda: self.ctl(host, "loadbalancer", "list", check=False), 10, "sluiced answers")

    def attach(self, host):
        self.run(host, program("sluice-loader"), "attach", "eth0", "--mode", "generic", "--flows", "4096", "--pin-dir",
                 self.pins(host))

    def ctl(self, host, *words, check=True):
        return self.run(host, program("sluicectl"), "--socket", self.directory / f"{host}.sock", *words, check=check)

    def kill_sluiced(self, host):
        process = self.processes[f"sluiced-{host}"]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def routes(self, host):
        """Returns the lines of the host's announcements."""
        return [line for family in ("-4", "-6")
                for line in self.run(host, "ip", family, "route", "show", "table", "all", "proto", "142").splitlines()]


class Routes(unittest.TestCase):
    def setUp(self):
        reason = missing_daemon()
        if reason:
            self.skipTest(reason)
        self.network = Network()
        self.addCleanup(self.network.down)
        self.addCleanup(self.show_logs_of_a_failure)
        self.network.start_bird("router", "bird-router.conf")
        self.network.start_bird("bird", "bird.conf")
        self.network.start_frr("frr")
        for host in NUMBER:
            self.network.attach(host)
            self.network.start_sluiced(host)

    def show_logs_of_a_failure(self):
        result = self._outcome.result
        if any(test is self for test, _ in result.failures + result.errors):
            for log in sorted(self.network.directory.glob("*.log")):
                print(f"--- {log.name} ---\n{log.read_text()[-2000:]}")

    def wait_for_hops(self, vip, hosts):
        wait_for(lambda: self.network.next_hops(vip) == set(hosts), 20, f"the router sends {vip} to {hosts}")

    def create_vips(self):
        for host in NUMBER:
            for vip in VIPS:
                self.network.ctl(host, "loadbalancer", "create", "--name", f"lb{vip}", "--vip-address", vip)

    def test_the_router_spreads_a_vip_over_the_nodes_that_can_serve_it(self):
        network = self.network
        self.create_vips()
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird", "frr"])
            network.run("router", "ping", "-c", "1", "-W", "5", vip)

        # A node without its controller goes on; what somebody deletes or leaves is mended by the next one.
        network.kill_sluiced("bird")
        self.assertEqual(2, len(network.routes("bird")))
        network.run("bird", "ip", "route", "add", "198.51.100.99", "dev", "lo", "proto", "142", "table", "142")
        network.start_sluiced("bird")
        wait_for(lambda: len(network.routes("bird")) == 2, 5, "the leftover is gone")
        network.run("bird", "ip", "route", "del", VIPS[0], "table", "142")
        wait_for(lambda: len(network.routes("bird")) == 2, 5, "the route is back")

        # A VIP that is disabled or deleted at a node goes to the others.
        network.ctl("bird", "loadbalancer", "set", "--disable", f"lb{VIPS[0]}")
        self.wait_for_hops(VIPS[0], ["frr"])
        network.ctl("bird", "loadbalancer", "set", "--enable", f"lb{VIPS[0]}")
        self.wait_for_hops(VIPS[0], ["bird", "frr"])
        for vip in VIPS:
            network.ctl("frr", "loadbalancer", "delete", f"lb{vip}")
            self.wait_for_hops(vip, ["bird"])

        # Whoever takes the program off takes the routes away first, and sluiced doesn't put them back.
        said = network.run("bird", program("sluice-loader"), "detach", "eth0", "--pin-dir", network.pins("bird"))
        self.assertIn("withdrew 2 routes of VIPs (table 142)", said)
        self.assertEqual([], network.routes("bird"))
        for vip in VIPS:
            self.wait_for_hops(vip, [])
        # The routes were gone before sluiced looked.
        wait_for(lambda: "no VIP is announced: not attached to eth0" in network.ctl("bird", "events"), 5, "the event")
        network.attach("bird")
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird"])

    def test_a_node_that_is_drained_is_the_last_resort_and_then_withdraws(self):
        network = self.network
        self.create_vips()
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird", "frr"])

        def drain(host):
            """Drains the node and kills its sluiced, so that the routes stay as they are in the first ten seconds."""
            self.assertIn("DRAINING", network.ctl(host, "node", "drain"))
            wait_for(lambda: all(line.split("metric ")[1].split()[0] in ("2000", "6000") for line in network.routes(host)), 5,
                     "the metric is raised")
            network.kill_sluiced(host)
            for vip in VIPS:
                wait_for(lambda: "BGP.med: 1000" in network.told(vip, host) and "(65535,0)" in network.told(vip, host), 20,
                         f"the router knows that {host} is drained")

        drain("bird")
        for vip in VIPS:
            self.wait_for_hops(vip, ["frr"])
        drain("frr")
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird", "frr"])  # better than none

        # The drain is stored: it is over its ten seconds when sluiced is back.
        network.start_sluiced("bird")
        wait_for(lambda: network.ctl("bird", "node", "show", "-f", "value", "-c", "state").strip() == "DRAINED", 20, "drained")
        wait_for(lambda: network.routes("bird") == [], 5, "the routes are withdrawn")
        for vip in VIPS:
            self.wait_for_hops(vip, ["frr"])
        for line in ('sluice_node_drained{node="bird"} 1\n', 'sluice_vips_announced{ip_version="4"} 0\n'):
            wait_for(lambda: line in network.run("bird", "curl", "-sS", "http://127.0.0.1:9101/metrics"), 5, line)

        answer = network.ctl("bird", "node", "undrain")
        self.assertIn("ANNOUNCING", answer)
        self.assertNotIn("is drained", answer)
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird"])
        wait_for(lambda: "ANNOUNCING" in network.ctl("bird", "node", "show"), 5, "the node announces")
        events = network.ctl("bird", "events", "--type", "node")
        self.assertIn("began to drain node bird", events)
        self.assertIn("ended the drain of node bird", events)


if __name__ == "__main__":
    support.main()
