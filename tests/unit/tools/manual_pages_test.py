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
# Of no program alone; they are sluiced's to install.
CONCEPTS = ["sluice.7", "sluiced.conf.5"]
VERBS = {"sluice-loader": [[], ["attach"], ["check"], ["detach"], ["status"], ["upgrade"]]}


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

    def test_commands_of_the_concepts_exist(self):
        text = (TOOLS / "sluiced/sluice.7").read_text().replace("\\-", "-")
        for command in re.findall(r"^sluicectl (.*)$", text, flags=re.M):
            with self.subTest(command=command):
                verb = re.match(r"(.*?)(?: --.*| \S+)$", command)[1].split()
                self.assertEqual(0, run(TOOLS / "sluicectl/sluicectl", *verb, "--help").returncode)

    def test_the_page_of_the_configuration_has_the_file_that_is_installed(self):
        root = pathlib.Path(__file__).resolve().parents[3]
        text = (TOOLS / "sluiced/sluiced.conf.5").read_text().replace("\\-", "-").replace("\\e", "\\")
        self.assertIn((root / "tools/package/sluiced.conf").read_text().strip(), text)

    def test_they_are_well_formed(self):
        if shutil.which("groff") is None:
            self.skipTest("groff is not installed")
        for file in [page(program) for program in PAGES] + [TOOLS / "sluiced" / name for name in CONCEPTS]:
            with self.subTest(file=file.name):
                result = run("groff", "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=200n", file)
                self.assertEqual("", result.stderr)
                self.assertIn("SEE ALSO", result.stdout)


if __name__ == "__main__":
    unittest.main()
