"""Shared by the end-to-end tests: a lab with Sluice in it, driven over its public interface only.

A test file is a unittest module that ends with `support.main()`. Every test makes its own lab, so
tests neither see each other nor depend on order; labs are taken down after success, failure, Ctrl-C and
the time limit.
"""

import atexit
import bisect
import contextlib
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/dev"))
PYTHON = "/usr/bin/python3"  # Debian's: the one that has Flask and scapy
RUNTIME = pathlib.Path("/run/sluice-lab")

VIP = "10.0.0.16"
VIP6 = "2001:db8::16"
FLOATING_IP = "172.24.4.10"
LB_ADDRESS = "10.0.0.9"
CLIENT = {4: "203.0.113.10", 6: "2001:db8:c::10"}
STRANGER = {4: "198.51.100.66", 6: "2001:db8:d::66"}
METRICS = ["--metrics", "127.0.0.1:9101"]  # options for start_controller()
SUBNET = {"flat": "10.0.0", "routed": "10.0.1", "gateway": "10.0.2", "vlan": "10.0.3"}
SUBNET6 = {topology: f"2001:db8:0:{subnet.split('.')[2]}" for topology, subnet in SUBNET.items()}

# A test waits for so many times as long as on an idle machine. Patience costs nothing if the event comes, and a suite
# that is red because of other load proves nothing.
PATIENCE = float(os.environ.get("SLUICE_TEST_PATIENCE", "10"))

SKIPPED = 77  # what ctest takes for "skipped"


def program(name):
    return str(BUILD / "tools" / name / name)


def missing(tool):
    return shutil.which(tool) is None


def vlans_are_missing():
    """Returns why there can be no VLAN interfaces here; None if there can."""
    attempt = "ip link add nic0 type veth peer name far0 && ip link add link nic0 name nic0.3 type vlan id 3"
    tried = subprocess.run(["unshare", "-n", "sh", "-c", attempt], text=True, capture_output=True)
    return None if tried.returncode == 0 else f"this kernel makes no VLAN interfaces: {tried.stderr.strip()}"


def cpu_seconds(pid):
    """Returns the CPU time that the process has used so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def wait_for(condition, seconds, what):
    """Returns the first true value of condition(); fails with the last one when it takes PATIENCE times the seconds
    that an idle machine needs at most. Promises about time are measured by FairClock instead."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * PATIENCE:g} s: {what} (last seen: {value!r})")
        time.sleep(0.05)


def has_failed(test):
    """Says whether this test has failed so far: for its clean-up, which runs after it. One that was interrupted has not."""
    if test._outcome is None:
        return False
    result = test._outcome.result
    return any(one is test for one, _ in result.failures + result.errors)


class FairClock:
    """Time as a process sees it that needs the CPU rarely: it advances by a hundredth of a second whenever a thread has
    slept for as long, however late the scheduler wakes it.

    On an idle machine this is wall time. On a busy one it is slower, like all processes, so a limit that is met on
    an idle machine is met under any load, and a broken promise shows on both."""

    NAP = 0.01

    def __init__(self):
        self.woken = [time.time()]  # the end of each nap
        self.over = threading.Event()
        threading.Thread(target=self._nap, daemon=True).start()

    def _nap(self):
        while not self.over.is_set():
            time.sleep(self.NAP)
            self.woken.append(time.time())

    def between(self, begin, end):
        """Returns the seconds between two values of time.time()."""
        return (bisect.bisect(self.woken, end) - bisect.bisect(self.woken, begin)) * self.NAP

    def since(self, begin):
        return self.between(begin, time.time())

    def stop(self):
        self.over.set()


def is_over(pid):
    """Has the last thread of the process ended? Until then its sockets and locks are held: a thread may be in the kernel, in
    a sweep or a write, when the process is killed."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return threads == [str(pid)] and state in "ZX"


class Lab:
    """A running lab and the Sluice in its `lb` host. Use as a context manager or call down()."""

    made = 0
    live = []

    def __init__(self, members=2, topology="flat", options=()):
        Lab.made += 1
        self.name = f"e2e-{os.getpid()}-{Lab.made}"
        self.members = members
        self.topology = topology
        self.directory = RUNTIME / self.name
        self.pins = pathlib.Path("/sys/fs/bpf") / f"sluice-{self.name}"
        self.socket = self.directory / "api.sock"
        self.state = self.directory / "state"
        self.processes = []
        Lab.live.append(self)
        self._lab("up", "--members", str(members), "--topology", topology, "--pin-dir", str(self.pins), *options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def down(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self._lab("down")
        if self in Lab.live:
            Lab.live.remove(self)

    def _lab(self, command, *arguments):
        arguments = list(map(str, arguments))
        subprocess.run([ROOT / "scripts/lab", command, "--name", self.name, *arguments], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    # ---- commands on hosts ----

    def prefix(self, host):
        return ["nsenter", f"--net=/run/netns/sluice-{self.name}-{host}",
                f"--uts={self.directory}/uts/{host}", "--"]

    def run(self, host, *command, check=True, timeout=60, **options):
        """Runs the command to its end; the result has .stdout and .stderr as text."""
        result = subprocess.run(self.prefix(host) + [str(word) for word in command], text=True,
                                capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout * PATIENCE, **options)
        if check and result.returncode != 0:
            raise AssertionError(f"on {host}: {' '.join(map(str, command))}: exit {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}")
        return result

    def spawn(self, host, *command):
        """Starts the command with pipes to it; it ends with the lab at the latest."""
        process = subprocess.Popen(self.prefix(host) + [str(word) for word in command], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.processes.append(process)
        return process

    def capture(self, host, *options):
        """Starts tcpdump for packets that arrive at the host's NIC; returns it when it listens. captured() ends it."""
        file = self.directory / f"{host}.capture"  # not a pipe, whose end nobody would read meanwhile
        with open(file, "w") as output:
            process = subprocess.Popen(self.prefix(host) + ["tcpdump", "-n", "-l", "--immediate-mode", "-i", "eth0", "-Q", "in", *options],
                                       text=True, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE)
        self.processes.append(process)
        process.lines_in = file
        for line in process.stderr:
            if "listening on" in line:
                return process
        raise AssertionError(f"tcpdump on {host} did not start: exit {process.wait()}")

    @staticmethod
    def captured(process, least):
        """Ends the capture when it has at least so many lines, because tcpdump sees packets later than their
        receivers; returns them."""
        def lines():
            return [line for line in process.lines_in.read_text().splitlines() if line]
        wait_for(lambda: len(lines()) >= least, 5, f"{least} captured lines")
        process.terminate()
        process.communicate(timeout=30 * PATIENCE)
        return lines()

    def start(self, host, service, *command):
        self._lab("start", host, service, "--", *map(str, command))

    def stop(self, host, service):
        self._lab("stop", host, service)

    def service_pid(self, host, service):
        return int((self.directory / "services" / f"{host}.{service}").read_text().split()[0])

    def lives(self, host, service):
        return os.path.exists(f"/proc/{self.service_pid(host, service)}/exe")

    def kill(self, host, service):
        """Sends SIGKILL, so that the process has no chance to clean up."""
        pid = self.service_pid(host, service)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: is_over(pid), 5, f"end of {service}")

    def log(self, host, service):
        return (self.directory / "log" / f"{host}.{service}").read_text()

    # ---- Sluice ----

    def loader(self, *arguments, check=True):
        return self.run("lb", program("sluice-loader"), *arguments, "--pin-dir", self.pins, check=check)

    def attach(self, *interfaces):
        """Attaches in native mode, with tables small enough to be created at once."""
        return self.loader("attach", *(interfaces or ["eth0"]), "--flows", "65536")

    def start_controller(self, *options):
        """Starts sluiced; returns when it answers."""
        self.start("lb", "sluiced", program("sluiced"), "--state-dir", self.state, "--socket", self.socket,
                   "--pin-dir", self.pins, *options)
        try:
            wait_for(lambda: self.ctl("loadbalancer", "list", check=False).returncode == 0 or not self.lives("lb", "sluiced"),
                     10, "sluiced answers")
            self.ctl("loadbalancer", "list")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log('lb', 'sluiced')}") from None

    def ctl(self, *arguments, check=True, **options):
        return self.run("lb", program("sluicectl"), "--socket", self.socket, *arguments, check=check, **options)

    def value(self, *arguments):
        """Returns one field, the last argument; adds `-f value -c`."""
        *command, column = arguments
        return self.ctl(*command, "-f", "value", "-c", column).stdout.strip()

    def rows(self, *arguments):
        return json.loads(self.ctl(*arguments, "-f", "json").stdout)

    def member_statuses(self, pool):
        return {row["name"]: row["operating_status"]
                for row in self.rows("loadbalancer", "member", "list", pool)}

    def reasons(self):
        """Returns packets by reason label."""
        rows = self.rows("drops")
        return {row["reason"]: int(row["packets"]) for row in rows}

    def connections(self):
        """Returns the data plane's TCP connections that both ends have confirmed."""
        return [row for row in self.rows("flows", "list") if row["protocol"] == "TCP" and row["state"] == "established"]

    def wait_for_connections(self, count):
        """Waits until there are at least so many, however slowly the clients start."""
        return wait_for(lambda: len(self.connections()) >= count and self.connections(), 5, f"{count} connections")

    def opened(self, member):
        """Returns how many connections the data plane has ever sent to the member (started with METRICS)."""
        page = self.run("lb", "curl", "-sS", f"http://{METRICS[1]}/metrics").stdout
        (count,) = re.findall(rf'^sluice_member_connections_total{{.*member="{member}".*}} (\d+)$', page, re.MULTILINE)
        return int(count)

    # ---- what the tests are about ----

    def address(self, member, ipv6=False):
        number = {1: 4, 2: 6}.get(member, 8 + member)
        return f"{SUBNET6[self.topology]}::{number}" if ipv6 else f"{SUBNET[self.topology]}.{number}"

    def curl(self, url, check=True, host="client"):
        return self.run(host, "curl", "-sS", "--max-time", str(5 * PATIENCE), url, check=check).stdout.strip()

    def balance(self, port=80, member_port=None, weights=None, mode="fullnat", vip=VIP, protocol="TCP", options=()):
        """Attaches, starts the controller and sets up lb, listener, pool and one member per host."""
        self.attach(*(["eth0", "eth1"] if self.topology == "routed" else ["eth0"]))
        self.start_controller(*options)
        self.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", vip)
        self.add_service("lb", port, member_port or port, weights, mode, ":" in vip, protocol)

    def add_service(self, load_balancer, port, member_port, weights=None, mode="fullnat", ipv6=False,
                    protocol="TCP"):
        listener, pool = f"{port}_listener", f"{port}_pool"
        self.ctl("loadbalancer", "listener", "create", "--name", listener, "--protocol", protocol,
                 "--protocol-port", port, load_balancer)
        self.ctl("loadbalancer", "pool", "create", "--name", pool, "--listener", listener, "--protocol", protocol,
                 "--lb-algorithm", "ROUND_ROBIN", "--forwarding-mode", mode)
        for member in range(1, self.members + 1):
            weight = ["--weight", weights[member - 1]] if weights else []
            self.ctl("loadbalancer", "member", "create", "--name", f"{port}_member_{member}", "--address",
                     self.address(member, ipv6), "--protocol-port", member_port, *weight, pool)

    def serve(self, port=80):
        """Starts a light TCP server (tcp_server.py) on every member."""
        for member in range(1, self.members + 1):
            self.serve_on(member, port)

    def serve_on(self, member, port=80):
        self.start(f"member{member}", f"tcp{port}", PYTHON, HERE / "tcp_server.py", port)
        self.wait_listening(f"member{member}", port)

    def serve_udp(self, port=53):
        """Starts an echo server (udp_echo.py) on every member."""
        for member in range(1, self.members + 1):
            self.start(f"member{member}", f"udp{port}", PYTHON, HERE / "udp_echo.py", "serve", port)
            wait_for(lambda: self.run(f"member{member}", "ss", "-Hlun", f"sport = :{port}").stdout, 10, "udp_echo.py")

    def join_vlan(self, host, *addresses):
        """Gives the host the addresses (with their prefix lengths) in VLAN 3 of its NIC."""
        self._lab("join-vlan", host, *addresses)

    def add_stranger(self):
        """Adds the host `stranger`, STRANGER, which answers to forged sources go to."""
        self._lab("add-stranger")

    def shape(self, host, nic, *how):
        """Packets that leave by this NIC are delayed, reordered or lost (tc-netem(8)). Ends the test where the kernel can't."""
        done = self.run(host, "tc", "qdisc", "replace", "dev", nic, "root", "netem", *how, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"this kernel has no netem (scripts/vm-test boots one that has): {done.stderr.strip()}")

    def replace_nic(self):
        """Deletes the lb's eth0 and creates it again."""
        self._lab("replace-nic")

    def hold_vip(self, vip):
        """Makes every member answer for the VIP directly."""
        for member in range(1, self.members + 1):
            self._lab("hold-vip", f"member{member}", vip)

    def end_tunnels(self, *members):
        """These members accept what comes by ipip and gue. Their end of the tunnel passes packets on byte by byte, so none may be
        merged on the way."""
        for host, nic in (("router", "lan"), ("member1", "eth0"), ("member2", "eth0")):
            self.run(host, "ethtool", "-K", nic, "gro", "off")
        for member in members:
            self.start(f"member{member}", "ipip", PYTHON, HERE / "ipip_endpoint.py")
            wait_for(lambda member=member: "ready" in self.log(f"member{member}", "ipip"), 5, "the tunnel's end")

    def serve_web(self, member, port):
        self.start(f"member{member}", f"web{port}", PYTHON, HERE / "flask_app.py", "-p", port)
        self.wait_listening(f"member{member}", port)

    def wait_listening(self, host, port):
        wait_for(lambda: self.run(host, "ss", "-Hltn", f"sport = :{port}").stdout, 10, f"{host} listens on {port}")

    def client(self, *arguments, timeout=60):
        """Runs tcp_client.py to its end; returns what it printed, from JSON."""
        return json.loads(self.run("client", PYTHON, HERE / "tcp_client.py", *arguments, timeout=timeout).stdout)

    def start_client(self, *arguments):
        """Starts tcp_client.py; finish with finish_client()."""
        process = self.spawn("client", PYTHON, HERE / "tcp_client.py", *arguments)
        return process

    @staticmethod
    def finish_client(process, timeout=60):
        """Closes its stdin, which tells long-running clients to end, and returns what it printed, from JSON."""
        out, err = process.communicate(timeout=timeout * PATIENCE)
        if process.returncode != 0:
            raise AssertionError(f"{' '.join(process.args)}: exit {process.returncode}\n{out}{err}")
        return json.loads(out)

    def knock(self, address, port):
        """Sends a SYN and does not wait for an answer."""
        code = f"import socket\nknock = socket.socket()\nknock.setblocking(False)\nknock.connect_ex(('{address}', {port}))"
        self.run("client", PYTHON, "-c", code)

    def syns_sent_again(self, host="client"):
        """Returns how often the host's kernel has retransmitted a SYN."""
        names, counts = [line.split() for line in self.run(host, "cat", "/proc/net/netstat").stdout.splitlines()[:2]]
        return int(dict(zip(names, counts))["TCPSynRetrans"])

    def client_as_seen_by_member(self, port=80):
        return self.client("whence", VIP, port)

    def accepted(self, member, port=80):
        """Returns how many balanced connections the member's server has served by its own count."""
        answer = self.run(f"member{member}", PYTHON, HERE / "tcp_client.py", "count",
                          "127.0.0.1", port)
        return json.loads(answer.stdout)


def parse_table(text):
    """Returns the header and the rows of a +---+ table, cells stripped."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("|")]
    return rows[0], rows[1:]


def alternates(names):
    """Says whether two names are strictly in turn."""
    return len(set(names)) == 2 and all(a != b for a, b in zip(names, names[1:]))


class LabTest(unittest.TestCase):
    """A test with a lab of its own in self.lab; `members` and `topology` may be set in subclasses."""

    members = 2
    topology = "flat"

    def setUp(self):
        self.lab = Lab(self.members, self.topology)
        self.addCleanup(self.lab.down)
        self.addCleanup(self._show_logs_of_a_failure)  # cleanups run last in, first out

    def _show_logs_of_a_failure(self):
        if has_failed(self):
            for log in sorted((self.lab.directory / "log").glob("lb*")):
                lines = log.read_text().splitlines()[-40:]
                print(f"--- the end of {log.name} ---", *lines, sep="\n", file=sys.stderr)


def remove_stale_labs():
    """Removes labs of test runs that were killed by SIGKILL and could not clean up."""
    for directory in glob.glob(str(RUNTIME / "e2e-*")):
        name = os.path.basename(directory)
        if not os.path.exists(f"/proc/{name.split('-')[1]}"):
            subprocess.run([ROOT / "scripts/lab", "down", "--name", name], check=False)


def remove_stale_hosts():
    """Does so for the hosts of hosts.py. What still runs there was started by such a test."""
    ended = lambda path: (of := re.match(r"(?:sluice-)?e2e-(\d+)-", path.name)) and not os.path.exists(f"/proc/{of[1]}")
    for host in filter(ended, pathlib.Path("/run/netns").glob("e2e-*")):
        found = subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True, check=False)
        for process in map(int, found.stdout.split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", host.name], check=False)
    for place in ("/sys/fs/bpf", "/run"):
        for directory in filter(ended, pathlib.Path(place).glob("sluice-e2e-*")):
            shutil.rmtree(directory, ignore_errors=True)


def _take_down_labs():
    for lab in list(Lab.live):
        try:
            lab.down()
        except Exception as error:  # the next lab must go too
            print(f"lab {lab.name}: {error}", file=sys.stderr)


def _time_is_up(*_):
    raise TimeoutError("the test file's time limit is over")


def skip_reason():
    if os.geteuid() != 0:
        return "needs root: it makes network namespaces and loads BPF programs (run: sudo scripts/test)"
    for tool in ("sluice-loader", "sluiced", "sluicectl"):
        if not os.path.exists(program(tool)):
            return f"{program(tool)} is not built (run: scripts/build)"
    for tool in ("ip", "nsenter", "ethtool", "curl", "iperf3"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (run: sudo scripts/install-deps)"
    return None


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    reason = skip_reason()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    atexit.register(_take_down_labs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # ctest kills a test that runs too long with SIGKILL; be done with cleaning up before.
    signal.signal(signal.SIGALRM, _time_is_up)
    signal.alarm(int(os.environ.get("SLUICE_TEST_SECONDS", "1740")))
    remove_stale_labs()
    remove_stale_hosts()
    unittest.main(verbosity=2)
