"""The two services under comparison, each started in a directory of its own: `with Oracle() as service:`.

`service.send(method, path, body)` answers (status, body): parsed JSON, text that is none, or None.
"""

import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import network

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from unix_http import UnixConnection  # noqa: E402

ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/dev"))
PYTHON = "/usr/bin/python3"  # Debian's: the one that has octavia


class Service:
    """A process that serves the API; subclasses define the process and the way to reach it."""

    seconds_to_start = 60

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-compare-"))
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.clean_up()
        shutil.rmtree(self.directory)

    def clean_up(self):
        pass

    def wait_until_it_answers(self):
        deadline = time.monotonic() + self.seconds_to_start
        while True:
            try:
                if self.send("GET", "/")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not start:\n{(self.directory / 'log').read_text()}")
            time.sleep(0.1)

    def send(self, method, path, body=None, headers=None):
        """Sends a request. `body`: text as it is, anything else as JSON."""
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        connection = self.connection()
        try:
            connection.request(method, path, text, {"Accept": "application/json",
                                                    "Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            content = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(content) if content else None
        except ValueError:
            return answer.status, content


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Oracle(Service):
    name = "octavia-api"

    def command(self):
        self.port = free_port()
        return [PYTHON, HERE / "oracle.py", "--port", str(self.port), "--directory", self.directory]

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


class OverUnixSocket(Service):
    def connection(self):
        return UnixConnection(self.directory / "api.sock")


def subnet_options():
    for subnet in network.SUBNETS:
        yield "--subnet"
        yield (f"{subnet['name']},network=private,cidr={subnet['cidr']},gateway={subnet['gateway_ip']},"
               f"id={subnet['id']},network-id={subnet['network_id']}")


class Sluiced(OverUnixSocket):
    """The daemon itself with a data plane of its own, in a private network namespace."""

    name = "sluiced"

    def command(self):
        self.pins = pathlib.Path("/sys/fs/bpf") / self.directory.name
        daemon = [BUILD / "tools/sluiced/sluiced", "--state-dir", self.directory / "state", "--socket",
                  self.directory / "api.sock", "--pin-dir", self.pins, "--flows", "1024", "--project-id",
                  network.PROJECT, *subnet_options()]
        return ["unshare", "--net", "--", *map(str, daemon)]

    def clean_up(self):
        shutil.rmtree(self.pins, ignore_errors=True)


class ApiOnly(OverUnixSocket):
    """The API over a data plane in memory that can do everything."""

    name = "api_server"

    def command(self):
        return [BUILD / "tests/octavia/api_server", "--directory", self.directory, "--project-id",
                network.PROJECT, *subnet_options()]
