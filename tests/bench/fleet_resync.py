"""How long a node that comes back with empty tables takes until it knows all connections of another one, which carries many that
are idle; what CPU time that costs both, and how much goes over the wire. Part of bench fleet."""

import json
import os
import statistics
import time

import support
from fleet_lab import NODES, SUBNET, VIP, FleetLab
from unix_http import UnixConnection

CARRIER, JOINER = "lb1", "lb2"
PORT = 80
POLL_SECONDS = 0.05
# The copies of one peer's connections take half of a table at most.
ROOM = 3


class Resynchronisation:
    def __init__(self, lab, idle):
        self.lab, self.idle = lab, idle
        self.key = lab.directory / "peer-key"
        self.key.touch(mode=0o600)
        self.key.write_text("5" * 64 + "\n")
        self.start(CARRIER)
        self.make_service()
        self.client = lab.start_client("keep", VIP, PORT, 1)
        self.client.stdout.readline()
        print(f"  {CARRIER}: " + lab.run(CARRIER, support.BUILD / "tests/bench/idle_flows", self.pins(CARRIER), idle,
                                         timeout=120).stdout.strip(), flush=True)

    def pins(self, host):
        return f"{self.lab.pins}-{host}"

    def start(self, host):
        self.lab.start_node(host, "--peer-key-file", self.key, "--peer-listen", NODES[host], "--snat-address",
                            f"198.51.100.20{host[-1]}", flows=ROOM * self.idle)

    def make_service(self):
        lab = self.lab
        lab.serve(PORT)
        lab.on(CARRIER, "loadbalancer", "create", "--name", "web", "--vip-subnet-id", SUBNET, "--vip-address", VIP)
        lab.on(CARRIER, "listener", "create", "--name", "web", "--protocol", "TCP", "--protocol-port", PORT, "web")
        lab.on(CARRIER, "pool", "create", "--name", "web", "--listener", "web", "--protocol", "TCP", "--lb-algorithm", "ROUND_ROBIN")
        for number in (1, 2):
            lab.on(CARRIER, "member", "create", "--address", lab.address(number), "--protocol-port", PORT, "web")
        support.wait_for(lambda: lab.next_hops(VIP) == {CARRIER}, 30, f"the router sends {VIP} to {CARRIER}")

    def cpu_seconds(self, host):
        with open(f"/proc/{self.lab.service_pid(host, 'sluiced')}/stat") as stat:
            user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def sent_bytes(self, host):
        link = json.loads(self.lab.run(host, "ip", "-j", "-s", "link", "show", "eth0").stdout)[0]
        return link["stats64"]["tx"]["bytes"]

    def spent(self):
        return [self.cpu_seconds(CARRIER), self.cpu_seconds(JOINER), self.sent_bytes(CARRIER)]

    def told(self):
        """What the joining node knows of the other one's connections, and whether that is all."""
        answer = self.connection.ask("GET", "/v1/peers")[1]
        return next(((peer["replicas"], peer["state"]) for peer in answer["peers"] if peer["name"] == CARRIER), (0, ""))

    def round(self):
        """The joining node starts with empty tables."""
        self.start(JOINER)
        self.connection = UnixConnection(self.lab.directory / f"{JOINER}.sock")
        before, begin = self.spent(), time.monotonic()
        until = begin + 600
        while (told := self.told())[0] < self.idle or told[1] != "FOLLOWING":
            if time.monotonic() > until:
                raise RuntimeError(f"{JOINER} knows {told} of {self.idle} connections after ten minutes")
            if told[0] == 0:
                before, begin = self.spent(), time.monotonic()
            time.sleep(POLL_SECONDS)
        took = time.monotonic() - begin
        sender, receiver, sent = (after - first for after, first in zip(self.spent(), before))
        self.lab.kill(JOINER, "sluiced")
        self.lab.run(JOINER, support.program("sluice-loader"), "detach", "--all", "--pin-dir", self.pins(JOINER))
        return {"took_s": took, "sender_s": sender, "receiver_s": receiver, "bytes": sent}


def measure(idle, rounds):
    with FleetLab() as lab:
        bench = Resynchronisation(lab, idle)
        found = [bench.round() for _ in range(rounds)]
    print(f"a node with empty tables is told {idle} connections, {rounds} rounds: min, median, max")
    for key, name, scale in (("took_s", "until it knows all (s)", 1), ("sender_s", "CPU of the node that tells (us each)", 1e6 / idle),
                             ("receiver_s", "CPU of the node that is told (us each)", 1e6 / idle), ("bytes", "bytes each", 1 / idle)):
        values = sorted(one[key] * scale for one in found)
        print(f"  {name:50} | {values[0]:7.2f} {statistics.median(values):7.2f} {values[-1]:7.2f}", flush=True)
    return {"what": f"resynchronisation of {idle} connections", "rounds": found}
