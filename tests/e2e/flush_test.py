#!/usr/bin/python3
"""`sluicectl flows flush` ends a member's connections at once, even if it drains or was removed."""

import support
from support import VIP


class Flush(support.LabTest):
    def setUp(self):
        super().setUp()
        lab = self.lab
        lab.serve()
        lab.balance()
        # The four idle connections, two to each member, never end by themselves.
        lab.spawn("client", support.PYTHON, "-c",
                  f"import socket, time; held = [socket.create_connection(('{VIP}', 80)) for _ in range(4)]; time.sleep(3600)")
        lab.wait_for_connections(4)
        self.member = lab.value("loadbalancer", "member", "show", "80_pool", "80_member_1", "id")

    def held(self):
        return len(self.lab.rows("flows", "list", "--member", self.member))

    def flushed(self):
        return self.lab.value("flows", "flush", "--member", self.member, "flushed")

    def test_a_draining_members_connections_are_gone_at_once(self):
        self.lab.ctl("loadbalancer", "member", "set", "--weight", "0", "80_pool", "80_member_1")
        self.assertEqual(2, self.held(), "until they end")
        self.assertEqual("2", self.flushed())
        self.assertEqual(0, self.held())
        self.assertEqual(2, len(self.lab.rows("flows", "list")), "the other member's")

    def test_a_removed_members_connections_are_still_known_by_its_id(self):
        self.lab.ctl("loadbalancer", "member", "delete", "80_pool", "80_member_1")
        self.assertEqual(2, self.held(), "until they end")
        self.assertEqual("2", self.flushed())
        self.assertEqual(0, self.held())
        self.assertEqual(2, len(self.lab.rows("flows", "list")), "the other member's")


if __name__ == "__main__":
    support.main()
