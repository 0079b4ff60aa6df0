#!/usr/bin/python3
"""Draws packet-cost's results: cost over number of flows. Usage: plot.py RESULT.json PICTURE.png"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend must be chosen first)


def main(result, picture):
    with open(result) as file:
        rows = json.load(file)["packet_cost"]
    figure, axes = pyplot.subplots(figsize=(8, 5))
    names = dict.fromkeys(row["packet"] for row in rows)
    for name in names:
        points = [(row["flows"], row["net_ns"]) for row in rows if row["packet"] == name]
        flows = [number for number, _ in points]
        middle = [net["median"] for _, net in points]
        spread = [[net["median"] - net["min"] for _, net in points],
                  [net["max"] - net["median"] for _, net in points]]
        axes.errorbar(flows, middle, yerr=spread, marker="o", capsize=3, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("flows")
    axes.set_ylabel("ns per packet, net; median, min, max")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
