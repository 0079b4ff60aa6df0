#!/usr/bin/python3
"""Prometheus scrapes a real sluiced: the metrics are those of the README's table and follow its conventions, every
query of the dashboards answers, and every alert can be asked."""

import json
import pathlib
import re
import subprocess
import sys
import urllib.parse

import support
from support import VIP

sys.path.insert(0, str(support.ROOT / "tests/monitoring"))
import shipped

PROMETHEUS = "127.0.0.1:9090"  # in the load balancer's own network namespace
# Panels that are empty while all is well or of a node alone, and those for which 30 seconds of one lab are too short.
MAY_BE_EMPTY = {"Members that are down", "Nodes that follow their fleet", "Changes that nodes are behind"}


class Metrics(support.LabTest):
    def setUp(self):
        super().setUp()
        lab = self.lab
        directory = lab.directory / "certificate"
        directory.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=lb", "-days", "30", "-keyout", directory / "key.pem",
                        "-out", directory / "cert.pem"], check=True, capture_output=True)
        lab.serve()
        lab.balance(options=[*support.METRICS, "--announce-routes", "--records-file", lab.directory / "records.json", "--listen", "127.0.0.1:0", "--tls-certificate", directory / "cert.pem",
                             "--tls-key", directory / "key.pem"])
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "monitor", "--delay", 1, "--timeout", 1,
                "--max-retries", 1, "--type", "tcp", "80_pool")

    def page(self):
        return self.lab.run("lb", "curl", "-sS", f"http://{support.METRICS[1]}/metrics").stdout

    def start_prometheus(self):
        """Starts a Prometheus with the rules and the job of the package, which scrapes every second."""
        configuration = self.lab.directory / "prometheus.yml"
        text = shipped.SCRAPE.read_text()
        for was, now in [("/usr/share/sluice/prometheus/sluice.rules.yml", str(shipped.RULES)), ("15s", "1s"),
                         ("127.0.0.1:9877", support.METRICS[1])]:
            self.assertIn(was, text)
            text = text.replace(was, now)
        configuration.write_text("global: {evaluation_interval: 1s}\n" + text)
        self.lab.start("lb", "prometheus", "prometheus", f"--config.file={configuration}",
                       f"--storage.tsdb.path={self.lab.directory / 'prometheus'}", f"--web.listen-address={PROMETHEUS}")

    def ask(self, path, **parameters):
        url = f"http://{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        answer = self.lab.run("lb", "curl", "-sS", url, check=False).stdout
        answer = json.loads(answer) if answer.startswith("{") else {}
        return answer.get("data") if answer.get("status") == "success" else None

    def query(self, expression):
        data = self.ask("query", query=expression)
        self.assertIsNotNone(data, f"Prometheus refuses: {expression}")
        return data["result"]

    def check_page(self, page):
        """The page is what promtool finds right, and what the README's table says."""
        self.maxDiff = None
        documented = shipped.documented()
        others = {**shipped.of_fleets(documented), **shipped.of_peers(documented),  # e2e.fleet and e2e.peers find these
                  "sluice_leaving_snat_address_connections": "there while one leaves (unit.api FleetTest)"}
        self.assertEqual({name: what for name, what in documented.items() if name not in others}, shipped.found_in(page))
        checked = subprocess.run(["promtool", "check", "metrics"], input=page, text=True, capture_output=True)
        self.assertEqual((0, ""), (checked.returncode, checked.stdout + checked.stderr))

    def check_dashboards(self):
        for name, dashboard in shipped.dashboards().items():
            for metric, label in re.findall(r"label_values\((\w+), (\w+)\)", " ".join(shipped.variables(dashboard))):
                self.assertTrue(any(label in one["metric"] for one in self.query(metric)), f"{name}: {metric}, {label}")
            for title, expression in shipped.queries(dashboard):
                result = self.query(shipped.with_values(expression, "1m"))
                if title not in MAY_BE_EMPTY:
                    self.assertTrue(result, f"{name}, {title}: nothing for {expression}")

    def check_alerts(self):
        [group] = self.ask("rules")["groups"]
        self.assertEqual({rule["alert"] for rule in shipped.rules()}, {rule["name"] for rule in group["rules"]})
        for rule in group["rules"]:
            self.assertEqual(("ok", "inactive"), (rule["health"], rule["state"]), rule["name"])

    def test_a_real_prometheus_reads_them_and_answers_the_dashboards(self):
        lab = self.lab
        if support.missing("prometheus") or support.missing("promtool"):
            self.skipTest("prometheus is not installed (run: sudo scripts/install-deps --monitoring)")
        lab.client("who", VIP, 80, 20)
        self.start_prometheus()
        alive = "count(sluice_member_up == 1) == 2 and on () (sluice_table_entries{table='flows4'} >= 0)"
        support.wait_for(lambda: self.ask("query", query="1") and self.query(alive), 20, "two members that are up")
        lab.run("client", "curl", "-sS", "--max-time", "0.2", f"http://{VIP}:81/", check=False)  # dropped
        lab.run("client", "ping", "-c", "1", VIP)  # answered
        lab.client("who", VIP, 80, 20)
        rates = "rate(sluice_packets_total{reason='no_listener'}[1m]) > 0"
        support.wait_for(lambda: self.query(rates), 10, "rates")
        support.wait_for(lambda: all(one["evaluationTime"] for one in self.ask("rules")["groups"]), 10,
                         "evaluated rules")
        self.check_page(self.page())
        self.check_dashboards()
        self.check_alerts()

        # A member that dies is found by the alert's own expression.
        lab.stop("member1", "tcp80")
        [rule] = [one["expr"] for one in shipped.rules() if one["alert"] == "SluiceMemberDown"]
        down = support.wait_for(lambda: self.query(rule), 10, "a member that is down")
        self.assertEqual("80_member_1", down[0]["metric"]["member"])


if __name__ == "__main__":
    support.main()
