#!/usr/bin/python3
"""Two nodes on one link, of which one answers for the VIPs: keepalived says which (the package's keepalived.conf), or etcd.

    client 10.0.0.2 ─┬─ one 10.0.0.11: Sluice and keepalived, priority 100
    203.0.113.2      ├─ two 10.0.0.12: Sluice and keepalived, priority 99
    with an etcd     └─ member 10.0.0.13: its gateway is the pair

The client is 203.0.113.2, too, and the nodes .11 and .12: what the member answers there takes its gateway. Every 10.0.0.H is
2001:db8::H, every 203.0.113.H is 2001:db8:c::H.
"""

import signal
import sys

import support
from hosts import HostsTest
from support import ROOT, program, wait_for

EXAMPLE = ROOT / "tools/package/examples/keepalived.conf"
VIP, VIP6 = "10.0.0.16", "2001:db8::16"
SERVICE, SERVICE6 = "203.0.113.16", "2001:db8:c::16"
GATEWAY, GATEWAY6 = "10.0.0.254", "2001:db8::254"
NODES = {"one": 11, "two": 12}
ETCD = "http://10.0.0.2:2379"

SERVER = """
import asyncio
async def answer(reader, writer):
    writer.write(b"member")
    writer.close()
async def main():
    async with await asyncio.start_server(answer, ["0.0.0.0", "::"], 80) as server: await server.serve_forever()
asyncio.run(main())
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 80), 2, (sys.argv[2], 0)) as connection: print(connection.recv(9).decode())
"""


class Pair(HostsTest):
    SUBJECT, SWITCH, NODES, GENTLY = "pair", "client", {**NODES, "member": 13}, ("keepalived",)

    def setUp(self):
        for tool, package in (("keepalived", "keepalived"), ("etcd", "etcd-server")):
            if tool in self._testMethodName and support.missing(tool):
                self.skipTest(f"{package} is not installed (run: sudo scripts/install-deps --routing)")
        self.make_hosts()
        for interface, host, number in (("br0", "client", 2), ("eth0", "one", 11), ("eth0", "two", 12)):
            self.address(host, interface, f"10.0.0.{number}/24", f"2001:db8::{number}/64", f"203.0.113.{number}/24",
                         f"2001:db8:c::{number}/64")
        self.address("member", "eth0", "10.0.0.13/24", "2001:db8::13/64")
        # Sluice gets whole checksums, as from a wire.
        for host, device in (("client", "br0"), *(("client", f"to-{host}") for host in self.NODES), ("member", "eth0")):
            self.run_on(host, "ethtool", "-K", device, "tx", "off")
        for gateway in (GATEWAY, GATEWAY6):
            self.run_on("member", "ip", "route", "add", "default", "via", gateway)
        self.spawn("server", "member", sys.executable, "-c", SERVER)
        for host in NODES:
            self.attach(host)

    def start_sluiced(self, host, *options):
        """Starts it as one that etcd or, without options, keepalived tells who is active."""
        self.spawn(f"sluiced-{host}", host, program("sluiced"), "--state-dir", self.directory / f"state-{host}", "--socket",
                   self.directory / f"{host}.sock", "--pin-dir", self.pins(host), "--interface", "eth0", "--node", host,
                   *(options or ("--vrrp-fifo", self.directory / f"{host}.fifo")))
        wait_for(lambda: self.ctl(host, "loadbalancer", "list", check=False), 10, "sluiced answers")

    def make_service(self, host):
        """The VIPs, a service whose members see the client, and their gateway."""
        for vip in (VIP, VIP6, GATEWAY, GATEWAY6):
            self.ctl(host, "loadbalancer", "create", "--name", vip, "--vip-address", vip)
        for vip, member in ((SERVICE, "10.0.0.13"), (SERVICE6, "2001:db8::13")):
            self.ctl(host, "loadbalancer", "create", "--name", vip, "--vip-address", vip)
            self.ctl(host, "loadbalancer", "listener", "create", "--name", f"l{vip}", "--protocol", "TCP", "--protocol-port", 80, vip)
            self.ctl(host, "loadbalancer", "pool", "create", "--name", f"p{vip}", "--listener", f"l{vip}", "--protocol", "TCP",
                     "--lb-algorithm", "ROUND_ROBIN", "--forwarding-mode", "dnat")
            self.ctl(host, "loadbalancer", "member", "create", "--address", member, "--protocol-port", 80, f"p{vip}")

    def service_answers(self):
        """A new connection over each IP version; the member answers over its gateway."""
        return all("member" in self.run_on("client", sys.executable, "-c", CLIENT, vip, source, check=False)
                   for vip, source in ((SERVICE, "203.0.113.2"), (SERVICE6, "2001:db8:c::2")))

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
        shown = self.run_on("client", "arping", "-I", "br0", "-c", "2", "-w", "1", VIP, check=False)
        return {host for host in NODES if self.mac(host).lower() in shown.lower()}

    def neighbor(self, vip, at="client"):
        """Returns the node that the client's neighbour table has for the VIP."""
        shown = self.run_on(at, "ip", "neigh", "show", vip)
        return next((host for host in NODES if self.mac(host) in shown), None)

    def forget_to_confirm(self, host):
        """The client goes on to know that `host` has the VIPs, but asks it no more: an entry that fails to be confirmed is not
        changed by what is announced (RFC 4861, 7.2.5)."""
        for vip in (VIP, VIP6):
            self.run_on("client", "ip", "neigh", "replace", vip, "lladdr", self.mac(host), "dev", "br0", "nud", "stale")

    def wait_for_announcement(self, host):
        """Waits until the client has heard that `host` has the VIPs, without asking."""
        wait_for(lambda: self.neighbor(VIP) == host and self.neighbor(VIP6) == host, 20, f"{host} has announced itself")

    def wait_for_master(self, host):
        wait_for(lambda: self.answers() == {host}, 15, f"{host} alone answers")
        for vip in (VIP, VIP6):
            wait_for(lambda: self.run_on("client", "ping", "-c", "1", "-W", "1", vip, check=False).count("1 received"), 10,
                     f"{vip} answers")
            self.assertEqual(host, self.neighbor(vip))
        wait_for(self.service_answers, 10, f"the member's answers go over {host}")
        for gateway in (GATEWAY, GATEWAY6):
            self.assertEqual(host, self.neighbor(gateway, "member"))

    def test_what_keepalived_calls_the_master_answers_and_its_standby_takes_over(self):
        for host in NODES:
            self.start_sluiced(host)
            self.make_service(host)
        self.assertEqual(set(), self.answers(), "nobody answers before keepalived has said who")
        self.start_keepalived("one")
        self.wait_for_master("one")
        self.start_keepalived("two")
        wait_for(lambda: 'INSTANCE "vips" BACKUP' in (self.directory / "two.fifo.state").read_text()
                 if (self.directory / "two.fifo.state").exists() else False, 10, "two is the standby")

        # The client hears of a takeover without asking; keepalived that ends in order hands over at once.
        self.forget_to_confirm("one")
        self.end("keepalived-one", signal.SIGTERM)
        self.wait_for_announcement("two")
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

    def start_etcd(self):
        self.spawn("etcd", "client", "etcd", "--data-dir", self.directory / "etcd", "--listen-client-urls", ETCD,
                   "--advertise-client-urls", ETCD, "--listen-peer-urls", "http://10.0.0.2:2380", "--initial-advertise-peer-urls",
                   "http://10.0.0.2:2380", "--initial-cluster", "default=http://10.0.0.2:2380", "--max-txn-ops", "4096", "--log-level",
                   "error")

    def state(self, node, host):
        return self.ctl(host, "node", "show", node, "-f", "value", "-c", "state").strip()

    def test_the_node_that_etcd_names_answers_and_its_standby_takes_over(self):
        in_group = ("--cluster", ETCD, "--standby-group", "link")
        self.start_etcd()
        for host in NODES:
            self.start_sluiced(host, *in_group)
        wait_for(lambda: "FOLLOWING" in self.ctl("one", "cluster", "status"), 20, "one follows")
        self.make_service("one")
        wait_for(lambda: len(self.answers()) == 1, 20, "one of the nodes answers")
        (first,) = self.answers()
        (second,) = set(NODES) - {first}
        self.wait_for_master(first)
        for host in NODES:
            wait_for(lambda host=host: (self.state(first, host), self.state(second, host)) == ("ACTIVE", "STANDBY"), 10,
                     f"{host} knows who is active")

        # A restart of sluiced changes nothing.
        self.end(f"sluiced-{first}")
        self.start_sluiced(first, *in_group)
        self.assertEqual({first}, self.answers())

        # The active node loses the link, and with it etcd. When it is back it is the standby.
        self.forget_to_confirm(first)
        self.run_on("client", "ip", "link", "set", f"to-{first}", "nomaster")
        self.wait_for_announcement(second)
        self.wait_for_master(second)
        self.run_on("client", "ip", "link", "set", f"to-{first}", "master", "br0")
        wait_for(lambda: self.state(first, first) == "STANDBY", 20, "the one that was cut off is the standby")
        self.wait_for_master(second)

        # A drain hands over.
        self.ctl(first, "node", "drain", second)
        self.wait_for_master(first)
        wait_for(lambda: self.state(second, first) == "DRAINED", 10, "drained")
        self.ctl(first, "node", "undrain", second)

        # Only the active node can't reach etcd: it hears that the other one answers, and gives way.
        self.run_on(first, "ip", "route", "add", "blackhole", "10.0.0.2/32", "table", "99")
        self.run_on(first, "ip", "rule", "add", "ipproto", "tcp", "dport", "2379", "lookup", "99", "pref", "1")
        self.wait_for_master(second)
        self.assertIn("another node is the active one", self.ctl(first, "events"))

        # Without etcd who is active stays so.
        self.end("etcd")
        wait_for(lambda: "CUT_OFF" in self.ctl(second, "cluster", "status"), 20, "etcd is missed")
        self.end(f"sluiced-{second}")
        self.start_sluiced(second, *in_group)
        self.wait_for_master(second)


if __name__ == "__main__":
    support.main()
