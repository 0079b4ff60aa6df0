#!/usr/bin/python3
"""`sluice-loader attach --flows N` on a running data plane moves all connections to tables of another size."""

import support
from moving import SILENT, MovingTest
from support import wait_for


class Resize(MovingTest):
    topology = "routed"  # two NICs: what one's packets make the other's must find at every moment

    def test_no_connection_notices_that_the_flow_table_gets_another_size(self):
        def resize(_):
            for flows in (200_000, SILENT * 8, 65_536):
                said = self.lab.loader("attach", "eth0", "--flows", flows).stdout
                self.assertIn(f"with room for {flows} flows", said)
                self.assertIn("connections were moved", said)

        self.expect_that_nobody_notices(resize)
        self.expect_that_ends_were_counted_once()

    def test_the_controller_sees_the_connections_in_the_other_table(self):
        lab = self.lab
        lines = self.start_lines(5)
        lab.loader("attach", "eth0", "--flows", 1000)
        lab.wait_for_connections(5)
        self.assertEqual([], lab.finish_client(lines)["broken"])
        wait_for(lambda: not lab.connections(), 30, "no connection is left")

    def test_a_resize_that_was_killed_is_finished_by_the_next_command(self):
        if support.missing("strace"):
            self.skipTest("needs strace")
        lab = self.lab
        lines = self.start_lines(10)
        # The first rename publishes the new tables, four each the programs of the first, second and last phase; in between
        # the maps are exchanged. Each load keeps the verifier busy for seconds, so one kill per kind.
        for call, number, flows in (("rename", 2, 1000), ("renameat2", 1, 4000), ("rename", 10, 5000)):
            self.kill_at(call, number, "attach", "eth0", "--flows", flows)
            # A capture is refused, because its program would know only one pair of tables.
            refused = lab.ctl("capture", "-w", "/dev/null", check=False)
            self.assertIn("resize of the flow table was interrupted", refused.stderr)
            self.assertIn(f"with room for {flows} flows", lab.loader("attach", "eth0").stdout)
            self.assertFalse(self.is_under_way())
        self.assertEqual([], lab.finish_client(lines)["broken"])


class ResizeMaglev(MovingTest):
    def test_connections_stay_with_members_that_get_no_new_ones(self):
        resize = lambda _: self.lab.loader("attach", "eth0", "--flows", 2000).stdout
        self.expect_that_members_keep_their_connections(lambda _: self.assertIn("connections were moved", resize(_)))


class ResizeIpv6(MovingTest):
    def test_ipv6_connections_move_too(self):
        lab = self.lab
        lines = self.start_lines(20, support.VIP6)
        for flows in (1000, 65_536):
            self.assertIn("about 20 connections were moved", lab.loader("attach", "eth0", "--flows", flows).stdout)
        self.assertEqual([], lab.finish_client(lines)["broken"])


if __name__ == "__main__":
    support.main()
