#!/usr/bin/python3
"""Members that die lose their new connections within four seconds, or as soon as some failed, get them back when they
are back, and the other members' connections never notice. Their own clients are told, or left waiting if the pool wants
that."""

import time

import support
from support import VIP, wait_for


class WithAMonitor(support.LabTest):
    delay, timeout = 1, 1

    def setUp(self):
        super().setUp()
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "80_check", "--delay", self.delay, "--timeout",
                self.timeout, "--max-retries", "2", "--max-retries-down", "2", "--type", "tcp", "80_pool")
        self.wait_for_statuses("ONLINE", "ONLINE")

    def wait_for_statuses(self, first, second):
        wanted = {"80_member_1": first, "80_member_2": second}
        wait_for(lambda: self.lab.member_statuses("80_pool") == wanted, 8, f"statuses {wanted}")

    def pull_cable(self):
        self.lab.run("member1", "ip", "link", "set", "eth0", "down")

    def plug_in(self):
        self.lab.run("member1", "ip", "link", "set", "eth0", "up")
        self.lab.run("member1", "ip", "route", "replace", "default", "via", "10.0.0.1")


class Monitored(WithAMonitor):
    def check_eviction(self, kill, revive):
        """`kill` takes member 1 away, `revive` brings it back; member 2's connections watch."""
        lab = self.lab
        lines = lab.start_client("echo", VIP, 80, 6)
        time.sleep(1)  # the six are open before anybody else takes turns
        tries = lab.start_client("try", VIP, 80)
        time.sleep(0.5)
        killed = time.time()
        kill()
        self.wait_for_statuses("ERROR", "ONLINE")
        time.sleep(max(0.0, killed + 6 - time.time()))
        revive()
        self.wait_for_statuses("ONLINE", "ONLINE")
        returned = time.time()
        time.sleep(0.5)

        seen = lab.finish_client(tries)
        late = [(round(when - killed, 2), what) for when, what in seen if killed + 4 < when < returned
                and what.startswith("error")]
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
        time.sleep(1)
        self.pull_cable()
        self.wait_for_statuses("ERROR", "ONLINE")
        # A client that waits for an answer sends again after 3.2 s, 6.4 s, ...
        wait_for(lambda: self.lab.reasons().get("rejected", 0) >= 2, 10, "resets of both connections")
        report = self.lab.finish_client(lines)
        self.assertEqual(2, len(report["broken"]), report)
        for broken in report["broken"]:
            self.assertTrue(broken.startswith("member1: ConnectionResetError"), broken)

    def test_a_pool_may_keep_the_connections_of_a_member_that_is_down(self):
        self.lab.ctl("loadbalancer", "pool", "set", "--on-member-down", "keep", "80_pool")
        lines = self.lab.start_client("echo", VIP, 80, 4)
        time.sleep(1)
        self.pull_cable()
        self.wait_for_statuses("ERROR", "ONLINE")
        time.sleep(6)  # longer than from one sweep to the next
        self.plug_in()
        self.wait_for_statuses("ONLINE", "ONLINE")
        time.sleep(4)  # the next time that a client sends again
        self.assertEqual(0, self.lab.reasons().get("rejected", 0))
        report = self.lab.finish_client(lines)
        self.assertEqual([], report["broken"])
        self.assertEqual(2, report["servers"].count("member1"))

    def test_without_any_usable_member_connections_are_refused_and_counted(self):
        lab = self.lab
        for member in (1, 2):
            lab.kill(f"member{member}", "tcp80")
        self.wait_for_statuses("ERROR", "ERROR")
        self.assertEqual("ERROR", lab.value("loadbalancer", "show", "lb", "operating_status"))
        lab.run("client", "curl", "-s", "--max-time", "1", f"http://{VIP}/", check=False)
        self.assertGreater(lab.reasons().get("no_member", 0), 0)


class SeldomMonitored(WithAMonitor):
    """New connections tell that a member is dead, long before its monitor would."""
    delay, timeout = 60, 5

    def test_a_killed_server_costs_its_next_clients_and_nobody_else(self):
        lab = self.lab
        tries = lab.start_client("try", VIP, 80)
        time.sleep(1)
        killed = time.time()
        lab.kill("member1", "tcp80")
        self.wait_for_statuses("ERROR", "ONLINE")
        refused = [when - killed for when, what in lab.finish_client(tries) if what.startswith("error")]
        self.assertTrue(1 <= len(refused) <= 3, refused)
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
        self.assertLess(time.time() - began, 9)
        self.plug_in()
        wait_for(lambda: "member1" in lab.client("who", VIP, 80, 2), 15, "member 1 serves again")


if __name__ == "__main__":
    support.main()
