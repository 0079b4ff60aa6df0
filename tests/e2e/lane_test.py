#!/usr/bin/python3
"""Requests that take long (flows, explain, capture) delay no other client, no eviction and not the end of sluiced."""

import json
import os
import pathlib
import re
import select
import signal
import statistics
import time

import support
from support import VIP, wait_for
from unix_http import UnixConnection

LONGEST_TURN = 0.05  # CPU seconds of the event loop, where a stat() takes STAT
STAT = 1.2e-6
SANITIZED = 20  # times that ThreadSanitizer may make it longer
FLOWS = 65536
UDP_PORTS = (53, 54, 55)
EXPLAIN = f"/v1/explain?from=203.0.113.10:50514&to={VIP}:80"

# Unanswered UDP flows are half-open: the table must be four times as large, and each listener has a limit of them.
MANY_FLOWS = f"""
import socket
import statistics
for port in range(1024, 1024 + {FLOWS} // {len(UDP_PORTS)} + 500):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("", port))
        for listener in {UDP_PORTS} * 2:  # as some are lost at such a pace
            client.sendto(b"x", ("{VIP}", listener))
"""
# Takes datagrams and says nothing.
SINK = """
import socket, sys
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("", int(sys.argv[1])))
while True:
    sink.recv(2048)
"""


LOAD_BALANCERS = "/v2/lbaas/loadbalancers"
# Batches that together make 4,000 listeners: load balancers, and listeners of each.
BATCHES = ((500, 2), (125, 8), (125, 8), (125, 8))


def many_of(number, listeners_of_each):
    """The request for one of many load balancers. Nobody reaches or probes its members."""
    place = f"{number // 200}.{number % 200 + 1}"
    pool = {"name": f"pool{number}", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
            "members": [{"address": f"10.77.{place}", "protocol_port": port} for port in (80, 81)]}
    listeners = [{"protocol": "TCP", "protocol_port": 80, "default_pool": pool, "allowed_cidrs": ["192.0.2.0/24"]}]
    listeners += [{"protocol": "UDP", "protocol_port": 80 + more} for more in range(1, listeners_of_each)]
    return {"method": "POST", "path": LOAD_BALANCERS,
            "body": {"loadbalancer": {"vip_address": f"10.66.{place}", "force": True, "listeners": listeners}}}


class Api(UnixConnection):
    """sluiced's socket; bodies are text."""

    def __init__(self, path):
        super().__init__(path, timeout=60 * support.PATIENCE)

    def begin(self, method, target, body=None):
        self.request(method, target, body, {"Content-Type": "application/json"})

    def is_answered(self):
        return bool(select.select([self.sock], [], [], 0)[0])

    def finish(self):
        answer = self.getresponse()
        return answer.status, answer.read()

    def ask(self, *request):
        self.begin(*request)
        return self.finish()


def serve(lab):
    """lb with an 80_listener that answers, and listeners for MANY_FLOWS."""
    lab.serve()
    lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP)
    lab.add_service("lb", 80, 80)
    for port in UDP_PORTS:
        lab.add_service("lb", port, port, protocol="UDP")
        for member in (1, 2):
            lab.start(f"member{member}", f"sink{port}", support.PYTHON, "-c", SINK, port)


def slowness():
    """How many times the CPU seconds of an ordinary machine this one takes at present: virtual ones take two or three."""
    times = []
    for _ in range(9):
        began = time.thread_time()
        for _ in range(20_000):
            os.stat("/")
        times.append((time.thread_time() - began) / 20_000)
    return max(1.0, statistics.median(times) / STAT)


def longest_turn(page):
    """CPU seconds, as /metrics has them."""
    return float(re.search(rb"^sluice_event_loop_longest_turn_cpu_seconds (\S+)$", page, re.MULTILINE)[1])


class Lane(support.LabTest):
    def api(self):
        connection = Api(self.lab.socket)
        self.addCleanup(connection.close)
        return connection

    def running(self):
        """The program on the NIC."""
        return "sluice_capture" if "sluice_capture" in self.lab.loader("status").stdout else "sluice_xdp"

    def pinned(self):
        return sorted(str(path) for path in pathlib.Path(self.lab.pins).rglob("*"))


class LongestTurn(Lane):
    def setUp(self):
        super().setUp()
        lab = self.lab
        lab.loader("attach", "eth0", "--flows", "524288")
        self.hook = lab.directory / "hook"
        lab.start_controller("--test-hook", self.hook)
        serve(lab)

    def answered_meanwhile(self, *request):
        """Makes the request, and a small one that is answered before it."""
        slow = self.api()
        slow.begin(*request)
        self.assertEqual(200, self.api().ask("GET", "/v2/lbaas/pools")[0])
        self.assertFalse(slow.is_answered(), f"{request[:2]} was no slower than a list of pools")
        return slow.finish()

    def check_drift(self):
        """Has the check done that is due every half minute."""
        self.hook.write_text("check")
        wait_for(lambda: not self.hook.exists(), 5, "the check")

    def ask_batch(self, requests):
        status, answer = self.answered_meanwhile("POST", "/v1/batch", json.dumps({"requests": requests}))
        self.assertEqual(200, status, answer[:1000])
        return [one["id"] for one in json.loads(answer)["answers"] if "id" in one]

    def make_and_delete_many(self):
        """Batches that make 4,000 listeners; a list and a drift check of all; and a deletion."""
        made = []
        for count, listeners in BATCHES:
            made += self.ask_batch([many_of(len(made) + more, listeners) for more in range(count)])
        status, listed = self.api().ask("GET", "/v2/lbaas/listeners")
        self.assertEqual(200, status)
        self.assertGreaterEqual(len(json.loads(listed)["listeners"]), 4000)
        self.api().ask("GET", "/metrics")
        self.check_drift()
        self.ask_batch([{"method": "DELETE", "path": f"{LOAD_BALANCERS}/{one}?cascade=true"} for one in made[:100]])

    def test_it_is_short_whatever_is_asked(self):
        lab = self.lab
        lab.run("client", support.PYTHON, "-c", MANY_FLOWS, timeout=120)
        status, flows = self.answered_meanwhile("GET", "/v1/flows?limit=100000")
        self.assertEqual((200, True), (status, flows.count(b'"protocol"') >= FLOWS), flows[:1000])
        for _ in range(2):
            status, found = self.answered_meanwhile("GET", EXPLAIN)
            self.assertEqual((200, True), (status, b'"forward"' in found), found)
        status, started = self.answered_meanwhile("POST", "/v1/captures", '{"capture": {}}')
        self.assertEqual(201, status, started)
        capture = "/v1/captures/" + re.search(rb'"id":"([^"]+)"', started)[1].decode()
        self.assertEqual(2, len(set(lab.client("who", VIP, 80, 4))))
        status, packets = self.api().ask("GET", f"{capture}/packets")
        self.assertEqual((200, True), (status, b'"direction":"out"' in packets))
        self.assertEqual(204, self.api().ask("DELETE", capture)[0])
        self.assertEqual("sluice_xdp", self.running())
        self.check_drift()
        status, flushed = self.answered_meanwhile("DELETE", "/v1/flows?all=true")
        self.assertEqual(200, status, flushed)
        self.make_and_delete_many()
        longest = longest_turn(self.api().ask("GET", "/metrics")[1])
        slow = slowness()
        print(f"the longest turn took {longest * 1e3:.1f} ms of a CPU {slow:.1f} times as slow as usual", flush=True)
        libraries = lab.run("lb", "ldd", support.program("sluiced")).stdout
        self.assertLessEqual(longest, slow * LONGEST_TURN * (SANITIZED if "libtsan" in libraries else 1))


class Interrupted(Lane):
    CAPTURE = ("POST", "/v1/captures", '{"capture": {}}')
    REQUESTS = (("GET", EXPLAIN), CAPTURE)

    def setUp(self):
        super().setUp()
        self.lab.serve()
        self.lab.balance()

    def begun(self, *request):
        """Makes the request and returns when sluiced is at it, which uses the CPU."""
        slow = self.api()
        slow.begin(*request)
        before = support.cpu_seconds(self.pid)
        wait_for(lambda: support.cpu_seconds(self.pid) > before + 0.05 or slow.is_answered(), 5, "the request is under way")
        return slow

    @property
    def pid(self):
        return self.lab.service_pid("lb", "sluiced")

    def is_as_before(self, pinned):
        self.assertEqual("sluice_xdp", self.running())
        self.assertEqual(pinned, self.pinned())
        self.assertEqual(2, len(set(self.lab.client("who", VIP, 80, 4))))

    def test_sigterm_ends_sluiced_and_leaves_nothing_behind(self):
        lab = self.lab
        for request in self.REQUESTS:
            with self.subTest(request=request):
                pinned = self.pinned()
                self.begun(*request)
                begin = time.monotonic()
                os.kill(self.pid, signal.SIGTERM)
                wait_for(lambda: not lab.lives("lb", "sluiced"), 5, "sluiced ends")
                print(f"{request[1]}: {time.monotonic() - begin:.2f} s", flush=True)
                self.is_as_before(pinned)
                lab.start_controller()

    def test_sigkill_leaves_nothing_behind_that_the_next_start_does_not_clear_away(self):
        lab = self.lab
        for request in self.REQUESTS:
            with self.subTest(request=request):
                pinned = self.pinned()
                self.begun(*request)
                lab.kill("lb", "sluiced")
                lab.start_controller()
                self.is_as_before(pinned)

    def test_a_capture_that_nobody_waits_for_any_more_ends(self):
        pinned = self.pinned()
        while True:
            slow = self.begun(*self.CAPTURE)
            if not slow.is_answered():
                break
            _, started = slow.finish()  # this machine is busy: there was no time to leave
            self.api().ask("DELETE", "/v1/captures/" + re.search(rb'"id":"([^"]+)"', started)[1].decode())
        slow.close()
        status, _ = self.api().ask("GET", EXPLAIN)  # has its turn on the lane after the capture
        self.assertEqual(200, status)
        self.is_as_before(pinned)


class Privileges(Lane):
    def test_every_thread_has_given_up_what_is_not_needed(self):
        self.lab.balance()
        self.assertEqual(200, self.api().ask("GET", EXPLAIN)[0])  # the lane has its thread by now
        tasks = list(pathlib.Path(f"/proc/{self.lab.service_pid('lb', 'sluiced')}/task").iterdir())
        self.assertGreaterEqual(len(tasks), 3, "the event loop, the store's writer, the slow lane")
        kept = sum(1 << capability for capability in (12, 13, 38, 39))  # NET_ADMIN, NET_RAW, PERFMON, BPF
        for task in tasks:
            status = dict(line.split(":\t") for line in (task / "status").read_text().splitlines() if ":\t" in line)
            with self.subTest(thread=task.name):
                self.assertEqual([kept, kept, kept], [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")])
                self.assertEqual("1", status["NoNewPrivs"].strip())


if __name__ == "__main__":
    support.main()
