#!/usr/bin/python3
"""Adds to ctest's own summary: summary.py JUNIT_FILE... (a file per round; used by scripts/test)

Prints the cases that were not run and what they lack, the slowest tests, and which test failed in which round.
"""

import collections
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

Result = collections.namedtuple("Result", "seconds failed missing broken")

# The lines of cases that are not run: of tests/support/main.cpp, unittest, and our files (support.main()).
NOT_RUN = [re.compile(r"^not run: (?P<case>[^:]+): (?P<reason>.*)$"),
           re.compile(r"^(?P<case>test_\w+)?.* \.\.\. skipped ['\"](?P<reason>.*)['\"]$"),
           re.compile(r"^(?P<case>)skipped: (?P<reason>.*)$")]
# The lines of failed cases, of GoogleTest and unittest.
BROKEN = [re.compile(r"^\[  FAILED  \] ([^ ,]+).*\(\d+ ms\)$"), re.compile(r"^(?:FAIL|ERROR): (\w+) ")]


def read(file):
    """Returns the Result of each test that was run, by ctest's name."""
    results = {}
    for test in ElementTree.parse(file).getroot().iter("testcase"):
        lines = (test.findtext("system-out") or "").splitlines()
        missing = {(found["case"] or "", found["reason"]) for line in lines for way in NOT_RUN if (found := way.match(line))}
        broken = {found[1] for line in lines for way in BROKEN if (found := way.match(line))}
        results[test.get("name")] = Result(float(test.get("time") or 0), test.get("status") == "fail", missing, broken)
    return results


def round_number(file):
    return int(os.path.basename(file).rpartition(".")[2])


def main():
    rounds = {round_number(file): read(file) for file in sys.argv[1:]}
    last = rounds[max(rounds)]
    print("\nThe slowest:")
    for name in sorted(last, key=lambda name: last[name].seconds, reverse=True)[:8]:
        print(f"{last[name].seconds:8.1f} s  {name}")
    missing = {(name, *case) for results in rounds.values() for name, result in results.items() for case in result.missing}
    if missing:
        print("\nNot run:")
    for name, case, reason in sorted(missing):
        print(f"  {name}{' ' + case if case else ''}: {reason}")
    if len(rounds) > 1:
        failures = collections.defaultdict(list)
        for number, results in sorted(rounds.items()):
            for name, result in results.items():
                if result.failed:
                    failures[name].append(f"{number}{' (' + ', '.join(sorted(result.broken)) + ')' if result.broken else ''}")
        clean = sum(not any(result.failed for result in results.values()) for results in rounds.values())
        print(f"\n{clean} of {len(rounds)} rounds without a failure")
        for name, where in sorted(failures.items()):
            print(f"  {name} failed in round {'; '.join(where)}")
    print()


if __name__ == "__main__":
    main()
