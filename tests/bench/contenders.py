"""The contenders: Sluice, three peers and no load balancer at all, each with a lab of its own.

The labs are separate, because Sluice's XDP program and netfilter's hooks would cost the others' packets, too. All
labs are alike (flat, four members with one nginx each); only what runs on the `lb` host differs. A contender says
where clients connect and how many connections it has carried by its own count, so that a bench fails when traffic
took another way.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"
sys.path.insert(0, str(HERE.parent / "e2e"))

import support  # noqa: E402

MEMBERS = 4
SMALL, BULK = 80, 5201  # ports: nginx on all members, iperf3 on the first one


class Contender(support.Lab):
    name_in_table = None
    target = support.LB_ADDRESS  # where clients connect
    source = support.LB_ADDRESS  # whom the members see

    def __init__(self, flows=1 << 18):
        super().__init__(members=MEMBERS)
        self.flows = flows
        self._serve()
        for host in ("client", "lb"):
            self.run(host, "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1")
        self.prepare()
        self.probe()

    def _serve(self):
        for member in range(1, MEMBERS + 1):
            host = f"member{member}"
            self.start(host, "nginx", "nginx", "-c", PEERS / "member.conf", "-e", "stderr", "-g",
                       f"daemon off; pid {self.directory}/{host}.pid;")
            self.run(host, "sysctl", "-qw", "net.core.somaxconn=8192")
        self.start("member1", "iperf3", "iperf3", "-s", "-p", str(BULK))
        for member in range(1, MEMBERS + 1):
            self.wait_listening(f"member{member}", SMALL)
        self.wait_listening("member1", BULK)

    def without_xdp(self):
        """Removes the program that only Sluice needs, on the other end of the load balancer's wire. It costs every
        packet that leaves the load balancer and cuts large ones."""
        self.run("switch", "ip", "link", "set", "dev", "lb-eth0", "xdpdrv", "off")
        self.run("lb", "sysctl", "-qw", "net.core.somaxconn=8192")

    def probe(self):
        """Checks that answers come, and that members see the expected client."""
        def answered():
            return self.run("client", "curl", "-s", "--max-time", "2", f"http://{self.target}/", check=False).stdout
        seen = support.wait_for(answered, 10, f"an answer through {self.name_in_table}").strip()
        if seen != self.source:
            raise AssertionError(f"{self.name_in_table}: members see {seen}, not {self.source}: another way was taken")

    def offloads(self, on):
        """off: every wire carries frames of at most 1500 bytes with finished checksums, as in a cable.
        on: hosts hand each other segments of up to 64 KiB with checksums left for later."""
        state = "on" if on else "off"
        wires = [("client", "eth0"), ("router", "wan"), ("router", "lan"), ("switch", "router-lan"),
                 ("switch", "lb-eth0"), ("lb", "eth0")]
        for member in range(1, MEMBERS + 1):
            wires += [(f"member{member}", "eth0"), ("switch", f"member{member}-eth0")]
        for host, interface in wires:
            if on and (host, interface) in self.always_frames():
                continue
            self.run(host, "ethtool", "-K", interface, "tx", state, "sg", state, "tso", state, "gso", state)

    def always_frames(self):
        return []

    def wire_packets(self):
        """Packets that the load balancer's host has received."""
        return int(self.run("lb", "cat", "/proc/net/dev").stdout.split("eth0:")[1].split()[1])


class Direct(Contender):
    name_in_table = "direct"
    target = "10.0.0.4"
    source = "203.0.113.10"

    def prepare(self):
        self.without_xdp()

    def carried(self):
        return None  # nothing to carry: the load balancer's host must see no packet


class Sluice(Contender):
    name_in_table = "sluice"
    target = support.VIP
    source = support.VIP

    def prepare(self):
        self.loader("attach", "eth0", "--mode", "native", "--flows", str(self.flows))
        self.start_controller()
        self.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", support.VIP)
        self._balance(SMALL, [self.address(member) for member in range(1, MEMBERS + 1)])
        self._balance(BULK, [self.address(1)])

    def _balance(self, port, members):
        self.ctl("loadbalancer", "listener", "create", "--name", f"l{port}", "--protocol", "TCP",
                 "--protocol-port", str(port), "lb")
        self.ctl("loadbalancer", "pool", "create", "--name", f"p{port}", "--listener", f"l{port}", "--protocol",
                 "TCP", "--lb-algorithm", "ROUND_ROBIN", "--forwarding-mode", "fullnat")
        for address in members:
            self.ctl("loadbalancer", "member", "create", "--address", address, "--protocol-port", str(port), f"p{port}")

    def always_frames(self):
        # The last wire in to the XDP program is what a NIC would be: frames, checksums finished.
        return [("switch", "lb-eth0"), ("lb", "eth0")]

    def carried(self):
        return sum(self.statistics(port)["total_connections"] for port in (SMALL, BULK))

    def statistics(self, port=SMALL):
        shown = json.loads(self.ctl("loadbalancer", "listener", "stats", "show", f"l{port}", "-f", "json").stdout)
        return {name: int(value) for name, value in shown.items()}


class Nftables(Contender):
    name_in_table = "nftables"

    def prepare(self):
        self.without_xdp()
        # Packets leave through the NIC that they came in on: without this the host tells senders to go straight.
        self.run("lb", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0",
                 "net.ipv4.conf.eth0.send_redirects=0")
        self.run("lb", "nft", "-f", PEERS / "nftables.nft")
        if self.run("lb", "nft", "-f", PEERS / "nftables-flowtable.nft", check=False).returncode != 0:
            print("nftables runs without a flowtable, which this kernel does not have", file=sys.stderr)

    def carried(self):
        rules = json.loads(self.run("lb", "nft", "-j", "list", "chain", "ip", "balancer", "to_member").stdout)
        expressions = [e for item in rules["nftables"] if "rule" in item for e in item["rule"]["expr"]]
        return sum(e["counter"]["packets"] for e in expressions if "counter" in e)


class Proxy(Contender):
    """A process that accepts a connection and opens another one."""

    def carried(self):
        names, values = [line.split() for line in self.run("lb", "cat", "/proc/net/snmp").stdout.splitlines()
                         if line.startswith("Tcp:")]
        tcp = dict(zip(names[1:], map(int, values[1:])))
        return min(tcp["ActiveOpens"], tcp["PassiveOpens"])


class Haproxy(Proxy):
    name_in_table = "haproxy"

    def prepare(self):
        self.without_xdp()
        self.start("lb", "haproxy", "haproxy", "-db", "-f", PEERS / "haproxy.cfg")
        self.wait_listening("lb", SMALL)


class Nginx(Proxy):
    name_in_table = "nginx"

    def prepare(self):
        self.without_xdp()
        self.start("lb", "nginx", "nginx", "-c", PEERS / "nginx-stream.conf", "-e", "stderr", "-g",
                   f"daemon off; pid {self.directory}/lb.pid;")
        self.wait_listening("lb", SMALL)


ALL = {c.name_in_table: c for c in (Direct, Sluice, Nftables, Haproxy, Nginx)}
