"""The monitoring files that the package has, and the table of metrics, for the tests of both layers."""

import json
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "tools/package/prometheus/sluice.rules.yml"
SCRAPE = ROOT / "tools/package/prometheus/scrape.yml"
README = ROOT / "userspace/api/README.md"
DASHBOARDS = sorted((ROOT / "tools/package/grafana").glob("*.json"))
# Series that Prometheus makes itself, and the suffixes of a histogram's series.
NOT_OURS = {"up"}
SUFFIXES = ("_bucket", "_sum", "_count")


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboards():
    return {path.name: json.loads(path.read_text()) for path in DASHBOARDS}


def queries(dashboard):
    """Returns (panel's title, expression) of each query of the dashboard's panels."""
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]


def variables(dashboard):
    """Returns the queries of its variables: "label_values(METRIC, LABEL)"."""
    return [one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]


def with_values(expression, interval="1m"):
    """Returns the expression as Grafana sends it: with values in place of its variables."""
    return expression.replace("$__rate_interval", interval).replace("$instance", ".*").replace("$load_balancer", ".*")


def metrics_in(expression):
    """Returns the metrics that an expression names, histograms without their series' suffix."""
    names = re.findall(r"\b(?:sluice_[a-z0-9_]+|process_[a-z0-9_]+|up)\b", expression)
    return {re.sub(f"({'|'.join(SUFFIXES)})$", "", name) for name in names}


# What the README calls the labels that each sample of an object has.
LABELS_OF = {
    "a listener's": {"id", "listener", "load_balancer", "protocol", "port"},
    "a member's": {"id", "member", "pool", "load_balancer", "address", "port"},
    "a pool's": {"id", "pool", "load_balancer"},
}


def found_in(page):
    """Returns the metrics of a page in Prometheus' text format, as documented() does; no labels: None."""
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", page, flags=re.M))
    labels = {}
    for name, braces in re.findall(r"^(\w+?)(?:_bucket|_sum|_count)?(\{.*\})? [-+.\deInf]+$", page, flags=re.M):
        labels.setdefault(name, set()).update(set(re.findall(r'(\w+)="', braces)) - {"le"})
    return {name: (kind, labels.get(name)) for name, kind in types.items()}


def of_fleets(metrics):
    """Returns those that only nodes of a fleet have."""
    return {name: what for name, what in metrics.items() if name.startswith("sluice_fleet_")}


def of_peers(metrics):
    """Returns those that only nodes with peers have."""
    return {name: what for name, what in metrics.items() if name.startswith("sluice_peer_")}


def documented():
    """Returns the README's table of metrics: name -> (type, set of labels)."""
    table = {}
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch("`(sluice|process)_[a-z0-9_]+`", cells[0]):
            name, kind, labels, _ = cells
            table[name.strip("`")] = (kind, LABELS_OF.get(labels) or set(re.findall(r"`(\w+)`", labels)))
    return table
