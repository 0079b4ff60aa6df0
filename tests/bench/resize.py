#!/usr/bin/python3
"""Measures what a resize of the flow table, or an upgrade to another layout of it, does to connections under traffic, beside many
that are idle: how many break, and how long new ones wait. In a lab."""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("SLUICE_BUILD_DIR", str(ROOT / "build/release"))
import support  # noqa: E402
from support import VIP  # noqa: E402

QUIET_SECONDS = 5
OTHER_LAYOUT = support.BUILD / "tests/e2e/other_layout/loader_of_other_layout"
ACTIVE_SHARE = 10  # one of so many connections says something all the time


class Bench:
    def __init__(self, lab, options):
        self.lab = lab
        lab.serve()
        lab.loader("attach", "eth0", "eth1", "--flows", options.flows[-1])
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP)
        lab.add_service("lb", 80, 80)
        # A packet whose flow was not found would end its connection.
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        # The pace needs more ports than a client has by default.
        lab.run("client", "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 65535")
        active = options.connections // ACTIVE_SHARE
        self.active = lab.start_client("echo", VIP, 80, active)
        self.silent = lab.start_client("keep", VIP, 80, options.connections - active)
        self.silent.stdout.readline()
        lab.wait_for_connections(options.connections)
        print(lab.run("lb", support.BUILD / "tests/bench/idle_flows", lab.pins, options.idle, timeout=120).stdout, end="")

    def meanwhile(self, name, do):
        """Opens connections while `do` runs; returns what became of them."""
        lab, again = self.lab, self.lab.syns_sent_again()
        # Before all other processes: the verifier keeps a CPU busy, which is not what is measured here.
        pace = lab.spawn("client", "chrt", "--fifo", "50", support.PYTHON, support.HERE / "tcp_client.py", "pace", VIP, 80)
        time.sleep(1)
        begin = time.monotonic()
        said = do()
        took = time.monotonic() - begin
        handshakes = lab.finish_client(pace)
        moved = re.search(r"(\d+) connections were (?:moved|carried)", said)
        one = {"what": name, "took_s": took, "moved": int(moved[1]) if moved else 0, "opened": len(handshakes),
               "median_ms": statistics.median(handshakes), "longest_ms": max(handshakes),
               "above_10_ms": sum(each > 10 for each in handshakes), "syns_again": lab.syns_sent_again() - again}
        print(f"{name:16} | {took:6.1f} | {one['moved']:9} | {one['opened']:7} | {one['median_ms']:6.2f} {one['longest_ms']:8.2f} | "
              f"{one['above_10_ms']:12} | {one['syns_again']:9}", flush=True)
        return one

    def broken(self):
        """How many of the connections that were open all the time have broken."""
        report, kept = self.lab.finish_client(self.active), self.lab.finish_client(self.silent)
        return {"broken": len(report["broken"]) + len(kept["broken"]), "longest_wait_of_active_ms": report["longest_wait"] * 1e3,
                "which": report["broken"] + kept["broken"]}


def across(lab, loader):
    return lab.run("lb", loader, "upgrade", "--pin-dir", lab.pins, timeout=300).stdout


def measure(lab, options):
    bench = Bench(lab, options)
    print("what             | took s |     moved |  opened | handshake ms: median, longest | above 10 ms | sent again")
    rounds = [bench.meanwhile("nothing", lambda: time.sleep(QUIET_SECONDS) or "")]
    # Loads the program as a resize does, which keeps a CPU busy, but moves nothing.
    rounds.append(bench.meanwhile("upgrade", lambda: lab.loader("upgrade").stdout))
    for flows in options.flows:
        rounds.append(bench.meanwhile(f"--flows {flows}", lambda: lab.loader("attach", "eth0", "--flows", flows).stdout))
    if options.across:
        rounds.append(bench.meanwhile("another layout", lambda: across(lab, OTHER_LAYOUT)))
        rounds.append(bench.meanwhile("and back", lambda: across(lab, support.program("sluice-loader"))))
    result = bench.broken()
    print(f"{result['broken']} of {options.connections} connections broke; "
          f"the longest answer of an active one took {result['longest_wait_of_active_ms']:.0f} ms")
    return {"rounds": rounds, **result}


def main():
    parser = argparse.ArgumentParser(prog="bench resize", description=__doc__)
    parser.add_argument("--idle", type=int, default=1 << 20, metavar="N")
    parser.add_argument("--connections", type=int, default=1000, metavar="N", help="real ones, a tenth of them active")
    parser.add_argument("--flows", type=int, nargs="+", default=[3 << 20, 5 << 18], metavar="N",
                        help="sizes, one after the other; it begins with the last one")
    parser.add_argument("--across", action="store_true",
                        help="then upgrade to another layout of the flow tables, and back")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print(f"{platform.release()}, {os.cpu_count()} CPUs", flush=True)
    with support.Lab(topology="routed") as lab:
        results = measure(lab, options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))
    return 1 if results["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
