#!/usr/bin/python3
"""sluiced is killed with SIGKILL during transfers: no client notices, and it finds all its objects again."""

import time

import support
from support import FLOATING_IP, VIP, alternates


class KilledController(support.LabTest):
    def objects(self):
        """Returns everything that sluicectl shows, without attributes that change by themselves."""
        lists = [("loadbalancer", "list"), ("loadbalancer", "listener", "list"), ("loadbalancer", "pool", "list"),
                 ("loadbalancer", "member", "list", "80_pool"), ("floating-ip", "list")]
        shown = {" ".join(words): sorted(map(repr, self.lab.rows(*words))) for words in lists}
        for member in ("80_member_1", "80_member_2"):
            shown[member] = self.lab.rows("loadbalancer", "member", "show", "80_pool", member)
        return shown

    def test_flows_live_on_and_the_objects_are_the_same_after_restart(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.ctl("floating-ip", "set", "--load-balancer", "lb", FLOATING_IP)
        before = self.objects()
        lines = lab.start_client("echo", VIP, 80, 10)
        download = lab.start_client("give", VIP, 80, 300_000_000)
        upload = lab.start_client("take", VIP, 80, 300_000_000)
        support.wait_for(lambda: lab.reasons().get("flow_created") == 12, 5, "all connections are on their way")

        lab.kill("lb", "sluiced")
        self.assertTrue(alternates(lab.client("who", VIP, 80, 50)), "new connections while sluiced is dead")
        lab.start_controller()

        self.assertEqual(before, self.objects())
        time.sleep(5.5)  # longer than the time between expiry sweeps
        report = lab.finish_client(lines)
        self.assertEqual([], report["broken"])
        self.assertEqual({"member1", "member2"}, set(report["servers"]))  # the transfers take turns too
        for transfer in (download, upload):
            self.assertTrue(lab.finish_client(transfer)["intact"])
        self.assertTrue(alternates(lab.client("who", VIP, 80, 50)), "new connections after the restart")

    def test_a_change_made_after_the_restart_reaches_the_data_plane(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.kill("lb", "sluiced")
        lab.start_controller()
        lab.ctl("loadbalancer", "member", "delete", "80_pool", "80_member_1")
        self.assertEqual({"member2"}, set(lab.client("who", VIP, 80, 10)))


if __name__ == "__main__":
    support.main()
