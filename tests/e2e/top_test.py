#!/usr/bin/python3
"""`sluicectl top` under traffic shows the clients' real rates."""

import time

import support
from support import VIP


def frange(begin, end, step):
    return [begin + i * step for i in range(int((end - begin) / step) + 1)]


def last_tables(text):
    """Returns, by the first column's name, the rows of the last such table as {column: cell}."""
    result, header = {}, None
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in ("listener", "member", "dropped because of", "sluiced"):
            header = cells
            result[cells[0]] = []
        else:
            result[header[0]].append(dict(zip(header, cells)))
    return result


class Top(support.LabTest):
    def test_rates_under_traffic(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        held = lab.start_client("echo", VIP, 80, 6)
        lab.wait_for_connections(6)
        steady = lab.spawn("client", support.PYTHON, support.HERE / "tcp_client.py", "try", VIP, 80)
        support.wait_for(lambda: lab.accepted(1), 5, "the first of one connection after the other")
        begin = time.time()
        shown = lab.ctl("top", "--interval", "2", "--count", "2").stdout
        end = time.time()
        lab.finish_client(held)
        opened = [when for when, _ in lab.finish_client(steady)]
        self.assertNotIn("\033", shown, "no escape codes where no terminal is")
        self.assertEqual(2, shown.count("| listener "), "screens")
        self.assertRegex(shown, r"\| event loop +\| busy [0-9.]+ %, .* turns/s")
        self.assertRegex(shown, r"\| store +\| takes changes")
        tables = last_tables(shown)
        [listener], members = tables["listener"], tables["member"]
        self.assertEqual(["80_listener", "lb", f"{VIP}:80", "ONLINE"],
                         [listener[name] for name in ("listener", "load balancer", "address", "status")])
        self.assertGreaterEqual(int(listener["connections"]), 6)
        # The rate is that of the client in the two seconds before the look, whose exact time is unknown.
        rates = [sum(at <= when < at + 2 for when in opened) / 2 for at in frange(begin, end - 2, 0.1)]
        self.assertGreater(float(listener["new/s"]), min(rates) * 0.8 - 1, rates)
        self.assertLess(float(listener["new/s"]), max(rates) * 1.2 + 1, rates)
        self.assertNotEqual("0", listener["bit/s in"])
        self.assertEqual({"80_member_1", "80_member_2"}, {row["member"] for row in members})
        together = sum(float(row["new/s"]) for row in members)
        self.assertAlmostEqual(float(listener["new/s"]), together, delta=2)

    def test_bad_numbers_are_refused(self):
        lab = self.lab
        lab.start_controller()
        refused = lab.ctl("top", "--interval", "0", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertIn("--interval '0' is not a number from 1 on", refused.stderr)


if __name__ == "__main__":
    support.main()
