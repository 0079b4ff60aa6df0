#!/usr/bin/python3
"""Two releases in one fleet: fleet_releases.py OLD.deb

Node lb1 runs the older release, lb2 and lb3 this tree's (SLUICE_BUILD_DIR), in the lab of e2e.fleet_lab. What is made at
any of them is at all; what the older one doesn't know is refused with its name; then lb1 is upgraded under clients, of
which none may notice. `scripts/upgrade-test --fleet --from REF` makes the package.
"""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import support
from fleet_lab import NODES, VIP, FleetLabCase
from support import wait_for

OLD = pathlib.Path()  # where the package is unpacked


class TwoReleases(FleetLabCase):
    def wait_for_active(self):
        for host in NODES:
            for kind, name in (("", "web"), ("listener", "listener"), ("pool", "pool")):
                words = ("loadbalancer", *([kind] if kind else []), "show", name)
                wait_for(lambda host=host, words=words: self.lab.shown(host, *words)["provisioning_status"] == "ACTIVE", 20,
                         f"{name} is ACTIVE at {host}")

    def test_an_older_node_is_one_of_the_fleet_until_it_is_upgraded(self):
        lab = self.lab
        for host in NODES:
            lab.start_node(host, binary=OLD / "usr/sbin/sluiced" if host == "lb1" else None)
        for host in NODES:
            wait_for(lambda host=host: lab.shown(host, "cluster", "status")["state"] == "FOLLOWING", 30, f"{host} follows")
        lab.serve()
        lab.make_service()
        self.wait_for_active()
        lab.wait_for_hops(*NODES)
        for host in NODES:
            lab.on(host, "loadbalancer", "set", "--description", f"set at {host}", "web")
            for other in NODES:
                wait_for(lambda other=other, host=host: lab.shown(other, "loadbalancer", "show", "web")["description"] == f"set at {host}",
                         10, f"{other} has what was set at {host}")
        self.wait_for_active()

        # Who is older than this attribute keeps the fleet from using it.
        tried = lab.try_on("lb2", "loadbalancer", "set", "--announce", "healthy", "web")
        print(tried.stderr.strip() or "the older release knows all attributes that this one tries")
        if tried.returncode != 0:
            self.assertIn("Node lb1 has an older version, which does not know announce", tried.stderr)

        clients = [lab.start_client("try", VIP, 80) for _ in range(3)]
        lab.stop("lb1", "sluiced")
        upgraded = lab.run("lb1", support.program("sluice-loader"), "upgrade", "--pin-dir", f"{lab.pins}-lb1")
        print(upgraded.stdout.strip())
        lab.start_node("lb1")
        wait_for(lambda: lab.shown("lb1", "cluster", "status")["state"] == "FOLLOWING", 30, "lb1 follows")
        wait_for(lambda: lab.try_on("lb2", "loadbalancer", "set", "--announce", "healthy", "web").returncode == 0, 10,
                 "it is accepted when lb1 has told what it knows")
        self.wait_for_active()
        self.assertEqual("healthy", lab.shown("lb1", "loadbalancer", "show", "web")["announce"].lower())
        tries = [one for client in clients for one in lab.finish_client(client)]
        print(f"{len(tries)} connections during the upgrade")
        self.assertEqual([], [one for one in tries if one[1] not in ("member1", "member2")])


if __name__ == "__main__":
    package = sys.argv.pop(1)
    with tempfile.TemporaryDirectory(prefix="sluice-old-") as directory:
        OLD = pathlib.Path(directory)
        subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
        support.main()
