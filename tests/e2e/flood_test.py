#!/usr/bin/python3
"""A flood of SYNs with forged sources breaks no connection and keeps no client from opening one."""

import shutil
import time

import support
from support import VIP, wait_for

# In the lab's small table, see SLUICE_HALF_OPEN_SHARE.
HALF_OPEN_LIMIT = 65536 // 4


class Flood(support.LabTest):
    def setUp(self):
        if not shutil.which("hping3"):
            self.skipTest("hping3 is not installed, which floods (run: scripts/install-deps)")
        super().setUp()

    def created(self):
        return self.lab.reasons().get("flow_created", 0)

    def test_established_connections_live_on_and_new_ones_get_through(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lines = lab.start_client("echo", VIP, 80, 10)
        time.sleep(1)
        # Some 30,000 a second. As many as it can make would fill the lab's queues and CPUs, which all hosts share, so
        # that nothing gets as far as the load balancer.
        flood = lab.spawn("client", "hping3", "--syn", "--interval", "u20", "--rand-source", "--destport", 80, VIP)
        wait_for(lambda: self.created() > 2 * HALF_OPEN_LIMIT, 20, "more half-open connections than there may be")
        created = self.created()
        tries = lab.start_client("try", VIP, 80, 5)
        time.sleep(8)
        seen = lab.finish_client(tries)
        created = self.created() - created
        flood.terminate()
        flood.wait()

        self.assertGreater(created, HALF_OPEN_LIMIT, "it was no flood")
        self.assertEqual([], lab.finish_client(lines)["broken"])
        errors = [what for _, what in seen if what.startswith("error")]
        self.assertGreater(len(seen), 50)
        self.assertLessEqual(len(errors), len(seen) / 100, errors)


if __name__ == "__main__":
    support.main()
