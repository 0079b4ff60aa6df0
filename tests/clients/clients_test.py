#!/usr/bin/python3
"""Clients that insist on Keystone, unmodified, from Debian's packages: each signs in with a password, makes what it is
used for, and takes it down again."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import support  # noqa: E402
from support import PYTHON  # noqa: E402

PASSWORD = "correct horse battery staple"
PROJECT = "eac679e4896146e6827ce29d755fe289"
ENDPOINT = "http://127.0.0.1:9876"
SUBNETS = ["--subnet", "private-subnet,network=private,cidr=10.0.0.0/24,range=10.0.0.16-10.0.0.99,gateway=10.0.0.1",
           "--subnet", "public-subnet,network=public-net,cidr=172.24.4.0/24,range=172.24.4.10-172.24.4.99,external"]
GO_SOURCES = pathlib.Path("/usr/share/gocode")
ANSIBLE_MODULES = pathlib.Path("/usr/lib/python3/dist-packages/ansible_collections/openstack/cloud")


def has_module(name):
    return subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True).returncode == 0


class Clients(support.LabTest):
    members = 1

    def setUp(self):
        super().setUp()
        hashed = subprocess.run([support.program("sluiced"), "--hash-password"], input=PASSWORD + "\n", text=True,
                                capture_output=True, check=True).stdout.strip()
        file = self.lab.directory / "tokens"
        file.write_text(f"alice admin {hashed}\nci member {PROJECT} {hashed}\n")
        file.chmod(0o600)
        self.lab.attach()
        self.lab.start_controller("--listen", "127.0.0.1:9876", "--token-file", file, "--identity", *SUBNETS)
        # This home has no user's settings.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="sluice-clients-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def client(self, *command, check=True, user="ci", **environment):
        openrc = self.home / f"{user}.sh"
        openrc.write_text(self.lab.ctl("openrc", "--user", user).stdout)
        return self.lab.run("lb", "env", "-i", "PATH=/usr/bin:/bin", f"HOME={self.home}", "LC_ALL=C.UTF-8",
                            f"OS_PASSWORD={environment.pop('password', PASSWORD)}",
                            *(f"{name}={value}" for name, value in environment.items()),
                            "sh", "-c", '. "$0"; exec "$@"', openrc, *command, check=check, timeout=150)

    def write_clouds_yaml(self, user="ci"):
        """Writes it to the clients' default place, with the password filled in."""
        directory = self.home / ".config/openstack"
        directory.mkdir(parents=True)
        (directory / "clouds.yaml").write_text(self.lab.ctl("clouds-yaml", "--user", user).stdout
                                               .replace('password: ""', f'password: "{PASSWORD}"'))

    def test_gophercloud_as_the_kubernetes_cloud_provider_and_terraform_use_it(self):
        if support.missing("go") or not (GO_SOURCES / "src/github.com/gophercloud").exists():
            self.skipTest("no Go, or no gophercloud (golang-go, golang-github-gophercloud-gophercloud-dev)")
        program = self.home / "client"
        subprocess.run(["go", "build", "-o", program, HERE / "gophercloud.go"], check=True, timeout=600,
                       env={**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_SOURCES), "GOFLAGS": "",
                            "GOCACHE": str(self.home / "cache")})
        self.assertEqual("done\n", self.client(program).stdout)
        created = [event["who"] for event in self.lab.rows("events") if event["kind"] == "change"]
        self.assertEqual({"ci"}, set(created), "all of it was done by the one who signed in")
        self.assertEqual([], self.lab.rows("loadbalancer", "list"))

    def test_openstacksdk(self):
        if not has_module("openstack"):
            self.skipTest("no openstacksdk (python3-openstacksdk)")
        self.write_clouds_yaml()
        self.client(PYTHON, HERE / "sdk.py", OS_CLOUD="sluice")
        self.assertEqual([], self.lab.rows("loadbalancer", "list"))

    def test_ansible(self):
        if support.missing("ansible-playbook") or not ANSIBLE_MODULES.exists():
            self.skipTest("no Ansible with the collection openstack.cloud (ansible)")
        self.write_clouds_yaml()
        # The collection refuses any openstacksdk from 0.99 on, and Debian ships it with 0.101. What changed between the two
        # is not used by the modules of load balancers: told that it is 0.98, they work.
        patched = self.home / "patched"
        patched.mkdir()
        (patched / "sitecustomize.py").write_text(
            'import openstack.version\nopenstack.version.__version__ = "0.98.999"\n')
        run = self.client("ansible-playbook", "-i", "localhost,", HERE / "playbook.yaml", check=False,
                          PYTHONPATH=patched, ANSIBLE_PYTHON_INTERPRETER=PYTHON, ANSIBLE_LOCALHOST_WARNING="False")
        self.assertEqual(0, run.returncode, run.stdout + run.stderr)
        self.assertRegex(run.stdout, r"localhost +: ok=\d+ +changed=\d+ +unreachable=0 +failed=0")
        self.assertEqual([], self.lab.rows("loadbalancer", "list"))

    def test_openstack_with_a_password(self):
        if support.missing("openstack"):
            self.skipTest("the openstack client is not installed (python3-openstackclient, python3-octaviaclient)")
        self.client("openstack", "loadbalancer", "create", "--name", "ours", "--vip-subnet-id", "private-subnet")
        self.client("openstack", "loadbalancer", "create", "--name", "theirs", "--vip-subnet-id", "private-subnet",
                    user="alice")
        names = ["openstack", "loadbalancer", "list", "-f", "value", "-c", "name"]
        self.assertEqual("ours\n", self.client(*names).stdout, "a member sees what is its project's")
        self.assertEqual({"ours", "theirs"}, set(self.client(*names, user="alice").stdout.split()))
        refused = self.client("openstack", "loadbalancer", "delete", "theirs", check=False)
        self.assertEqual(1, refused.returncode)
        token = self.client("openstack", "token", "issue", "-f", "value", "-c", "id").stdout.strip()
        self.client("openstack", "token", "revoke", token)

    def sign_in(self, password, user="ci"):
        """Returns the status code and the fault's text."""
        body = json.dumps({"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": {"name": "Default"}, "password": password}}}}})
        answer = self.lab.run("lb", "curl", "-sS", "-w", "\n%{http_code}", "-H", "Content-Type: application/json",
                              "-d", body, ENDPOINT + "/identity/v3/auth/tokens").stdout
        body, _, code = answer.rpartition("\n")
        return int(code), json.loads(body).get("error", {}).get("message")

    def test_who_guesses_is_told_nothing_and_soon_not_heard(self):
        answers = {self.sign_in(f"wrong{attempt}", user) for attempt in range(2) for user in ("ci", "nobody")}
        self.assertEqual({(401, "The request you have made requires authentication.")}, answers)
        self.assertEqual(401, self.sign_in("wrong5")[0])
        # The right password gets the same answer, which must not tell an attacker that it was right.
        self.assertEqual(429, self.sign_in(PASSWORD)[0])
        log = self.lab.log("lb", "sluiced")
        self.assertIn("a wrong secret for ci", log)
        self.assertIn("an unknown user", log)
        self.assertNotIn("wrong1", log)


if __name__ == "__main__":
    support.main()
