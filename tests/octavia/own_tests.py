#!/usr/bin/python3
"""Runs the functional tests that Octavia has of its own API against Sluice's, and prints how many pass.

    own_tests.py                  all of them, some minutes
    own_tests.py --group NAME     only those of test_NAME.py: load_balancer, listener, pool, member, ...
    own_tests.py --only PATTERN   only tests whose name matches this regular expression; prints why they fail
    own_tests.py --reasons        the reason for each test that does not pass, and how it fails

The tests come from Debian's python3-octavia. They talk to a WSGI application and, instead of a provider, write into its
database; here the application is an adapter that sends each request to Sluice, and the provider's part is played by
letting Sluice apply what it has held back. own_tests.yaml has the reason for each test that may fail. Exit code 0: all
others pass, and each of these fails; 1 otherwise; 77: python3-octavia or python3-oslotest is not installed.
"""

import argparse
import collections
import importlib
import inspect
import json
import pathlib
import re
import signal
import sys
import time
import unittest

import yaml

import services

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
GROUPS = ["load_balancer", "listener", "pool", "member", "health_monitor", "provider", "quotas"]

# The tests take an id of a subnet or network that nobody knows, since Octavia's no-op network service knows any. Here
# the adapter gives each one of these in its place. The first three have the addresses that tests ask for.
PREFIXES = ["10.0.0.0/8", "2001:db8::/32", "198.51.100.0/24"] + [f"172.16.{n}.0/24" for n in range(60)]
ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def made_id(kind, number):
    return f"{kind}0000000-0000-4000-8000-{number:012}"


def gateway(prefix):
    return prefix.split("/")[0][:-1] + ("1" if "." in prefix else ":1")


def own_attributes():
    """The attributes that are Sluice's own, which the tests don't expect."""
    return {rule["where"].strip("*") for rule in yaml.safe_load((HERE / "differences.yaml").read_text())
            if rule.get("theirs") == "^<absent>$"}


class HoldingApi(services.ApiOnly):
    """The API over a data plane in memory; what changes stays PENDING_* until it is let go."""

    def command(self):
        command = [services.BUILD / "tests/octavia/api_server", "--directory", self.directory, "--project-id",
                   "00000000000000000000000000000000", "--hold"]
        for number, prefix in enumerate(PREFIXES):
            command += ["--subnet", f"s{number},network=n{number},cidr={prefix},gateway={gateway(prefix)},"
                                    f"id={made_id('a', number)},network-id={made_id('b', number)}"]
        return command

    def wait_until_it_answers(self):
        deadline = time.monotonic() + self.seconds_to_start
        while True:  # without the base's long pauses: this starts hundreds of times
            try:
                return self.send("GET", "/")
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def let_go(self):
        self.process.send_signal(signal.SIGUSR1)


class Adapter:
    """A WSGI application that sends each request to Sluice, with its names for subnets, ports and the provider."""

    def __init__(self, service):
        self.service = service
        self.theirs = {}  # Sluice's id of a subnet, network or port -> the test's
        self.reported = set()  # ids of the objects that the tests' provider has said to be ONLINE
        self.free = list(range(len(PREFIXES)))
        self.own = own_attributes()

    def place(self, balancer):
        """Gives a load balancer one of the subnets that Sluice has in place of the test's."""
        wanted = {key: balancer.get(key) for key in ("vip_subnet_id", "vip_network_id")}
        wanted = {key: value for key, value in wanted.items() if isinstance(value, str) and ID.fullmatch(value)}
        port = balancer.get("vip_port_id")
        if not wanted and not port:
            return
        address = str(balancer.get("vip_address") or "")
        known = [our for our, their in self.theirs.items() if their in wanted.values()]
        number = int(known[0][-12:]) if known else self.number_for(address)
        for key, value in wanted.items():
            kind = "a" if key == "vip_subnet_id" else "b"
            balancer[key] = made_id(kind, number)
            self.theirs[made_id(kind, number)] = value
        if isinstance(port, str) and ID.fullmatch(port):  # Sluice makes ports itself
            del balancer["vip_port_id"]
            balancer.setdefault("vip_subnet_id", made_id("a", number))

    def number_for(self, address):
        number = next(n for n in self.free
                      if PREFIXES[n].split(".")[0].split(":")[0] == re.split("[.:]", address.lower() or "172.")[0])
        if number > 2:
            self.free.remove(number)
        return number

    def translated(self, body):
        balancer = body.get("loadbalancer") if isinstance(body, dict) else None
        if isinstance(balancer, dict):
            self.place(balancer)
            if balancer.get("provider") == "noop_driver":
                balancer["provider"] = "sluice"
        return body

    def note_tree(self, balancer):
        """Has the load balancer and all that is in it now be ONLINE from now on, as the tests' provider does."""
        def under(path, key):
            found = self.service.send("GET", f"/v2/lbaas/{path}")[1].get(key, [])
            self.reported.update(one["id"] for one in found)
            return found

        self.reported.add(balancer)
        under(f"listeners?loadbalancer_id={balancer}", "listeners")
        for pool in under(f"pools?loadbalancer_id={balancer}", "pools"):
            under(f"pools/{pool['id']}/members", "members")
            self.reported.add(pool.get("healthmonitor_id"))

    def as_theirs(self, value):
        if isinstance(value, dict):
            for name in self.own & value.keys():
                del value[name]
            if value.get("id") in self.reported and "operating_status" in value:
                value["operating_status"] = "ONLINE"
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                self.as_theirs(one)

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
        port = None
        if body:
            try:
                parsed = json.loads(body)
                port = parsed["loadbalancer"].get("vip_port_id") if "loadbalancer" in parsed else None
                body = json.dumps(self.translated(parsed))
            except (ValueError, AttributeError, TypeError):
                pass
        path = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"] if environ["QUERY_STRING"] else "")
        status, answer = self.service.send(environ["REQUEST_METHOD"], path, body or None,
                                           {"Host": environ["HTTP_HOST"]})
        self.as_theirs(answer)
        if status == 201 and port:
            self.theirs[answer["loadbalancer"]["vip_port_id"]] = port
        text = "" if answer is None else answer if isinstance(answer, str) else json.dumps(answer)
        for our, their in self.theirs.items():
            text = text.replace(our, their)
        text = text.replace('"provider": "sluice"', '"provider": "noop_driver"')
        start_response(f"{status} X", [("Content-Type", "application/json")] if text else [])
        return [text.encode()]


class OutOfReach(Exception):
    """The test writes into Octavia's database what no provider would."""


def adapt(base):
    """Has Octavia's base class of tests talk to Sluice."""
    import webtest
    from octavia.common import constants
    from octavia.tests.functional.db import base as with_database
    from oslotest import base as plain

    def make_app(test):
        service = HoldingApi()
        test.service = service.__enter__()
        test.addCleanup(service.__exit__)
        test.adapter = Adapter(service)
        return webtest.TestApp(test.adapter, lint=False)

    def settle(test, lb_id):
        """Plays the provider, which ends what is under way."""
        test.service.let_go()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            code, answer = test.service.send("GET", f"/v2/lbaas/loadbalancers/{lb_id}")
            if code == 404 or not answer["loadbalancer"]["provisioning_status"].startswith("PENDING"):
                break

    def set_lb_status(test, lb_id, status=None):
        if status not in (None, constants.ACTIVE, constants.DELETED):
            raise OutOfReach(f"a load balancer's status is set to {status}")
        settle(test, lb_id)
        if status == constants.DELETED:
            test.service.send("DELETE", f"/v2/lbaas/loadbalancers/{lb_id}?cascade=true")
            return settle(test, lb_id)
        test.adapter.note_tree(lb_id)
        return test.get(test.LB_PATH.format(lb_id=lb_id)).json

    def set_object_status(*_, **__):
        raise OutOfReach("an object's status is set")

    def start_quota_mock(test, kind):
        """Has the project's quota be used up."""
        noun = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
        test.put(f"/lbaas/quotas/{test.project_id}", {"quota": {noun: 0}}, status=202)

    with_database.OctaviaDBTestBase.setUp = lambda test, *_: plain.BaseTestCase.setUp(test)
    base._make_app = make_app
    base.set_lb_status = set_lb_status
    base.set_object_status = staticmethod(set_object_status)
    base.start_quota_mock = start_quota_mock


class Reasons:
    """own_tests.yaml: why tests may fail, by their names, by what they call, and by how they fail."""

    def __init__(self):
        self.entries = yaml.safe_load((HERE / "own_tests.yaml").read_text())
        for entry in self.entries:
            entry["tests_found"] = []

    def of(self, name, source, failure):
        for entry in self.entries:
            if any(re.search(entry.get(key, ""), text) is None
                   for key, text in (("test", name), ("source", source), ("failure", failure))):
                continue
            entry["tests_found"].append(name)
            return entry["reason"]
        return None

    def unused(self):
        return [entry["reason"] for entry in self.entries
                if not entry["tests_found"] and not entry.get("sometimes")]


class Result(unittest.TestResult):
    """Keeps the last words of each failure."""

    def __init__(self):
        super().__init__()
        self.failed, self.passed, self.skips = {}, [], []

    def last_words(self, error):
        text = str(error[1]).strip()
        return re.split(r"\n(?:  .*\n)+(?=\S)", "\n" + text)[-1][:2000]  # what stands behind the traceback

    def addSuccess(self, test):
        self.passed.append(test)

    def addFailure(self, test, error):
        self.failed[name_of(test)] = (test, self.last_words(error))

    addError = addFailure

    def addSkip(self, test, reason):
        self.skips.append(test)


def name_of(test):
    return test.id().split("test_", 1)[1]


def tests_of(group, only):
    module = importlib.import_module(f"octavia.tests.functional.api.v2.test_{group}")
    for suite in unittest.defaultTestLoader.loadTestsFromModule(module):
        for test in suite:
            if re.search(only, name_of(test)):
                yield test


def source_of(test):
    return inspect.getsource(getattr(type(test), test._testMethodName))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--group", action="append", choices=GROUPS)
    parser.add_argument("--only", default="")
    parser.add_argument("--reasons", action="store_true")
    options = parser.parse_args()
    try:
        from octavia.tests.functional.api.v2 import base
        importlib.import_module("oslotest.base")
    except ImportError as missing:
        print(f"skipped: {missing} (sudo scripts/install-deps --octavia)")
        return SKIPPED
    adapt(base.BaseAPITest)

    reasons = Reasons()
    counts = collections.Counter()
    bad = False
    for group in options.group or GROUPS:
        result = Result()
        for test in tests_of(group, options.only):
            test.run(result)
        why = collections.Counter()
        for name, (test, failure) in result.failed.items():
            reason = reasons.of(name, source_of(test), failure)
            why[reason or "no reason is known"] += 1
            bad |= reason is None
            if options.reasons or options.only or reason is None:
                shown = 1500 if options.only or reason is None else 100
                print(f"{name}: {reason or 'fails'}\n    {failure[:shown]}")
        counts["passed"] += len(result.passed)
        counts["failed"] += len(result.failed)
        print(f"{group}: {len(result.passed)} of {len(result.passed) + len(result.failed)} pass" +
              "".join(f"\n    {number:3} {reason}" for reason, number in why.most_common()), flush=True)
    print(f"{counts['passed']} of {counts['passed'] + counts['failed']} pass")
    if not options.group and not options.only:
        for reason in reasons.unused():
            print(f"own_tests.yaml: no test fails for this reason: {reason}")
            bad = True
    return bad


if __name__ == "__main__":
    sys.exit(main())
