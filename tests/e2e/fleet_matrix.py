"""The fleet's lab with services of every mode, protocol and IP version, connections of all of them, and what may happen to its
nodes: for the table of fleet_matrix_test.py and for fleet_soak_test.py.

Members of `dnat` answer through the node that a connection's packets came from last (nftables): behind a router that spreads, the
answer to a SYN must come to the node that has it. All pools balance by ROUND_ROBIN, so that no two nodes would choose alike
without having told each other.
"""

import json
import os

import support
from fleet_lab import NODES, FleetLab, missing
from support import HERE, PATIENCE, PYTHON, program, wait_for

MODES = ("dsr", "ipip", "gue", "dnat", "fullnat")
LIMITS = {
    "UDP in fragments, where the router sends a datagram's first one by its ports and the others by addresses (modulo)":
        "a node that has not had the first one knows no ports (fragment_without_first)",
    "a node back after its monitors have found all members down": "until each has been probed, it resets connections of those that"
        " are still down for it, unless the pool's on_member_down is keep",
}
PROTOCOLS = {"TCP": ("TCP", 80, "TCP"), "UDP": ("UDP", 53, "UDP-CONNECT"), "SCTP": ("SCTP", 36412, "SCTP"),
             "NOTE": ("UDP", 514, None)}  # the listener's protocol, its port, the type of its monitor
MONITOR = {"delay": 4, "timeout": 2, "max_retries": 1, "max_retries_down": 10}  # no event lasts as long as that
FAMILIES = (4, 6)
IDLE = 3600  # seconds after which a session is over: none is silent for so long
PER_SECOND = 150  # exchanges of all sessions, so that the client and members wait more than they work
SHARES = {"TCP": 0.5, "UDP": 0.2, "SCTP": 0.2, "NOTE": 0.1}  # of the sessions
SNAT_PREFIXES = ("198.51.100.20", "2001:db8:f::20")  # of the nodes' own addresses, in fullnat; the node's number follows
FIRST_MARK = 1  # of the nodes, in the members' routing


def is_of_one_way(name):
    return name.split()[1] == "NOTE"


def vip_of(mode, family):
    number = 20 + MODES.index(mode)
    return f"198.51.100.{number}" if family == 4 else f"2001:db8:f::{number}"


def name_of(mode, protocol, family):
    return f"{mode} {protocol} IPv{family}"


class MatrixLab(FleetLab):
    def __init__(self, ecmp="hash-threshold", modes=MODES):
        super().__init__(ecmp=ecmp)
        self.modes = modes
        self.sessions = []  # each a Sessions
        self.key = self.directory / "peer-key"
        self.key.write_text("5" * 64 + "\n")
        self.key.chmod(0o600)

    # ---- set-up ----

    def start_node(self, host, *options, binary=None):
        number = host.removeprefix("lb")
        sources = [word for prefix in SNAT_PREFIXES for word in ("--snat-address", prefix + number)]
        super().start_node(host, "--peer-key-file", self.key, "--peer-listen", NODES[host], *sources, *options, binary=binary)

    def make_services(self):
        """Starts members, and makes a load balancer of each mode and IP version with a listener of each protocol."""
        for member in (1, 2):
            self._prepare_member(f"member{member}")
        # What members send to the nodes' addresses goes back to their own link, which the router would tell them.
        for host, device in (("router", "lan"), ("member1", "eth0"), ("member2", "eth0")):
            self.run(host, "sysctl", "-qw", *(f"net.{family}.conf.{each}.accept_redirects=0" for family in ("ipv4", "ipv6")
                                              for each in ("all", device)),
                     "net.ipv4.conf.all.send_redirects=0", f"net.ipv4.conf.{device}.send_redirects=0")
        manifest = self.directory / "services.yaml"
        manifest.write_text(json.dumps({"loadbalancers": [self._load_balancer(mode, family) for mode in self.modes
                                                          for family in FAMILIES]}))
        self.on("lb1", "apply", "-f", manifest)
        self.wait_for_all(*NODES)

    def _load_balancer(self, mode, family):
        listeners, pools = [], []
        for kind, (protocol, port, monitor) in PROTOCOLS.items():
            pool = {"name": kind, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN", "forwarding_mode": mode,
                    "members": [{"name": f"member{number}", "address": self.address(number, family == 6), "protocol_port": port}
                                for number in (1, 2)]}
            if monitor:
                pool["healthmonitor"] = {"type": monitor, **MONITOR}
            pools.append(pool)
            listeners.append({"name": kind, "protocol": protocol, "protocol_port": port, "idle_timeout": IDLE, "default_pool": kind})
        return {"name": f"{mode}{family}", "vip_address": vip_of(mode, family), "listeners": listeners, "pools": pools}

    def _prepare_member(self, host):
        direct = [vip_of(mode, family) for mode in self.modes if mode in ("dsr", "ipip", "gue") for family in FAMILIES]
        for vip in direct:
            self._lab("hold-vip", host, vip)
        if {"ipip", "gue"} & set(self.modes):
            # The tunnel's end passes packets on byte by byte, so none may be merged.
            self.run(host, "ethtool", "-K", "eth0", "gro", "off")
            self.start(host, "tunnel", PYTHON, HERE / "ipip_endpoint.py")
            wait_for(lambda: "ready" in self.log(host, "tunnel"), 5, "the tunnel's end")
        if "dnat" in self.modes:
            self._answer_to_last_hop(host)
        self.start(host, "server", PYTHON, HERE / "fleet_traffic.py", "serve")
        self.wait_listening(host, 80)

    def _answer_to_last_hop(self, host):
        """What a client sends to the member's own address came through a node, and is answered through that one."""
        own = self.address(int(host.removeprefix("member")))
        marks = []
        for mark, (node, address) in enumerate(NODES.items(), FIRST_MARK):
            (link,) = json.loads(self.run(node, "ip", "-j", "link", "show", "eth0").stdout)
            marks.append(f"{link['address']} : {mark}")
            for family, gateway in (("-4", address), ("-6", "2001:db8:1::" + address.rpartition(".")[2])):
                self.run(host, "ip", family, "route", "add", "default", "via", gateway, "table", 300 + mark)
                self.run(host, "ip", family, "rule", "add", "fwmark", mark, "lookup", 300 + mark, "pref", 100)
        rules = self.directory / f"{host}.nft"
        rules.write_text(f"""
table inet last_hop {{
  chain arrive {{
    type filter hook prerouting priority mangle;
    ip saddr 203.0.113.0/24 ip daddr {own} ct mark set ether saddr map {{ {", ".join(marks)} }}
    ip6 saddr 2001:db8:c::/64 ip6 daddr 2001:db8:1::{own.rpartition(".")[2]} ct mark set ether saddr map {{ {", ".join(marks)} }}
  }}
  chain leave {{
    type route hook output priority mangle;
    ct mark != 0 meta mark set ct mark
  }}
}}
""")
        self.run(host, "nft", "-f", rules)

    # ---- how the fleet stands ----

    def hops(self):
        """Returns the nodes that the router sends each VIP to."""
        found = {}
        for family in ("-4", "-6"):
            shown = json.loads(self.run("router", "ip", "-j", family, "route", "show", "proto", "bird").stdout or "[]")
            for route in shown:
                gateways = [hop.get("gateway") or hop.get("via", {}).get("host", "") for hop in route.get("nexthops") or [route]]
                found.setdefault(route["dst"], set()).update(f"lb{gateway[-1]}" for gateway in gateways)
        return found

    def wait_for_all(self, *hosts):
        """Waits until the router sends all VIPs to these nodes."""
        vips = {vip_of(mode, family) for mode in self.modes for family in FAMILIES}
        wait_for(lambda: {vip: hops for vip, hops in self.hops().items() if vip in vips} == {vip: set(hosts) for vip in vips}, 30,
                 f"the router sends all VIPs to {hosts}")

    def wait_for_peers(self, *hosts):
        """Waits until these nodes know each other's connections."""
        def know(host):
            shown = self.try_on(host, "peer", "list", "-f", "json")
            peers = {peer["name"]: peer for peer in json.loads(shown.stdout)} if shown.returncode == 0 else {}
            return all(other == host or (other in peers and peers[other]["state"] == "FOLLOWING" and peers[other]["behind"] == 0
                                         and peers[other]["missing"] == 0) for other in hosts)
        for host in hosts:
            wait_for(lambda host=host: know(host), 30, f"{host} follows its peers")

    def wait_for_cluster(self, *hosts):
        for host in hosts:
            wait_for(lambda host=host: self.shown(host, "cluster", "status")["state"] == "FOLLOWING", 30, f"{host} follows")

    def dropped(self):
        """Returns the packets that were dropped, by node and reason."""
        shown = {host: self.try_on(host, "drops", "-f", "json").stdout for host in NODES}
        return {host: {row["reason"]: row["packets"] for row in json.loads(text) if row["verdict"] == "drop" and row["packets"]}
                for host, text in shown.items() if text}

    # ---- what may happen to a node ----

    def port_of(self, host, state):
        """The switch forwards what the node sends and is sent (3), or nothing (0). Its carrier stays, so nobody is told."""
        self.run("switch", "bridge", "link", "set", "dev", f"{host}-eth0", "state", state)

    def power_off(self, host):
        """All that runs on the node ends, and nobody hears of it."""
        self.port_of(host, 0)
        for service in ("sluiced", "bird", "etcd"):
            self.kill(host, service)

    def boot(self, host):
        """The node comes back with nothing but what is on its disk."""
        self.run(host, program("sluice-loader"), "detach", "--all", "--pin-dir", f"{self.pins}-{host}", check=False)
        for family in ("-4", "-6"):
            self.run(host, "ip", family, "route", "flush", "table", 142, check=False)
        self.port_of(host, 3)
        self._lab("etcd", host)
        self.start_bird(host)
        self.start_node(host)

    def start_bird(self, host):
        file = self.directory / f"bird-{host}"
        self.start(host, "bird", "bird", "-f", "-c", f"{file}.conf", "-s", f"{file}.ctl", "-P", f"{file}.pid")

    # Each of these returns when the router knows of it, or when the fleet is whole again.

    def reboot(self, host):
        """As an operator does it: drained, off, on, undrained."""
        self.drain(host)
        self.power_off(host)
        self.boot(host)
        self.wait_for_cluster(*NODES)
        self.wait_for_peers(*NODES)
        self.undrain(host)
        self.wait_until_whole()

    def die(self, host):
        self.power_off(host)
        self.wait_for_all(*(set(NODES) - {host}))

    def join(self, host):
        self.boot(host)
        self.wait_until_whole()

    def pull_cable(self, host):
        self._cable(host, "down")
        self.wait_for_all(*(set(NODES) - {host}))

    def plug_cable(self, host):
        self._cable(host, "up")
        self.wait_until_whole()

    def kill_bird(self, host):
        self.kill(host, "bird")
        self.wait_for_all(*(set(NODES) - {host}))

    def restart_bird(self, host):
        self.start_bird(host)
        self.wait_until_whole()

    def kill_sluiced(self, host):
        """It tells all connections anew when it is back."""
        self.kill(host, "sluiced")
        self.start_node(host)
        self.wait_until_whole()

    def drain(self, host):
        helper = next(other for other in NODES if other != host)
        self.on(helper, "node", "drain", host)
        wait_for(lambda: self.state_of(host, helper) == "DRAINED", 30, f"{host} is drained")

    def undrain(self, host):
        helper = next(other for other in NODES if other != host)
        self.on(helper, "node", "undrain", host)

    def wait_until_whole(self):
        """Waits until all nodes have all VIPs, the fleet's state and each other's connections."""
        self.wait_for_all(*NODES)
        self.wait_for_cluster(*NODES)
        self.wait_for_peers(*NODES)

    def _cable(self, host, state):
        self.run("switch", "ip", "link", "set", f"{host}-eth0", state)

    def cut_cluster_off(self, *hosts):
        """Neither etcd nor the peers are reached; clients and members are."""
        self.cut_etcd_off(*hosts)
        for host in hosts:
            for end in ("sport", "dport"):
                for family in ("-4", "-6"):
                    self.run(host, "ip", family, "rule", "add", "ipproto", "udp", end, 9877, "blackhole", "pref", 1)

    def heal_cluster(self, *hosts):
        self.heal_etcd(*hosts)
        for host in hosts:
            while self.run(host, "ip", "-6", "rule", "del", "pref", 1, check=False).returncode == 0:
                pass
        self.wait_until_whole()

    def set_path_mtu(self, mtu):
        """The link between router and client takes no longer packets. Members learn of it by ICMP errors, which come to any node."""
        for host, device in (("router", "wan"), ("client", "eth0")):
            self.run(host, "ip", "link", "set", device, "mtu", mtu)
        for member in ("member1", "member2"):
            for family in ("-4", "-6"):
                self.run(member, "ip", family, "route", "flush", "cache")


class MatrixCase(support.LabTest):
    """A test with this lab in self.lab, whose router spreads as SLUICE_MATRIX_ECMP says."""

    ECMP = os.environ.get("SLUICE_MATRIX_ECMP", "hash-threshold")

    def setUp(self):
        reason = missing() or ("nftables is not installed (run: sudo scripts/install-deps --routing)" if support.missing("nft") else None)
        if reason:
            self.skipTest(reason)
        self.lab = MatrixLab(self.ECMP)
        self.addCleanup(self.lab.down)
        self.addCleanup(self._show_logs_of_a_failure)

    def start(self, sessions):
        """Has the fleet serve, and about so many sessions open; returns them."""
        self.lab.start_nodes()
        self.lab.make_services()
        self.lab.wait_until_whole()
        return self.hold(sessions, max(1, sessions / PER_SECOND))

    def hold(self, sessions, seconds):
        """Opens about so many sessions, which have an exchange about every so many seconds (0: never)."""
        each = sessions / (len(self.lab.modes) * len(FAMILIES))
        held = Sessions(self.lab, {kind: max(1, round(each * share)) for kind, share in SHARES.items()}, seconds)
        self.assertEqual({}, held.open(), "what could not be opened")
        return held


class Sessions:
    """The client with sessions of all kinds, and what becomes of them."""

    def __init__(self, lab, of_each, seconds=1.0):
        self.lab = lab
        self.names = {name_of(mode, protocol, family): vip_of(mode, family)
                      for mode in lab.modes for protocol in PROTOCOLS for family in FAMILIES}
        kinds = [f"{name}={name.split()[1]},{vip},{of_each[name.split()[1]]}" for name, vip in self.names.items()]
        self.client = lab.spawn("client", PYTHON, HERE / "fleet_traffic.py", "hold", seconds, *kinds)
        self.came = [set(), set()]  # to each member, since the last check: sessions of one direction
        lab.sessions.append(self)

    def say(self, *words):
        self.client.stdin.write(" ".join(map(str, words)) + "\n")
        self.client.stdin.flush()
        answer = self.client.stdout.readline()
        if not answer:
            raise AssertionError(f"the client has ended: {self.client.stderr.read()}")
        return json.loads(answer)

    def open(self):
        """Opens what isn't open; returns what could not be, by name."""
        return {name: report["failed"] for name, report in self.say("open").items() if report["failed"]}

    def check(self, how="check", seconds=10):
        """Gives each session time for an exchange. Returns by name how many are alive, broken (as a list of reasons), and of
        datagrams of one direction moved to another member."""
        report = self.say(how, seconds * PATIENCE)
        moved = self.moved()
        for name in report:
            report[name]["moved"] = moved.get(name, 0)
        return report

    def moved(self):
        """Returns by name how many sessions have come to both members since the last call."""
        for number in (0, 1):
            notes = set(json.loads(self.lab.run(f"member{number + 1}", PYTHON, HERE / "fleet_traffic.py", "notes").stdout))
            for sessions in self.lab.sessions:
                sessions.came[number] |= notes  # members forget what they have told
        of_vip = {vip: name for name, vip in self.names.items() if is_of_one_way(name)}
        counts = {}
        for session in set.intersection(*self.came):
            vip, client, _ = session.split()
            if client == str(self.client.pid):
                counts[of_vip[vip]] = counts.get(of_vip[vip], 0) + 1
        self.came = [set(), set()]
        return counts


class Table:
    """Mode, protocol and IP version by event: broken sessions of how many."""

    def __init__(self):
        self.events, self.rows, self.reasons = [], {}, []

    def add(self, event, report):
        self.events.append(event)
        for name, found in report.items():
            broken = [f"{event}: {name}: {why}" for why in found["broken"]]
            self.reasons += broken
            lost = found["moved"] if is_of_one_way(name) else len(broken)
            self.rows.setdefault(name, []).append((lost, found["alive"] + len(broken)))

    def has_broken(self):
        """Says whether the last event has broken any."""
        return any(row[-1][0] for name, row in self.rows.items() if not is_of_one_way(name))

    def lines(self):
        label = {name: name.replace("NOTE", "UDP of one way") for name in self.rows}
        sums = [tuple(map(sum, zip(*of_event))) for of_event in zip(*(row for name, row in self.rows.items() if not is_of_one_way(name)))]
        rows = {**{label[name]: row for name, row in self.rows.items()}, "all, of both directions": sums}
        first = max(map(len, rows))
        yield " | ".join([" " * first, *self.events])
        for name, row in rows.items():
            yield " | ".join([name.ljust(first), *("{}/{}".format(*cell).rjust(len(event)) for event, cell in zip(self.events, row))])
