"""Three nodes of Sluice behind a router (scripts/lab up --topology fleet), for tests and benchmarks."""

import json
import re

import support
from support import program, wait_for

VIP, VIP6 = "198.51.100.16", "2001:db8:f::16"
NODES = {"lb1": "192.0.2.11", "lb2": "192.0.2.12", "lb3": "192.0.2.13"}
CLUSTER = ",".join(f"http://{address}:2379" for address in NODES.values())


def missing():
    """Returns why the lab can't be made; None if it can."""
    for tool, package in (("bird", "bird2"), ("etcd", "etcd-server")):
        if support.missing(tool):
            return f"{package} is not installed (run: sudo scripts/install-deps --routing)"
    return None


class FleetLab(support.Lab):
    def __init__(self, bfd_ms=300):
        super().__init__(members=2, topology="fleet", options=["--bfd", bfd_ms])

    def address(self, member, ipv6=False):
        return f"{'2001:db8:1::' if ipv6 else '192.0.2.'}{100 + member}"

    def start_node(self, host, *options, binary=None):
        self.start(host, "sluiced", binary or program("sluiced"), "--node", host, "--interface", "eth0", "--flows", "65536",
                   "--announce-routes", "--cluster", CLUSTER, "--hash-key-file", self.directory / "hash-key", "--state-dir",
                   self.directory / f"state-{host}", "--socket", self.directory / f"{host}.sock", "--pin-dir",
                   f"{self.pins}-{host}", *options)
        wait_for(lambda: self.try_on(host, "node", "show").returncode == 0, 10, f"sluiced answers on {host}")

    def start_nodes(self):
        for host in NODES:
            self.start_node(host)
        for host in NODES:
            wait_for(lambda host=host: self.shown(host, "cluster", "status")["state"] == "FOLLOWING", 30, f"{host} follows")

    def try_on(self, host, *words):
        return self.run(host, program("sluicectl"), "--socket", self.directory / f"{host}.sock", *words, check=False)

    def on(self, host, *words):
        return self.run(host, program("sluicectl"), "--socket", self.directory / f"{host}.sock", *words).stdout

    def shown(self, host, *words):
        """Returns the record that the command shows."""
        return json.loads(self.on(host, *words, "-f", "json"))

    def state_of(self, node, host="lb1"):
        return self.shown(host, "node", "show", node)["state"]

    def next_hops(self, vip):
        """The nodes that the router sends the VIP to."""
        routes = self.run("router", "ip", "-6" if ":" in vip else "-4", "route", "show", vip).stdout
        return {f"lb{number}" for number in re.findall(r"via (?:inet6 )?(?:192\.0\.2\.|2001:db8:1::)1(\d)\b", routes)}

    def spread_by(self, kind):
        """Has the router choose next hops in this way: hash-threshold, resilient or modulo."""
        self._lab("ecmp", kind)
        in_force = {"hash-threshold": lambda: True, "resilient": lambda: "nhid" in self.run("router", "ip", "route", "show", "table", 143,
                                                                                           check=False).stdout,
                    "modulo": lambda: "jhash" in self.run("router", "nft", "list", "ruleset").stdout}
        wait_for(in_force[kind], 10, f"the router spreads by {kind}")

    def wait_for_hops(self, *hosts):
        for vip in (VIP, VIP6):
            wait_for(lambda vip=vip: self.next_hops(vip) == set(hosts), 20, f"the router sends {vip} to {hosts}")

    def make_service(self, protocol="TCP", port=80):
        """Members answer clients directly, by a choice that all nodes make alike: then it doesn't matter which one a packet
        comes to. Each object is made at another node."""
        self.hold_vip(VIP)
        self.on("lb1", "loadbalancer", "create", "--name", "web", "--vip-address", VIP, "--additional-vip", f"ip-address={VIP6}")
        self.on("lb2", "loadbalancer", "listener", "create", "--name", "listener", "--protocol", protocol, "--protocol-port", port,
                "web")
        self.on("lb3", "loadbalancer", "pool", "create", "--name", "pool", "--listener", "listener", "--protocol", protocol,
                "--lb-algorithm", "MAGLEV", "--forwarding-mode", "dsr")
        for number in (1, 2):
            self.on("lb1", "loadbalancer", "member", "create", "--name", f"member{number}", "--address", self.address(number),
                    "--protocol-port", port, "pool")

    def kill_node(self, host):
        """A node dies, with all that runs on it."""
        self.run(host, "ip", "link", "set", "eth0", "down")
        for service in ("sluiced", "bird", "etcd"):
            self.kill(host, service)
