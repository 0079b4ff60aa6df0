#!/usr/bin/python3
"""What open status pages cost: sluiced with many members, whose counters stand still or all change each second, by the
number of readers of its stream.

CPU time is sluiced's own (all its threads, /proc/PID/schedstat) in percent of one core; what it needs anyway is the line
without readers. The readers take what comes and throw it away: a browser's own work is not sluiced's. Counters change
because the lab's client sends a datagram from a new port for each member each second through the real program."""

import argparse
import json
import pathlib
import selectors
import socket
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import control  # noqa: E402
import support  # noqa: E402
from unix_http import UnixConnection  # noqa: E402

PORT = 9876
FIRST_PORT = 1000
PER_POOL = 20
MAX_TURN = r"sluice_event_loop_longest_turn_cpu_seconds "


def load_balancer(members):
    """One with a listener and a pool for each PER_POOL members, which are ports of one host."""
    listeners = []
    for number in range(members // PER_POOL):
        backends = [{"name": f"m{number * PER_POOL + i}", "address": "10.0.0.4", "protocol_port": FIRST_PORT + number * PER_POOL + i}
                    for i in range(PER_POOL)]
        pool = {"name": f"p{number}", "protocol": "UDP", "lb_algorithm": "ROUND_ROBIN", "members": backends}
        listeners.append({"name": f"l{number}", "protocol": "UDP", "protocol_port": FIRST_PORT + number, "default_pool": pool})
    return {"loadbalancer": {"name": "lb", "vip_address": support.VIP, "listeners": listeners}}


def ask(lab, method, target, body=None):
    connection = UnixConnection(lab.socket)
    connection.request(method, target, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        sys.exit(f"page: {method} {target}: {answer.status} {content[:300]}")
    return content


def read_streams(count):
    """Runs in the lab: follows the stream `count` times, tells when all have begun, and at the end how much came."""
    selector, total, texts, begun = selectors.DefaultSelector(), 0, 0, set()
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", PORT))
        one.sendall(f"GET /ui/data/live HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n\r\n".encode())
        selector.register(one, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                return print(json.dumps({"bytes": total, "texts": texts}))
            got = key.fileobj.recv(1 << 20)
            if not got:
                sys.exit("a stream has ended")
            total += len(got)
            texts += got.count(b"event: ")
            if key.fileobj not in begun:
                begun.add(key.fileobj)
                if len(begun) == count:
                    print("begun", flush=True)


def send_datagrams(members):
    """Runs in the lab: gives each member a new connection each second, until its input ends."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    due = time.monotonic()
    while True:
        for i in range(members):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.sendto(b"?", (support.VIP, FIRST_PORT + i % (members // PER_POOL)))
        due += 1
        if selector.select(max(0, due - time.monotonic())):
            return


def cpu(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def measured(lab, readers, seconds, rounds):
    """CPU time in percent of a core, each round's, and what each reader was sent in a second."""
    pid = lab.service_pid("lb", "sluiced")
    followers = lab.spawn("lb", support.PYTHON, __file__, "--readers-inside", readers) if readers else None
    if followers and followers.stdout.readline() != "begun\n":
        sys.exit(f"page: the readers did not begin: {followers.communicate()[1]}")
    percent, begin = [], time.monotonic()
    for _ in range(rounds):
        before, start = cpu(pid), time.monotonic()
        time.sleep(seconds)
        percent.append((cpu(pid) - before) / (time.monotonic() - start) * 100)
    took = time.monotonic() - begin
    sent = json.loads(followers.communicate()[0]) if followers else {"bytes": 0, "texts": 0}
    return {"readers": readers, "percent": round(statistics.median(percent), 2), "lowest": round(min(percent), 2),
            "highest": round(max(percent), 2), "kB_per_reader_and_second": round(sent["bytes"] / took / max(1, readers) / 1000, 1)}


def longest_turn(lab):
    for line in ask(lab, "GET", "/metrics").decode().splitlines():
        if line.startswith(MAX_TURN):
            return float(line.split()[1]) * 1e3
    return 0.0


def run(options):
    results = []
    with support.Lab(members=1) as lab:
        lab.attach()
        lab.start_controller("--listen", f"127.0.0.1:{PORT}")
        ask(lab, "POST", f"{control.API}/loadbalancers", load_balancer(options.members))
        turn_before = longest_turn(lab)
        for moving in (False, True):
            sender = lab.spawn("client", support.PYTHON, __file__, "--send-inside", options.members) if moving else None
            time.sleep(2)
            for readers in options.readers:
                result = {"counters": "all change" if moving else "stand still", **measured(lab, readers, options.seconds, options.rounds)}
                results.append(result)
                print("{counters}: {readers:3} readers: {percent:5.2f} % of a core ({lowest} to {highest}), "
                      "{kB_per_reader_and_second} kB/s each".format(**result), flush=True)
            if sender:
                sender.communicate()
        print(f"longest turn of the event loop: {turn_before:.1f} ms before anybody looked, {longest_turn(lab):.1f} ms after all")
    return results


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--readers", type=int, nargs="+", default=[0, 1, 20])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", help="write the results there, too")
    parser.add_argument("--readers-inside", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--send-inside", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.readers_inside:
        return read_streams(options.readers_inside)
    if options.send_inside:
        return send_datagrams(options.send_inside)
    results = run(options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
