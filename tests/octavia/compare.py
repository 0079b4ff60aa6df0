#!/usr/bin/python3
"""Sends the same requests to Sluice and to the real service and compares the answers.

    compare.py                 the API over a data plane in memory that can do everything, and the answers that the
                               real service once gave (answers.json.xz): needs neither root nor octavia-api
    compare.py --live          the real service itself
    compare.py --record        the real service, whose answers are kept
    compare.py --sluiced       sluiced itself (root: it loads its data plane, in a namespace of its own); always live
    compare.py --section NAME  only that part of corpus.py; may be given many times
    compare.py --verbose       every request with its two status codes

Answers are equal when status codes are, and bodies up to ids, times and the order of tags and of the words in
"Value should be one of: ...". What differs on purpose stands in differences.yaml, with the reason. Exit code 0: all
other answers are equal, and no entry there is out of date; 1 otherwise; 77: octavia-api is not installed.
"""

import argparse
import collections
import fnmatch
import importlib.util
import json
import os
import pathlib
import re
import sys

import yaml

import corpus
import recording
import services

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$")
LISTING = re.compile(r"(Value should be one of: |Unknown attributes for argument [\w.]+: )([^()]*)")


def sorted_words(match):
    return match[1] + ", ".join(sorted(match[2].split(", ")))


def normal(value, names):
    """Normalizes a value: ids by name (or as <id>), times as <time>, tags and listed words in order."""
    if isinstance(value, dict):
        return {key: sorted(entry) if key == "tags" and entry else normal(entry, names)
                for key, entry in value.items()}
    if isinstance(value, list):
        return [normal(entry, names) for entry in value]
    if not isinstance(value, str):
        return value
    if TIME.match(value):
        return "<time>"
    value = UUID.sub(lambda id: id[0] if id[0] in corpus.KEPT else f"<{names.get(id[0], 'id')}>", value)
    value = re.sub(r"http://[^/]+", "http://host", value)
    return LISTING.sub(sorted_words, value)


def differing(ours, theirs, path=""):
    """Yields (path, ours, theirs) for each place in which two bodies differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            place = f"{path}.{key}" if path else key
            yield from differing(ours.get(key, "<absent>"), theirs.get(key, "<absent>"), place)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs)):
            yield from differing(*pair, f"{path}.{index}")
    elif ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
        yield path, ours, theirs


class Rule:
    """One entry of differences.yaml, which explains some differences."""

    def __init__(self, entry):
        self.reason = entry["reason"]
        self.where = entry.get("where", "*")  # glob on the place in the body; "status" for the status code
        self.request = re.compile(entry["request"]) if "request" in entry else None
        self.ours = self.pattern(entry, "ours")
        self.theirs = self.pattern(entry, "theirs")
        self.only = entry.get("only")  # "sluiced" or "api": the mode in which it applies
        self.used = 0

    @staticmethod
    def pattern(entry, key):
        return re.compile(str(entry[key])) if key in entry else None

    def explains(self, request, place, ours, theirs):
        fits = fnmatch.fnmatchcase(place, self.where)
        fits = fits and (not self.request or self.request.search(request))
        for pattern, value in ((self.ours, ours), (self.theirs, theirs)):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            fits = fits and (not pattern or pattern.search(text))
        self.used += bool(fits)
        return bool(fits)


class Side:
    def __init__(self, service):
        self.service = service
        self.ids, self.names = {}, {}  # both ways

    def fill(self, text):
        return re.sub(r"\{(\w+)\}", lambda name: self.ids[name[1]], text)

    def knows(self, text):
        return all(name in self.ids for name in re.findall(r"\{(\w+)\}", text))

    def send(self, method, path, body):
        if body is None or isinstance(body, str):
            return self.service.send(method, self.fill(path), body)
        return self.service.send(method, self.fill(path), self.fill_all(body))

    def fill_all(self, value):
        if isinstance(value, dict):
            return {key: self.fill_all(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.fill_all(entry) for entry in value]
        return self.fill(value) if isinstance(value, str) and re.fullmatch(r"\{\w+\}", value) else value

    def remember(self, name, body):
        id = next(iter(body.values()))["id"]
        self.ids[name], self.names[id] = id, name

    def undo(self, path, body):
        id = next(iter(body.values()))["id"]
        path = self.fill(path).split("?")[0]
        cascade = "?cascade=true" if path.endswith("loadbalancers") else ""
        self.service.send("DELETE", f"{path}/{id}{cascade}")


class Comparison:
    def __init__(self, ours, theirs, rules, verbose):
        self.sides = [Side(ours), Side(theirs)]
        self.rules = rules
        self.verbose = verbose
        self.counts = collections.Counter()

    def ask(self, method, path, body=None, save=None, undo=False):
        text = path + json.dumps(body) if not isinstance(body, str) else path
        if not all(side.knows(text if "{" in path or not isinstance(body, str) else path) for side in self.sides):
            self.counts["skipped"] += 1
            return
        answers = [side.send(method, path, body) for side in self.sides]
        shown = body if body is None or isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        self.judge(f"{method} {path} {shown or ''}".strip(), answers)
        made = [status == 201 for status, _ in answers]
        for side, (_, content), created in zip(self.sides, answers, made):
            if created and save and all(made):
                side.remember(save, content)
            elif created and (undo or save):
                side.undo(path, content)

    def judge(self, request, answers):
        (our_status, ours), (their_status, theirs) = answers
        if self.verbose:
            print(f"{our_status} {their_status} {request[:160]}")
        self.counts["requests"] += 1
        if our_status != their_status:
            found = [("status", f"{our_status} {self.fault(ours)}", f"{their_status} {self.fault(theirs)}")]
        else:
            found = list(differing(normal(ours, self.sides[0].names), normal(theirs, self.sides[1].names)))
        unexplained = [difference for difference in found if not self.explained(request, *difference)]
        self.counts["equal" if not found else "explained" if not unexplained else "different"] += 1
        if unexplained:
            print(f"\n{request[:300]}")
        for place, left, right in unexplained:
            print(f"  {place}\n    ours:   {json.dumps(left, ensure_ascii=False)[:400]}"
                  f"\n    theirs: {json.dumps(right, ensure_ascii=False)[:400]}")

    @staticmethod
    def fault(body):
        return body.get("faultstring", "") if isinstance(body, dict) else ""

    def explained(self, request, place, ours, theirs):
        return any([rule.explains(request, place, ours, theirs) for rule in self.rules])


def compare(service, oracle, sections, verbose):
    """Goes through the sections; answers the exit code."""
    mode = "api" if service is services.ApiOnly else "sluiced"
    entries = yaml.safe_load((HERE / "differences.yaml").read_text()) or []
    rules = [rule for rule in map(Rule, entries) if rule.only in (None, mode)]
    with service() as ours, oracle as theirs:
        comparison = Comparison(ours, theirs, rules, verbose)
        for section in sections:
            theirs.begin(section.__name__)
            section(corpus.Section(comparison.ask))
    counts = comparison.counts
    print(f"{counts['requests']} requests: {counts['equal']} equal, {counts['explained']} with intended differences, "
          f"{counts['different']} different, {counts['skipped']} not sent")
    complete = mode == "api" and sections == corpus.SECTIONS  # sluiced refuses what some entries are about
    stale = [rule.reason for rule in rules if not rule.used] if complete else []
    for reason in stale:
        print(f"differences.yaml: nothing differs like that any more: {reason}")
    return 1 if counts["different"] or stale else 0


def skip_reason(service, live):
    if live and importlib.util.find_spec("octavia") is None:
        return "octavia-api is not installed (run: sudo scripts/install-deps --octavia)"
    if service is services.Sluiced and os.geteuid() != 0:
        return "needs root: sluiced loads its data plane (run without --sluiced, or as root)"
    program = {services.Sluiced: "tools/sluiced/sluiced", services.ApiOnly: "tests/octavia/api_server"}[service]
    if not (services.BUILD / program).exists():
        return f"{services.BUILD / program} is not built (run: scripts/build)"
    return None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--sluiced", action="store_true")
    parser.add_argument("--section", action="append", choices=[section.__name__ for section in corpus.SECTIONS])
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if options.record and (options.section or options.sluiced):
        parser.error("--record keeps the answers to all sections as --live asks for them: without --section, --sluiced")
    return options


def main():
    options = arguments()
    service = services.Sluiced if options.sluiced else services.ApiOnly
    live = options.live or options.record or options.sluiced
    reason = skip_reason(service, live)
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    sections = [section for section in corpus.SECTIONS
                if not options.section or section.__name__ in options.section]
    oracle = recording.Recorder() if live else recording.Replay()
    try:
        status = compare(service, oracle, sections, options.verbose)
    except recording.OutOfDate as reason:
        print(f"The recording of the real service's answers is out of date: {reason}. Either corpus.py has changed, "
              "or Sluice has refused or allowed something unlike before. "
              "tests/octavia/compare.py --live shows which, --record makes a new recording.")
        return 1
    if options.record:
        oracle.keep()
    return status


if __name__ == "__main__":
    sys.exit(main())
