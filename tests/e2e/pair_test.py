#!/usr/bin/python3
"""Two nodes on one link, of which one answers for the VIPs: keepalived says which (the package's keepalived.conf).

    client 10.0.0.2 ─┬─ one 10.0.0.11: Sluice and keepalived, priority 100
                     └─ two 10.0.0.12: Sluice and keepalived, priority 99
"""

import signal

import support
from hosts import HostsTest
from support import ROOT, program, wait_for

EXAMPLE = ROOT / "tools/package/examples/keepalived.conf"
VIP, VIP6 = "10.0.0.16", "2001:db8::16"
NODES = {"one": 11, "two": 12}


class Pair(HostsTest):
    SUBJECT, SWITCH, NODES, GENTLY = "pair", "client", NODES, ("keepalived",)

    def setUp(self):
        if support.missing("keepalived"):
            self.skipTest("keepalived is not installed (run: sudo scripts/install-deps --routing)")
        self.make_hosts()
        self.address("client", "br0", "10.0.0.2/24", "2001:db8::2/64")
        for host, number in NODES.items():
            self.address(host, "eth0", f"10.0.0.{number}/24", f"2001:db8::{number}/64")
            self.attach(host)

    def start_sluiced(self, host):
        self.spawn(f"sluiced-{host}", host, program("sluiced"), "--state-dir", self.directory / f"state-{host}", "--socket",
                   self.directory / f"{host}.sock", "--pin-dir", self.pins(host), "--interface", "eth0", "--vrrp-fifo",
                   self.directory / f"{host}.fifo")
        wait_for(lambda: self.ctl(host, "loadbalancer", "list", check=False), 10, "sluiced answers")

    def start_keepalived(self, host):
        """Starts it with the package's configuration, with this host's FIFO and priority."""
        text = EXAMPLE.read_text().replace("/run/sluice/vrrp.fifo", str(self.directory / f"{host}.fifo"))
        if host == "two":
            text = text.replace("priority 100", "priority 99")
        configuration = self.directory / f"{host}.conf"
        configuration.write_text(text)
        self.spawn(f"keepalived-{host}", host, "keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", configuration, "-p",
                   self.directory / f"{host}.pid", "-r", self.directory / f"{host}-vrrp.pid")

    def mac(self, host):
        return self.run_on(host, "ip", "-brief", "link", "show", "eth0").split()[2]

    def answers(self):
        """Returns the nodes that answer the client's ARP requests for the VIP."""
        shown = self.run_on("client", "arping", "-I", "br0", "-c", "2", "-w", "2", VIP, check=False)
        return {host for host in NODES if self.mac(host).lower() in shown.lower()}

    def neighbor(self, vip):
        """Returns the node that the client's neighbour table has for the VIP."""
        shown = self.run_on("client", "ip", "neigh", "show", vip)
        return next((host for host in NODES if self.mac(host) in shown), None)

    def wait_for_master(self, host):
        wait_for(lambda: self.answers() == {host}, 15, f"{host} alone answers")
        for vip in (VIP, VIP6):
            wait_for(lambda: self.run_on("client", "ping", "-c", "1", "-W", "1", vip, check=False).count("1 received"), 10,
                     f"{vip} answers")
            self.assertEqual(host, self.neighbor(vip))

    def test_the_master_answers_and_its_standby_takes_over(self):
        for host in NODES:
            self.start_sluiced(host)
            for vip in (VIP, VIP6):
                self.ctl(host, "loadbalancer", "create", "--name", vip, "--vip-address", vip)
        self.assertEqual(set(), self.answers(), "nobody answers before keepalived has said who")
        self.start_keepalived("one")
        self.wait_for_master("one")
        self.start_keepalived("two")
        wait_for(lambda: 'INSTANCE "vips" BACKUP' in (self.directory / "two.fifo.state").read_text()
                 if (self.directory / "two.fifo.state").exists() else False, 10, "two is the standby")

        # The client hears of a takeover without asking; keepalived that ends in order hands over at once.
        self.end("keepalived-one", signal.SIGTERM)
        wait_for(lambda: self.neighbor(VIP) == "two" and self.neighbor(VIP6) == "two", 10, "two has announced itself")
        self.wait_for_master("two")
        wait_for(lambda: "this node is the VRRP master" in self.ctl("two", "events"), 5, "the event")

        # A restart of sluiced changes nothing, although keepalived says nothing anew.
        self.end("sluiced-two")
        self.start_sluiced("two")
        wait_for(lambda: self.answers() == {"two"}, 5, "two still answers, and nobody else")

        # After a partition both are masters. The one that stays announces itself again when it hears the other.
        self.run_on("client", "ip", "link", "set", "to-two", "nomaster")
        self.start_keepalived("one")
        self.wait_for_master("one")
        self.run_on("client", "ip", "link", "set", "to-two", "master", "br0")
        self.wait_for_master("one")
        log = self.directory / "sluiced-two.log"
        wait_for(lambda: "another node is the VRRP master" in log.read_text(), 5, "two has said so")


if __name__ == "__main__":
    support.main()
