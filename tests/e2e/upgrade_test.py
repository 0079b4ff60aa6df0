#!/usr/bin/python3
"""`sluice-loader upgrade` swaps the program under live traffic and breaks nothing."""

import support
from support import VIP


class Upgrade(support.LabTest):
    def test_twenty_upgrades_under_load(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lines = lab.start_client("echo", VIP, 80, 10)
        tries = lab.start_client("try", VIP, 80)
        download = lab.start_client("give", VIP, 80, 200_000_000)
        for _ in range(20):
            lab.loader("upgrade")
        self.assertTrue(lab.finish_client(download)["intact"])
        report, seen = lab.finish_client(lines), lab.finish_client(tries)
        self.assertEqual([], report["broken"])
        self.assertEqual([], [what for _, what in seen if what.startswith("error")])
        self.assertGreater(len(seen), 10)


if __name__ == "__main__":
    support.main()
