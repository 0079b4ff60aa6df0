#!/usr/bin/python3
"""The Debian package, from installation to purge, on a copy of this machine: an overlay of its file system with own
mounts, network and processes, so that nothing of the machine itself changes. systemd doesn't run there; what it is told
(which unit is enabled) is looked at."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import support

PACKAGE = support.ROOT / "tools/package"
CONFIGURATION = "/etc/sluice/sluiced.conf"
PIN_DIRECTORY = "/sys/fs/bpf/sluice"
UNIT = "/usr/lib/systemd/system/sluiced.service"
MOST_EXPOSED = 5.0  # systemd's score from 0 to 10: forwarding, raw sockets, BPF and pins are what Sluice is for
# Options of sluiced for a single start or for tests, which don't belong in the file.
NOT_CONFIGURED = {"config", "accept-older-state", "hash-password", "help", "version", "test-hook"}

# Mounts the copy and stays; its mounts end with it.
INIT = r"""set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount -t proc proc "$1/root/proc"
mount -t sysfs sysfs "$1/root/sys"
mount -t bpf bpf "$1/root/sys/fs/bpf"
mount -t tmpfs tmpfs "$1/root/run"
mount -t tmpfs tmpfs "$1/root/tmp"
mount --bind /dev "$1/root/dev"
echo ready
exec sleep infinity"""


class Machine:
    """A copy of this machine."""

    def __init__(self, directory):
        self.root = pathlib.Path(directory) / "root"
        self.child = None
        self.init = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", INIT, "sh", directory],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        first = self.init.stdout.readline().strip()
        if first != "ready":
            self.end()
            raise RuntimeError(f"no copy of this machine: {first}")
        self.child = child = pathlib.Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()[0]
        self.enter = ["nsenter", "-t", child, "--mount", "--net", "--pid", "chroot", str(self.root)]

    def run(self, *command, expect=0, **options):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(self.enter + list(command), text=True, capture_output=True, env=environment, **options)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def has(self, path):
        return self.run("test", "-e", path, expect=None).returncode == 0

    def start(self, *command):
        return subprocess.Popen(self.enter + list(command), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def end(self):
        if self.child is not None:
            os.kill(int(self.child), signal.SIGKILL)  # the first of its processes, which no other signal reaches
        self.init.wait(60)
        self.init.stdout.close()


def make_package(directory):
    """Makes the .deb of this build."""
    made = subprocess.run(["cpack", "-G", "DEB", "-D", f"CPACK_PACKAGE_DIRECTORY={directory}"], cwd=support.BUILD, text=True,
                          capture_output=True)
    if made.returncode != 0:
        raise RuntimeError(f"cpack: {made.stdout}{made.stderr}")
    return next(pathlib.Path(directory).glob("sluice_*.deb"))


def as_version(package, version):
    """Makes the same package with another version."""
    unpacked = package.with_suffix("")
    subprocess.run(["dpkg-deb", "-R", package, unpacked], check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
    other = package.with_name(f"sluice_{version}.deb")
    subprocess.run(["dpkg-deb", "-b", unpacked, other], check=True, stdout=subprocess.DEVNULL)
    return other


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="sluice-package-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.package = make_package(cls.directory.name)
        cls.newer = as_version(cls.package, "9.9.9")

    def setUp(self):
        mount_point = tempfile.mkdtemp(prefix="sluice-copy-")
        self.addCleanup(os.rmdir, mount_point)
        self.machine = Machine(mount_point)
        self.addCleanup(self.machine.end)
        # The copy must not have the machine's own Sluice.
        self.machine.run("rm", "-rf", "/etc/sluice", "/var/lib/sluice", "/etc/default/sluiced")

    def install(self, package):
        name = f"/tmp/{package.name}"
        with package.open("rb") as content:
            self.machine.run("sh", "-c", f"cat > {name}", stdin=content)
        return self.machine.run("dpkg", "-i", name)

    def start_controller(self, *command):
        controller = self.machine.start(*(command or ("sluiced", "--config", CONFIGURATION)))
        self.addCleanup(self.stop, controller)
        answers = lambda: self.machine.run("sluicectl", "loadbalancer", "list", expect=None).returncode == 0
        support.wait_for(answers, 10, "sluiced answers")
        return controller

    def stop(self, controller):
        # The process has another pid in there, so it is found by its name.
        self.machine.run("sh", "-c", "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" != sluiced ] || kill ${p#/proc/}; done",
                         expect=None)
        controller.communicate(timeout=10 * support.PATIENCE)

    def attach(self):
        self.machine.run("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "far0")
        self.machine.run("ip", "link", "set", "nic0", "up")
        self.machine.run("sluice-loader", "attach", "nic0")

    def has_program(self):
        return "xdp" in json.loads(self.machine.run("ip", "-j", "link", "show", "nic0").stdout)[0]

    def install_as_in_the_image(self):
        """Does what the Containerfile says, and returns the command of such a container."""
        command = None
        for line in (PACKAGE / "Containerfile").read_text().replace("\\\n", "").splitlines():
            word, _, rest = line.partition(" ")
            if word == "COPY":
                self.assertEqual("sluice_*.deb /tmp/", rest)
                with self.package.open("rb") as content:
                    self.machine.run("sh", "-c", f"cat > /tmp/{self.package.name}", stdin=content)
            elif word == "RUN":
                self.machine.run("sh", "-c", rest)
            elif word == "ENTRYPOINT":
                command = json.loads(rest)
            else:
                self.assertIn(word, ("#", "FROM", "VOLUME"))
        return command

    def test_the_package_installs_runs_and_leaves_nothing_when_it_is_purged(self):
        command = self.install_as_in_the_image()
        self.assertFalse(self.machine.has("/etc/sluice/token"), "else all containers had the same one")
        for name in ["sluiced", "sluicectl", "sluice-loader"]:
            self.assertRegex(self.machine.run(name, "--version").stdout, rf"^{name} \d+\.\d+\.\d+")
        self.machine.run("getent", "group", "sluice")
        self.assertTrue(self.machine.has("/etc/systemd/system/multi-user.target.wants/sluiced.service"))
        for name in ["prometheus/sluice.rules.yml", "prometheus/scrape.yml", "grafana/overview.json",
                     "grafana/load-balancer.json", "grafana/data-plane.json"]:
            self.assertTrue(self.machine.has(f"/usr/share/sluice/{name}"), name)
        controller = self.start_controller(*command, "--metrics", "127.0.0.1:9100")
        self.assertRegex(self.machine.run("cat", "/etc/sluice/token").stdout, "^[0-9a-f]{64}$")
        self.assertEqual("sluice", self.machine.run("stat", "-c", "%G", "/run/sluice/api.sock").stdout.strip())
        self.stop(controller)  # as systemd does

        self.machine.run("dpkg", "--purge", "sluice")
        for left in ["/usr/sbin/sluiced", "/usr/bin/sluicectl", "/usr/sbin/sluice-loader", "/var/lib/sluice", "/etc/sluice",
                     "/var/log/sluice", "/run/sluice", "/usr/share/sluice", PIN_DIRECTORY, "/etc/systemd/system/multi-user.target.wants/sluiced.service"]:
            self.assertFalse(self.machine.has(left), left)
        self.machine.run("getent", "group", "sluice", expect=2)

    def test_the_status_page_is_there_for_who_may_read_the_token(self):
        told = self.install(self.package)
        self.assertIn("/etc/sluice/token", told.stdout)
        self.assertEqual("640 root:sluice", self.machine.run("stat", "-c", "%a %U:%G", "/etc/sluice/token").stdout.strip())
        self.machine.run("ip", "link", "set", "lo", "up")
        self.start_as_the_unit_does_with_options_of_an_older_installation()
        self.assertIn("sluice_build_info", self.machine.run("curl", "-sS", "http://127.0.0.1:9100/metrics").stdout)

        def status(path, *headers):
            return self.machine.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *headers,
                                    f"http://127.0.0.1:9876{path}").stdout

        token = self.machine.run("cat", "/etc/sluice/token").stdout
        self.assertRegex(token, "^[0-9a-f]{64}$")
        self.assertEqual("200", status("/ui/"))
        self.assertEqual("401", status("/ui/data/snapshot"))
        self.assertEqual("401", status("/v2.0/lbaas/loadbalancers"))
        for path in ("/ui/data/snapshot", "/v2.0/lbaas/loadbalancers"):
            self.assertEqual("200", status(path, "-H", f"X-Auth-Token: {token}"))

        # An upgrade keeps the token.
        self.install(self.newer)
        self.assertEqual(token, self.machine.run("cat", "/etc/sluice/token").stdout)

    def start_as_the_unit_does_with_options_of_an_older_installation(self):
        unit = self.machine.run("cat", UNIT).stdout
        environment = re.search(r"^EnvironmentFile=-(.*)$", unit, flags=re.M).group(1)
        command = re.search(r"^ExecStart=(.*)$", unit, flags=re.M).group(1)
        self.machine.run("sh", "-c", f"echo 'SLUICED_OPTIONS=\"--metrics 127.0.0.1:9100\"' > {environment}")
        self.start_controller("sh", "-c", f". {environment}; exec {command}")

    def test_its_unit_is_confined(self):
        if support.missing("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        self.install(self.package)
        told = self.machine.run("systemd-analyze", "security", "--offline=yes", f"--threshold={round(MOST_EXPOSED * 10)}", UNIT,
                                expect=None)
        self.assertEqual(0, told.returncode, told.stdout + told.stderr)
        self.assertIn("Overall exposure level", told.stdout)

    def test_nothing_of_the_build_is_left_in_it(self):
        unpacked = pathlib.Path(self.directory.name) / "all"
        subprocess.run(["dpkg-deb", "-x", self.package, unpacked], check=True)
        left = [file.relative_to(unpacked) for file in unpacked.rglob("*")
                if file.is_file() and os.fsencode(support.ROOT) in file.read_bytes()]
        self.assertEqual([], left)

    def test_an_upgrade_keeps_traffic_going_and_the_operators_configuration(self):
        self.install(self.package)
        self.attach()
        self.machine.run("sh", "-c", f"echo 'interface = nic0' >> {CONFIGURATION}")
        told = self.install(self.newer)
        self.assertNotIn("still the old one", told.stderr)
        self.assertTrue(self.has_program())
        self.assertIn("interface = nic0", self.machine.run("cat", CONFIGURATION).stdout)
        self.assertIn("9.9.9", self.machine.run("dpkg-query", "-W", "sluice").stdout)

    def test_removal_takes_the_program_off_the_nics_and_says_so_but_keeps_the_state(self):
        self.install(self.package)
        self.attach()
        controller = self.start_controller()
        self.machine.run("sluicectl", "loadbalancer", "create", "--name", "kept", "--vip-address", "192.0.2.16")
        self.stop(controller)
        told = self.machine.run("dpkg", "--remove", "sluice")
        self.assertIn("takes its program off the NICs", told.stdout)
        self.assertFalse(self.has_program())
        self.assertFalse(self.machine.has(PIN_DIRECTORY))

        self.install(self.package)
        self.start_controller()
        self.assertIn("kept", self.machine.run("sluicectl", "loadbalancer", "list").stdout)

    def test_the_configuration_that_comes_with_it_names_every_option(self):
        told = subprocess.run([support.program("sluiced"), "--help"], text=True, capture_output=True, check=True).stdout
        options = set(re.findall(r"^  (?:-h \[ )?--([a-z0-9-]+)", told, flags=re.M)) - NOT_CONFIGURED
        named = set(re.findall(r"^#?([a-z0-9-]+) = ", (PACKAGE / "sluiced.conf").read_text(), flags=re.M))
        self.assertEqual(options, named)

    def test_lintian_finds_no_error(self):
        if support.missing("lintian"):
            self.skipTest("lintian is not installed (scripts/install-deps --package)")
        found = subprocess.run(["lintian", "--fail-on", "error", self.package], text=True, capture_output=True)
        self.assertEqual(0, found.returncode, found.stdout)


if __name__ == "__main__":
    for tool in ["cpack", "dpkg-shlibdeps", "unshare", "nsenter"]:
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is not installed (scripts/install-deps --package)")
            sys.exit(support.SKIPPED)
    support.main()
