#!/usr/bin/python3
"""A health monitor of each type finds a real server up, down when it dies, and up when it is back; one of type EXTERNAL
believes a program."""

import collections
import os
import pathlib
import pwd
import signal
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


CHECK = r"""#!/bin/sh
# Does what the file of its member says.
read -r does < {directory}/$1
case $does in
  up) echo "uid $(id -u), $(grep -c '^Cap[A-Z][a-z]*:.0000000000000000$' /proc/self/status) times no capability" ;;
  down) echo "replication is broken"; exit 1 ;;
  hang) trap '' TERM; sleep {mark}; sleep {mark} ;;
  weight) echo "weight 25%"; echo cold ;;
  hostile) printf '\033[2Jall is \342\200\256well\n'; exit 1 ;;
  flood) yes ;;
  fork) echo "weight 30%"; sleep {mark} & (setsid sleep {mark} &) ;;
esac
"""
NODE = ["--node", "lb1", "--check-user", "nobody"]
MONITOR = ["--delay", 1, "--timeout", 2, "--max-retries", 1, "--max-retries-down", 1, "--type", "external"]


def processes(words):
    """Returns the processes whose command line has these words."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and words in entry.joinpath("cmdline").read_text().replace("\0", " "):
                found.append(int(entry.name))
        except OSError:
            continue  # it has just ended
    return found


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


class External(support.LabTest):
    """A monitor runs a program of root's as another user, and believes what it says."""

    members = 2

    def setUp(self):
        super().setUp()
        lab = self.lab
        self.mark = f"{1_000_000 + os.getpid()}.5"  # of this test's processes
        self.check = lab.directory / "check"
        self.check.write_text(CHECK.format(directory=lab.directory, mark=self.mark))
        self.check.chmod(0o755)
        lab.directory.chmod(0o755)
        self.say("up", 1)
        self.say("up", 2)

    def say(self, what, member=1):
        self.lab.directory.joinpath(self.lab.address(member)).write_text(f"{what}\n")

    def wait_for_line(self, words):
        wait_for(lambda: words in self.lab.log("lb", "sluiced"), 10, f"the log says: {words}")

    def status(self):
        return self.lab.member_statuses("80_pool")["80_member_1"]

    def test_a_program_decides(self):
        lab = self.lab
        lab.serve()
        lab.balance(options=[*NODE, "--check", f"deep={self.check}"])
        for check, why in (("/bin/sh", "Value should have 1 to 64 letters"), ("shallow", "Value should be one of: deep")):
            refused = lab.ctl("loadbalancer", "healthmonitor", "create", *MONITOR, "--check", check, "80_pool",
                              check=False)
            self.assertIn(f"Value: '{check}'. {why}", refused.stderr)
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "m", *MONITOR, "--check", "deep", "80_pool")
        self.assertEqual("deep", lab.rows("loadbalancer", "healthmonitor", "show", "m")["check"])
        wait_for(lambda: set(lab.member_statuses("80_pool").values()) == {"ONLINE"}, 5, "both are up")
        self.wait_for_line(f"is up: uid {pwd.getpwnam('nobody').pw_uid}, 5 times no capability")

        self.say("down")
        self.wait_for_line("is down: replication is broken (exit status 1)")
        wait_for(lambda: self.status() == "ERROR", 5, "it is down")

        self.say("weight")
        wait_for(lambda: self.status() == "ONLINE", 5, "it is up")
        show = ["loadbalancer", "member", "show", "80_pool", "80_member_1"]
        wait_for(lambda: lab.rows(*show).get("weight_percent") == 25, 5, "it takes a quarter")
        answers = lab.client("who", support.VIP, 80, 20)
        self.assertEqual({"member1": 4, "member2": 16}, collections.Counter(answers))
        self.say("up")
        wait_for(lambda: "weight_percent" not in lab.rows(*show), 5, "it takes all again")
        self.assertIn("now takes 100 % of its weight", lab.log("lb", "sluiced"))

        self.say("fork")
        wait_for(lambda: lab.rows(*show).get("weight_percent") == 30, 5, "it has forked")
        wait_for(lambda: not processes(self.mark), 5, "nothing is left of a program that ended")
        for does, reason in (("hostile", "is down: \\x1b[2Jall is \\u202ewell (exit status 1)"),
                             ("flood", "is down: wrote more than 64 KiB of output"),
                             ("hang", "is down: timeout after 2 s")):
            self.say("up")
            wait_for(lambda: self.status() == "ONLINE", 5, "it is up")
            self.say(does)
            self.wait_for_line(reason)
        self.say("up")
        wait_for(lambda: self.status() == "ONLINE", 5, "it is up")
        wait_for(lambda: not processes(self.mark), 5, "nothing is left of a program that hung")

    def test_the_helper_comes_back_and_a_missing_check_is_told(self):
        lab = self.lab
        lab.balance(options=[*NODE, "--check", f"deep={self.check}"])
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "m", *MONITOR, "--check", "deep", "80_pool")
        wait_for(lambda: set(lab.member_statuses("80_pool").values()) == {"ONLINE"}, 5, "both are up")
        self.say("hang")
        wait_for(lambda: processes(self.mark), 5, "a program runs")
        guardian, = children(lab.service_pid("lb", "sluiced"))
        launcher, = [child for child in children(guardian) if name_of(child) == "sluiced-checks"]
        os.kill(launcher, signal.SIGKILL)
        self.say("down", 2)
        self.wait_for_line("is down: replication is broken (exit status 1)")
        self.say("up", 2)
        wait_for(lambda: lab.member_statuses("80_pool")["80_member_2"] == "ONLINE", 5, "the new helper works")
        lab.kill("lb", "sluiced")
        wait_for(lambda: not processes(self.mark), 5, "all ends with sluiced")

        lab.start_controller(*NODE)
        monitor = lab.rows("loadbalancer", "healthmonitor", "show", "m")
        self.assertEqual("ERROR", monitor["provisioning_status"])
        self.assertIn("node lb1 declares no check 'deep'", monitor["provisioning_error"])
        self.assertEqual("ACTIVE", lab.value("loadbalancer", "show", "lb", "provisioning_status"))
        lab.stop("lb", "sluiced")
        lab.start_controller(*NODE, "--check", f"deep={self.check}")
        self.assertEqual("ACTIVE", lab.value("loadbalancer", "healthmonitor", "show", "m", "provisioning_status"))

    def test_a_program_that_others_could_change_is_refused(self):
        def refusal(*options, user="nobody"):
            return self.lab.run("lb", support.program("sluiced"), "--state-dir", self.lab.state, "--socket",
                                self.lab.socket, "--pin-dir", self.lab.pins, "--check-user", user, *options,
                                check=False).stderr
        check = ["--check", f"deep={self.check}"]
        self.check.chmod(0o775)
        self.assertIn(f"sluiced: check 'deep': {self.check} is writable by others than root", refusal(*check))
        self.check.chmod(0o644)
        self.assertIn(f"sluiced: check 'deep': {self.check} is not executable", refusal(*check))
        self.check.unlink()
        self.assertIn(f"sluiced: check 'deep': {self.check}: No such file or directory", refusal(*check))
        self.assertIn("checks must not run as 'root'", refusal(*check, user="root"))
        self.assertIn("is not NAME=/path/to/program", refusal("--check", "/bin/true"))


if __name__ == "__main__":
    support.main()
