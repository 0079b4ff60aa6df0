#!/usr/bin/python3
"""Three nodes behind a router that spreads connections over them (scripts/lab up --topology fleet): what an operator does
to a node, and what becomes of a node, without a lost connection."""

import support
from fleet_lab import NODES, VIP, VIP6, FleetLabCase
from support import wait_for

CLIENTS = 3


FLOWS = 64

# Answers datagrams to the VIP with this node's name.
NAMING = """
import socket, sys
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind((sys.argv[1], 53))
    while True: server.sendto(sys.argv[2].encode(), server.recvfrom(99)[1])
"""
# Prints who answers a datagram from each of so many ports.
ASKING = """
import socket, sys
for port in range(20000, 20000 + int(sys.argv[2])):
    with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("", port))
        client.settimeout(1)
        for _ in range(5):
            client.sendto(b"who?", (sys.argv[1], 53))
            try:
                print(client.recv(9).decode())
                break
            except TimeoutError: pass
        else: print("nobody")
"""


class FleetLabTest(FleetLabCase):
    def start_clients(self):
        return [self.lab.start_client("try", VIP, 80) for _ in range(CLIENTS)]

    def finish(self, clients):
        """Ends the clients; none of their connections may have failed. Returns who answered, in order."""
        tries = sorted(one for client in clients for one in self.lab.finish_client(client))
        self.assertGreater(len(tries), 20)
        self.assertEqual([], [one for one in tries if one[1] not in ("member1", "member2")])
        return [server for _, server in tries]

    def wait_for_standing(self, host, state):
        wait_for(lambda: self.lab.shown(host, "cluster", "status")["state"] == state, 30, f"{host} is {state}")

    def wait_for_member(self, host, member, **wanted):
        def is_so():
            shown = self.lab.shown(host, "loadbalancer", "member", "show", "pool", member)
            return all(shown.get(name) == value for name, value in wanted.items())
        wait_for(is_so, 20, f"{member} at {host}: {wanted}")

    def test_nodes_are_drained_die_and_lose_their_etcds_without_a_lost_connection(self):
        lab = self.lab
        lab.start_nodes()

        # What is made at any node is ACTIVE at all, and the router has three next hops.
        lab.serve()
        by_openstack = not support.missing("openstack")
        if not by_openstack:
            print("without the openstack client, which is not installed (python3-openstackclient, python3-octaviaclient)")
        lab.make_service(by_openstack=by_openstack)
        lab.on("lb2", "loadbalancer", "healthmonitor", "create", "--delay", "1", "--timeout", "1", "--max-retries", "1",
               "--max-retries-down", "2", "--type", "TCP", "pool")
        for host in NODES:
            wait_for(lambda host=host: lab.shown(host, "loadbalancer", "show", "web")["provisioning_status"] == "ACTIVE", 20,
                     f"ACTIVE at {host}")
        lab.wait_for_hops("lb1", "lb2", "lb3")
        for member in ("member1", "member2"):
            for host in NODES:
                self.wait_for_member(host, member, operating_status="ONLINE")

        # A node is drained from another one, and comes back; the router moves most connections when it does.
        if self.can_spread_by("modulo"):
            lab.spread_by("modulo")
        clients = self.start_clients()
        self.assertEqual("DRAINING", lab.shown("lb2", "node", "drain", "lb1")["state"])
        lab.wait_for_hops("lb2", "lb3")
        self.assertEqual("DRAINING", lab.state_of("lb1", "lb3"))
        wait_for(lambda: lab.state_of("lb1", "lb2") == "DRAINED", 20, "lb1 is drained")
        self.assertEqual("", lab.run("lb1", "ip", "route", "show", "table", "142").stdout)
        lab.kill("lb1", "sluiced")
        lab.start_node("lb1")
        self.assertEqual("DRAINED", lab.state_of("lb1"))
        self.assertEqual({"lb2", "lb3"}, lab.next_hops(VIP))
        lab.on("lb3", "node", "undrain", "lb1")
        lab.wait_for_hops("lb1", "lb2", "lb3")

        # One node can't reach a member: the fleet can, and tells who can't.
        lab.run("lb2", "ip", "route", "add", "blackhole", "192.0.2.101")
        seen = "lb1=ONLINE\nlb2=ERROR\nlb3=ONLINE"
        for host in NODES:
            self.wait_for_member(host, "member1", operating_status="ONLINE", operating_status_by_node=seen)
        lab.run("lb2", "ip", "route", "del", "blackhole", "192.0.2.101")
        self.wait_for_member("lb1", "member1", operating_status_by_node=seen.replace("ERROR", "ONLINE"))
        self.finish(clients)

        # A node without any member leaves the load balancer to the others, as long as one of them has one.
        blackholes = [f"192.0.2.{100 + number}" for number in (1, 2)]
        lab.on("lb3", "loadbalancer", "set", "--announce", "healthy", "web")
        for host, hops in (("lb2", ("lb1", "lb3")), ("lb1", ("lb3",)), ("lb3", NODES)):
            for member in blackholes:
                lab.run(host, "ip", "route", "add", "blackhole", member)
            lab.wait_for_hops(*hops)
        self.assertIn("is left to other nodes: it has no usable member here", lab.on("lb2", "events"))
        for host in NODES:
            for member in blackholes:
                lab.run(host, "ip", "route", "del", "blackhole", member)
        for host in NODES:
            for member in ("member1", "member2"):
                self.wait_for_member(host, member, operating_status_by_node="lb1=ONLINE\nlb2=ONLINE\nlb3=ONLINE")
        lab.wait_for_hops(*NODES)
        lab.on("lb1", "loadbalancer", "set", "--announce", "always", "web")

        # Statistics are the sum, wherever one asks.
        sums = [lab.shown(host, "loadbalancer", "stats", "show", "web") for host in NODES]
        self.assertEqual([sums[0]] * 3, sums)
        self.assertGreater(int(sums[0]["total_connections"]), 20)

        # The cluster's network is cut, once around one node and once between all, and heals: changes are refused where there is
        # no quorum, traffic and routes stay, and what was missed comes.
        clients = self.start_clients()
        for cut_off in (("lb2",), tuple(NODES)):
            lab.cut_etcd_off(*cut_off)
            for host in cut_off:
                self.wait_for_standing(host, "CUT_OFF")
            refused = lab.try_on("lb2", "loadbalancer", "set", "--description", "refused", "web")
            self.assertIn("(HTTP 503", refused.stderr)
            if len(cut_off) == 1:
                lab.on("lb3", "loadbalancer", "set", "--description", "made without lb2", "web")
            self.assertEqual(set(NODES), lab.next_hops(VIP))
            lab.heal_etcd(*cut_off)
            for host in NODES:
                self.wait_for_standing(host, "FOLLOWING")
                wait_for(lambda host=host: lab.shown(host, "loadbalancer", "show", "web")["description"] == "made without lb2", 10,
                         f"{host} has what was changed")
        self.finish(clients)

        # A node dies silently, with all that runs on it: among that the etcd that the others watch, the first one.
        lab.spread_by("hash-threshold")
        clients = self.start_clients()
        lab.kill_node("lb1")
        lab.wait_for_hops("lb2", "lb3")
        wait_for(lambda: lab.state_of("lb1", "lb2") == "GONE", 30, "lb1 is missed")
        refused = lab.try_on("lb2", "node", "remove", "lb3")
        self.assertEqual(1, refused.returncode)
        self.assertIn("Node lb3 is live", refused.stderr)
        lab.on("lb2", "node", "remove", "lb1")
        wait_for(lambda: "lb1" not in lab.on("lb3", "node", "list"), 10, "lb1 is forgotten")

        # What a file says is made load balancer by load balancer, until one is refused.
        manifest = lab.directory / "lb.yaml"
        exported = lab.on("lb2", "export")
        manifest.write_text(f"""{exported}
  - name: second
    vip_address: 198.51.100.17
  - name: third
    vip_address: 198.51.100.18
    pools: [{{name: p, protocol: TCP, lb_algorithm: ROUND_ROBIN, healthmonitor: {{type: TCP, delay: 1, timeout: 1, max_retries: 11}}}}]
""")
        refused = lab.try_on("lb3", "apply", "-f", manifest)
        self.assertEqual(1, refused.returncode)
        self.assertIn("(changed before: load balancer second; not changed: load balancer third)", refused.stderr)
        self.assertIn("second", lab.on("lb2", "loadbalancer", "list"))
        self.assertNotIn("third", lab.on("lb2", "loadbalancer", "list"))

        # All etcds are killed: traffic, probes and evictions go on.
        for host in ("lb2", "lb3"):
            lab.kill(host, "etcd")
        for host in ("lb2", "lb3"):
            self.wait_for_standing(host, "CUT_OFF")
        self.finish(clients)
        self.assertEqual({"lb2", "lb3"}, lab.next_hops(VIP))

        # A node that starts now waits before it announces anything, but not for ever.
        lab.kill("lb2", "sluiced")
        for family in ("-4", "-6"):
            lab.run("lb2", "ip", family, "route", "flush", "table", "142")
        lab.wait_for_hops("lb3")
        lab.start_node("lb2")
        joining = lab.shown("lb2", "node", "show")
        self.assertEqual(("JOINING", "waits for the fleet's state"), (joining["state"], joining["reason"]))
        lab.wait_for_hops("lb2", "lb3")
        self.assertIn("VIPs are announced without the fleet's state", lab.on("lb2", "events"))
        lab.stop("member1", "tcp80")
        for host in ("lb2", "lb3"):
            self.wait_for_member(host, "member1", operating_status="ERROR")
        clients = self.start_clients()
        wait_for(lambda: int(lab.client("count", "192.0.2.102", 80)) > 0, 10, "member2 answers")
        self.assertEqual({"member2"}, set(self.finish_after(clients, 30)))

    def can_spread_by(self, kind):
        """Says whether this machine has what the lab's router needs for it; prints why not."""
        if kind == "modulo" and support.missing("nft"):
            print("without a router that spreads by modulo: nftables is not installed (run: sudo scripts/install-deps --routing)")
            return False
        words = {"modulo": ["nft", "add", "table", "inet", "try"], "resilient": ["ip", "nexthop", "add", "id", 99, "blackhole"]}[kind]
        tried = self.lab.run("member1", *words, check=False)
        if tried.returncode != 0:
            print(f"without a router that spreads by {kind}: this kernel can't: {tried.stderr.strip()}")
        return tried.returncode == 0

    def who_answers(self, vip):
        return self.lab.run("client", "python3", "-c", ASKING, vip, FLOWS).stdout.split()

    def test_a_router_spreads_by_hash_threshold_resilient_groups_or_modulo(self):
        """Routes are made by hand here; the nodes answer for the VIP themselves."""
        lab = self.lab

        def route(change, host, vip):
            family = "-6" if ":" in vip else "-4"
            lab.run(host, "ip", family, "route", change, vip, "dev", "lo", "proto", 142, "table", 142, "metric", 100)

        for host in NODES:
            for vip in (VIP, VIP6):
                lab._lab("hold-vip", host, vip)
                lab.start(host, f"names{vip.count(':')}", "python3", "-c", NAMING, vip, host)
                route("add", host, vip)
        lab.wait_for_hops(*NODES)
        for kind in ("hash-threshold", "resilient", "modulo"):
            if kind != "hash-threshold" and not self.can_spread_by(kind):
                continue
            lab.spread_by(kind)
            for vip in (VIP, VIP6):
                with self.subTest(kind=kind, vip=vip):
                    before = self.who_answers(vip)
                    self.assertEqual(set(NODES), set(before))
                    self.assertEqual(before, self.who_answers(vip))
                    route("del", "lb1", vip)
                    wait_for(lambda vip=vip: lab.next_hops(vip) == {"lb2", "lb3"}, 20, "lb1 is withdrawn")
                    wait_for(lambda vip=vip: "lb1" not in self.who_answers(vip), 10, "nothing goes to lb1")
                    after = self.who_answers(vip)
                    moved = sum(was not in ("lb1", now) for was, now in zip(before, after))
                    if kind == "resilient":
                        self.assertEqual(0, moved, "connections of other nodes stay")
                    else:
                        self.assertGreater(moved, 3, "connections of other nodes move, too")
                    route("add", "lb1", vip)
                    wait_for(lambda vip=vip: lab.next_hops(vip) == set(NODES), 20, "lb1 is back")
                    if kind == "resilient":
                        self.assertEqual(after, self.who_answers(vip), "a node that joins gets new connections only")

    def finish_after(self, clients, count):
        """Lets the clients go on until the members have had so many more connections."""
        before = int(self.lab.client("count", "192.0.2.102", 80))
        wait_for(lambda: int(self.lab.client("count", "192.0.2.102", 80)) > before + count, 20, "connections go on")
        return self.finish(clients)


if __name__ == "__main__":
    support.main()
