#!/usr/bin/python3
"""Listeners with many ports: passive FTP through them with a real server, and 80 and 443 of a client at one member."""

import importlib.util
import json

import support
from support import METRICS, VIP, VIP6

FIRST, LAST = 30000, 30009


class Ranges(support.LabTest):
    def listener(self, *arguments, check=True):
        return self.lab.ctl("loadbalancer", "listener", "create", *arguments, "lb", check=check)

    def add_members(self, pool, monitor_port, ipv6=False):
        for number in (1, 2):
            self.lab.ctl("loadbalancer", "member", "create", "--name", f"{pool}_{number}", "--address",
                         self.lab.address(number, ipv6), "--protocol-port", 0, "--monitor-port", monitor_port, pool)

    def start(self, vip):
        lab = self.lab
        lab.attach()
        lab.start_controller(*METRICS)
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", vip)

    def pool(self, name, *options):
        self.lab.ctl("loadbalancer", "pool", "create", "--name", name, "--loadbalancer", "lb", "--protocol", "TCP", *options)

    def transfer(self, vip):
        return json.loads(self.lab.run("client", support.PYTHON, support.HERE / "ftp.py", "transfer", vip, 6, 200_000).stdout)

    def serve_ftp(self):
        for number in (1, 2):
            directory = self.lab.directory / f"ftp{number}"
            directory.mkdir()
            self.lab.start(f"member{number}", "ftp", support.PYTHON, support.HERE / "ftp.py", "serve", directory, VIP, FIRST,
                           LAST)
            self.lab.wait_listening(f"member{number}", 21)

    # The control connection and each of a dozen data connections have to reach one server, in either IP version: IPv4 clients
    # are told address and port (PASV), IPv6 ones the port (EPSV).
    def test_passive_ftp_with_two_servers(self):
        if not importlib.util.find_spec("pyftpdlib"):
            self.skipTest("python3-pyftpdlib is not installed (run: sudo scripts/install-deps)")
        self.serve_ftp()
        for vip in (VIP, VIP6):
            with self.subTest(vip=vip):
                if vip == VIP:
                    self.start(VIP)
                else:
                    self.lab.ctl("loadbalancer", "delete", "--cascade", "lb")
                    self.lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP6)
                self.pool("ftp", "--lb-algorithm", "SOURCE_IP")
                self.lab.ctl("loadbalancer", "healthmonitor", "create", "--type", "TCP", "--delay", 1, "--timeout", 1,
                             "--max-retries", 1, "ftp")
                self.add_members("ftp", 21, vip == VIP6)
                self.listener("--name", "control", "--protocol", "TCP", "--protocol-port", 21, "--default-pool", "ftp")
                self.listener("--name", "data", "--protocol", "TCP", "--protocol-port", f"{FIRST}-{LAST}", "--default-pool",
                              "ftp")
                done = self.transfer(vip)
                self.assertEqual((6, list("012345")), (done["intact"], done["listed"]))
                self.assertIn(done["server"], ("member1", "member2"))
                self.assertEqual("13", self.lab.value("loadbalancer", "listener", "stats", "show", "data", "total_connections"),
                                 "a data connection for each file in either direction, and one for the list")

    def test_what_cannot_be_is_refused_and_named(self):
        self.start(VIP)
        self.pool("web", "--lb-algorithm", "ROUND_ROBIN")
        self.listener("--name", "passive", "--protocol", "TCP", "--protocol-port", f"{FIRST}-{LAST}", "--default-pool", "web")
        refused = self.listener("--protocol", "HTTP", "--protocol-port", LAST, check=False)
        self.assertIn(f"Another Listener on this Load Balancer, passive, is already using protocol TCP and protocol_port "
                      f"{FIRST}-{LAST} (HTTP 409)", refused.stderr)
        refused = self.listener("--protocol", "TCP", "--protocol-port", "81-80", check=False)
        self.assertIn("protocol_port_range. Value: '80'.", refused.stderr)
        self.lab.ctl("loadbalancer", "member", "create", "--address", self.lab.address(1), "--protocol-port", 0, "web")
        refused = self.lab.ctl("loadbalancer", "healthmonitor", "create", "--type", "TCP", "--delay", 1, "--timeout", 1,
                               "--max-retries", 1, "web", check=False)
        self.assertIn("keeps the client's port (protocol_port 0)", refused.stderr)
        self.assertEqual(str(LAST), self.lab.value("loadbalancer", "listener", "show", "passive", "protocol_port_range"))
        page = self.lab.run("lb", "curl", "-sS", f"http://{METRICS[1]}/metrics").stdout
        self.assertIn(f'protocol="TCP",port="{FIRST}-{LAST}"', page)

    # A client's connections to several ports of a pool, by hash and by persistence; and what looks on knows the port.
    def test_80_and_443_of_a_client_are_at_one_member(self):
        lab = self.lab
        for port in (80, 443, FIRST + 5):
            lab.serve(port)
        self.start(VIP)
        for name, options in (("hash", ["--lb-algorithm", "SOURCE_IP"]),
                              ("persistence", ["--lb-algorithm", "ROUND_ROBIN", "--session-persistence", "type=SOURCE_IP"])):
            with self.subTest(name=name):
                self.pool(name, *options)
                self.add_members(name, 80)
                for port in ("80", "443", f"{FIRST}-{LAST}"):
                    self.listener("--name", f"{name}_{port}", "--protocol", "TCP", "--protocol-port", port, "--default-pool",
                                  name)
                names = [lab.client("who", VIP, port, 2) for port in (80, 443, FIRST + 5, 443, 80)]
                self.assertEqual(1, len({one for two in names for one in two}), names)
                self.assertIn(f"{VIP}:{FIRST + 5}", {row["vip"] for row in lab.rows("flows", "list")})
                found = json.loads(lab.ctl("explain", "--from", "203.0.113.10:50514", "--to", f"{VIP}:{FIRST + 5}", "--proto",
                                           "tcp", "-f", "json").stdout)
                self.assertEqual(f"{name}_{FIRST}-{LAST}", found["listener"])
                for port in ("80", "443", f"{FIRST}-{LAST}"):
                    lab.ctl("loadbalancer", "listener", "delete", f"{name}_{port}")


if __name__ == "__main__":
    support.main()
