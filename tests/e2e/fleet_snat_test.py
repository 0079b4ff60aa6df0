#!/usr/bin/python3
"""Each node of a fleet has a SNAT address of its own, so all nodes behind a router carry connections in fullnat at once,
and a member's answers come to the node that knows them. Connections outlive a drain, a reboot and a death of their node.
"""

import json

from fleet_lab import NODES, SUBNET, SUBNET6, VIP, VIP6, FleetLabCase
from support import PATIENCE, main, program, wait_for

OF_EACH_KIND = 100  # TCP and UDP, IPv4 and IPv6
ALL = 4 * OF_EACH_KIND

SERVER = """
import asyncio
class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, source): self.transport.sendto(data, source)
async def echo(reader, writer):
    while data := await reader.read(99): writer.write(data)
    writer.close()
async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=("::", 5353))
    async with await asyncio.start_server(echo, ["0.0.0.0", "::"], 8080, backlog=2000) as server: await server.serve_forever()
asyncio.run(main())
"""

# Opens connections, and has each answered again after each line on stdin: prints how many of each kind were not. What is
# lost on the way TCP sends again by itself; datagrams are sent again here.
CLIENT = """
import json, select, socket, sys, time
def opened(kind, vip):
    client = socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, kind)
    client.settimeout(%(patience)d)
    client.connect((vip, 80 if kind == socket.SOCK_STREAM else 53))
    return client
connections = {f"{name} {vip}": [opened(kind, vip) for _ in range(%(count)d)]
               for name, kind in (("TCP", socket.SOCK_STREAM), ("UDP", socket.SOCK_DGRAM)) for vip in %(vips)r}
def said(connection, question):
    try: connection.send(question)
    except OSError: pass
def heard(connection, before, question):
    try: data = connection.recv(8)
    except OSError: return None
    if connection.type == socket.SOCK_DGRAM: return data if data == question else b""
    return before + data if data else None
def ask(question):
    waiting, broken, until = {one: b"" for one in sum(connections.values(), [])}, set(), time.monotonic() + %(patience)d
    for one in waiting: said(one, question)
    while waiting and time.monotonic() < until:
        readable = select.select(list(waiting), [], [], 0.5)[0]
        for one in readable:
            waiting[one] = heard(one, waiting[one], question)
            if waiting[one] is None: broken.add(one)
            if waiting[one] in (None, question): del waiting[one]
        for one in [] if readable else waiting:
            if one.type == socket.SOCK_DGRAM: said(one, question)
    print(json.dumps({kind: sum(one in broken or one in waiting for one in all) for kind, all in connections.items()}), flush=True)
ask(b"00000000")
for number, _ in enumerate(sys.stdin, 1): ask(b"%%08d" %% number)
"""


class FleetSnatTest(FleetLabCase):
    def start_node(self, host, *options):
        key = self.lab.directory / "peer-key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text("5" * 64 + "\n")
        number = host.removeprefix("lb")
        sources = [option for prefix in self.prefixes for option in ("--snat-address", prefix + number)]
        self.lab.start_node(host, "--peer-key-file", key, "--peer-listen", NODES[host], *(options or sources))

    def make_services(self):
        lab = self.lab
        lab.hold_vip(VIP)
        lab.on("lb1", "loadbalancer", "create", "--name", "web", "--vip-subnet-id", SUBNET, "--vip-address", VIP, "--additional-vip",
               f"subnet-id={SUBNET6},ip-address={VIP6}")
        for protocol, port, to in (("TCP", 80, 8080), ("UDP", 53, 5353)):
            name = protocol.lower()
            lab.on("lb2", "loadbalancer", "listener", "create", "--name", name, "--protocol", protocol, "--protocol-port", port, "web")
            lab.on("lb3", "loadbalancer", "pool", "create", "--name", name, "--listener", name, "--protocol", protocol,
                   "--lb-algorithm", "ROUND_ROBIN")
            for number in (1, 2):
                for ipv6 in (False, True):
                    lab.on("lb1", "loadbalancer", "member", "create", "--address", lab.address(number, ipv6), "--protocol-port", to, name)

    def start_client(self):
        text = CLIENT % {"patience": 12 * PATIENCE, "count": OF_EACH_KIND, "vips": (VIP, VIP6)}
        self.client = self.lab.spawn("client", "python3", "-c", text)
        self.assertEqual(0, self.broken())

    def broken(self):
        """How many connections were not answered."""
        return sum(json.loads(self.client.stdout.readline()).values())

    def ask(self):
        self.client.stdin.write("again\n")
        self.client.stdin.flush()
        return self.broken()

    def own(self, host):
        return self.lab.shown(host, "node", "show")["connections"]

    def replicas(self, host):
        return sum(int(peer["replicas"]) for peer in json.loads(self.lab.on(host, "peer", "list", "-f", "json")))

    def wait_for_peers(self, *hosts):
        """Each of them knows all connections of the others."""
        def is_so(host):
            peers = json.loads(self.lab.on(host, "peer", "list", "-f", "json"))
            return [peer["state"] for peer in peers if peer["state"] != "SILENT"] == ["FOLLOWING"] * (len(hosts) - 1)
        for host in hosts:
            wait_for(lambda host=host: is_so(host), 60, f"{host} follows its peers")

    def next_hops_of_source(self, number):
        found = [self.lab.next_hops(prefix + number) for prefix in self.prefixes]
        self.assertEqual(found[0], found[1])
        return found[0]

    def replacing(self, *hosts):
        """The addresses that these nodes answer for in place of others."""
        return "".join(self.lab.shown(host, "node", "show").get("replaced_snat_addresses") or "" for host in hosts)

    def test_connections_of_all_nodes_outlive_them_where_routers_know_the_sources(self):
        self.prefixes = ("198.51.100.20", "2001:db8:f::20")
        self.outlive(routed=True)

    def test_connections_of_all_nodes_outlive_them_where_the_sources_are_on_the_members_link(self):
        self.prefixes = ("192.0.2.20", "2001:db8:1::20")
        self.outlive(routed=False)

    def outlive(self, routed):
        lab = self.lab
        for host in NODES:
            self.start_node(host)
        # The router sends what comes from the members' link back to it, and would tell them of it.
        for family in ("ipv4", "ipv6"):
            for host in ("router", "member1", "member2"):
                lab.run(host, "sysctl", "-qw", *(f"net.{family}.conf.{nic}.accept_redirects=0" for nic in ("all", "lan" if host == "router" else "eth0")))
        for number in (1, 2):
            lab.start(f"member{number}", "echo", "python3", "-c", SERVER)
            lab.wait_listening(f"member{number}", 8080)
        self.make_services()
        lab.wait_for_hops(*NODES)
        self.wait_for_peers(*NODES)

        # All nodes carry connections, and know those of the others.
        self.start_client()
        carried = {host: self.own(host) for host in NODES}
        self.assertEqual(ALL, sum(carried.values()), carried)
        self.assertGreater(min(carried.values()), ALL / 10, carried)
        for host in NODES:
            wait_for(lambda host=host: self.replicas(host) == ALL - carried[host], 20, f"{host} knows all connections")

        # A node that has another one's address is refused by name.
        lab.kill("lb3", "sluiced")
        self.start_node("lb3", "--snat-address", self.prefixes[0] + "2")
        wait_for(lambda: lab.state_of("lb3") == "WITHDRAWN", 20, "lb3 announces nothing")
        self.assertIn(f"SNAT address {self.prefixes[0]}2 is lb2's", lab.shown("lb3", "node", "show")["reason"])
        self.assertEqual(0, self.ask())
        lab.kill("lb3", "sluiced")
        self.start_node("lb3")
        lab.wait_for_hops(*NODES)
        self.wait_for_peers(*NODES)
        self.assertEqual(0, self.ask())

        # A reboot: the node is drained, loses all that it knows, and comes back.
        lab.on("lb2", "node", "drain", "lb1")
        lab.wait_for_hops("lb2", "lb3")
        self.assertEqual(0, self.ask())
        wait_for(lambda: lab.state_of("lb1", "lb2") == "DRAINED", 30, "lb1 is drained")
        wait_for(lambda: self.prefixes[0] + "1" in self.replacing("lb2", "lb3"), 20, "another node answers for lb1's source")
        if routed:
            wait_for(lambda: "lb1" not in self.next_hops_of_source("1"), 20, "the router sends answers elsewhere")
        self.assertEqual(0, self.ask())
        lab.kill("lb1", "sluiced")
        lab.run("lb1", program("sluice-loader"), "detach", "--all", "--pin-dir", f"{lab.pins}-lb1")
        self.assertEqual(0, self.ask())
        self.start_node("lb1")
        lab.on("lb3", "node", "undrain", "lb1")
        lab.wait_for_hops(*NODES)
        self.wait_for_peers(*NODES)
        wait_for(lambda: self.replacing("lb2", "lb3") == "", 20, "lb1 answers for its source")
        self.assertEqual(0, self.ask())

        # A death without a word.
        lab.run("switch", "ip", "link", "set", "lb2-eth0", "nomaster")
        self.assertEqual(0, self.ask())
        wait_for(lambda: self.prefixes[0] + "2" in self.replacing("lb1", "lb3"), 30, "another node answers for lb2's source")
        if routed:
            wait_for(lambda: "lb2" not in self.next_hops_of_source("2"), 20, "the router sends answers elsewhere")
        self.assertEqual(0, self.ask())
        lab.run("switch", "ip", "link", "set", "lb2-eth0", "master", "lan")
        lab.wait_for_hops(*NODES)
        self.wait_for_peers(*NODES)
        wait_for(lambda: self.replacing("lb1", "lb3") == "", 20, "lb2 answers for its source")
        self.assertEqual(0, self.ask())


if __name__ == "__main__":
    main()
