#!/usr/bin/python3
"""What breaks, by mode, protocol and IP version, when something happens to a node of a fleet: a table.

A second set of sessions is silent: nothing is sent from before the first event until all nodes have been rebooted, one after the
other, and then again until all that happens has happened. Each time they are looked at once, in a column of their own.

SLUICE_MATRIX_ECMP says how the router spreads (hash-threshold, resilient, modulo), SLUICE_MATRIX_SESSIONS how many sessions of all
kinds are open at once (about), SLUICE_MATRIX_ALL=1 has every event happen, to each of the nodes where that makes a difference
(`scripts/soak --fleet --table --ecmp KIND`: all of them, with 1,000 sessions).
"""

import os
import time

import support
from fleet_lab import NODES
from fleet_matrix import LIMITS, MatrixCase, Table

SESSIONS = int(os.environ.get("SLUICE_MATRIX_SESSIONS") or 200)
ALL = os.environ.get("SLUICE_MATRIX_ALL") == "1"
SILENT_THROUGH_REBOOTS, SILENT_THROUGH_ALL = "silent through these", "silent through the rest"
UNTIL_MISSED = 3  # seconds that a cut lasts
SMALL_MTU = 1400
FRAGMENTS = f"MTU {SMALL_MTU}, fragments"


class FleetMatrix(MatrixCase):
    maxDiff = None

    def events(self):
        """The columns: what each is called, and what happens. At the end of each the fleet is as the next one finds it."""
        lab = self.lab
        for host in NODES:
            yield f"{host} reboots", lambda host=host: lab.reboot(host)
        yield SILENT_THROUGH_REBOOTS, lambda: None
        for host in NODES if ALL else ["lb3"]:
            yield f"{host} dies", lambda host=host: lab.die(host)
            yield f"{host} joins", lambda host=host: lab.join(host)
        for host in NODES if ALL else ["lb2"]:
            yield f"{host}'s cable pulled", lambda host=host: lab.pull_cable(host)
            yield "back", lambda host=host: lab.plug_cable(host)
        for host in NODES if ALL else []:
            yield f"{host}'s BIRD killed", lambda host=host: lab.kill_bird(host)
            yield "back", lambda host=host: lab.restart_bird(host)
        for hosts in (["lb1"], list(NODES)) if ALL else []:
            yield f"{'/'.join(hosts)} cut from cluster", lambda hosts=hosts: self.cut(*hosts)
            yield "healed", lambda hosts=hosts: lab.heal_cluster(*hosts)
        yield "lb2's sluiced killed", lambda: lab.kill_sluiced("lb2")
        yield SILENT_THROUGH_ALL, lambda: None

    def cut(self, *hosts):
        self.lab.cut_cluster_off(*hosts)
        time.sleep(UNTIL_MISSED)

    def test_what_breaks_when_something_happens_to_a_node(self):
        table, sessions = Table(), self.start(SESSIONS)
        silent = self.hold(SESSIONS / 2, 0)
        table.add("at first", sessions.check())
        for name, happen in self.events():
            of = silent if name in (SILENT_THROUGH_REBOOTS, SILENT_THROUGH_ALL) else sessions
            began = time.monotonic()
            happen()
            happened = time.monotonic()
            table.add(name, of.check())
            if table.has_broken():
                print(f"dropped until then: {self.lab.dropped()}", flush=True)
            print(f"{name}: {happened - began:.1f} s, {time.monotonic() - happened:.1f} s until all have said something", flush=True)
            self.assertEqual({}, of.open(), f"what could not be opened after: {name}")
        self.lab.set_path_mtu(SMALL_MTU)
        table.add(FRAGMENTS, sessions.check("bulk"))
        print(f"\nBroken sessions, by what happened (the router spreads by {self.ECMP}; UDP of one way: those that changed their member)")
        print("\n".join(table.lines()))
        for what, reason in LIMITS.items():
            print(f"{what}: not promised: {reason}")
        self.assertEqual([], [why for why in table.reasons if not self.is_limit(why)])

    def is_limit(self, why):
        return self.ECMP == "modulo" and why.startswith(FRAGMENTS) and " UDP " in why


if __name__ == "__main__":
    support.main()
