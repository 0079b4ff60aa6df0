#!/usr/bin/python3
"""Members of PROXYV2 pools know their clients' addresses and ports: nginx, HAProxy, and a server that speaks first, over
both IP versions, with packets lost on both sides. Their HTTP monitors speak the protocol, too."""

import json
import os

import support
from support import VIP, VIP6, wait_for

# With each server over each IP version. For a long run: SLUICE_PROXY_CONNECTIONS=17000, which makes 100,000 in all.
CONNECTIONS = int(os.environ.get("SLUICE_PROXY_CONNECTIONS", 50))
SIZE = 5_000_000
# Where packets are reordered; scripts/vm-test moves 100.
REORDERED_SIZE = 1_000_000 * int(os.environ.get("SLUICE_PROXY_MEGABYTES", 5))
LOST = 2  # percent of the packets that come in, at both ends

NGINX = """daemon off; master_process off; pid %(directory)s/nginx.pid; error_log stderr; worker_rlimit_nofile 1024;
events {}
http {
  access_log off;
  client_body_temp_path %(directory)s; proxy_temp_path %(directory)s; fastcgi_temp_path %(directory)s;
  uwsgi_temp_path %(directory)s; scgi_temp_path %(directory)s;
  server {
    listen 8080 proxy_protocol; listen [::]:8080 proxy_protocol;
    location = /health { return 200 "fine\\n"; }
    location / { return 200 "$proxy_protocol_addr $proxy_protocol_port\\n"; }
  }
}
"""
HAPROXY = """defaults
  mode http
  timeout client 60s
frontend all
  bind :::8081 v4v6 accept-proxy
  http-request return status 200 content-type text/plain string "fine" if { path /health }
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port]\\n"
"""
# Connects so many times to each address and port, 50 at a time, and tells of answers that are not the connection's own address
# and port.
WHO = """
import concurrent.futures, json, socket, sys
def answer(address, port):
    with socket.create_connection((address, port), timeout=600) as s, s.makefile("rb") as stream:
        own = "%s %d" % s.getsockname()[:2]
        if port == 25:
            lines = [stream.readline(), stream.readline()]
            s.sendall(b"end\\n")
        else:
            s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            lines = stream.read().splitlines()
        return own, lines[-1].decode().strip() if lines else "nothing"
with concurrent.futures.ThreadPoolExecutor(50) as pool:
    asked = [(address, port, pool.submit(answer, address, port))
             for _ in range(int(sys.argv[1])) for address in sys.argv[2:4] for port in (80, 81, 25)]
    print(json.dumps([(address, port, *got.result()) for address, port, got in asked if len(set(got.result())) > 1]))
"""
# Moves so many bytes in both directions through the server that speaks first.
MOVE = """
import hashlib, json, random, socket, sys
size, intact = int(sys.argv[1]), []
for address in sys.argv[2:4]:
    with socket.create_connection((address, 25), timeout=600) as s, s.makefile("rb") as stream:
        stream.readline(); stream.readline()
        s.sendall(b"give %d 7\\n" % size)
        intact.append(stream.read(size) == random.Random(7).randbytes(size))
        data = random.Random(8).randbytes(size)
        s.sendall(b"take %d\\n" % size)
        s.sendall(data)
        intact.append(stream.readline().decode().strip() == hashlib.sha256(data).hexdigest())
print(json.dumps(intact))
"""


class ProxyProtocol(support.LabTest):
    members = 1

    def serve(self):
        lab = self.lab
        for name, text in (("nginx.conf", NGINX), ("haproxy.cfg", HAPROXY)):
            (lab.directory / name).write_text(text % {"directory": lab.directory} if name == "nginx.conf" else text)
        lab.start("member1", "nginx", "nginx", "-c", lab.directory / "nginx.conf", "-p", lab.directory)
        lab.start("member1", "haproxy", "haproxy", "-db", "-f", lab.directory / "haproxy.cfg")
        lab.start("member1", "first", support.PYTHON, support.HERE / "proxy_server.py", 8025)
        for port in (8080, 8081, 8025):
            lab.wait_listening("member1", port)

    def balance(self):
        lab = self.lab
        lab.attach()
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP, "--additional-vip", f"ip-address={VIP6}")
        for port, member_port in ((80, 8080), (81, 8081), (25, 8025)):
            lab.ctl("loadbalancer", "listener", "create", "--name", f"l{port}", "--protocol", "TCP", "--protocol-port", port,
                    "lb")
            lab.ctl("loadbalancer", "pool", "create", "--name", f"p{port}", "--listener", f"l{port}", "--protocol", "PROXYV2",
                    "--lb-algorithm", "ROUND_ROBIN")
            for ipv6 in (False, True):
                lab.ctl("loadbalancer", "member", "create", "--name", f"m{port}{'v6' if ipv6 else ''}", "--address",
                        lab.address(1, ipv6), "--protocol-port", member_port, f"p{port}")
            if port != 25:
                lab.ctl("loadbalancer", "healthmonitor", "create", "--type", "HTTP", "--url-path", "/health", "--delay", 1,
                        "--timeout", 1, "--max-retries", 1, f"p{port}")

    def lose_packets(self):
        for host in ("client", "member1"):
            for words in (["add", "table", "inet", "loss"],
                          ["add", "chain", "inet", "loss", "in", "{ type filter hook input priority 0; }"],
                          ["add", "rule", "inet", "loss", "in", "numgen", "random", "mod", "100", "<", LOST, "drop"]):
                self.lab.run(host, "nft", *words)

    def refused(self, *words):
        result = self.lab.ctl("loadbalancer", "pool", "create", "--lb-algorithm", "ROUND_ROBIN", *words, check=False)
        self.assertNotEqual(0, result.returncode)
        return result.stderr

    def look_at_refusals(self):
        """What has no place for the header is refused by name."""
        self.lab.ctl("loadbalancer", "listener", "create", "--name", "udp", "--protocol", "UDP", "--protocol-port", 53, "lb")
        self.assertIn("'PROXYV2' is invalid while the listener protocol is 'UDP'",
                      self.refused("--protocol", "PROXYV2", "--listener", "udp"))
        self.assertIn("PROXYV2 with forwarding_mode dsr is not supported by this version (supported: fullnat)",
                      self.refused("--protocol", "PROXYV2", "--loadbalancer", "lb", "--forwarding-mode", "dsr"))
        self.assertIn("protocol PROXY needs more than packets", self.refused("--protocol", "PROXY", "--loadbalancer", "lb"))

    def start_all(self):
        for tool in ("nginx", "haproxy", "nft"):
            if support.missing(tool):
                self.skipTest(f"{tool} is not installed (scripts/install-deps --proxies)")
        self.serve()
        self.balance()
        for pool in ("p80", "p81"):
            wait_for(lambda: set(self.lab.member_statuses(pool).values()) == {"ONLINE"}, 20,
                     f"{pool}'s members answer the monitor")

    def look_at_connections(self, size):
        """Of no connection a member takes another client for its client, nor is a byte of it lost or added."""
        lab = self.lab
        wrong = lab.run("client", support.PYTHON, "-c", WHO, CONNECTIONS, VIP, VIP6, timeout=60 + CONNECTIONS).stdout
        self.assertEqual([], json.loads(wrong))
        moved = lab.run("client", support.PYTHON, "-c", MOVE, size, VIP, VIP6, timeout=60 + size / 100_000).stdout
        self.assertEqual([True] * 4, json.loads(moved))
        self.assertNotIn("no header", lab.log("member1", "first"))

    def test_members_know_their_clients_though_packets_are_lost(self):
        self.start_all()
        self.look_at_refusals()
        self.lose_packets()
        self.look_at_connections(SIZE)

    def test_members_know_their_clients_though_packets_are_reordered(self):
        self.start_all()
        for host in ("client", "member1"):
            self.lab.shape(host, "eth0", "delay", "1ms", "reorder", "75%", "50%", "loss", "1%")
        self.look_at_connections(REORDERED_SIZE)


if __name__ == "__main__":
    support.main()
