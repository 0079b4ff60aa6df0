#!/usr/bin/python3
"""A member that dies gets no new connections after four seconds, or as soon as some have failed, and gets them again
when it is back. Other members' connections never notice. Its own clients are reset, or left waiting if the pool
wants that."""

import time

import support
from support import METRICS, VIP, FairClock, wait_for


class WithAMonitor(support.LabTest):
    delay, timeout = 1, 1

    def setUp(self):
        super().setUp()
        self.clock = FairClock()
        self.addCleanup(self.clock.stop)
        lab = self.lab
        lab.serve()
        lab.balance(options=METRICS)
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "80_check", "--delay", self.delay, "--timeout",
                self.timeout, "--max-retries", "2", "--max-retries-down", "2", "--type", "tcp", "80_pool")
        self.wait_for_statuses("ONLINE", "ONLINE")

    def wait_for_statuses(self, first, second):
        wanted = {"80_member_1": first, "80_member_2": second}
        wait_for(lambda: self.lab.member_statuses("80_pool") == wanted, 8, f"statuses {wanted}")

    def wait_for_served(self, *members):
        """Waits until each of the members has served a client from now on."""
        before = {member: self.lab.accepted(member) for member in members}
        for member in members:
            wait_for(lambda: self.lab.accepted(member) > before[member], 5, f"member {member} serves")

    def pull_cable(self):
        self.lab.run("member1", "ip", "link", "set", "eth0", "down")

    def plug_in(self):
        self.lab.run("member1", "ip", "link", "set", "eth0", "up")
        self.lab.run("member1", "ip", "route", "replace", "default", "via", "10.0.0.1")


class Monitored(WithAMonitor):
    def check_eviction(self, kill, revive):
        """`kill` takes member 1 down, `revive` brings it back; member 2's connections must not notice."""
        lab = self.lab
        lines = lab.start_client("echo", VIP, 80, 6)
        lab.wait_for_connections(6)  # before anybody else takes turns
        tries = lab.start_client("try", VIP, 80)
        self.wait_for_served(1, 2)
        killed = time.time()
        kill()
        self.wait_for_statuses("ERROR", "ONLINE")
        opened = lab.opened("80_member_1")
        wait_for(lambda: self.clock.since(killed) > 6, 10, "time for clients to find out")
        self.wait_for_served(2)
        self.assertEqual(opened, lab.opened("80_member_1"), "connections opened to a member that was shown in ERROR")
        revive()
        self.wait_for_statuses("ONLINE", "ONLINE")
        returned = time.time()
        self.wait_for_served(1, 2)

        seen = lab.finish_client(tries)
        late = [(round(when - killed, 2), what) for when, what in seen
                if when < returned and self.clock.between(killed, when) > 4 and what.startswith("error")]
        self.assertEqual([], late, "connections that failed more than 4 s after the member died")
        self.assertEqual({"member1", "member2"}, {what for when, what in seen if when > returned})
        report = lab.finish_client(lines)
        self.assertEqual(3, report["servers"].count("member2"))
        self.assertEqual([], [broken for broken in report["broken"] if broken.startswith("member2")])

    def test_a_killed_server(self):
        self.check_eviction(kill=lambda: self.lab.kill("member1", "tcp80"),
                            revive=lambda: self.lab.serve_on(1))

    def test_a_member_whose_cable_is_pulled(self):
        self.check_eviction(kill=self.pull_cable, revive=self.plug_in)

    def test_clients_of_a_member_that_is_down_are_told(self):
        lines = self.lab.start_client("echo", VIP, 80, 4)
        self.lab.wait_for_connections(4)
        self.pull_cable()
        self.wait_for_statuses("ERROR", "ONLINE")
        # A client that waits for an answer retransmits after 3.2 s, 6.4 s, ...
        wait_for(lambda: self.lab.reasons().get("rejected", 0) >= 2, 10, "resets of both connections")
        report = self.lab.finish_client(lines)
        self.assertEqual(2, len(report["broken"]), report)
        for broken in report["broken"]:
            self.assertTrue(broken.startswith("member1: ConnectionResetError"), broken)

    def test_a_pool_may_keep_the_connections_of_a_member_that_is_down(self):
        self.lab.ctl("loadbalancer", "pool", "set", "--on-member-down", "keep", "80_pool")
        lines = self.lab.start_client("echo", VIP, 80, 4)
        self.lab.wait_for_connections(4)
        self.pull_cable()
        self.wait_for_statuses("ERROR", "ONLINE")
        time.sleep(6)  # longer than from one sweep to the next
        self.plug_in()
        self.wait_for_statuses("ONLINE", "ONLINE")
        report = self.lab.finish_client(lines)  # when each has had an answer, after it has sent its line again
        self.assertEqual(0, self.lab.reasons().get("rejected", 0))
        self.assertEqual([], report["broken"])
        self.assertEqual(2, report["servers"].count("member1"))

    def test_without_any_usable_member_connections_are_refused_and_counted(self):
        lab = self.lab
        for member in (1, 2):
            lab.kill(f"member{member}", "tcp80")
        self.wait_for_statuses("ERROR", "ERROR")
        self.assertEqual("ERROR", lab.value("loadbalancer", "show", "lb", "operating_status"))
        lab.knock(VIP, 80)
        wait_for(lambda: lab.reasons().get("no_member", 0), 5, "a refusal is counted")


class SeldomMonitored(WithAMonitor):
    """New connections reveal a dead member long before its monitor would."""
    delay, timeout = 60, 5

    def test_a_killed_server_costs_its_next_clients_and_nobody_else(self):
        lab = self.lab
        tries = lab.start_client("try", VIP, 80)
        self.wait_for_served(1, 2)
        killed = time.time()
        lab.kill("member1", "tcp80")
        self.wait_for_statuses("ERROR", "ONLINE")
        self.wait_for_served(2)
        refused = [self.clock.between(killed, when) for when, what in lab.finish_client(tries) if what.startswith("error")]
        self.assertTrue(1 <= len(refused) <= 10, refused)  # 3 on an idle machine, of some 20 a second
        self.assertLess(refused[-1], 0.5)

    def test_clients_of_a_member_whose_cable_is_pulled_get_through_to_another(self):
        lab = self.lab
        self.pull_cable()
        began = time.time()
        clients = []
        for _ in range(12):
            clients.append(lab.start_client("who", VIP, 80, 1))
            time.sleep(0.1)
        answers = [lab.finish_client(client) for client in clients]
        self.assertEqual([["member2"]] * len(clients), answers)
        self.assertLess(self.clock.since(began), 9)
        self.plug_in()
        wait_for(lambda: "member1" in lab.client("who", VIP, 80, 2), 15, "member 1 serves again")


if __name__ == "__main__":
    support.main()
