#!/usr/bin/python3
"""sluicectl prints what the unmodified openstack client prints of the same objects, byte for byte (YAML: by meaning)."""

import json
import re

import yaml

import support
from support import VIP, parse_table, program

ENDPOINT = "http://127.0.0.1:9876"
LISTS = [["loadbalancer", "list"], ["loadbalancer", "listener", "list"], ["loadbalancer", "pool", "list"],
         ["loadbalancer", "member", "list", "80_pool"], ["loadbalancer", "healthmonitor", "list"]]
SHOWS = [["loadbalancer", "show", "lb_test_1"], ["loadbalancer", "listener", "show", "80_listener"],
         ["loadbalancer", "pool", "show", "80_pool"], ["loadbalancer", "member", "show", "80_pool", "80_member_1"],
         ["loadbalancer", "healthmonitor", "show", "80_healthcheck"], ["loadbalancer", "stats", "show", "lb_test_1"],
         ["loadbalancer", "status", "show", "lb_test_1"]]
SELECTIONS = [["loadbalancer", "show", "lb_test_1", "-f", "value", "-c", "vip_address"],
              ["loadbalancer", "member", "list", "80_pool", "-c", "address", "-c", "id", "--sort-column", "address",
               "--sort-descending"],
              ["loadbalancer", "list", "--name", "nobody"], ["loadbalancer", "list", "--name", "nobody", "-f", "json"]]
# Rows that the real client does not know.
OURS = {"announce", "connections_left", "drain_seconds_left", "drain_timeout", "forwarding_mode", "idle_timeout", "max_connections", "mixed_versions", "new_connection_limit", "on_idle", "on_member_down", "on_no_member", "on_unmatched",
        "protocol_port_range", "records", "slow_start", "slow_start_seconds_left", "snat_addresses", "syn_authentication", "timeout_member_connect_set", "udp_scheduling", "weight_percent", "check", "probe_vip"}


class Columns(support.LabTest):
    def setUp(self):
        if support.missing("openstack"):
            self.skipTest("the openstack client is not installed (python3-openstackclient, python3-octaviaclient)")
        super().setUp()
        lab = self.lab
        lab.start_controller("--listen", ENDPOINT.removeprefix("http://"))
        lab.ctl("loadbalancer", "create", "--vip-address", VIP, "--name", "lb_test_1", "--tag", "b", "--tag", "a")
        lab.add_service("lb_test_1", 80, 80)
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "80_healthcheck", "--delay", "60", "--timeout", "20",
                "--max-retries", "2", "--url-path", "/health", "--type", "http", "--disable", "80_pool")  # nothing changes meanwhile
        lab.ctl("loadbalancer", "create", "--vip-address", "10.0.0.17", "--name", "größe 均衡", "--disable")

        self.openstack_client = lab.spawn("lb", "env", "-i", "PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8",
                                          "OS_AUTH_TYPE=none", f"OS_ENDPOINT={ENDPOINT}", support.PYTHON,
                                          support.HERE / "openstack_client.py")

    def openstack(self, words, code=0):
        self.openstack_client.stdin.write(json.dumps(words) + "\n")
        self.openstack_client.stdin.flush()
        done = json.loads(self.openstack_client.stdout.readline())
        self.assertEqual(code, done["code"], f"openstack {' '.join(words)}: {done['out']}{done['err']}")
        return done["out"]

    def both(self, words):
        return self.openstack(words), self.lab.run("lb", program("sluicectl"), "--endpoint", ENDPOINT, *words).stdout

    def same(self, words):
        with self.subTest(command=" ".join(words)):
            theirs, ours = self.both(words)
            self.assertEqual(theirs, ours)

    def same_yaml(self, words):
        """Compares by meaning, because PyYAML sorts the keys of lists and folds text with line ends."""
        theirs, ours = self.both(words + ["-f", "yaml"])
        self.assertEqual(*map(yaml.safe_load, (theirs, ours)))

    def same_but_for_rows_of_ours(self, words):
        """Compares without our own rows, which come last, a line each."""
        theirs, ours = self.both(words + ["-f", "json"])
        known = {field: value for field, value in json.loads(ours).items() if field not in OURS}
        more = len(json.loads(ours)) - len(known)
        self.assertEqual(json.loads(theirs), known)
        self.assertTrue(ours.startswith(theirs.removesuffix("\n}\n")), f"{theirs}{ours}")
        theirs, ours = self.both(words + ["-f", "value"])
        self.assertEqual(theirs.splitlines(), ours.splitlines()[:-more or None])
        theirs, ours = map(yaml.safe_load, self.both(words + ["-f", "yaml"]))
        self.assertEqual(theirs, {field: value for field, value in ours.items() if field not in OURS})

    def test_lists(self):
        for words in LISTS:
            self.same(words)
        for form in ("json", "csv", "value"):
            self.same(LISTS[3] + ["-f", form])
        self.same_yaml(LISTS[3])
        self.same(LISTS[0] + ["-f", "csv"])

    def test_shows(self):
        for words in SHOWS:
            with self.subTest(command=" ".join(words)):
                theirs, ours = self.both(words)
                row_of_ours = re.compile(rf"""(^\| |"|^ *)({'|'.join(OURS)})( +\||":)""")
                ours = "".join(line for line in ours.splitlines(True) if not row_of_ours.search(line))
                self.assertEqual(theirs, ours)
        for words in (SHOWS[0], SHOWS[3]):
            with self.subTest(command=" ".join(words)):
                self.same_but_for_rows_of_ours(words)

    def test_selections_and_empty_lists(self):
        for words in SELECTIONS:
            self.same(words)

    def test_creations_have_the_same_rows(self):
        for words in (["loadbalancer", "listener", "create", "--protocol", "TCP", "lb_test_1", "--protocol-port"],
                      ["loadbalancer", "member", "create", "--address", "10.0.0.77", "80_pool", "--protocol-port"]):
            rows = []
            for client in (0, 1):
                words_now = words + [str(8080 + client)]
                table = self.openstack(words_now) if client == 0 else self.lab.ctl(*words_now).stdout
                header, fields = parse_table(table)
                rows.append((header, [field for field, _ in fields if field not in OURS]))
            self.assertEqual(*rows)

    def test_errors_have_the_same_exit_code(self):
        for words in (["loadbalancer", "show", "nobody"], ["loadbalancer", "listener", "create", "--protocol", "TCP",
                                                           "--protocol-port", "80", "lb_test_1"]):
            self.openstack(words, code=1)
            ours = self.lab.run("lb", program("sluicectl"), "--endpoint", ENDPOINT, *words, check=False)
            self.assertEqual(1, ours.returncode)


if __name__ == "__main__":
    support.main()
