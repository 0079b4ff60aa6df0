"""CPU time of the whole machine, ratios with their spread, and a table."""

import os
import statistics
import time

TICK = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """CPU seconds that the machine has spent on anything, interrupts included (steal and waiting are not)."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICK


def background():
    """The share of all CPUs that is busy with something else, over a second."""
    before = busy_seconds()
    time.sleep(1)
    return (busy_seconds() - before) / os.cpu_count()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def ratios(rounds, metric, contender, base="direct"):
    """Round by round against the base in the same round, so that a slow minute is slow for both."""
    return spread([one[contender][metric] / one[base][metric] for one in rounds if one[base][metric]])


def summarize(rounds, metrics):
    """metric -> contender -> {"value": spread, "ratio": spread or None without the base}."""
    return {metric: {contender: {
        "value": spread([one[contender][metric] for one in rounds]),
        "ratio": ratios(rounds, metric, contender) if "direct" in rounds[0] else None}
        for contender in rounds[0]} for metric in metrics}


def print_table(title, summary, units):
    print(f"\n{title}: median (min - max) and the ratio to direct")
    width = max(len(name) for names in summary.values() for name in names)
    for metric, contenders in summary.items():
        print(f"  {metric} [{units[metric]}]")
        for contender, row in contenders.items():
            value, ratio = row["value"], row["ratio"]
            text = f"{value['median']:11.4g} ({value['min']:.4g} - {value['max']:.4g})"
            if ratio:
                text = f"{text:36} x {ratio['median']:.3f} ({ratio['min']:.3f} - {ratio['max']:.3f})"
            print(f"    {contender:{width}} {text}")
