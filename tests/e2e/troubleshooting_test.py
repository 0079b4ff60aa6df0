#!/usr/bin/python3
"""The commands of tools/TROUBLESHOOTING.md do what the page says that they do: they look, and succeed. So do those of
sluicectl in tools/README.md, from the first load balancer on. Whatever command or option any page mentions exists."""

import os
import re
import subprocess
import unittest

import support

PAGE = support.ROOT / "tools/TROUBLESHOOTING.md"
README = support.ROOT / "tools/README.md"
# What the operators of the README have already when they type a command: a part of it, and the commands before it.
BEFORE = {"import haproxy": ["loadbalancer delete --cascade lb_test_1"],
          "--name ftp_pool": ["loadbalancer create --vip-address 10.0.0.16 --name lb_test_1"],
          "--default-pool syslog_pool": ["pool create --name syslog_pool --loadbalancer lb_test_1 --protocol UDP"
                                         " --lb-algorithm ROUND_ROBIN --forwarding-mode dsr"],
          "--probe-vip": ["pool create --name dsr_pool --loadbalancer lb_test_1 --protocol TCP --lb-algorithm ROUND_ROBIN"
                          " --forwarding-mode dsr"],
          "--type external": ["pool create --name db_pool --loadbalancer lb_test_1 --protocol TCP --lb-algorithm ROUND_ROBIN"]}


def blocks():
    """Returns (number of the entry, its commands) of the page."""
    entries = re.split(r"^### (\d+)\. .*$", PAGE.read_text(), flags=re.M)[1:]
    pairs = zip(entries[::2], entries[1::2])
    return [(int(number), command) for number, text in pairs
            for block in re.findall(r"^```\n(.*?)^```", text, flags=re.M | re.S) for command in block.splitlines()]


def examples():
    """Returns the commands of sluicectl in the README's examples, in its order."""
    return [line for block in re.findall(r"^```\n(.*?)^```", README.read_text(), flags=re.M | re.S)
            for line in block.replace("\\\n", " ").splitlines() if line.startswith("sluicectl ")]


def spans(pattern):
    """Returns what the groups of the pattern match in any of the pages."""
    pages = [page for page in support.ROOT.rglob("*.md") if "build" not in page.relative_to(support.ROOT).parts]
    return sorted({match for page in pages for match in re.findall(pattern, page.read_text(), flags=re.M)})


class Mentions(unittest.TestCase):
    """Commands in the midst of sentences are too many to be run, and some would end connections. A misspelt one is refused
    before sluiced is asked, which isn't there."""

    def test_each_command_of_sluicectl_is_one(self):
        mentioned = spans(r"`sluicectl ([^`]*)`")
        self.assertGreater(len(mentioned), 30)
        for words in mentioned:
            words = re.sub(r"\|\S+| >.*", "", words).split()
            with self.subTest(words):
                done = subprocess.run([support.program("sluicectl"), *words], text=True, capture_output=True, timeout=60,
                                      env=dict(os.environ, SLUICE_SOCKET="/nonexistent"))
                if done.returncode == 2:  # else it is complete, and only nobody is there to answer
                    self.assertRegex(done.stderr, "missing|needed")

    def test_each_option_of_the_other_two_is_one(self):
        keys = spans(r"^(?:(?:echo|printf) ')?([a-z][a-z-]+) = \S") + spans(r"\\n([a-z-]+) = ")  # of the configuration
        self.assertIn("cluster", keys)
        told = {"sluiced": self.told("sluiced"),
                "sluice-loader": "".join(self.told("sluice-loader", verb) for verb in ("attach", "check", "detach", "status"))}
        for name, option in spans(r"`(sluiced|sluice-loader) [^`]*(--[a-z][a-z0-9-]*)") + [("sluiced", f"--{key}") for key in keys]:
            self.assertRegex(told[name] + " --version", rf"{option}\b", name)

    @staticmethod
    def told(name, *verb):
        return subprocess.run([support.program(name), *verb, "--help"], text=True, capture_output=True, check=True).stdout


class Page(support.LabTest):
    def test_each_example_of_the_readme_works(self):
        lab = self.lab
        lab.attach()
        lab.start_controller("--check", "replication=/bin/true", "--check-user", "nobody")
        (lab.directory / "haproxy.cfg").write_text("listen web\n bind 10.0.0.16:80\n mode tcp\n server one 10.0.0.4:80\n")
        environment = dict(os.environ, PATH=f"{support.BUILD / 'tools/sluicectl'}:{os.environ['PATH']}",
                           SLUICE_SOCKET=str(lab.socket))
        self.assertGreater(len(examples()), 10)
        for example in examples():
            for part, commands in BEFORE.items():
                for command in commands if part in example else []:
                    lab.ctl(*command.split())
            with self.subTest(example):
                done = lab.run("lb", "sh", "-c", example.replace("/etc/haproxy/", ""), check=False, env=environment,
                               cwd=lab.directory)
                self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_each_command_of_the_page_succeeds(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.client("who", support.VIP, 80, 4)
        lab.knock(support.VIP, 81)
        support.wait_for(lambda: lab.reasons().get("no_listener"), 5, "a dropped SYN")
        support.wait_for(lambda: "flows4" in lab.ctl("top", "--interval", "1", "--count", "1").stdout, 10, "the first sweep")
        programs = ":".join(str(support.BUILD / "tools" / name) for name in ("sluiced", "sluicectl", "sluice-loader"))
        environment = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}", SLUICE_SOCKET=str(lab.socket))
        said = {}
        for number, command in blocks():
            if command.startswith("sluice-loader"):
                command += f" --pin-dir {lab.pins}"
            with self.subTest(f"{number}: {command}"):
                done = lab.run("lb", "sh", "-c", command, check=False, env=environment)
                # check's exit code says whether something fails, which in a lab may be.
                self.assertIn(done.returncode, (0, 1) if " check " in command else (0,), done.stdout + done.stderr)
                self.assertEqual("", done.stderr)
                said.setdefault(number, "")
                said[number] += done.stdout
        for number, text in {1: "eth0 native", 2: "is a veth", 3: "80_member_", 4: "arp_answered", 6: "no_listener",
                             8: "80_member_1", 11: "flows4", 13: "80_member_2", 15: "timeout_client_data",
                             17: "ACTIVE", 18: "takes changes", 21: "eth0"}.items():
            self.assertIn(text, said[number], f"entry {number}")

    def test_the_page_has_at_least_twenty_symptoms(self):
        numbers = [int(number) for number in re.findall(r"^### (\d+)\. ", PAGE.read_text(), flags=re.M)]
        self.assertEqual(list(range(1, len(numbers) + 1)), numbers)
        self.assertGreaterEqual(len(numbers), 20)


if __name__ == "__main__":
    support.main()
