"""Three nodes of Sluice behind a router (scripts/lab up --topology fleet), for tests and benchmarks."""

import json
import re

import support
from support import program, wait_for

VIP, VIP6 = "198.51.100.16", "2001:db8:f::16"
SUBNET, SUBNET6 = "9e4daf63-0000-4000-8000-000000000004", "9e4daf63-0000-4000-8000-000000000006"
NODES = {"lb1": "192.0.2.11", "lb2": "192.0.2.12", "lb3": "192.0.2.13"}
CLUSTER = ",".join(f"http://{address}:2379" for address in NODES.values())


def missing():
    """Returns why the lab can't be made; None if it can."""
    for tool, package in (("bird", "bird2"), ("etcd", "etcd-server")):
        if support.missing(tool):
            return f"{package} is not installed (run: sudo scripts/install-deps --routing)"
    return None


class FleetLabCase(support.LabTest):
    """A test with this lab in self.lab."""

    def setUp(self):
        reason = missing()
        if reason:
            self.skipTest(reason)
        self.lab = FleetLab()
        self.addCleanup(self.lab.down)
        self.addCleanup(self._show_logs_of_a_failure)


class FleetLab(support.Lab):
    def __init__(self, bfd_ms=300, ecmp="hash-threshold"):
        super().__init__(members=2, topology="fleet", options=["--bfd", bfd_ms, "--ecmp", ecmp])

    def address(self, member, ipv6=False):
        return f"{'2001:db8:1::' if ipv6 else '192.0.2.'}{100 + member}"

    def start_node(self, host, *options, binary=None, flows=65536):
        self.start(host, "sluiced", binary or program("sluiced"), "--node", host, "--interface", "eth0", "--flows", flows,
                   "--announce-routes", "--cluster", CLUSTER, "--hash-key-file", self.directory / "hash-key", "--state-dir",
                   self.directory / f"state-{host}", "--socket", self.directory / f"{host}.sock", "--pin-dir",
                   f"{self.pins}-{host}", "--subnet", f"vips,network=fleet,cidr=198.51.100.0/24,range=198.51.100.16-198.51.100.99,id={SUBNET}",
                   "--subnet", f"vips6,network=fleet,cidr=2001:db8:f::/64,range=2001:db8:f::16-2001:db8:f::99,id={SUBNET6}", *options)
        wait_for(lambda: self.try_on(host, "node", "show").returncode == 0, 10, f"sluiced answers on {host}")

    def start_nodes(self):
        for host in NODES:
            self.start_node(host, *(["--listen", "127.0.0.1:9876"] if host == "lb1" else []))
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

    def make_service(self, protocol="TCP", port=80, by_openstack=False):
        """Members answer clients directly, by a choice that all nodes make alike: then it doesn't matter which one a packet
        comes to. Each object is made at another node, the first one by the openstack client if that is wanted."""
        self.hold_vip(VIP)
        create = ("loadbalancer", "create", "--name", "web", "--vip-subnet-id", SUBNET, "--vip-address", VIP, "--additional-vip",
                  f"subnet-id={SUBNET6},ip-address={VIP6}")
        if by_openstack:
            self.run("lb1", "env", "-i", "PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "OS_AUTH_TYPE=none",
                     "OS_ENDPOINT=http://127.0.0.1:9876", "openstack", *create)
        else:
            self.on("lb1", *create)
        self.on("lb2", "loadbalancer", "listener", "create", "--name", "listener", "--protocol", protocol, "--protocol-port", port,
                "web")
        self.on("lb3", "loadbalancer", "pool", "create", "--name", "pool", "--listener", "listener", "--protocol", protocol,
                "--lb-algorithm", "MAGLEV", "--forwarding-mode", "dsr")
        for number in (1, 2):
            self.on("lb1", "loadbalancer", "member", "create", "--name", f"member{number}", "--address", self.address(number),
                    "--protocol-port", port, "pool")

    def cut_etcd_off(self, *hosts):
        """Cuts the network between these hosts' etcds and everybody else, also their own Sluice's; nothing else."""
        for host in hosts:
            for port in (2379, 2380):
                for end in ("sport", "dport"):
                    self.run(host, "ip", "rule", "add", "ipproto", "tcp", end, port, "blackhole", "pref", 1)

    def heal_etcd(self, *hosts):
        for host in hosts:
            while self.run(host, "ip", "rule", "del", "pref", 1, check=False).returncode == 0:
                pass

    def kill_node(self, host):
        """A node dies, with all that runs on it."""
        self.run(host, "ip", "link", "set", "eth0", "down")
        for service in ("sluiced", "bird", "etcd"):
            self.kill(host, service)
