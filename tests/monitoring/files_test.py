#!/usr/bin/python3
"""The alerts and dashboards of the package hold without a running Prometheus: each alert fires when it should and is
silent when it shouldn't, and the dashboards are what Grafana imports.

Debian has no Grafana, so nobody has drawn these dashboards here. What is checked is their form, as Grafana's JSON model
of schema version 37 describes it; e2e.metrics asks a real Prometheus every query."""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import shipped

HERE = pathlib.Path(__file__).resolve().parent
PANELS = {"row", "stat", "timeseries", "table", "bargauge", "state-timeline"}
UNITS = {"none", "short", "cps", "pps", "bps", "s", "percentunit"}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], text=True, capture_output=True, cwd=HERE)
    return done.returncode, done.stdout + done.stderr


@unittest.skipIf(shutil.which("promtool") is None, "promtool is not installed (run: sudo scripts/install-deps --monitoring)")
class Alerts(unittest.TestCase):
    def test_rules_and_the_example_are_what_prometheus_reads(self):
        for command in [("check", "rules", shipped.RULES), ("check", "config", "--syntax-only", shipped.SCRAPE)]:
            code, output = promtool(*command)
            self.assertEqual(0, code, output)

    def test_each_alert_fires_when_it_should_and_else_is_silent(self):
        code, output = promtool("test", "rules", "alerts.yml")
        self.assertEqual(0, code, output)


class AlertsAreTold(unittest.TestCase):
    def test_each_alert_has_a_test_in_which_it_fires(self):
        tests = yaml.safe_load((HERE / "alerts.yml").read_text())["tests"]
        fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
        self.assertEqual({rule["alert"] for rule in shipped.rules()}, fired)

    def test_each_alert_says_how_bad_it_is_and_what_to_do(self):
        for rule in shipped.rules():
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertEqual({"summary", "description"}, set(rule["annotations"]))

    def test_the_page_tells_each_alert_and_leads_to_entries_that_there_are(self):
        page = (shipped.ROOT / "tools/MONITORING.md").read_text()
        self.assertEqual([rule["alert"] for rule in shipped.rules()], re.findall(r"^\| `(Sluice\w+)`", page, flags=re.M))
        headings = re.findall(r"^### (.*)$", (shipped.ROOT / "tools/TROUBLESHOOTING.md").read_text(), flags=re.M)
        anchors = {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        self.assertLessEqual(set(re.findall(r"TROUBLESHOOTING.md#([^)]+)", page)), anchors)

    def test_alerts_name_metrics_that_there_are(self):
        for rule in shipped.rules():
            named = shipped.metrics_in(rule["expr"])
            self.assertTrue(named, rule)
            self.assertLessEqual(named - shipped.NOT_OURS, set(shipped.documented()), rule["alert"])


class Dashboards(unittest.TestCase):
    def test_there_is_one_for_each_subject(self):
        self.assertEqual(["data-plane.json", "load-balancer.json", "overview.json"], sorted(shipped.dashboards()))
        titles = [one["title"] for one in shipped.dashboards().values()]
        self.assertEqual(len(titles), len(set(titles)))

    def test_they_belong_to_no_certain_installation(self):
        """Grafana gives a dashboard its id, and the user chooses the Prometheus that it asks."""
        for name, dashboard in shipped.dashboards().items():
            with self.subTest(name):
                self.assertFalse({"id", "uid"} & set(dashboard))
                first, *others = dashboard["templating"]["list"]
                self.assertEqual(("datasource", "datasource", "prometheus"),
                                 (first["name"], first["type"], first["query"]))
                self.assertEqual([DATASOURCE] * len(others), [one["datasource"] for one in others])
                text = shipped.ROOT.joinpath("tools/package/grafana", name).read_text()
                self.assertEqual({"${datasource}"}, set(re.findall(r'"uid": "(.*?)"', text)))
                self.assertNotRegex(text, "https?://")

    def test_the_head_has_what_an_import_wants(self):
        for name, dashboard in shipped.dashboards().items():
            with self.subTest(name):
                self.assertEqual(37, dashboard["schemaVersion"])
                self.assertTrue(dashboard["title"].startswith("Sluice: "))
                self.assertEqual(["sluice"], dashboard["tags"])
                self.assertEqual({"from", "to"}, set(dashboard["time"]))

    def test_panels_are_of_known_kinds_and_ask_the_chosen_datasource(self):
        for name, dashboard in shipped.dashboards().items():
            ids = [panel["id"] for panel in dashboard["panels"]]
            self.assertEqual(len(ids), len(set(ids)), name)
            for panel in dashboard["panels"]:
                with self.subTest(f"{name}: {panel['title']}"):
                    self.assertIn(panel["type"], PANELS)
                    if panel["type"] == "row":
                        continue
                    self.assertEqual(DATASOURCE, panel["datasource"])
                    self.assertIn(panel["fieldConfig"]["defaults"]["unit"], UNITS)
                    self.assertTrue(panel["targets"])
                    references = [target["refId"] for target in panel["targets"]]
                    self.assertEqual(len(references), len(set(references)))
                    for target in panel["targets"]:
                        self.assertEqual(DATASOURCE, target["datasource"])
                        self.assertIn('instance=~"$instance"', target["expr"])
                        self.assertEqual(panel["type"] == "table", target.get("format") == "table")

    def test_panels_do_not_lie_over_each_other(self):
        for name, dashboard in shipped.dashboards().items():
            taken = {}
            for panel in dashboard["panels"]:
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24, f"{name}: {panel['title']}")
                for x in range(place["x"], place["x"] + place["w"]):
                    for y in range(place["y"], place["y"] + place["h"]):
                        other = taken.setdefault((x, y), panel["title"])
                        self.assertEqual(panel["title"], other, f"{name}: both at {x}, {y}")

    def test_variables_are_declared_and_metrics_exist(self):
        for name, dashboard in shipped.dashboards().items():
            declared = {one["name"] for one in dashboard["templating"]["list"]} | {"__rate_interval"}
            asked = [expression for _, expression in shipped.queries(dashboard)] + shipped.variables(dashboard)
            for expression in asked:
                with self.subTest(f"{name}: {expression}"):
                    self.assertLessEqual(set(re.findall(r"\$\{?(\w+)", expression)), declared)
                    named = shipped.metrics_in(expression)
                    self.assertTrue(named)
                    self.assertLessEqual(named, set(shipped.documented()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
