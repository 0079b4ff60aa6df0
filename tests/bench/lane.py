#!/usr/bin/python3
"""Measures how long a client waits for a list of pools, and how long a dead member stays, while another client lists
connections, asks for an explanation or captures. In a lab with many connections."""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("SLUICE_BUILD_DIR", str(ROOT / "build/release"))
import lane_test  # noqa: E402
import support  # noqa: E402

SWEEPS_EVERY = 5  # seconds
REQUESTS = {"flows": ("GET", "/v1/flows?limit=100000"), "flows of a client": ("GET", "/v1/flows?client=192.0.2.0/24"),
            "explain": ("GET", lane_test.EXPLAIN), "capture": ("POST", "/v1/captures", '{"capture": {}}')}


class Bench:
    def __init__(self, lab, table):
        self.lab = lab
        lab.loader("attach", "eth0", "--flows", table)
        lab.start_controller()
        lane_test.serve(lab)
        lab.ctl("loadbalancer", "healthmonitor", "create", "--delay", 1, "--timeout", 1, "--max-retries", 1, "--max-retries-down",
                1, "--type", "tcp", "80_pool")
        lab.run("client", support.PYTHON, "-c", lane_test.MANY_FLOWS, timeout=120)

    def ask(self, *request):
        status, body = lane_test.Api(self.lab.socket).ask(*request)
        if status not in (200, 201, 204):
            sys.exit(f"lane: {request[:2]}: HTTP {status}: {body[:500]}")
        return body

    def look(self, name):
        """Makes one request and ends what it began; "nothing" makes none."""
        if name == "nothing":
            return time.sleep(0.5)
        body = self.ask(*REQUESTS[name])
        if name == "capture":
            self.ask("DELETE", "/v1/captures/" + re.search(rb'"id":"([^"]+)"', body)[1].decode())

    def longest_turn(self):
        return lane_test.longest_turn(self.ask("GET", "/metrics")) * 1e3

    def cpu(self):
        """Thread -> milliseconds that it has run."""
        tasks = pathlib.Path(f"/proc/{self.lab.service_pid('lb', 'sluiced')}/task")
        return {task.name: int((task / "schedstat").read_text().split()[0]) / 1e6 for task in tasks.iterdir()}

    def sweep(self):
        """CPU milliseconds of a sweep, which is all that the busiest thread does for a while."""
        before = self.cpu()
        time.sleep(4 * SWEEPS_EVERY)
        return max(ran - before.get(thread, 0) for thread, ran in self.cpu().items()) / 4

    def another_waits(self, name, rounds):
        """Milliseconds that each request takes, and that each of another client's waited meanwhile."""
        waits, took, over = [], [], threading.Event()

        def others():
            api = lane_test.Api(self.lab.socket)
            while not over.is_set():
                begin = time.monotonic()
                api.ask("GET", "/v2/lbaas/pools")
                waits.append((time.monotonic() - begin) * 1e3)
                time.sleep(0.005)

        thread = threading.Thread(target=others)
        thread.start()
        for _ in range(rounds):
            begin = time.monotonic()
            self.look(name)
            took.append((time.monotonic() - begin) * 1e3)
        over.set()
        thread.join()
        return took, waits

    def eviction(self, name):
        """Milliseconds until a dead member is out, while this is asked again and again."""
        lab = self.lab
        support.wait_for(lambda: lab.member_statuses("80_pool")["80_member_1"] == "ONLINE", 10, "the member is up")
        over = threading.Event()

        def ask():
            while not over.is_set():
                self.look(name)

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.5)
        told = len(lab.log("lb", "sluiced"))
        lab.stop("member1", "tcp80")
        begin = time.monotonic()
        while not re.search("is down|seems to be dead", lab.log("lb", "sluiced")[told:]):
            time.sleep(0.005)
        late = (time.monotonic() - begin) * 1e3
        over.set()
        thread.join()
        lab.serve_on(1)
        return late


def measure(lab, options):
    bench = Bench(lab, options.table)
    results = {"sweep_cpu_ms": bench.sweep(), "requests": []}
    print(f"a sweep: {results['sweep_cpu_ms']:.0f} ms CPU\n\n"
          "while             | takes: first, next ms | another waits: median, longest ms | longest turn so far, CPU ms | evicted within, ms")
    for name in ("nothing", *REQUESTS):
        took, waits = bench.another_waits(name, options.rounds)
        one = {"while": name, "took_ms": took, "wait_median_ms": statistics.median(waits), "wait_longest_ms": max(waits),
               "longest_turn_ms": bench.longest_turn(), "evicted_ms": [bench.eviction(name) for _ in range(options.rounds)]}
        results["requests"].append(one)
        print(f"{name:17} | {took[0]:10.0f} {statistics.median(took[1:] or took):10.0f} | {one['wait_median_ms']:16.1f} {max(waits):16.1f} | "
              f"{one['longest_turn_ms']:27.1f} | " + " ".join(f"{late:.0f}" for late in one["evicted_ms"]), flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(prog="bench lane", description=__doc__)
    parser.add_argument("--table", default="1048576", metavar="N", help="connections that the flow table is made for")
    parser.add_argument("--rounds", type=int, default=3, metavar="R", help="of each request")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print(f"{platform.release()}, {os.cpu_count()} CPUs, {lane_test.FLOWS} connections in a table for {options.table}", flush=True)
    with support.Lab() as lab:
        results = measure(lab, options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
