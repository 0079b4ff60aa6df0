#!/usr/bin/python3
"""What probing many members costs: real probes to servers on loopback addresses, in a network namespace of its
own. The CPU time is that of the probing process only; servers are other processes (nginx, one worker). What the
kernel does for a packet on loopback, the receiver's side included, it does in the sender's name: much of it is in
the prober's system time, more than on a wire."""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import measure

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBER = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/release")) / "tests/bench/monitors_prober"
HTTP, HTTPS, UDP = 8080, 8443, 8053
PORTS = {"HTTP": HTTP, "TCP": HTTP, "HTTPS": HTTPS, "TLS-HELLO": HTTPS, "PING": HTTP, "UDP-CONNECT": UDP}
DELAYS = {"UDP-CONNECT": 3}  # its probes take a second each, and the API allows no less
# /proc/net/snmp, of the namespace: what counts a probe.
COUNTERS = {"PING": ("Icmp", "OutEchos"), "UDP-CONNECT": ("Udp", "OutDatagrams")}

NGINX = """
worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log crit;
events {{ worker_connections 20000; }}
http {{
  access_log off; server_tokens off;
  server {{
    listen 8080 backlog=4096; listen 8443 ssl backlog=4096;
    ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
    location / {{ return 200 "healthy\\n"; }}
  }}
}}
"""


class World:
    """A namespace with servers in it."""

    def __init__(self, directory):
        self.name = f"sluice-monitors-{os.getpid()}"
        self.directory = directory
        self.processes = []

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.run("ip", "link", "set", "lo", "up")
        self.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-subj", "/CN=bench", "-days", "1", "-keyout", f"{self.directory}/key.pem",
                 "-out", f"{self.directory}/cert.pem")
        config = pathlib.Path(self.directory, "nginx.conf")
        config.write_text(NGINX.format(dir=self.directory))
        self.start("nginx", "-p", self.directory, "-c", config)
        self.start("python3", "-c", f"import socket as s, time; u = s.socket(s.AF_INET, s.SOCK_DGRAM); "
                                    f"u.bind(('', {UDP})); time.sleep(1e6)")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if f":{HTTP}" in self.run("ss", "-Hltn") and f":{UDP}" in self.run("ss", "-Hlun"):
                return self
            time.sleep(0.1)
        raise AssertionError("the servers did not start")

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            process.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def command(self, *words):
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def run(self, *words):
        return subprocess.run(self.command(*words), check=True, capture_output=True, text=True).stdout

    def start(self, *words, **options):
        # nsenter becomes the command, so that ending it ends the command.
        self.processes.append(subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.name}", *map(str, words)], stdin=subprocess.DEVNULL, **options))
        return self.processes[-1]

    def counted(self, kind):
        group, name = COUNTERS.get(kind, ("Tcp", "ActiveOpens"))
        lines = [line.split() for line in self.run("cat", "/proc/net/snmp").splitlines()
                 if line.startswith(group + ":")]
        return int(dict(zip(*lines))[name])


def softirq_seconds():
    with open("/proc/stat") as stat:
        return int(stat.readline().split()[7]) / measure.TICK


def one_round(world, kind, options):
    delay = DELAYS.get(kind, 1)
    window = -(-options.seconds // delay) * delay  # whole delays
    prober = world.start(PROBER, kind, options.members, PORTS[kind], delay, window,
                         stdout=subprocess.PIPE, text=True)
    assert prober.stdout.readline() == "ready\n"
    probes, softirq, busy = world.counted(kind), softirq_seconds(), measure.busy_seconds()
    result = json.loads(prober.stdout.readline())
    probes, seconds = world.counted(kind) - probes, result["seconds"]
    if result["up"] != options.members or result["down"] or result["trouble"]:
        raise AssertionError(f"{kind}: {result} instead of {options.members} members up")
    if abs(probes / seconds * delay / options.members - 1) > 0.1:
        raise AssertionError(f"{kind}: {probes / seconds:.0f} probes a second of {options.members} members")
    cpu = result["user"] + result["system"]
    print(f"{kind}: {cpu / seconds:.2f} cores", file=sys.stderr)
    return {"cores": cpu / seconds, "us": 1e6 * cpu / probes, "user_us": 1e6 * result["user"] / probes,
            "softirq": (softirq_seconds() - softirq) / seconds,
            "machine": (measure.busy_seconds() - busy) / seconds, "probes_per_second": probes / seconds}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench monitors", description=__doc__)
    parser.add_argument("--members", type=int, default=10000, help="each probed once a second (UDP-CONNECT: every three seconds)")
    parser.add_argument("--type", nargs="+", choices=PORTS, default=["HTTP", "TCP", "PING", "UDP-CONNECT"],
                        help="HTTPS and TLS-HELLO want fewer members: the server's keys take the machine's time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="per type and round")
    parser.add_argument("--json", metavar="FILE", help="also write everything there")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: network namespaces need root (run: sudo scripts/bench ...)")
    busy = measure.background()
    if busy > 0.05:
        print(f"bench: the machine is {busy:.0%} busy with something else", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as directory, World(directory) as world:
        rounds = {kind: [one_round(world, kind, options) for _ in range(options.rounds)] for kind in options.type}

    summary = {kind: {metric: measure.spread([one[metric] for one in results]) for metric in results[0]}
               for kind, results in rounds.items()}
    print(f"\nmonitors: {options.members} members; the prober's CPU time, median (min - max)")
    print(f"{'type':12} {'probes/s':>8} {'cores':>22} {'us per probe':>22} {'user us':>8} {'softirq, all CPUs':>18} {'machine':>8}")
    for kind, row in summary.items():
        cores, us = ("{median:.2f} ({min:.2f} - {max:.2f})".format(**row[metric]) for metric in ("cores", "us"))
        print(f"{kind:12} {row['probes_per_second']['median']:8.0f} {cores:>22} {us:>22} {row['user_us']['median']:8.2f} {row['softirq']['median']:18.2f} "
              f"{row['machine']['median']:8.2f}")
    if options.json:
        about = {"bench": "monitors", "command": sys.argv, "kernel": platform.release(), "cpus": os.cpu_count(),
                 "busy_before": busy, "when": time.strftime("%FT%TZ", time.gmtime()),
                 "results": {"summary": summary, "rounds": rounds}}
        with open(options.json, "w") as file:
            json.dump(about, file, indent=1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (AssertionError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")
