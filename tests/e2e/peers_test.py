#!/usr/bin/python3
"""Connections survive the node that they go through: the other node of a pair has been told of them.

    client 10.0.0.2 ─┬─ one 10.0.0.11: Sluice, the master at first
                     ├─ two 10.0.0.12: Sluice, its standby
                     └─ member 10.0.0.13: echoes
"""

import subprocess
import sys

import support
from hosts import HostsTest
from support import program, wait_for

sys.path.insert(0, str(support.ROOT / "tests/monitoring"))
import shipped  # noqa: E402  (the metrics that the README has)

VIP, VIP6 = "10.0.0.16", "2001:db8::16"
NODES = {"one": 11, "two": 12}
MEMBER, MEMBER6 = "10.0.0.13", "2001:db8::13"
OF_EACH_FAMILY = 500

# Opens connections to both VIPs; has each answered again after each line on stdin, and says how many are broken.
CLIENT = """
import socket, sys
connections = [socket.create_connection((vip, 80), timeout=%d) for vip in ("%s", "%s") for _ in range(%d)]
def is_alive(connection):
    try:
        return connection.recv(9) == b"echo"
    except OSError:
        return False
def ask():
    for connection in connections:
        try:
            connection.sendall(b"echo")
        except OSError:
            pass
    print(sum(not is_alive(connection) for connection in connections), "broken", flush=True)
ask()
for _ in sys.stdin: ask()
""" % (60 * support.PATIENCE, VIP, VIP6, OF_EACH_FAMILY)

SERVER = """
import asyncio
async def echo(reader, writer):
    while data := await reader.read(99): writer.write(data)
    writer.close()
async def main():
    async with await asyncio.start_server(echo, ["0.0.0.0", "::"], 8080, backlog=2000) as server: await server.serve_forever()
asyncio.run(main())
"""


class Peers(HostsTest):
    SUBJECT, SWITCH, NODES = "peers", "client", {**NODES, "member": 13}

    def setUp(self):
        self.make_hosts()
        self.address("client", "br0", "10.0.0.2/24", "2001:db8::2/64")
        for host, number in self.NODES.items():
            self.address(host, "eth0", f"10.0.0.{number}/24", f"2001:db8::{number}/64")
        # Sluice gets whole checksums, as from a wire.
        for host, device in [("client", "br0"), *(("client", f"to-{host}") for host in self.NODES), ("member", "eth0")]:
            self.run_on(host, "ethtool", "-K", device, "tx", "off")
        self.key = self.directory / "key"
        self.key.write_text("5" * 64 + "\n")
        self.key.chmod(0o600)

    def start_sluiced(self, host, peer):
        self.run_on(host, program("sluice-loader"), "attach", "eth0", "--mode", "generic", "--flows", "16384", "--pin-dir",
                    self.pins(host))
        self.spawn(f"sluiced-{host}", host, program("sluiced"), "--state-dir", self.directory / f"state-{host}", "--socket",
                   self.directory / f"{host}.sock", "--pin-dir", self.pins(host), "--interface", "eth0", "--vrrp-fifo",
                   self.directory / f"{host}.fifo", "--peer", peer, "--peer-key-file", self.key, "--node", host, "--announce-routes")
        wait_for(lambda: self.ctl(host, "loadbalancer", "list", check=False), 10, "sluiced answers")

    def say(self, host, state):
        """Says what keepalived would say."""
        with open(self.directory / f"{host}.fifo", "w") as fifo:
            fifo.write(f'INSTANCE "vips" {state} 100\n')

    def make_load_balancers(self, host):
        """The nodes have no common state: what is made at both has different ids."""
        for vip, member in ((VIP, MEMBER), (VIP6, MEMBER6)):
            self.ctl(host, "loadbalancer", "create", "--name", vip, "--vip-address", vip)
            self.ctl(host, "listener", "create", "--name", f"{vip}-80", "--protocol", "TCP", "--protocol-port", 80, vip)
            self.ctl(host, "pool", "create", "--name", f"{vip}-80", "--protocol", "TCP", "--lb-algorithm", "ROUND_ROBIN",
                     "--listener", f"{vip}-80")
            self.ctl(host, "member", "create", "--address", member, "--protocol-port", 8080, f"{vip}-80")

    def peer(self, host, column):
        return self.ctl(host, "peer", "list", "-f", "value", "-c", column).strip()

    def start_client(self):
        self.client = subprocess.Popen(self.command("client", "python3", "-c", CLIENT), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_client)
        return self.client.stdout.readline()

    def end_client(self):
        self.client.kill()
        self.client.communicate()

    def ask(self):
        self.client.stdin.write("again\n")
        self.client.stdin.flush()
        return self.client.stdout.readline()

    def metrics(self, host):
        return self.run_on(host, "curl", "-sS", "--unix-socket", self.directory / f"{host}.sock", "http://localhost/metrics")

    def test_connections_survive_their_node(self):
        self.spawn("member", "member", "python3", "-c", SERVER)
        self.start_sluiced("one", "10.0.0.12")
        # It waits for a peer's connections, for a while.
        said = (self.directory / "sluiced-one.log").read_text()
        self.assertIn("waits for the connections of 10.0.0.12:9877 before VIPs are announced", said)
        self.start_sluiced("two", "10.0.0.11:9877")
        for host in NODES:
            self.make_load_balancers(host)
        self.say("one", "MASTER")
        self.say("two", "BACKUP")
        for host in NODES:
            wait_for(lambda: self.peer(host, "state") == "FOLLOWING", 20, f"{host} follows")
        self.assertEqual("two", self.peer("one", "name"))
        for host in NODES:
            wait_for(lambda: "ANNOUNCING" in self.ctl(host, "node", "show"), 10, f"{host} has joined")
        wait_for(lambda: self.run_on("client", "ping", "-c", "1", "-W", "1", VIP, check=False).count("1 received"), 10,
                 "one answers for the VIP")

        self.assertEqual("0 broken\n", self.start_client())
        wait_for(lambda: self.peer("two", "replicas") == str(2 * OF_EACH_FAMILY), 20, "two knows all connections")
        documented = shipped.of_peers(shipped.documented())
        self.assertEqual(documented, shipped.of_peers(shipped.found_in(self.metrics("two"))))

        # One dies, all of it: its processes and its cable.
        self.end("sluiced-one")
        self.run_on("client", "ip", "link", "set", "to-one", "nomaster")
        self.say("two", "MASTER")
        self.assertEqual("0 broken\n", self.ask())
        wait_for(lambda: self.peer("two", "state") == "SILENT", 10, "two has noticed")


if __name__ == "__main__":
    support.main()
