#!/usr/bin/python3
"""`sluicectl bundle` gathers what a bug report needs, says what it could not have, and holds no secret."""

import json
import os
import pathlib
import stat
import subprocess
import tarfile

import support

TOKEN = "plain-token-0123456789abcdef"
FOLDER = "sluice-bundle/"


class Bundle(support.LabTest):
    def setUp(self):
        super().setUp()
        lab = self.lab
        self.files = pathlib.Path(lab.directory) / "secrets"
        self.files.mkdir()
        self.secrets = [TOKEN, "0011223344556677" * 2]
        self.write("tokens", TOKEN)
        self.write("hash-key", self.secrets[1])
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=lb", "-days", "30", "-keyout", self.files / "key.pem",
                        "-out", self.files / "cert.pem"], check=True, capture_output=True)
        self.secrets.append((self.files / "key.pem").read_text().splitlines()[1])
        self.configuration = self.write("sluiced.conf", f"""\
token-file = {self.files}/tokens
tls-key = {self.files}/key.pem
tls-certificate = {self.files}/cert.pem
hash-key-file = {self.files}/hash-key
# somebody's note: password = correct-horse-battery
""")
        self.secrets.append("correct-horse-battery")
        lab.balance(options=["--listen", "127.0.0.1:0", "--token-file", self.files / "tokens", "--tls-key",
                             self.files / "key.pem", "--tls-certificate", self.files / "cert.pem", "--hash-key-file",
                             self.files / "hash-key"])
        # An operator's mistake: a token as a name, which is in events, lists and metrics.
        lab.ctl("loadbalancer", "set", "--name", TOKEN, "lb")

    def write(self, name, text):
        path = self.files / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def bundle(self, *options):
        """Returns what is in the archive: file -> text."""
        archive = self.files.parent / "bundle.tar.gz"
        programs = ":".join(str(support.BUILD / "tools" / name) for name in ("sluiced", "sluicectl", "sluice-loader"))
        self.lab.ctl("bundle", archive, "--config", self.configuration, "--pin-dir", self.lab.pins, *options,
                     env=dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}"))
        self.assertEqual(0o600, stat.S_IMODE(archive.stat().st_mode))
        with tarfile.open(archive) as tar:
            return {one.name.removeprefix(FOLDER): tar.extractfile(one).read().decode(errors="replace")
                    for one in tar.getmembers() if one.isfile()}

    def test_it_has_what_a_report_needs_and_no_secret(self):
        inside = self.bundle()
        for name, text in {"versions/sluiced": "sluiced ", "bpf/status.json": '"eth0"',
                           "sluiced/drops.json": "no_listener",
                           "sluiced/members.json": self.lab.address(1), "sluiced/events.json": "created",
                           "sluiced/metrics": "sluice_packets_total", "nic/eth0/check": "is a veth",
                           "nic/eth0/driver": "veth", "network/routes": "10.0.", "network/links": "eth0",
                           "configuration/sluiced.conf": "token-file = "}.items():
            self.assertIn(text, inside.get(name, "(missing)"), name)
        self.assertIn("sluiced/loadbalancers.json", inside)
        json.loads(inside["sluiced/loadbalancers.json"])
        for name, text in inside.items():
            for secret in self.secrets:
                self.assertNotIn(secret, text, name)
            self.assertNotIn("PRIVATE KEY", text, name)
        self.assertIn("[taken out]", inside["sluiced/loadbalancers.json"])

    def test_what_could_not_be_had_is_said(self):
        self.lab.kill("lb", "sluiced")
        contents = self.bundle()["CONTENTS"]
        had, missing = contents.split("Could not be had:")
        self.assertIn("GET /v1/drops", missing)
        self.assertIn("no sluiced answers", missing)
        self.assertIn("nic/eth0/driver", had)
        self.assertEqual([], list(pathlib.Path("/tmp").glob("sluice-bundle.*")), "nothing is left")


if __name__ == "__main__":
    support.main()
