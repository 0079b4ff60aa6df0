#!/usr/bin/python3
"""The whole desired state as one file: export, apply, and files with mistakes."""

import pathlib

import support
from support import FLOATING_IP, VIP, alternates, wait_for

MANIFEST = f"""\
loadbalancers:
  - name: lb_test_1
    vip_address: {VIP}
    listeners:
      - name: 80_listener
        protocol: TCP
        protocol_port: 80
        default_pool: 80_pool
    pools:
      - name: 80_pool
        protocol: TCP
        lb_algorithm: ROUND_ROBIN
        healthmonitor:
          type: TCP
          delay: 1
          timeout: 1
          max_retries: 1
        members:
          - name: one
            address: 10.0.0.4
            protocol_port: 80
          - name: two
            address: 10.0.0.6
            protocol_port: 80
    floating_ips:
      - {FLOATING_IP}
"""

# Text, its wrong replacement, and the words of the error.
MISTAKES = [
    ("name: two", "name: two\n            weight: 257", ["bad.yaml:23: member two: weight '257': ", "256"]),
    ("address: 10.0.0.6", "address: 10.0.0.666", ["bad.yaml:23: member two: address '10.0.0.666': "]),
    ("protocol_port: 80\n        default", "protocol_port: 65536\n        default",
     ["bad.yaml:7: listener 80_listener: protocol_port '65536': "]),
    ("type: TCP", "type: GRE", ["bad.yaml:14: health monitor GRE: type 'GRE': "]),
    ("max_retries: 1", "max_retries: 11", ["bad.yaml:17: health monitor TCP: max_retries '11': "]),
    ("lb_algorithm: ROUND_ROBIN", "lb_algorithm: DICE", ["bad.yaml:12: pool 80_pool: lb_algorithm 'DICE': "]),
    ("name: two", "nam: two", ["bad.yaml:22: member has no field 'nam' (did you mean 'name'?)"]),
    ("delay: 1", "delay: soon", ["bad.yaml:15: health monitor TCP: delay 'soon' is not a number"]),
    (FLOATING_IP, "172.24.4.x", ["bad.yaml:26: floating IP 172.24.4.x: floating_ip_address '172.24.4.x': "]),
]


class Apply(support.LabTest):
    def setUp(self):
        super().setUp()
        self.lab.serve()
        self.lab.attach()
        # The checks are what imported files' monitors run.
        self.lab.start_controller("--check-user", "nobody", "--check", "check_dns=/bin/true", "--check", "ftp-check.sh=/bin/true")

    def write(self, text, name="lb.yaml"):
        path = self.lab.directory / name
        path.write_text(text)
        return path

    def apply(self, text, *options, name="lb.yaml", check=True):
        return self.lab.ctl("apply", "-f", self.write(text, name), *options, check=check)

    def export(self):
        return self.lab.ctl("export").stdout

    def test_from_nothing_to_balanced_connections_in_one_step(self):
        planned = self.apply(MANIFEST, "--dry-run").stdout
        self.assertEqual("loadbalancers: []\n".split(), self.export().split())
        self.assertEqual(planned, self.apply(MANIFEST).stdout)
        self.assertEqual(["+ load balancer lb_test_1", "+ pool 80_pool of load balancer lb_test_1"],
                         planned.splitlines()[:2])
        self.assertEqual(MANIFEST, self.export())
        for address in (VIP, FLOATING_IP):
            self.assertTrue(alternates(self.lab.client("who", address, 80, 10)), address)

    def test_what_was_exported_changes_nothing(self):
        self.apply(MANIFEST)
        wait_for(lambda: self.lab.value("member", "show", "80_pool", "one", "operating_status") == "ONLINE",
                 10, "the first probe's result")
        before = self.lab.rows("member", "show", "80_pool", "one")
        exported = self.export()
        self.assertEqual("nothing to change\n", self.apply(exported).stdout)
        self.assertEqual("nothing to change\n", self.apply(exported, "--dry-run").stdout)
        self.assertEqual(before, self.lab.rows("member", "show", "80_pool", "one"))

    def test_differences_are_printed_and_made(self):
        self.apply(MANIFEST)
        changed = MANIFEST.replace("10.0.0.4\n            protocol_port: 80", "10.0.0.4\n            protocol_port: 80\n            weight: 0").replace(
            "          max_retries: 1\n", "          max_retries: 1\n          max_retries_down: 2\n")
        wanted = ["~ health monitor TCP of pool 80_pool: max_retries_down 3 -> 2",
                  "~ member one of pool 80_pool: weight 1 -> 0"]
        self.assertEqual(wanted, self.apply(changed, "--dry-run").stdout.splitlines())
        self.assertEqual("1", self.lab.value("member", "show", "80_pool", "one", "weight"))
        self.assertEqual(wanted, self.apply(changed).stdout.splitlines())
        self.assertEqual({"member2"}, set(self.lab.client("who", VIP, 80, 6)))
        self.assertEqual(changed, self.export())
        removed = self.apply("loadbalancers: []\n").stdout
        self.assertEqual(f"- floating IP {FLOATING_IP} of load balancer lb_test_1\n- load balancer lb_test_1\n", removed)
        self.assertEqual("[]", self.lab.ctl("lb", "list", "-f", "json").stdout.strip())

    def test_one_wrong_field_changes_nothing_and_is_named(self):
        self.apply(MANIFEST)
        before = self.export()
        for right, wrong, wanted in MISTAKES:
            bad = MANIFEST.replace("name: one", "name: changed too").replace(right, wrong)
            self.assertNotEqual(MANIFEST.replace("name: one", "name: changed too"), bad)
            for options in ([], ["--dry-run"]):
                with self.subTest(wrong=wrong, options=options):
                    result = self.apply(bad, *options, name="bad.yaml", check=False)
                    self.assertEqual(1, result.returncode, result.stdout)
                    (line,) = result.stderr.strip().splitlines()
                    for words in wanted:
                        self.assertIn(words, line)
                    self.assertEqual(before, self.export())

    def test_what_is_imported_from_other_load_balancers_can_be_applied(self):
        samples = pathlib.Path(__file__).parents[1] / "unit/tools/import"
        for name, file in (("ipvs", "ipvs.save"), ("keepalived", "keepalived.conf"), ("haproxy", "haproxy.cfg"),
                           ("nginx", "nginx.conf")):
            with self.subTest(name=name):
                made = self.lab.ctl("import", name, samples / file, "--vip", VIP).stdout
                self.assertIn("# Not carried over", made)
                planned = self.apply(made, "--dry-run").stdout
                self.assertIn("+ load balancer lb_203.0.113.10\n", planned)
                self.assertEqual(planned, self.apply(made).stdout)
                self.assertEqual("nothing to change\n", self.apply(made).stdout)
                self.apply("loadbalancers: []\n")

    def test_a_file_that_is_not_there_and_one_that_is_empty(self):
        for path, wanted in ((self.lab.directory / "nowhere.yaml", "No such file"), (self.write(""), "loadbalancers: []")):
            result = self.lab.ctl("apply", "-f", path, check=False)
            self.assertEqual(1, result.returncode)
            self.assertIn(str(path), result.stderr)
            self.assertIn(wanted, result.stderr)


if __name__ == "__main__":
    support.main()
