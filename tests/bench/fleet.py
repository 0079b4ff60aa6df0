#!/usr/bin/python3
"""Measures a fleet of three nodes in a lab: what a change costs with etcd, beside SQLite, until it is in all nodes' maps; how long
clients of a node that dies wait for the first packet through another one; how long a node with empty tables takes until it knows
all connections of another one. And what it costs that nodes tell each other of connections: the data plane, sender and receiver."""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("SLUICE_BUILD_DIR", str(ROOT / "build/release"))
import fleet_resync  # noqa: E402
import support  # noqa: E402
from fleet_lab import NODES, VIP, FleetLab, missing  # noqa: E402
from measure import background, percentile  # noqa: E402
from unix_http import UnixConnection  # noqa: E402

PARTS = ("changes", "death", "resynchronisation", "records")
PORT = 53
SILENCE_MS = 60  # what the clients' own machine may cause
SETTLE_SECONDS = 2


def shown(name, milliseconds):
    print(f"{name:52} | {statistics.median(milliseconds):8.1f} {percentile(milliseconds, 0.99):8.1f} | {len(milliseconds)}", flush=True)
    return {"what": name, "median_ms": statistics.median(milliseconds), "p99_ms": percentile(milliseconds, 0.99),
            "all_ms": milliseconds}


def timed(do):
    begin = time.monotonic()
    value = do()
    return (time.monotonic() - begin) * 1000, value


def changes(name, path, count):
    """Changes a load balancer again and again; returns how long the answers took, and how many were not ACTIVE at once."""
    connection = UnixConnection(path)
    _, body = connection.ask("POST", "/v2/lbaas/loadbalancers", {"loadbalancer": {"vip_address": "198.51.100.99"}})
    target = f"/v2/lbaas/loadbalancers/{body['loadbalancer']['id']}"
    times, late = [], 0
    for number in range(count):
        while connection.ask("GET", target)[1]["loadbalancer"]["provisioning_status"] != "ACTIVE":
            late += 1
            time.sleep(0.01)
        took, (status, body) = timed(lambda number=number: connection.ask("PUT", target, {"loadbalancer": {"description": str(number)}}))
        if status != 200:
            raise RuntimeError(f"{status}: {body}")
        times.append(took)
    reads = [timed(lambda: connection.ask("GET", target))[0] for _ in range(count)]
    connection.ask("DELETE", target)
    return [shown(f"a change, {name}", times), shown(f"a read, {name}", reads)], late


def latency(options):
    with FleetLab() as lab:
        lab.start("lb1", "alone", support.program("sluiced"), "--interface", "eth0", "--flows", "65536", "--state-dir",
                  lab.directory / "state", "--socket", lab.directory / "alone.sock", "--pin-dir", lab.pins)
        support.wait_for((lab.directory / "alone.sock").exists, 10, "sluiced answers")
        time.sleep(SETTLE_SECONDS)
        alone, _ = changes("one node, SQLite", lab.directory / "alone.sock", options.changes)
        lab.stop("lb1", "alone")
        lab.run("lb1", support.program("sluice-loader"), "detach", "--all", "--pin-dir", lab.pins)
        lab.start_nodes()
        time.sleep(SETTLE_SECONDS)
        fleet, late = changes("three nodes, etcd: in all nodes' maps", lab.directory / "lb1.sock", options.changes)
        print(f"  ({late} times a change was not at all nodes when it was answered)")
        return alone + fleet


def death(options, bfd):
    """Each round a node dies. Returns how long the flows that went through it were without an answer."""
    gaps = []
    for _ in range(options.rounds):
        with FleetLab(bfd) as lab:
            lab.start_nodes()
            lab.serve_udp(PORT)
            lab.make_service("UDP", PORT)
            lab.wait_for_hops(*NODES)
            client = lab.spawn("client", "chrt", "--fifo", "10", support.PYTHON, ROOT / "tests/bench/fleet_client.py", VIP, PORT, 48)
            time.sleep(SETTLE_SECONDS)
            # The switch forwards nothing of it any more. Its carrier stays, so that nobody is told, by the link or by TCP.
            lab.run("switch", "bridge", "link", "set", "dev", "lb3-eth0", "state", "0")
            lab.wait_for_hops("lb1", "lb2")
            time.sleep(SETTLE_SECONDS)
            found = lab.finish_client(client)
            gaps += [gap for gap in found["longest_ms"] if gap > SILENCE_MS]
    return shown(f"a node dies, BFD {bfd} ms x 3: its flows are silent", gaps)


def records(options):
    """What the data plane pays for telling peers, and what sender and receiver do."""
    bench = support.BUILD / "tests/bench"
    for command in ([bench / "records_cost", "--rounds", str(options.record_rounds)], [bench / "peers_cost"]):
        sys.stdout.flush()
        subprocess.run(command, check=True)


def in_the_lab(options):
    if missing():
        sys.exit(missing())
    results = []
    if "resynchronisation" in options.part:
        results.append(fleet_resync.measure(options.idle, options.rounds))
    if set(options.part) & {"changes", "death"}:
        print(f"{'':52} | {'median':>8} {'p99':>8} | count   (ms)")
    if "changes" in options.part:
        results += latency(options)
    for bfd in options.bfd if "death" in options.part else ():
        results.append(death(options, bfd))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/bench fleet")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="measure only these (default: all)")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="of a node's death, with each interval, and of its return (default 3)")
    parser.add_argument("--bfd", type=int, nargs="*", default=[300, 50], help="intervals in ms (default 300 50)")
    parser.add_argument("--idle", type=int, default=1 << 20, metavar="N", help="connections of which a node is told (default 1 Mi)")
    parser.add_argument("--record-rounds", type=int, default=9, metavar="R", help="of packets with records off and on (default 9)")
    parser.add_argument("--json")
    options = parser.parse_args()
    print(f"{platform.release()}, {os.cpu_count()} CPUs, {background():.2f} of them busy with something else")
    if "records" in options.part:
        records(options)
    results = in_the_lab(options) if set(options.part) != {"records"} else []
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results))


main()
