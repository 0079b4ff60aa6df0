#!/usr/bin/python3
"""The manual pages say what --help says, and groff reads them without complaint."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

TOOLS = pathlib.Path(os.environ["SLUICE_BUILD_DIR"]) / "tools"
PAGES = {"sluicectl": "sluicectl.1", "sluiced": "sluiced.8", "sluice-loader": "sluice-loader.8"}
VERBS = {"sluice-loader": [[], ["attach"], ["detach"], ["status"], ["upgrade"]]}


def run(*command):
    return subprocess.run(list(map(str, command)), text=True, capture_output=True, stdin=subprocess.DEVNULL)


def page(program):
    return TOOLS / program / PAGES[program]


class ManualPages(unittest.TestCase):
    def test_every_option_of_help_has_its_place(self):
        for program, file in PAGES.items():
            text = page(program).read_text().replace("\\-", "-")
            for verb in VERBS.get(program, [[]]):
                for option in set(re.findall(r"--[a-z][a-z-]+", run(TOOLS / program / program, *verb, "--help").stdout)):
                    with self.subTest(program=program, option=option):
                        self.assertIn(option, text)

    def test_every_command_of_sluicectl_has_its_place(self):
        text = page("sluicectl").read_text().replace("\\-", "-")
        for command in ("loadbalancer create", "loadbalancer member set", "floating-ip set", "apply", "export",
                        "flows flush", "explain", "top", "drops", "loadbalancer stats show"):
            self.assertRegex(text, rf'\.SS "{command}[ "]')

    def test_they_are_well_formed(self):
        if shutil.which("groff") is None:
            self.skipTest("groff is not installed")
        for program in PAGES:
            with self.subTest(program=program):
                result = run("groff", "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=200n", page(program))
                self.assertEqual("", result.stderr)
                self.assertIn("SEE ALSO", result.stdout)


if __name__ == "__main__":
    unittest.main()
