#!/usr/bin/python3
"""The shells' completion scripts, in the shells."""

import os
import pathlib
import shlex
import shutil
import subprocess
import unittest

SLUICECTL = pathlib.Path(os.environ["SLUICE_BUILD_DIR"]) / "tools/sluicectl/sluicectl"
SCRIPTS = pathlib.Path(__file__).resolve().parents[3] / "tools/sluicectl/completion"


def in_bash(*words):
    """Returns bash's completions of the last word."""
    script = f"""source {SCRIPTS}/sluicectl.bash
        COMP_WORDS=({SLUICECTL} {shlex.join(words)}); COMP_CWORD={len(words)}
        _sluicectl; printf '%s\\n' "${{COMPREPLY[@]}}" """
    return subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True).stdout.split()


def in_zsh(*words):
    script = f"""_files() {{ print FILES }}; compadd() {{ shift; print -l -- "${{(@P)1}}" }}
        words=({SLUICECTL} {shlex.join(words)}); CURRENT=$#words
        f() {{ source {SCRIPTS}/_sluicectl }}; f"""
    return subprocess.run(["zsh", "-fc", script], text=True, capture_output=True, check=True).stdout.split()


class Completion(unittest.TestCase):
    def check(self, ask):
        self.assertEqual(["list", "listener"], ask("lb", "l"))
        self.assertEqual(["yaml"], ask("lb", "list", "-f", "y"))

    def test_bash(self):
        self.check(in_bash)
        self.assertEqual([], in_bash("apply", "-f", ""))

    def test_zsh(self):
        if shutil.which("zsh") is None:
            self.skipTest("zsh is not installed")
        self.check(in_zsh)
        self.assertEqual(["FILES"], in_zsh("apply", "-f", ""))


if __name__ == "__main__":
    unittest.main()
