#!/usr/bin/python3
"""100 MB through the VIP arrive unchanged, in both modes, while iperf3 fills the wires."""

import json

import support
from support import VIP

SIZE = 100_000_000


class Transfer:
    mode = None

    def test_a_hundred_megabytes_arrive_intact_beside_iperf3(self):
        lab = self.lab
        lab.serve()
        lab.balance(mode=self.mode)
        # iperf3's control and data connections must meet the same server, so its pool has one member.
        lab.start("member1", "iperf3", "iperf3", "-s", "-p", "5201")
        lab.wait_listening("member1", 5201)
        lab.members = 1
        lab.add_service("lb", 5201, 5201, mode=self.mode)
        iperf3 = lab.spawn("client", "iperf3", "-c", VIP, "-p", "5201", "-t", "0", "-J", "-b", "200M", "--bidir")

        for direction in ("give", "take"):
            result = lab.client(direction, VIP, 80, SIZE, timeout=120)
            self.assertTrue(result["intact"], f"{direction}: {result}")

        self.assertIsNone(iperf3.poll(), "iperf3 has ended by itself")
        iperf3.send_signal(support.signal.SIGINT)
        report = json.loads(iperf3.communicate(timeout=30 * support.PATIENCE)[0])
        for direction in ("sum", "sum_bidir_reverse"):
            moved = [interval[direction]["bytes"] > 0 for interval in report["intervals"]]
            self.assertGreater(sum(moved), len(moved) / 2, f"iperf3 stood still most of the time ({direction})")
            # A broken connection stays silent; one on a busy machine is silent for a moment only.
            self.assertTrue(any(moved[-5:]), f"iperf3 stood still in the end ({direction})")


class FullNat(Transfer, support.LabTest):
    mode = "fullnat"


class Dnat(Transfer, support.LabTest):
    mode = "dnat"
    topology = "routed"


if __name__ == "__main__":
    support.main()
