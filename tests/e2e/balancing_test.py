#!/usr/bin/python3
"""Weighted round robin is exact by the order that clients see and by the members' own counts."""

from collections import Counter

import support
from support import VIP, alternates, wait_for


class TwoEqualMembers(support.LabTest):
    def test_a_thousand_connections_split_in_halves_and_alternate(self):
        self.lab.serve()
        self.lab.balance()
        names = self.lab.client("who", VIP, 80, 1000)
        self.assertEqual({"member1": 500, "member2": 500}, Counter(names))
        self.assertTrue(alternates(names))

    def test_parallel_clients_on_all_cpus_split_exactly(self):
        self.lab.serve()
        self.lab.balance()
        names = self.lab.client("who", VIP, 80, 250, 4)
        self.assertEqual({"member1": 500, "member2": 500}, Counter(names))
        self.assertEqual([500, 500], [self.lab.accepted(member) for member in (1, 2)])


class AMemberThatDoesNotAnswer(support.LabTest):
    def test_is_left_for_another_one_when_the_client_asks_again(self):
        self.lab.serve()
        self.lab.balance()
        self.lab.ctl("loadbalancer", "listener", "set", "--timeout-member-connect", "900", "80_listener")
        self.lab.run("member1", "ip", "link", "set", "eth0", "down")
        for asked_again in 1, 2:  # it is the first one's turn again, because the second one was chosen in its place
            self.assertEqual(["member2"], self.lab.client("who", VIP, 80, 1, timeout=10))
            self.assertEqual(asked_again, self.lab.syns_sent_again())


class WeightedMembers(support.LabTest):
    members = 3

    def every_window(self, names, wanted):
        size = sum(wanted.values())
        for first in range(len(names) - size + 1):
            window = names[first:first + size]
            self.assertEqual(wanted, Counter(window), f"connections {first} to {first + size - 1}")

    def test_weights_three_to_one_are_interleaved_in_every_window(self):
        self.lab.serve()
        self.lab.balance(weights=[3, 1, 0])
        names = self.lab.client("who", VIP, 80, 1000)
        self.assertEqual({"member1": 750, "member2": 250}, Counter(names))
        self.every_window(names, {"member1": 3, "member2": 1})

    def test_three_members_share_smoothly(self):
        self.lab.serve()
        self.lab.balance(weights=[3, 1, 1])
        names = self.lab.client("who", VIP, 80, 500)
        self.every_window(names, {"member1": 3, "member2": 1, "member3": 1})
        longest = max(len(run) for run in "".join(name[-1] for name in names).replace("2", " ").replace("3", " ").split())
        self.assertLessEqual(longest, 2, "three in a row is not smooth")

    def test_parallel_clients_share_by_weight_exactly(self):
        self.lab.serve()
        self.lab.balance(weights=[3, 1, 1])
        self.lab.client("who", VIP, 80, 125, 4)
        self.assertEqual([300, 100, 100], [self.lab.accepted(member) for member in (1, 2, 3)])

    def test_a_new_weight_holds_for_the_next_connections(self):
        self.lab.serve()
        self.lab.balance(weights=[1, 1, 0])
        self.assertEqual({"member1": 50, "member2": 50}, Counter(self.lab.client("who", VIP, 80, 100)))
        self.lab.ctl("loadbalancer", "member", "set", "--weight", "3", "80_pool", "80_member_1")
        self.assertEqual({"member1": 75, "member2": 25}, Counter(self.lab.client("who", VIP, 80, 100)))

    def test_a_member_that_comes_back_starts_slowly_and_has_its_share_in_the_end(self):
        lab = self.lab
        lab.serve()
        lab.balance(weights=[1, 1, 0])
        member = ("80_pool", "80_member_2")
        lab.ctl("loadbalancer", "pool", "set", "--slow-start", 86400, "80_pool")
        lab.ctl("loadbalancer", "member", "set", "--disable", *member)
        self.assertEqual({"member1": 10}, Counter(lab.client("who", VIP, 80, 10)))
        lab.ctl("loadbalancer", "member", "set", "--enable", *member)
        self.assertEqual({"member1": 160, "member2": 10}, Counter(lab.client("who", VIP, 80, 170)), "a sixteenth")
        left = lab.rows("loadbalancer", "member", "show", *member)["slow_start_seconds_left"]
        self.assertTrue(80000 < left <= 86400, left)
        # Nothing but time brings the rest.
        lab.ctl("loadbalancer", "pool", "set", "--slow-start", 2, "80_pool")
        wait_for(lambda: "slow_start_seconds_left" not in lab.rows("loadbalancer", "member", "show", *member), 10,
                 "it has its full share")
        self.assertEqual({"member1": 50, "member2": 50}, Counter(lab.client("who", VIP, 80, 100)))


if __name__ == "__main__":
    support.main()
