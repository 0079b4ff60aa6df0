#!/usr/bin/python3
"""The part of the flow table that is in use follows the load, and no connection notices."""

import json
import struct

import support
from support import VIP, wait_for

SMALLEST_SHIFT = 22  # 2^10 homes


class Area(support.LabTest):
    def word(self):
        dump = self.lab.run("lb", "bpftool", "-j", "map", "lookup", "pinned", self.lab.pins / "maps/flow_areas", "key", *4 * "0")
        return struct.unpack("<Q", bytes(int(byte, 16) for byte in json.loads(dump.stdout)["value"]))[0]

    def area(self):
        """(shift of new flows, shift of older ones); 0 is the whole table."""
        return self.word() & 31, self.word() >> 8 & 31

    def begin_change(self, shift, old_shift):
        """Names another area, to which nothing has moved yet: as an insertion does that finds its window crowded."""
        word = (self.word() >> 32) + 1 << 32 | old_shift << 8 | shift
        self.lab.run("lb", "bpftool", "map", "update", "pinned", self.lab.pins / "maps/flow_areas", "key", *4 * "0", "value",
                     *map(str, struct.pack("<Q", word)))

    def test_it_shrinks_and_grows_under_connections(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        # A packet whose flow was not found would end its connection.
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        wait_for(lambda: self.area() == (SMALLEST_SHIFT, SMALLEST_SHIFT), 20, "an empty table needs no more")
        lines = lab.start_client("echo", VIP, 80, 20)
        silent = lab.start_client("keep", VIP, 80, 1500)
        self.assertEqual("ready\n", silent.stdout.readline())
        # Some slots are free in the smallest area, but most of 3,000 would be found far from home.
        wait_for(lambda: (area := self.area())[0] == area[1] and area[0] < SMALLEST_SHIFT, 4,
                 "it has grown, and not only with the next regular sweep")
        report, kept = lab.finish_client(lines), lab.finish_client(silent)
        self.assertEqual([], report["broken"])
        self.assertEqual({"answered": 1500, "broken": []}, kept)

    def test_another_table_size_begins_with_the_whole_table(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        lines = lab.start_client("echo", VIP, 80, 20)
        wait_for(lambda: self.area() == (SMALLEST_SHIFT, SMALLEST_SHIFT), 20, "20 connections need no more")
        self.assertIn("connections were moved", lab.loader("attach", "eth0", "--flows", 100_000).stdout)
        wait_for(lambda: self.area() == (SMALLEST_SHIFT, SMALLEST_SHIFT), 20, "the new table's area shrinks, too")
        self.commands_that_find_it_changing_lose_no_connection()
        self.assertEqual([], lab.finish_client(lines)["broken"])

    def commands_that_find_it_changing_lose_no_connection(self):
        """Each looks whether a resize was interrupted, and then lets others change the area again."""
        self.lab.kill("lb", "sluiced")
        self.begin_change(0, SMALLEST_SHIFT)
        self.lab.loader("upgrade")
        self.assertEqual((0, 0), self.area(), "the smallest area is moved in one go")
        self.begin_change(SMALLEST_SHIFT, 0)
        self.lab.loader("attach", "eth0")
        self.assertEqual((SMALLEST_SHIFT, 0), self.area(), "there is more to go through")
        self.lab.start_controller()
        wait_for(lambda: self.area() == (SMALLEST_SHIFT, SMALLEST_SHIFT), 20, "sluiced ends the change")


if __name__ == "__main__":
    support.main()
