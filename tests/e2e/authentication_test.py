#!/usr/bin/python3
"""In a flood of SYNs with forged sources, clients prove by a reset that they hear the answer to theirs, and are served.

Between client and load balancer is a firewall with connection tracking that drops what it takes for invalid, and that
hides the client behind its own address. The flood comes by another way.
"""

import re
import shutil

import support
from support import VIP, wait_for

# Half of a listener's share of the lab's small table is less, see SLUICE_LISTENER_HALF_OPEN_SHARE.
SHARE = 65536 // 4 // 16
FIREWALL = """
table inet firewall {
  chain untracked { type filter hook prerouting priority raw; iif "strange" notrack; }
  chain forward { type filter hook forward priority filter; oif "strange" accept; ct state invalid counter drop; }
  chain hide { type nat hook postrouting priority srcnat; iif "wan" oif "lan" masquerade; }
}
"""


class Authentication(support.LabTest):
    def setUp(self):
        for tool in ("hping3", "nft"):
            if not shutil.which(tool):
                self.skipTest(f"{tool} is not installed (run: scripts/install-deps)")
        super().setUp()

    def put_up_firewall(self):
        """Behind it everything that is for nobody goes to the stranger."""
        self.lab.add_stranger()
        rules = self.lab.directory / "firewall.nft"
        rules.write_text(FIREWALL)
        put_up = self.lab.run("router", "nft", "-f", rules, check=False)
        if put_up.returncode != 0:
            self.skipTest(f"this kernel tracks no connections: {put_up.stderr}")

    def taken_for_invalid(self):
        (packets,) = re.findall(r"invalid counter packets (\d+)", self.lab.run("router", "nft", "list", "ruleset").stdout)
        return int(packets)

    def flood(self):
        # As many a second as in flood_test.py.
        return self.lab.spawn("stranger", "hping3", "--syn", "--interval", "u20", "--rand-source", "--destport", 80, VIP)

    def reason(self, label):
        return self.lab.reasons().get(label, 0)

    def served(self):
        """Connections that the members have served."""
        ask = (support.PYTHON, support.HERE / "tcp_client.py", "count", "127.0.0.1", 80)
        return sum(int(self.lab.run(f"member{member}", *ask).stdout) for member in (1, 2))

    def served_in(self, flood, until):
        """Clients connect one after the other until that is true; ends the flood. All but one of a hundred are served in 3 s."""
        clock = support.FairClock()
        tries = self.lab.start_client("try", VIP, 80)
        wait_for(until, 30, "enough clients in the flood")
        seen = self.lab.finish_client(tries)
        clock.stop()
        self.assertIsNone(flood.poll(), "the flood has ended by itself")
        flood.terminate()
        flood.wait()

        times = [time for time, _ in seen]
        late = [began for began, ended in zip(times, times[1:]) if clock.between(began, ended) > 3]
        failed = [what for _, what in seen if what.startswith("error")]
        print(f"{len(seen)} clients in the flood, {len(failed)} failed, {len(late)} took more than 3 s; {self.lab.reasons()}")
        self.assertLessEqual(len(failed) + len(late), len(seen) / 100)
        return seen

    def test_clients_behind_a_firewall_are_served_in_a_flood(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        self.put_up_firewall()
        lines = lab.start_client("echo", VIP, 80, 10)
        lab.wait_for_connections(10)
        flood = self.flood()
        wait_for(lambda: self.reason("syn_answered") > SHARE, 20, "a flood that is answered")
        created = self.reason("flow_created")
        seen = self.served_in(flood, lambda: self.reason("syn_proven") > 200)
        self.assertEqual([], lab.finish_client(lines)["broken"])
        # Of 200 answers or resets that were taken for invalid each would be counted; a late segment may be, now and then.
        self.assertLess(self.taken_for_invalid(), len(seen) / 20)
        # Nothing is remembered of forged SYNs; a few open connections whenever less than half of the share is taken.
        self.assertLess(self.reason("flow_created") - created, len(seen) + 2 * SHARE)

    def test_clients_far_away_are_served_in_a_flood(self):
        """They are on the Internet, 1, 20 and 100 ms away."""
        lab = self.lab
        lab.serve()
        lab.balance()
        self.put_up_firewall()
        for milliseconds in (1, 20, 100):
            lab.shape("router", "wan", "delay", f"{milliseconds}ms")
            flood, proven = self.flood(), self.reason("syn_proven")
            self.served_in(flood, lambda: self.reason("syn_proven") - proven > 100)

    def test_clients_are_served_in_a_flood_in_the_name_of_live_hosts(self):
        """What these reset without having asked proves that they are there, so each forged SYN opens a connection."""
        lab = self.lab
        lab.serve()
        lab.balance()
        # These hosts' resets end what they open, so it takes the whole machine to keep half of the share taken.
        lab.ctl("loadbalancer", "listener", "set", "--syn-authentication", "always", "80_listener")
        self.put_up_firewall()
        lab.run("stranger", "ip", "route", "add", "local", "198.18.0.0/15", "dev", "lo")
        lines = lab.start_client("echo", VIP, 80, 10)
        lab.wait_for_connections(10)
        flood = lab.spawn("stranger", support.PYTHON, support.HERE / "live_flood.py", VIP, 80)
        wait_for(lambda: self.reason("syn_proven") > SHARE, 20, "hosts that reset what they have not asked for")
        created, served = self.reason("flow_created"), self.served()
        seen = self.served_in(flood, lambda: self.served() - served > 100)
        self.assertGreater(self.reason("flow_created") - created, len(seen) + SHARE, "the flood opens connections")
        self.assertEqual([], lab.finish_client(lines)["broken"])


if __name__ == "__main__":
    support.main()
