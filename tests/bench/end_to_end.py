#!/usr/bin/python3
"""Sluice against HAProxy, nginx, nftables and no load balancer, end to end in a lab (see README.md here)."""

import argparse
import atexit
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time

import contenders
import measure
import memory
from contenders import BULK, HERE, SMALL, support


def measured(lab, what, connections_of, packets_of):
    """Runs what() and returns its result with "cpu", the machine's CPU seconds; fails if the traffic did not
    go through the contender."""
    packets, carried, busy = lab.wire_packets(), lab.carried(), measure.busy_seconds()
    result = what()
    result["cpu"] = measure.busy_seconds() - busy
    passed = lab.wire_packets() - packets
    if carried is None:
        if passed > 100:  # ARP and the like
            raise AssertionError(f"{lab.name_in_table}: {passed} packets came to the load balancer's host")
        return result
    through, due = lab.carried() - carried, connections_of(result)
    if through < due:
        raise AssertionError(f"{lab.name_in_table} carried {through} connections by its own count, "
                             f"but {due} were served: another way was taken")
    if passed < packets_of(result):
        raise AssertionError(f"{lab.name_in_table}: only {passed} packets came to the load balancer's host")
    return result


def run_wrk(lab, seconds, connections):
    out = lab.run("client", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", "Connection: close",
                  f"http://{lab.target}:{SMALL}/", timeout=seconds + 30).stdout
    requests, took = re.search(r"(\d+) requests in ([\d.]+)s", out).groups()
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    failed = sum(map(int, errors.groups())) if errors else 0
    if not int(requests) or failed > int(requests) / 100:
        raise AssertionError(f"{lab.name_in_table}: {failed} of {requests} connections failed:\n{out}")
    return {"requests": int(requests), "seconds": float(took), "failed": failed}


def connections_round(lab, options):
    # wrk counts finished requests; those that were under way at the end are not in.
    result = measured(lab, lambda: run_wrk(lab, options.seconds, options.connections),
                      lambda r: r["requests"], lambda r: 6 * r["requests"])
    result["per_second"] = result["requests"] / result["seconds"]
    result["cpu_us"] = 1e6 * result["cpu"] / result["requests"]
    return result


def run_iperf3(lab, options):
    down = ["-R"] if options.direction == "down" else []
    out = lab.run("client", "iperf3", "-c", lab.target, "-p", str(BULK), "-t", str(options.seconds), "-P",
                  str(options.streams), "-J", *down, timeout=options.seconds + 30).stdout
    end = json.loads(out)["end"]
    return {"bytes": end["sum_received"]["bytes"], "bits_per_second": end["sum_received"]["bits_per_second"]}


def throughput_round(lab, options):
    # A frame, or a segment of up to 64 KiB with offloads, came to the load balancer for all that arrived.
    result = measured(lab, lambda: run_iperf3(lab, options), lambda r: 1 + options.streams,
                      lambda r: r["bytes"] / 65536)
    result["gbit"] = result["bits_per_second"] / 1e9
    result["cpu_per_gb"] = result["cpu"] / (result["bytes"] / 1e9)
    return result


def run_latency(lab, options):
    out = lab.run("client", support.PYTHON, HERE / "latency_client.py", lab.target, SMALL, options.rate,
                  options.seconds, options.kind, timeout=options.seconds * 3 + 30).stdout
    return json.loads(out)


def latency_round(lab, options):
    result = measured(lab, lambda: run_latency(lab, options),
                      lambda r: len(r["nanoseconds"]) if options.kind == "new" else 1,
                      lambda r: 2 * len(r["nanoseconds"]))
    result["microseconds"] = [ns / 1000 for ns in result.pop("nanoseconds")]
    for name, share in ("p50", 0.5), ("p99", 0.99), ("p999", 0.999):
        result[name] = measure.percentile(result["microseconds"], share)
    return result


UNITS = {"connections": {"per_second": "connections/s", "cpu_us": "CPU us per connection, whole machine"},
         "throughput": {"gbit": "Gbit/s", "cpu_per_gb": "CPU s per GB, whole machine"},
         "latency": {"p50": "us", "p99": "us", "p999": "us"}}


def interleaved(labs, options, one_round):
    """Rounds over all contenders, each round in another order, so that none has the best place."""
    rounds, names = [], list(labs)
    for number in range(options.rounds):
        turn = number % len(names)
        rounds.append({name: one_round(labs[name], options) for name in names[turn:] + names[:turn]})
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    return [{name: one[name] for name in names} for one in rounds]


def compare(options):
    one_round = {"connections": connections_round, "throughput": throughput_round, "latency": latency_round}
    labs = {name: contenders.ALL[name]() for name in options.contenders}
    report = {}
    for setting in variants(options):
        for lab in labs.values():
            lab.offloads(setting == "offloads on")
        options.kind = setting.split()[-1]
        rounds = interleaved(labs, options, one_round[options.bench])
        units = UNITS[options.bench]
        summary = measure.summarize(rounds, units)
        measure.print_table(f"{options.bench}, {setting}", summary, units)
        for one in rounds:
            for result in one.values():
                result.pop("microseconds", None)
        report[setting] = {"summary": summary, "rounds": rounds}
    return report


def variants(options):
    if options.bench == "throughput":
        return ["offloads off", "offloads on"]
    if options.bench == "latency":
        return ["a connection per request: new", "one connection: kept"]
    return ["offloads off"]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    benches = parser.add_subparsers(dest="bench", required=True)
    defaults = {"connections": (5, 4), "throughput": (3, 4), "latency": (4, 3)}
    for name, (rounds, seconds) in defaults.items():
        bench = benches.add_parser(name)
        bench.add_argument("--rounds", type=int, default=rounds)
        bench.add_argument("--seconds", type=int, default=seconds, help="per contender and round")
        bench.add_argument("--contenders", nargs="+", choices=contenders.ALL, default=list(contenders.ALL))
        if name == "connections":
            bench.add_argument("--connections", type=int, default=32, help="open at a time")
        if name == "throughput":
            bench.add_argument("--streams", type=int, default=1)
            bench.add_argument("--direction", choices=["down", "up"], default="down", help="member to client, or back")
        if name == "latency":
            bench.add_argument("--rate", type=int, default=500, help="requests per second")
    memory.add_arguments(benches.add_parser("memory"))
    for bench in benches.choices.values():
        bench.add_argument("--json", metavar="FILE", help="also write everything there")
    return parser.parse_args()


def missing():
    if os.geteuid() != 0:
        return "network namespaces need root (run: sudo scripts/bench ...)"
    for tool in ("sluice-loader", "sluiced", "sluicectl"):
        if not os.path.exists(support.program(tool)):
            return f"{support.program(tool)} is not built (run: scripts/build release)"
    return None


def main():
    options = parse_arguments()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if why := missing():
        sys.exit(f"bench: {why}")
    atexit.register(support._take_down_labs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    support.remove_stale_labs()
    busy = measure.background()
    if busy > 0.05:
        print(f"bench: the machine is {busy:.0%} busy with something else: CPU times and ratios are worth little",
              file=sys.stderr)
    report = memory.run(options) if options.bench == "memory" else compare(options)
    if options.json:
        about = {"bench": options.bench, "command": sys.argv, "kernel": platform.release(), "cpus": os.cpu_count(),
                 "busy_before": busy, "when": time.strftime("%FT%TZ", time.gmtime()), "results": report}
        with open(options.json, "w") as file:
            json.dump(about, file, indent=1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (AssertionError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")
