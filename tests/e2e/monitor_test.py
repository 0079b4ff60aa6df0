#!/usr/bin/python3
"""A health monitor of each type finds a real server up, down when it dies, and up when it is back."""

import subprocess

import support
from support import HERE, PYTHON, wait_for

TCP_TYPES = {  # pool -> the monitor's type and options
    "http": ["--type", "http", "--url-path", "/health", "--http-version", "1.1", "--domain-name", "www.example.com",
             "--expected-codes", "200,204"],
    "https": ["--type", "https", "--http-version", "1.1", "--domain-name", "www.example.com", "--expected-codes",
              "200-299", "--http-method", "HEAD"],
    "tls": ["--type", "tls-hello"],
    "tcp": ["--type", "tcp"],
    "ping": ["--type", "ping"],
}
DATAGRAM_TYPES = {"udp": ["--type", "udp-connect"], "sctp": ["--type", "sctp"]}
PORTS = {"http": 8080, "https": 8443, "tls": 8444, "tcp": 8081, "ping": 9, "udp": 8053, "sctp": 5060}
DELAYS = {"udp": 3}  # the API allows no less
# The log's reason for a dead server.
REASONS = {"http": "connection refused", "https": "connection refused", "tls": "connection refused",
           "tcp": "connection refused", "ping": "timeout after 3 s", "udp": "port unreachable",
           "sctp": "timeout after 3 s"}


class Monitors(support.LabTest):
    members = 1

    def setUp(self):
        super().setUp()
        directory = self.lab.directory
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-subj", "/CN=nobody", "-days", "1", "-keyout", directory / "key.pem",
                        "-out", directory / "cert.pem"], check=True, capture_output=True)
        self.lab.attach()
        self.lab.start_controller()
        self.lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", support.VIP)

    def add_pool(self, pool, protocol, options):
        """A pool with one member, monitored on PORTS[pool]; the member's own port serves nobody.

        Two probes must fail. The first may have been under way when the server died and reports what it saw
        (connection reset, closed before a whole answer). The second has begun after that, because a member's probes
        never overlap, and its reason is in the log. A server that is only slow has two times three seconds."""
        lab = self.lab
        lab.ctl("loadbalancer", "pool", "create", "--name", pool, "--loadbalancer", "lb", "--protocol", protocol,
                "--lb-algorithm", "ROUND_ROBIN")
        lab.ctl("loadbalancer", "member", "create", "--name", pool, "--address", lab.address(1), "--protocol-port", 1,
                "--monitor-port", PORTS[pool], pool)
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", pool, "--delay", DELAYS.get(pool, 1),
                "--timeout", 3, "--max-retries", 1, "--max-retries-down", 2, *options, pool)

    def start_servers(self, pools):
        for pool in pools:
            if pool == "ping":
                self.lab.run("member1", "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=0")
                continue
            kind = {"tls": "https", "tcp": "http"}.get(pool, pool)
            self.lab.start("member1", pool, PYTHON, HERE / "monitor_server.py", kind, PORTS[pool], 204,
                           self.lab.directory)

    def kill_servers(self, pools):
        for pool in pools:
            if pool == "ping":
                self.lab.run("member1", "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
            else:
                self.lab.kill("member1", pool)

    def wait_for_all(self, pools, status):
        def all_are():
            return all(self.lab.member_statuses(pool)[pool] == status for pool in pools)
        wait_for(all_are, 12, f"the members of {', '.join(pools)} are {status}")

    def check(self, pools):
        self.start_servers(pools)
        self.wait_for_all(pools, "ONLINE")
        self.kill_servers(pools)
        self.wait_for_all(pools, "ERROR")
        log = self.lab.log("lb", "sluiced").splitlines()
        for pool in pools:
            downs = [line for line in log if f" {pool} " in line and " is down: " in line]
            self.assertTrue(downs, f"no line says that {pool} is down")
            self.assertIn(REASONS[pool], downs[-1])
        self.start_servers(pools)
        self.wait_for_all(pools, "ONLINE")
        log = self.lab.log("lb", "sluiced").splitlines()
        for pool in pools:
            self.assertLessEqual(len([line for line in log if f" {pool} " in line and " is up: " in line]), 2)

    def test_types_for_tcp_pools(self):
        for pool, options in TCP_TYPES.items():
            self.add_pool(pool, "TCP", options)
        self.check(TCP_TYPES)

    def test_types_for_datagram_pools(self):
        try:
            for pool, options in DATAGRAM_TYPES.items():
                self.add_pool(pool, pool.upper(), options)
        except AssertionError as error:
            if "is not supported by this version" in str(error):
                self.skipTest("this version has no UDP and SCTP pools")
            raise
        self.check(DATAGRAM_TYPES)

    def test_a_restart_keeps_the_last_state_until_probes_say_otherwise(self):
        lab = self.lab
        for pool in ("tcp", "http"):
            self.add_pool(pool, "TCP", TCP_TYPES[pool])
        lab.ctl("loadbalancer", "healthmonitor", "set", "--delay", 60, "http")
        self.start_servers(["tcp"])
        self.wait_for_all(["tcp"], "ONLINE")
        self.wait_for_all(["http"], "ERROR")
        lab.stop("lb", "sluiced")
        lab.start_controller()
        self.assertEqual({"tcp": "ONLINE", "http": "ERROR"},
                         {pool: lab.member_statuses(pool)[pool] for pool in ("tcp", "http")})


if __name__ == "__main__":
    support.main()
