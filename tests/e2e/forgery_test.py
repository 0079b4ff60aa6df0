#!/usr/bin/python3
"""Forged resets, FINs and SYNs neither end nor move anybody's connection."""

import support
from support import VIP, wait_for


class Forgery(support.LabTest):
    CONNECTIONS = 6

    def ports_of_connections(self):
        return [int(row["client"].rsplit(":", 1)[1]) for row in self.lab.wait_for_connections(self.CONNECTIONS)]

    def forge(self, ports, rounds):
        source = self.lab.run("client", "ip", "-4", "-o", "route", "get", VIP).stdout.split(" src ")[1].split()[0]
        self.lab.run("client", support.PYTHON, support.HERE / "forger.py", source, VIP, 80, rounds, *ports)

    def test_busy_connections_stay_with_their_members(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lines = lab.start_client("echo", VIP, 80, self.CONNECTIONS)
        ports = self.ports_of_connections()
        created = lab.reasons()["flow_created"]
        self.forge(ports, 20)
        wait_for(lambda: len(lab.connections()) == self.CONNECTIONS, 10, "all of them counted as established again")
        self.assertEqual(created, lab.reasons()["flow_created"])
        report = lab.finish_client(lines)
        self.assertEqual([], report["broken"])
        self.assertEqual(self.CONNECTIONS, len(report["servers"]))


if __name__ == "__main__":
    support.main()
