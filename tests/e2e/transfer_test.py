#!/usr/bin/python3
"""100 MB through the VIP arrive as they were sent, in both modes, while iperf3 fills the wires."""

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
        iperf3 = lab.spawn("client", "iperf3", "-c", VIP, "-p", "5201", "-t", "60", "-J", "-b", "200M", "--bidir")

        for direction in ("give", "take"):
            result = lab.client(direction, VIP, 80, SIZE, timeout=120)
            self.assertTrue(result["intact"], f"{direction}: {result}")

        self.assertIsNone(iperf3.poll(), "iperf3 has ended by itself")
        iperf3.send_signal(support.signal.SIGINT)
        report = json.loads(iperf3.communicate(timeout=30)[0])
        for interval in report["intervals"]:
            for direction in ("sum", "sum_bidir_reverse"):
                self.assertGreater(interval[direction]["bytes"], 0, f"iperf3 stood still for a second ({direction})")


class FullNat(Transfer, support.LabTest):
    mode = "fullnat"


class Dnat(Transfer, support.LabTest):
    mode = "dnat"
    topology = "routed"


if __name__ == "__main__":
    support.main()
