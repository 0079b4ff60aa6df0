#!/usr/bin/python3
"""An operator does one thing after the other, and some at once, in an order that nobody has thought of: no connection notices.

The deeds are drawn by a seed: upgrades, flow tables of other sizes, restarts and deaths of sluiced, failover, captures, other
algorithms, members that come and go, idle connections by the ten thousand that come and are flushed (so that the table's area
grows and shrinks). Each pair may meet: a deed begins while the one before it goes on as often as not.

SLUICE_OPERATOR_SECONDS says how long (20; scripts/soak --operator), SLUICE_OPERATOR_SEED in which order.
"""

import os
import random
import subprocess
import threading
import time

import support
from support import VIP, VIP6, wait_for

SECONDS = int(os.environ.get("SLUICE_OPERATOR_SECONDS", "20"))
SEED = int(os.environ.get("SLUICE_OPERATOR_SEED", time.time_ns() % 100_000))
SIZES = (20_000, 65_536, 200_000)
ALGORITHMS = ("ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP_PORT", "MAGLEV")
CONNECTIONS = 15  # of each kind


class Operator(support.LabTest):
    members = 3
    topology = "routed"

    def set_up(self):
        lab = self.lab
        lab.serve()
        lab.attach("eth0", "eth1")
        lab.start_controller()
        for vip, name in ((VIP, "lb4"), (VIP6, "lb6")):
            lab.ctl("loadbalancer", "create", "--name", name, "--vip-address", vip, "--on-unmatched", "reset")
            lab.ctl("loadbalancer", "listener", "create", "--name", f"{name}l", "--protocol", "TCP", "--protocol-port", 80, name)
            lab.ctl("loadbalancer", "pool", "create", "--name", f"{name}p", "--listener", f"{name}l", "--protocol", "TCP",
                    "--lb-algorithm", "ROUND_ROBIN")
            for member in (1, 2, 3):
                self.add_member(name, member)
            lab.ctl("loadbalancer", "healthmonitor", "create", "--type", "TCP", "--delay", 1, "--timeout", 10, "--max-retries", 1,
                    f"{name}p")

    def add_member(self, name, member):
        self.lab.ctl("loadbalancer", "member", "create", "--name", f"{name}m{member}", "--address",
                     self.lab.address(member, name == "lb6"), "--protocol-port", 80, f"{name}p")

    # ---- deeds. Those of sluicectl may find sluiced away; those of the loader wait for each other. `draw`: what a deed draws by,
    # because several are under way at once ----

    def insist(self, command):
        """Does again what is refused while a loader is at work for longer than others wait for it."""
        for _ in range(10):
            try:
                return command()
            except AssertionError as failure:
                if "try again when it is done" not in str(failure):
                    raise
        return command()

    def upgrade(self, draw):
        self.insist(lambda: self.lab.loader("upgrade"))

    def resize(self, draw):
        size = draw.choice(SIZES)
        self.insist(lambda: self.lab.loader("attach", "eth0", "--flows", size))

    def attach_again(self, draw):
        self.insist(lambda: self.lab.loader("attach", "eth0", "eth1"))

    def kill_sluiced(self, draw):
        with self.restarting:
            self.lab.kill("lb", "sluiced")
            time.sleep(draw.choice((0, 1, 3)))
            self.insist(self.lab.start_controller)

    def restart_sluiced(self, draw):
        with self.restarting:
            self.lab.stop("lb", "sluiced")
            self.insist(self.lab.start_controller)

    def ctl(self, *words):
        self.lab.ctl(*words, check=False)

    def failover(self, draw):
        self.ctl("loadbalancer", "failover", "--wait", "lb4")

    def capture(self, draw):
        self.ctl("capture", "-w", "/dev/null", "--seconds", "1")

    def explain(self, draw):
        self.ctl("explain", "--from", "203.0.113.10:4000", "--to", f"{VIP}:80")

    def change_algorithm(self, draw):
        for name in ("lb4p", "lb6p"):
            self.ctl("loadbalancer", "pool", "set", "--lb-algorithm", draw.choice(ALGORITHMS), name)

    def change_weight(self, draw):
        self.ctl("loadbalancer", "member", "set", "--weight", draw.choice((0, 1, 7)), "lb4p", "lb4m2")

    def remove_and_add_member(self, draw):
        """Its server goes on, so its connections do."""
        with self.member3:
            for name in ("lb4", "lb6"):
                self.ctl("loadbalancer", "member", "delete", f"{name}p", f"{name}m3")
            time.sleep(1)
            for name in ("lb4", "lb6"):
                self.ctl("loadbalancer", "member", "create", "--name", f"{name}m3", "--address",
                         self.lab.address(3, name == "lb6"), "--protocol-port", 80, f"{name}p")

    def many_idle(self, draw):
        """Half-open connections in the name of dead hosts: the area grows, and shrinks when they have gone."""
        self.lab.run("client", "hping3", "-q", "-S", "-p", 80, "--rand-source", "-i", "u50", "-c", 10_000, VIP, check=False)

    # ---- ----

    def test_no_connection_notices_what_an_operator_does(self):
        print(f"seed {SEED}", flush=True)
        draw = random.Random(SEED)
        self.restarting, self.member3 = threading.Lock(), threading.Lock()
        lab = self.lab
        self.set_up()
        clients = {vip: lab.start_client("echo", vip, 80, CONNECTIONS) for vip in (VIP, VIP6)}
        silent = lab.start_client("keep", VIP, 80, CONNECTIONS)
        self.assertEqual("ready\n", silent.stdout.readline())
        lab.wait_for_connections(3 * CONNECTIONS)
        tries = lab.start_client("try", VIP, 80)
        deeds = [self.upgrade, self.resize, self.attach_again, self.kill_sluiced, self.restart_sluiced, self.failover, self.capture,
                 self.explain, self.change_algorithm, self.change_weight, self.remove_and_add_member, self.many_idle]
        began, going, failures, done = time.monotonic(), [], [], 0

        def carry_out(deed, seed):
            try:
                deed(random.Random(seed))
            except (AssertionError, subprocess.SubprocessError) as failure:
                failures.append(f"{deed.__name__}: {failure}")

        while time.monotonic() - began < SECONDS and not failures:
            deed, together, pause = draw.choice(deeds), draw.random() < 0.5, draw.random()
            print(f"{time.monotonic() - began:6.1f} s {deed.__name__}", flush=True)
            thread = threading.Thread(target=carry_out, args=[deed, draw.random()])
            thread.start()
            done += 1
            if together:
                going.append(thread)
                time.sleep(pause)
            else:
                thread.join()
        for thread in going:
            thread.join()
        self.assertEqual([], failures)
        print(f"{done} deeds", flush=True)
        for vip, client in clients.items():
            self.assertEqual([], lab.finish_client(client)["broken"], vip)
        self.assertEqual({"answered": CONNECTIONS, "broken": []}, lab.finish_client(silent))
        self.assertEqual([], [what for _, what in lab.finish_client(tries) if what.startswith("error")])
        wait_for(lambda: {row["provisioning_status"] for row in lab.rows("loadbalancer", "list")} == {"ACTIVE"}, 10, "ACTIVE")


if __name__ == "__main__":
    support.main()
