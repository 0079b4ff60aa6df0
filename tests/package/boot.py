#!/usr/bin/python3
"""The package as a new user meets it, on a bare Debian that boots in a guest (guest.py): install it, look at the NICs,
configure two of them, kill a member, reboot, upgrade and downgrade under clients, share the NICs, remove, purge.

boot.py PACKAGE.deb: scripts/boot-test builds it; the newer one is the same with another version. The package's version says
for which release of Debian it is, and the guest runs that. With --previous OLD.deb the story is another one: from that
release's package to this one and back, under clients.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import guest
import package_test
import releases
from guest import support

VIP = "192.0.2.16"
PORTS = {"m1": ("10.0.0.4", 8081), "m2": ("10.0.0.6", 8082)}


def dependencies(package):
    """Returns what apt would fetch: the guest has no network beyond its NICs."""
    told = subprocess.run(["dpkg-deb", "-f", package, "Depends"], text=True, capture_output=True, check=True).stdout
    return [re.split(r"[ (|]", one.strip())[0] for one in told.split(",")]


class OnAGuest(unittest.TestCase):
    new = newer = previous = None  # packages
    release = None  # of Debian: its code name

    def setUp(self):
        wanted = dependencies(self.new) + (dependencies(self.previous) if self.previous else [])
        self.guest = guest.Guest(guest.make_image(self.release, list(dict.fromkeys(wanted))))
        self.addCleanup(self.guest.end)
        self.addCleanup(lambda: print(self.guest.console.read_text()[-1500:]) if support.has_failed(self) else None)
        self.members = {}
        self.addCleanup(lambda: [self.kill_member(name) for name in list(self.members)])

    def step(self, sentence):
        print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)

    def start_member(self, name):
        server = releases.SERVER
        self.members[name] = self.guest.start_on("members", "unshare", "--uts", "sh", "-c",
                                                 f"hostname {name}; exec /usr/bin/python3 {server} {PORTS[name][1]}")
        listens = lambda: f":{PORTS[name][1]} " in self.guest.on("members", "ss", "-ltn").stdout
        support.wait_for(listens, 5, f"{name} listens")

    def kill_member(self, name):
        server = self.members.pop(name)
        server.kill()
        server.communicate()

    def who(self):
        """Asks the VIP; returns the member's name, or what went wrong."""
        return self.guest.on("clients", support.PYTHON, "-c", "import socket; s = socket.create_connection"
                             f"(('{VIP}', 80), 3); s.sendall(b'who\\n'); print(s.makefile().readline().strip())").stdout.strip()

    def assert_both_answer_in_turn(self):
        names = [self.who() for _ in range(6)]
        self.assertIn(names, (["m1", "m2"] * 3, ["m2", "m1"] * 3))

    def ctl(self, words):
        return self.guest.run(f"sluicectl {words}")

    def are_online(self):
        return self.ctl("loadbalancer member list p -f value -c operating_status").split() == ["ONLINE"] * 2

    def install(self, package):
        self.guest.copy(package)
        return self.guest.run(f"DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --allow-downgrades"
                              f" -o Dpkg::Options::=--force-confold /tmp/{package.name}")

    def link(self, nic):
        return json.loads(self.guest.run(f"ip -d -j link show {nic}"))[0]

    def start_client(self):
        # An emulated guest may stand still for seconds; what is lost stays lost.
        client = self.guest.start_on("clients", support.PYTHON, "-c", releases.ASKER, VIP, "60")
        self.assertEqual("ready\n", client.stdout.readline())
        return client

    def finish(self, client):
        releases.Releases.finish(self, client)

    def balance(self):
        for name in PORTS:
            self.start_member(name)
        self.guest.run("printf 'interface = eth1\\ninterface = eth2\\n' >> /etc/sluice/sluiced.conf")
        self.guest.run("systemctl restart sluiced")
        self.ctl(f"loadbalancer create --vip-address {VIP} --name lb")
        self.ctl("loadbalancer listener create --name l --protocol TCP --protocol-port 80 lb")
        self.ctl("loadbalancer pool create --name p --listener l --protocol TCP --lb-algorithm ROUND_ROBIN")
        for name, (address, port) in PORTS.items():
            self.ctl(f"loadbalancer member create --name {name} --address {address} --protocol-port {port} p")
        self.ctl("loadbalancer healthmonitor create --type TCP --delay 1 --timeout 1 --max-retries 1 --max-retries-down 1 p")
        support.wait_for(self.are_online, 10, "both members are online")
        self.assert_both_answer_in_turn()


class FromPrevious(OnAGuest):
    def version(self):
        return self.guest.run("sluiced --version").strip()

    def test_forward_and_back_without_losing_a_connection(self):
        self.guest.wait_until_up()
        self.install(self.previous)
        self.balance()
        client = self.start_client()
        self.step(f"from {self.version()}")
        self.assertNotIn("still the old one", self.install(self.new))
        self.step(f"to {self.version()}")
        self.assertEqual("active", self.guest.run("systemctl is-active sluiced").strip())
        support.wait_for(self.are_online, 10, "both members are online")
        self.finish(client)

        # Back: it works, or what refuses it says why, and traffic goes on.
        client = self.start_client()
        told = self.install(self.previous)
        self.step(f"back to {self.version()}: {told.strip()}")
        if "still the old one" in told:
            self.assertIn("sluice-loader:", told, "it says why")
        if self.guest.run("systemctl is-active sluiced", expect=None).strip() != "active":
            why = self.guest.run("journalctl -u sluiced -o cat --no-pager -n 5")
            self.assertRegex(why, r"sluice\.db\.v\d+|newer Sluice", "it says why, and which copy it can read")
        self.install(self.new)
        support.wait_for(self.are_online, 10, "the newer one is back, and has lost nothing")
        self.finish(client)


class Boot(OnAGuest):
    # ---- the story ----

    def test_from_installation_to_purge(self):
        for step in (self.installs, self.looks_before_it_attaches, self.answers, self.uses_the_nics_own_xdp,
                     self.shows_a_killed_member, self.is_confined, self.comes_back_by_itself,
                     self.upgrades_and_goes_back_under_clients, self.shares_the_nics, self.leaves_nothing):
            self.step(step.__name__.replace("_", " "))
            step()

    def installs(self):
        self.guest.wait_until_up()
        self.step("the guest is up")
        self.assertIn("/etc/sluice/token", self.install(self.new))

    def looks_before_it_attaches(self):
        """And whoever runs the commands that it tells has what is good."""
        def found(subject):
            rows = json.loads(self.guest.run("sluice-loader check eth1 -f json", expect=None))
            return next((row["result"], row["mend"]) for row in rows if row["subject"] == subject)

        self.assertEqual("ok", found("queues")[0])
        self.guest.run(f"ethtool -L eth1 combined {guest.QUEUES}")
        self.assertEqual(("warn", f"ethtool -L eth1 combined {guest.CPUS}"), found("queues"))
        self.guest.run("ip link set eth1 mtu 9000")
        before_6_3 = self.release == "bookworm"  # virtio-net had no XDP for frames of several buffers
        self.assertEqual(("warn", "ip link set eth1 mtu 3498") if before_6_3 else ("ok", ""), found("mtu"))
        self.guest.run(f"ip link set eth1 mtu 1500 && ethtool -L eth1 combined {guest.CPUS}")
        # The NIC joins packets of a connection, which native XDP turns off by itself (virtio-net calls its LRO GRO).
        self.assertIn("rx-gro-hw: on", self.guest.run("ethtool -k eth1"))
        for subject in ("queues", "mtu", "virtio"):
            self.assertEqual("ok", found(subject)[0], subject)

    def answers(self):
        self.balance()

    def uses_the_nics_own_xdp(self):
        driver_mode = 1
        for nic in ("eth1", "eth2"):
            self.assertEqual(driver_mode, self.link(nic)["xdp"]["mode"])
        used = self.guest.run("ethtool -l eth1 | grep Combined").split()[-1]
        self.assertEqual(guest.QUEUES, int(used), "a queue for each CPU that receives, and one that sends")
        self.assertNotIn('"fail"', self.guest.run("sluice-loader check eth1 eth2 -f json", expect=None))

    def shows_a_killed_member(self):
        token = self.guest.run("cat /etc/sluice/token")
        page = f"curl -sS -H 'X-Auth-Token: {token}' http://127.0.0.1:9876/ui/data/snapshot"
        self.kill_member("m2")
        support.wait_for(lambda: '"ERROR"' in self.guest.run(page), 5, "the page shows the killed member")
        self.assertEqual({"m1"}, {self.who() for _ in range(4)})
        self.start_member("m2")
        support.wait_for(self.are_online, 5, "it is back")
        self.assert_both_answer_in_turn()

    def is_confined(self):
        told = self.guest.run("systemd-analyze security --no-pager sluiced.service")
        score = float(re.search(r"exposure level for sluiced.service: ([0-9.]+)", told).group(1))
        print(f"systemd-analyze security: {score}", file=sys.stderr)
        self.assertLessEqual(score, package_test.MOST_EXPOSED)

    def comes_back_by_itself(self):
        """Nobody logs in before the answers come."""
        self.guest.reboot()
        support.wait_for(lambda: self.who() == "", 10, "the guest goes down")
        support.wait_for(self.who, 60, "a member answers after the reboot")
        self.guest.wait_until_up()
        self.assert_both_answer_in_turn()
        self.assertEqual("active", self.guest.run("systemctl is-active sluiced").strip())

    def upgrades_and_goes_back_under_clients(self):
        client = self.start_client()
        told = self.install(self.newer)
        self.assertNotIn("still the old one", told)
        self.assertIn("9.9.9", self.guest.run("dpkg-query -W sluice"))
        time.sleep(2)
        self.finish(client)
        client = self.start_client()
        self.install(self.new)
        time.sleep(2)
        self.finish(client)

    def shares_the_nics(self):
        """Under libxdp's dispatcher, beside other programs."""
        self.guest.run("systemctl stop sluiced && sluice-loader detach --all")
        told = self.guest.run("sluice-loader attach eth1 eth2 --shared")
        self.assertIn("under libxdp's dispatcher", told)
        self.guest.run("systemctl start sluiced")
        support.wait_for(self.who, 10, "a member answers")
        self.assert_both_answer_in_turn()

    def leaves_nothing(self):
        told = self.guest.run("apt-get remove -y -qq sluice")
        self.assertIn("takes its program off the NICs", told)
        for nic in ("eth1", "eth2"):
            self.assertNotIn("prog", self.link(nic).get("xdp", {}))
        self.guest.run("apt-get purge -y -qq sluice")
        for left in ("/etc/sluice", "/var/lib/sluice", "/run/sluice", "/sys/fs/bpf/sluice", "/usr/sbin/sluiced"):
            self.guest.run(f"test -e {left}", expect=1)
        self.guest.run("getent group sluice", expect=2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=pathlib.Path)
    parser.add_argument("--previous", type=pathlib.Path, help="an older package: from it to PACKAGE and back")
    options = parser.parse_args()
    package, OnAGuest.previous = options.package, options.previous
    of_debian = re.search(r"\+deb(\d+)_", package.name)
    if not of_debian:
        sys.exit(f"boot.py: {package.name} is for no release of Debian (sluice_VERSION+debN_ARCHITECTURE.deb)")
    OnAGuest.release = {"12": "bookworm", "13": "trixie"}[of_debian.group(1)]
    with tempfile.TemporaryDirectory(prefix="sluice-package-") as directory:
        OnAGuest.new = pathlib.Path(shutil.copy(package, directory))
        OnAGuest.newer = package_test.as_version(OnAGuest.new, "9.9.9")
        unittest.main(argv=sys.argv[:1], defaultTest="FromPrevious" if options.previous else "Boot", verbosity=2)


if __name__ == "__main__":
    main()
