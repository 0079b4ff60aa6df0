#!/usr/bin/python3
"""The API over TCP: this machine's programs reach it only if it is configured, others only with a token and TLS."""

import subprocess
import time

import support
from support import program, wait_for

TOKEN = "b3f0c7c1d2e94a5f8a6b7c8d9e0f1a2b"
PORT = 9876


class TcpListener(support.LabTest):
    def start(self, *options):
        self.lab.start_controller(*options)

    def refused(self, *options, pins=None):
        """Starts sluiced, which must refuse; returns its message."""
        result = self.lab.run("lb", program("sluiced"), "--state-dir", self.lab.state, "--socket", self.lab.socket,
                              "--pin-dir", pins or self.lab.pins, *options, check=False, timeout=20)
        self.assertNotEqual(0, result.returncode)
        (line,) = result.stderr.strip().splitlines()
        return line

    def files(self):
        """Returns the options for a token and a new certificate for the lab's address."""
        directory = self.lab.directory
        token = directory / "token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", directory / "key.pem", "-out", directory / "cert.pem", "-days", "1", "-subj", "/CN=lb",
                        "-addext", f"subjectAltName=IP:{support.LB_ADDRESS},IP:127.0.0.1"],
                       check=True, capture_output=True)
        return ["--token-file", token, "--tls-certificate", directory / "cert.pem", "--tls-key", directory / "key.pem"]

    def curl_status(self, host, *arguments):
        return self.lab.run(host, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", str(5 * support.PATIENCE), *arguments,
                            check=False).stdout

    def openstack(self, *arguments, **environment):
        words = ["env", "-i", "PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8",
                 *(f"{name}={value}" for name, value in environment.items()), "openstack", *arguments]
        return self.lab.run("lb", *words, check=False)

    def test_by_default_nothing_listens_on_tcp(self):
        self.start()
        self.assertEqual("", self.lab.run("lb", "ss", "-Hltn").stdout)

    def test_on_loopback_the_openstack_client_needs_no_token(self):
        if support.missing("openstack"):
            self.skipTest("the openstack client is not installed (python3-openstackclient, python3-octaviaclient)")
        self.start("--listen", f"127.0.0.1:{PORT}")
        self.lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", support.VIP)
        for endpoint in (f"http://127.0.0.1:{PORT}", f"http://127.0.0.1:{PORT}/v2.0"):
            result = self.openstack("loadbalancer", "show", "lb", "-f", "value", "-c", "vip_address",
                                    OS_AUTH_TYPE="none", OS_ENDPOINT=endpoint)
            self.assertEqual((0, support.VIP), (result.returncode, result.stdout.strip()), result.stderr)
        via_tcp = self.lab.run("lb", program("sluicectl"), "--endpoint", f"http://127.0.0.1:{PORT}", "lb", "list", "-f",
                               "value", "-c", "name")
        self.assertEqual("lb\n", via_tcp.stdout)
        self.assertIn("every user of this machine", self.lab.log("lb", "sluiced"))

    def test_beyond_loopback_a_token_and_tls_are_needed(self):
        self.start("--listen", f"{support.LB_ADDRESS}:{PORT}", *self.files())
        url = f"https://{support.LB_ADDRESS}:{PORT}/v2.0/lbaas/loadbalancers"
        trusting = ["--cacert", self.lab.directory / "cert.pem", url]
        self.assertEqual("401", self.curl_status("client", *trusting))
        self.assertEqual("401", self.curl_status("client", "-H", "X-Auth-Token: " + TOKEN[:-1], *trusting))
        self.assertEqual("200", self.curl_status("client", "-H", "X-Auth-Token: " + TOKEN, *trusting))
        self.assertEqual("000", self.curl_status("client", "-H", "X-Auth-Token: " + TOKEN, url.replace("https", "http")))
        self.assertNotIn(TOKEN, self.lab.log("lb", "sluiced"))
        ours = [program("sluicectl"), "--endpoint", url.removesuffix("/v2.0/lbaas/loadbalancers"), "lb", "list", "-f", "json"]
        trusted = ["--cacert", self.lab.directory / "cert.pem"]
        self.assertEqual("[]\n", self.lab.run("client", *ours, *trusted, "--token", TOKEN).stdout)
        for options, wanted in ((["--token", TOKEN], "--cacert"), (trusted, "X-Auth-Token")):
            result = self.lab.run("client", *ours, *options, check=False)
            self.assertEqual(1, result.returncode)
            self.assertIn(wanted, result.stderr)
        if support.missing("openstack"):
            self.skipTest("the openstack client is not installed (python3-openstackclient, python3-octaviaclient)")
        result = self.openstack("loadbalancer", "list", OS_AUTH_TYPE="admin_token", OS_TOKEN=TOKEN,
                                OS_ENDPOINT=f"https://{support.LB_ADDRESS}:{PORT}",
                                OS_CACERT=self.lab.directory / "cert.pem")
        self.assertEqual((0, "\n"), (result.returncode, result.stdout), result.stderr)

    def test_an_unsafe_start_is_refused_with_the_reason(self):
        files = self.files()
        self.assertIn("--token-file, --tls-certificate, --tls-key are missing", self.refused("--listen", "0.0.0.0:1"))
        self.assertIn("--tls-certificate, --tls-key are missing", self.refused("--listen", "0.0.0.0:1", *files[:2]))
        files[1].chmod(0o644)
        self.assertIn("chmod 600", self.refused("--listen", f"{support.LB_ADDRESS}:{PORT}", *files))
        self.assertFalse(self.lab.pins.exists(), "a refused start has touched the data plane")

    def test_a_second_sluiced_is_refused_before_it_touches_anything(self):
        self.start()
        pins = self.lab.pins.with_name(self.lab.pins.name + "-second")
        line = self.refused(pins=pins)
        self.assertIn(f"another sluiced answers on {self.lab.socket}", line)
        self.assertFalse(pins.exists())

    def test_metrics_are_for_everyone_who_reaches_the_address(self):
        self.start("--metrics", f"{support.LB_ADDRESS}:9101")
        self.lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", support.VIP)
        page = self.lab.run("client", "curl", "-s", f"http://{support.LB_ADDRESS}:9101/metrics").stdout
        self.assertIn('load_balancer="lb",vip="10.0.0.16",operating_status="ONLINE",provisioning_status="ACTIVE"} 1', page)
        self.assertIn("sluice_scrape_errors 0", page)
        self.assertRegex(page, r'sluice_event_loop_turn_cpu_seconds_bucket\{le="0.05"\} [1-9]')
        self.assertRegex(page, r"sluice_event_loop_longest_turn_cpu_seconds 0\.[0-9]")
        self.assertEqual("404", self.curl_status("client", f"http://{support.LB_ADDRESS}:9101/v2.0/lbaas/loadbalancers"))

    def test_slow_and_garbage_clients_do_not_keep_others_from_being_served(self):
        self.start("--listen", f"127.0.0.1:{PORT}")
        abuser = self.lab.spawn("lb", support.PYTHON, support.HERE / "abusive_client.py", "127.0.0.1", PORT, 8)
        wait_for(lambda: abuser.stdout.readline(), 10, "the abuse has begun")
        pid = self.lab.service_pid("lb", "sluiced")
        before = support.cpu_seconds(pid)
        times = []
        while abuser.poll() is None:
            begin = time.monotonic()
            status = self.curl_status("lb", f"http://127.0.0.1:{PORT}/v2.0/lbaas/loadbalancers")
            self.assertIn(status, ("200", "503"))
            self.assertEqual(0, self.lab.ctl("lb", "list").returncode, "the unix socket is served always")
            times.append(status)
            time.sleep(0.05)
        self.assertGreater(times.count("200"), len(times) * 0.8, times)
        self.assertLess(support.cpu_seconds(pid) - before, 6, "sluiced burned the CPU")
        self.assertLess(support.resident_mib(pid), 200)


if __name__ == "__main__":
    support.main()
