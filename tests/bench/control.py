#!/usr/bin/python3
"""What the controller costs by the number of objects: a load balancer each with two listeners, a pool and one or two members.

CPU time is sluiced's own (all its threads, /proc/PID/schedstat), wall time the client's. One namespace, no NIC attached,
nobody probed: what is measured is the way from a request to the maps and back."""

import argparse
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from unix_http import UnixConnection  # noqa: E402

SLUICED = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/release")) / "tools/sluiced/sluiced"
API = "/v2.0/lbaas"
IDLE = 35  # seconds: a drift check is among them


def cpu_of(process):
    """Seconds that its threads have run."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir()) / 1e9


class Sluiced:
    def __init__(self, directory, pins):
        self.directory, self.pins = directory, pins

    def start(self):
        """Starts it; returns the seconds until it answered."""
        begin = time.monotonic()
        log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen([SLUICED, "--state-dir", self.directory / "state", "--socket", self.directory / "socket",
                                         "--pin-dir", self.pins, "--flows", "65536", "--hash-key-file",
                                         self.directory / "key"], stdout=log, stderr=log)
        while True:
            try:
                if self.ask("GET", f"{API}/loadbalancers?limit=1")[0] == 200:
                    return time.monotonic() - begin
            except OSError:
                pass
            if self.process.poll() is not None:
                sys.exit(f"control: sluiced ended: {(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.01)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def ask(self, method, target, body=None):
        connection = UnixConnection(self.directory / "socket")
        text = json.dumps(body) if body is not None else None
        connection.request(method, target, text, {"Content-Type": "application/json"} if text else {})
        answer = connection.getresponse()
        status, content = answer.status, answer.read()
        connection.close()
        return status, content

    def cpu(self):
        return cpu_of(self.process)

    def memory(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0


def address(base, number):
    return f"{base}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def batch(first, count):
    """`count` load balancers, fully populated creates."""
    requests = []
    for number in range(first, first + count):
        name = f"lb{number}"
        members = [{"name": f"{name}m{m}", "address": address(11, number * 2 + m), "protocol_port": 80}
                   for m in range(1 + (number % 5 < 3))]
        pool = {"name": f"{name}p", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "members": members}
        allowed = [f"192.0.{n}.0/24" for n in range(4)] if number % 4 == 0 else []
        listeners = [{"name": f"{name}l1", "protocol": "TCP", "protocol_port": 80, "default_pool": pool, "allowed_cidrs": allowed},
                     {"name": f"{name}l2", "protocol": "UDP", "protocol_port": 53}]
        requests.append({"method": "POST", "path": f"{API}/loadbalancers", "body": {"loadbalancer": {
            "name": name, "vip_address": address(10, number + 1), "listeners": listeners}}})
    return {"requests": requests}


def measured(process, repeat, act):
    """CPU and wall milliseconds of one, the median of `repeat`."""
    cpu, wall = [], []
    for number in range(repeat):
        before, begin = cpu_of(process), time.monotonic()
        act(number)
        wall.append((time.monotonic() - begin) * 1e3)
        time.sleep(0.06)  # what follows a change is gathered for 20 ms
        cpu.append((cpu_of(process) - before) * 1e3)
    return statistics.median(cpu), statistics.median(wall)


def expect(status, answer, *good):
    if status not in good:
        sys.exit(f"control: HTTP {status}: {answer[:500]}")
    return answer


def run(count, repeat, part):
    result = {"load_balancers": count}
    with tempfile.TemporaryDirectory() as name:
        pins = f"/sys/fs/bpf/sluice-bench-{os.getpid()}"
        sluiced = Sluiced(pathlib.Path(name), pins)
        sluiced.start()
        try:
            before, begin = sluiced.cpu(), time.monotonic()
            for first in range(0, count, part or count):  # in one piece, as `sluicectl apply` does it
                status, answer = sluiced.ask("POST", "/v1/batch", batch(first, min(part or count, count - first)))
                if status == 403:
                    return {**result, "refused": json.loads(answer)["faultstring"]}
                expect(status, answer, 200)
            result["apply_s"], result["apply_cpu_s"] = time.monotonic() - begin, sluiced.cpu() - before
            pool = json.loads(expect(*sluiced.ask("GET", f"{API}/pools?limit=1"), 200))["pools"][0]
            member = f"{API}/pools/{pool['id']}/members/{pool['members'][0]['id']}"

            def rename(number):
                expect(*sluiced.ask("PUT", member, {"member": {"name": f"renamed{number}"}}), 200)

            def reweigh(number):
                expect(*sluiced.ask("PUT", member, {"member": {"weight": number + 2}}), 200)

            def create_and_delete(_):
                one = batch(count, 1)["requests"][0]
                answer = expect(*sluiced.ask("POST", one["path"], one["body"]), 201)
                made = json.loads(answer)["loadbalancer"]["id"]
                expect(*sluiced.ask("DELETE", f"{API}/loadbalancers/{made}?cascade=true"), 204)

            listener = json.loads(expect(*sluiced.ask("GET", f"{API}/listeners?limit=1"), 200))["listeners"][0]["id"]

            def allow(number):
                expect(*sluiced.ask("PUT", f"{API}/listeners/{listener}", {"listener": {
                    "allowed_cidrs": [f"198.51.{number}.0/24", "203.0.113.0/24"]}}), 200)

            def get(target):
                return lambda _: expect(*sluiced.ask("GET", target), 200)

            for what, act in (("rename", rename), ("weight", reweigh), ("pair", create_and_delete), ("allow", allow), ("page", get(f"{API}/loadbalancers?limit=100")),
                              ("one", get(f"{API}/loadbalancers?limit=1")), ("metrics", get("/metrics"))):
                result[f"{what}_cpu_ms"], result[f"{what}_wall_ms"] = measured(sluiced.process, repeat, act)
            before = sluiced.cpu()
            time.sleep(IDLE)
            result["idle_percent"] = (sluiced.cpu() - before) * 100 / IDLE
            for line in expect(*sluiced.ask("GET", "/metrics"), 200).decode().splitlines():
                if line.startswith("sluice_event_loop_longest_turn_cpu_seconds "):
                    result["longest_turn_ms"] = float(line.split()[1]) * 1e3
            result["memory_mib"] = sluiced.memory()
            sluiced.stop()
            result["restart_s"] = sluiced.start()
        finally:
            sluiced.stop()
            subprocess.run(["rm", "-rf", pins], check=True)
    return result


def run_octavia(count, repeat):
    """The same requests to Debian's octavia-api (tests/octavia/oracle.py: SQLite, no-op provider), as far as it has them."""
    sys.path.insert(0, str(ROOT / "tests/octavia"))
    import network
    import services

    result = {"load_balancers": count}
    with services.Oracle() as oracle:
        def ask(method, path, body=None, good=200):
            status, answer = oracle.send(method, path, body)
            return expect(status, str(answer).encode(), good) and answer

        def create(request):
            request["body"]["loadbalancer"]["vip_subnet_id"] = network.SUBNET
            return ask("POST", request["path"], request["body"], 201)["loadbalancer"]["id"]

        before, begin = cpu_of(oracle.process), time.monotonic()
        for request in batch(0, count)["requests"]:
            create(request)
        result["apply_s"], result["apply_cpu_s"] = time.monotonic() - begin, cpu_of(oracle.process) - before
        pool = ask("GET", f"{API}/pools?limit=1")["pools"][0]
        member = f"{API}/pools/{pool['id']}/members/{pool['members'][0]['id']}"

        def create_and_delete(_):
            made = create(batch(count, 1)["requests"][0])
            ask("DELETE", f"{API}/loadbalancers/{made}?cascade=true", None, 204)

        for what, act in (("rename", lambda n: ask("PUT", member, {"member": {"name": f"renamed{n}"}})),
                          ("weight", lambda n: ask("PUT", member, {"member": {"weight": n + 2}})),
                          ("pair", create_and_delete),
                          ("page", lambda _: ask("GET", f"{API}/loadbalancers?limit=100")),
                          ("one", lambda _: ask("GET", f"{API}/loadbalancers?limit=1"))):
            result[f"{what}_cpu_ms"], result[f"{what}_wall_ms"] = measured(oracle.process, repeat, act)
    return result


COLUMNS = (("load_balancers", "{:d}", "load balancers"), ("rename_cpu_ms", "{:.1f}", "rename, CPU ms"),
           ("weight_cpu_ms", "{:.1f}", "weight, CPU ms"), ("weight_wall_ms", "{:.1f}", "weight, wall ms"),
           ("allow_cpu_ms", "{:.1f}", "allowed_cidrs, CPU ms"), ("pair_cpu_ms", "{:.1f}", "create and delete, CPU ms"),
           ("page_cpu_ms", "{:.1f}", "page of 100, CPU ms"), ("one_cpu_ms", "{:.1f}", "page of 1, CPU ms"),
           ("metrics_cpu_ms", "{:.1f}", "/metrics, CPU ms"), ("apply_s", "{:.2f}", "apply, s"),
           ("apply_cpu_s", "{:.2f}", "apply, CPU s"), ("restart_s", "{:.2f}", "restart, s"),
           ("longest_turn_ms", "{:.0f}", "longest turn, CPU ms"),
           ("idle_percent", "{:.2f}", "idle, % CPU"), ("memory_mib", "{:.0f}", "MiB"))


def table(results):
    columns = [column for column in COLUMNS if any(column[0] in one for one in results)]
    titles = [title for _, _, title in columns]
    rows = [[form.format(one[key]) if key in one else "" for key, form, _ in columns] for one in results]
    lines = [" | ".join(titles), " | ".join("-" * len(title) for title in titles)]
    for row, one in zip(rows, results):
        lines.append(" | ".join(cell.rjust(len(title)) for cell, title in zip(row, titles))
                     + (f"   refused: {one['refused']}" if "refused" in one else ""))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="bench control", description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[10, 100, 1000, 10000], metavar="N")
    parser.add_argument("--repeat", type=int, default=15, metavar="R", help="of each request; the median is shown")
    parser.add_argument("--part", type=int, metavar="N", help="apply so many load balancers with a request; else all of them")
    parser.add_argument("--octavia", type=int, nargs="+", default=[], metavar="N",
                        help="the same requests to Debian's octavia-api, too, with so many load balancers")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    results = []
    for count in options.objects:
        results.append(run(count, options.repeat, options.part))
        print(table(results[-1:]), flush=True)
    print(f"\n{platform.release()}, {os.cpu_count()} CPUs\n{table(results)}")
    octavia = [run_octavia(count, options.repeat) for count in options.octavia]
    if octavia:
        print(f"\noctavia-api, a request per load balancer, nothing behind it:\n{table(octavia)}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"sluiced": results, "octavia": octavia}, indent=1))


if __name__ == "__main__":
    main()
