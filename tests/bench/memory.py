"""Measures the kernel memory of Sluice's maps by --flows, and what remains after many connections have ended."""

import json
import sys
import time

import contenders
from contenders import SMALL

# Closed flows guard their port for 60 s and up to two ticks of 8 s; then the next sweep, one every 5 s, removes them.
SETTLE_SECONDS = 90


def add_arguments(parser):
    parser.add_argument("--flows", type=int, nargs="+", default=[65536, 262144, 1048576],
                        help="table sizes; the last one also takes the connections")
    parser.add_argument("--connections", type=int, default=200_000, help="opened and closed")


def map_bytes(lab):
    """Map -> bytes that the kernel accounts for it."""
    result = {}
    for pin in sorted(lab.pins.rglob("*")):
        shown = lab.run("lb", "bpftool", "-j", "map", "show", "pinned", pin, check=False)
        if shown.returncode == 0 and "bytes_memlock" in shown.stdout:
            one = json.loads(shown.stdout)
            result[one["name"]] = one["bytes_memlock"]
    return result


def flow_buckets(lab):
    maps = json.loads(lab.loader("status", "-f", "json").stdout)["maps"]
    return sum(int(one["used"]) for one in maps if one["map"].startswith("flows") and one["used"] not in ("-", None))


def kernel_bytes():
    """Slab and per-CPU memory of the whole kernel: shows a leak that no map is accounted for."""
    with open("/proc/meminfo") as lines:
        fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return fields["Slab"] + fields["Percpu"]


def state(lab):
    statistics = lab.statistics()
    return {"maps": sum(map_bytes(lab).values()), "flow_buckets": flow_buckets(lab), "kernel": kernel_bytes(),
            "opened": statistics["total_connections"], "refused": statistics["request_errors"]}


def open_and_close(lab, connections, deadline):
    while (opened := lab.statistics()["total_connections"]) < connections:
        if time.monotonic() > deadline:
            print(f"bench: time is up after {opened} of {connections} connections", file=sys.stderr)
            return
        lab.run("client", "wrk", "-t1", "-c32", "-d4s", "-H", "Connection: close", f"http://{lab.target}:{SMALL}/")


def print_state(when, one):
    print(f"  {when:28} maps {one['maps'] / 2**20:8.1f} MiB   flow buckets {one['flow_buckets']:8}   "
          f"kernel slab+percpu {one['kernel'] / 2**20:8.1f} MiB   opened {one['opened']:8}   refused {one['refused']}")


def run(options):
    report = {"by_flows": {}}
    print("maps by --flows, in MiB")
    for flows in options.flows:
        lab = contenders.Sluice(flows)
        report["by_flows"][flows] = sizes = map_bytes(lab)
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
        print(f"  {flows:9} {sum(sizes.values()) / 2**20:9.1f}   (" +
              ", ".join(f"{name} {size / 2**20:.1f}" for name, size in largest) + ")")
        if flows != options.flows[-1]:
            lab.down()
    print(f"growth over {options.connections} connections, --flows {flows}")
    report["before"] = state(lab)
    print_state("before", report["before"])
    open_and_close(lab, options.connections, time.monotonic() + 75)
    report["opened"] = state(lab)
    print_state("all opened and closed", report["opened"])
    deadline = time.monotonic() + SETTLE_SECONDS
    while flow_buckets(lab) > 2 and time.monotonic() < deadline:
        time.sleep(1)
    report["after"] = state(lab)
    print_state("their entries expired", report["after"])
    if report["after"]["flow_buckets"] > 2:
        raise AssertionError(f"{report['after']['flow_buckets']} flow buckets stay after {SETTLE_SECONDS} s")
    growth = report["after"]["maps"] - report["before"]["maps"]
    print(f"  growth of the maps: {growth} bytes")
    return report
