#!/usr/bin/python3
"""Nodes announce their VIPs to a router, with the BIRD and FRR configurations that the package ships.

    router 192.0.2.1, 2001:db8:1::1 (BIRD, AS 65000, ECMP) ─┬─ bird 192.0.2.11: Sluice and BIRD
                                                            └─ frr  192.0.2.12: Sluice and FRR
"""

import pathlib
import shutil

import support
from hosts import HostsTest
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


class Routes(HostsTest):
    SUBJECT, SWITCH, NODES = "routes", "router", NUMBER

    def setUp(self):
        reason = missing_daemon()
        if reason:
            self.skipTest(reason)
        self.make_hosts()
        self.directory.chmod(0o755)  # FRR's daemons give up root
        self.run_on("router", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.address("router", "br0", "192.0.2.1/24", "2001:db8:1::1/64")
        for host, number in NUMBER.items():
            self.address(host, "eth0", f"192.0.2.{number}/24", f"2001:db8:1::{number}/64")
        self.start_bird("router", "bird-router.conf")
        self.start_bird("bird", "bird.conf")
        self.start_frr("frr")
        for host in NUMBER:
            self.attach(host)
            self.start_sluiced(host)

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
        self.run_on(host, "vtysh", "--vty_socket", sockets, "-f", EXAMPLES / "frr.conf")

    # ---- what the router knows ----

    def next_hops(self, vip):
        """Returns the nodes that the router's kernel sends packets for the VIP to."""
        shown = self.run_on("router", "ip", "-6" if ":" in vip else "-4", "route", "show", vip)
        words = shown.split()
        hops = {words[i + 1] for i, word in enumerate(words) if word == "via"}
        return {host for host, number in NUMBER.items() if {f"192.0.2.{number}", f"2001:db8:1::{number}"} & hops}

    def told(self, vip, host):
        """Returns what the router heard of the VIP from the host: BIRD's lines about it."""
        shown = self.run_on("router", "birdc", "-s", self.directory / "router.ctl", "show", "route", "all", "for", vip)
        hop = f"2001:db8:1::{NUMBER[host]}" if ":" in vip else f"192.0.2.{NUMBER[host]}"
        for route in shown.split("unicast")[1:]:
            if f"via {hop} " in route:
                return route
        return ""

    # ---- Sluice ----

    def start_sluiced(self, host):
        self.spawn(f"sluiced-{host}", host, program("sluiced"), "--state-dir", self.directory / f"state-{host}", "--socket",
                   self.directory / f"{host}.sock", "--pin-dir", self.pins(host), "--interface", "eth0", "--metrics",
                   "127.0.0.1:9101", "--node", host, "--announce-routes",
                   *(["--announce-ipv6-in-main-table"] if host == "frr" else []))
        wait_for(lambda: self.ctl(host, "loadbalancer", "list", check=False), 10, "sluiced answers")

    def routes(self, host):
        """Returns the lines of the host's announcements."""
        return [line for family in ("-4", "-6")
                for line in self.run_on(host, "ip", family, "route", "show", "table", "all", "proto", "142").splitlines()]

    # ---- the tests ----

    def wait_for_hops(self, vip, hosts):
        wait_for(lambda: self.next_hops(vip) == set(hosts), 20, f"the router sends {vip} to {hosts}")

    def create_vips(self):
        for host in NUMBER:
            for vip in VIPS:
                self.ctl(host, "loadbalancer", "create", "--name", f"lb{vip}", "--vip-address", vip)

    def test_the_router_spreads_a_vip_over_the_nodes_that_can_serve_it(self):
        self.create_vips()
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird", "frr"])
            self.run_on("router", "ping", "-c", "1", "-W", "5", vip)

        # A node without its controller goes on; what somebody deletes or leaves is mended by the next one.
        self.end("sluiced-bird")
        self.assertEqual(2, len(self.routes("bird")))
        self.run_on("bird", "ip", "route", "add", "198.51.100.99", "dev", "lo", "proto", "142", "table", "142")
        self.start_sluiced("bird")
        wait_for(lambda: len(self.routes("bird")) == 2, 5, "the leftover is gone")
        self.run_on("bird", "ip", "route", "del", VIPS[0], "table", "142")
        wait_for(lambda: len(self.routes("bird")) == 2, 5, "the route is back")

        # A VIP that is disabled or deleted at a node goes to the others.
        self.ctl("bird", "loadbalancer", "set", "--disable", f"lb{VIPS[0]}")
        self.wait_for_hops(VIPS[0], ["frr"])
        self.ctl("bird", "loadbalancer", "set", "--enable", f"lb{VIPS[0]}")
        self.wait_for_hops(VIPS[0], ["bird", "frr"])
        for vip in VIPS:
            self.ctl("frr", "loadbalancer", "delete", f"lb{vip}")
            self.wait_for_hops(vip, ["bird"])

        # Whoever takes the program off takes the routes away first, and sluiced doesn't put them back.
        said = self.run_on("bird", program("sluice-loader"), "detach", "eth0", "--pin-dir", self.pins("bird"))
        self.assertIn("withdrew 2 routes of VIPs (table 142)", said)
        self.assertEqual([], self.routes("bird"))
        for vip in VIPS:
            self.wait_for_hops(vip, [])
        # The routes were gone before sluiced looked.
        wait_for(lambda: "no VIP is announced: not attached to eth0" in self.ctl("bird", "events"), 5, "the event")
        self.attach("bird")
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird"])

        # A BGP daemon that dies takes its node out, and brings it back without sluiced's help.
        self.end("bird-bird")
        for vip in VIPS:
            self.wait_for_hops(vip, [])
        self.start_bird("bird", "bird.conf")
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird"])

    def test_a_node_that_is_drained_is_the_last_resort_and_then_withdraws(self):
        self.create_vips()
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird", "frr"])

        def drain(host):
            """Drains the node and kills its sluiced, so that the routes stay as they are in the first ten seconds."""
            self.assertIn("DRAINING", self.ctl(host, "node", "drain"))
            wait_for(lambda: all(line.split("metric ")[1].split()[0] in ("2000", "6000") for line in self.routes(host)), 5,
                     "the metric is raised")
            self.end(f"sluiced-{host}")
            for vip in VIPS:
                wait_for(lambda: "BGP.med: 1000" in self.told(vip, host) and "(65535,0)" in self.told(vip, host), 20,
                         f"the router knows that {host} is drained")

        drain("bird")
        for vip in VIPS:
            self.wait_for_hops(vip, ["frr"])
        drain("frr")
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird", "frr"])  # better than none

        # The drain is stored: it is over its ten seconds when sluiced is back.
        self.start_sluiced("bird")
        wait_for(lambda: self.ctl("bird", "node", "show", "-f", "value", "-c", "state").strip() == "DRAINED", 20, "drained")
        wait_for(lambda: self.routes("bird") == [], 5, "the routes are withdrawn")
        for vip in VIPS:
            self.wait_for_hops(vip, ["frr"])
        for line in ('sluice_node_drained{node="bird"} 1\n', 'sluice_vips_announced{ip_version="4"} 0\n'):
            wait_for(lambda: line in self.run_on("bird", "curl", "-sS", "http://127.0.0.1:9101/metrics"), 5, line)

        answer = self.ctl("bird", "node", "undrain")
        self.assertIn("ANNOUNCING", answer)
        self.assertNotIn("is drained", answer)
        for vip in VIPS:
            self.wait_for_hops(vip, ["bird"])
        wait_for(lambda: "ANNOUNCING" in self.ctl("bird", "node", "show"), 5, "the node announces")
        events = self.ctl("bird", "events", "--type", "node")
        self.assertIn("began to drain node bird", events)
        self.assertIn("ended the drain of node bird", events)


if __name__ == "__main__":
    support.main()
