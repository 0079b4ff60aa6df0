#!/usr/bin/python3
"""Three nodes with one desired state, in three etcds that ask for a certificate, a user and a password.

    switch ─┬─ lb1 10.0.0.11: Sluice and an etcd
            ├─ lb2 10.0.0.12: the same
            └─ lb3 10.0.0.13: the same
"""

import concurrent.futures
import json
import subprocess
import sys

import support
from hosts import HostsTest
from support import program, wait_for
from unix_http import UnixConnection

sys.path.insert(0, str(support.ROOT / "tests/monitoring"))
import shipped

NODES = {"lb1": 11, "lb2": 12, "lb3": 13}
SUBNET = "9e4daf63-0000-4000-8000-000000000001"
QUOTA = 4 << 20  # of etcd, so that it is full soon
MEMBERS = ",".join(f"https://10.0.0.{number}:2379" for number in NODES.values())


class Fleet(HostsTest):
    SUBJECT, SWITCH, NODES = "fleet", "switch", NODES

    def setUp(self):
        for tool in ("etcd", "etcdctl", "openssl"):
            if support.missing(tool):
                self.skipTest(f"{tool} is not installed (run: sudo scripts/install-deps --routing)")
        self.make_hosts()
        for host, number in NODES.items():
            self.address(host, "eth0", f"10.0.0.{number}/24")
            self.attach(host)

    def make_certificates(self):
        """A CA, a certificate for the members, and one without a common name for Sluice."""
        addresses = ",".join(f"IP:10.0.0.{number}" for number in NODES.values())

        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=self.directory, check=True, capture_output=True)

        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=fleet", "-keyout", "ca.key", "-out", "ca.pem")
        for name, subject, usage in (("member", "/CN=member", f"subjectAltName={addresses}"),
                                     ("sluice", "/O=sluice", "extendedKeyUsage=clientAuth")):
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                    "-keyout", f"{name}.key", "-out", f"{name}.csr")
            (self.directory / f"{name}.ext").write_text(usage + "\n")
            openssl("x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-in", f"{name}.csr",
                    "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        credentials = self.directory / "credentials"
        credentials.write_text("sluice:secret\n")
        credentials.chmod(0o600)

    def start_etcd(self, host):
        url = f"10.0.0.{NODES[host]}"
        cluster = ",".join(f"{name}=http://10.0.0.{number}:2380" for name, number in NODES.items())
        # On a busy machine a leader that is silent for a second need not be dead.
        self.spawn(f"etcd-{host}", host, "etcd", "--name", host, "--data-dir", self.directory / f"etcd-{host}",
                   "--listen-client-urls", f"https://{url}:2379", "--advertise-client-urls", f"https://{url}:2379",
                   "--listen-peer-urls", f"http://{url}:2380", "--initial-advertise-peer-urls", f"http://{url}:2380",
                   "--initial-cluster", cluster, "--heartbeat-interval", "200", "--election-timeout", "2000",
                   "--max-txn-ops", "4096", "--max-request-bytes", "8388608", "--quota-backend-bytes", QUOTA, "--client-cert-auth",
                   "--trusted-ca-file", self.directory / "ca.pem", "--cert-file", self.directory / "member.pem",
                   "--key-file", self.directory / "member.key", "--log-level", "error")

    def etcdctl_command(self, *words):
        keys = ["--cacert", self.directory / "ca.pem", "--cert", self.directory / "sluice.pem", "--key",
                self.directory / "sluice.key"]
        return self.command("lb1", "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", MEMBERS, *keys, *words)

    def etcdctl(self, *words, check=True):
        done = subprocess.run(self.etcdctl_command(*words), text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=60 * support.PATIENCE)
        if check and done.returncode != 0:
            raise AssertionError(f"etcdctl {words}: {done.stdout}{done.stderr}")
        return done.stdout

    def as_root(self, *words, check=True):
        return self.etcdctl("--user", "root:root", *words, check=check)

    def fill_etcd(self):
        """Writes until etcd takes nothing any more."""
        value = self.directory / "value"
        value.write_text("x" * 1_400_000)
        for number in range(QUOTA // 1_400_000 + 2):
            with open(value) as text:
                subprocess.run(self.etcdctl_command("--user", "root:root", "put", f"/fill/{number}"), stdin=text, capture_output=True,
                               timeout=60 * support.PATIENCE, check=False)
        self.assertIn("NOSPACE", self.as_root("alarm", "list"))

    def empty_etcd(self):
        self.as_root("del", "--prefix", "/fill/")
        status = json.loads(self.as_root("endpoint", "status", "--write-out=json"))
        self.as_root("compact", str(max(one["Status"]["header"]["revision"] for one in status)))
        self.as_root("defrag")
        self.as_root("alarm", "disarm")

    def protect_etcd(self):
        """A user for Sluice, who has its keys and no others."""
        for words in ("user add root:root", "user grant-role root root", "role add sluice",
                      "role grant-permission sluice readwrite --prefix=true /sluice/", "user add sluice:secret",
                      "user grant-role sluice sluice", "auth enable"):
            self.etcdctl(*words.split())

    def start_sluiced(self, host):
        at = self.directory
        self.spawn(f"sluiced-{host}", host, program("sluiced"), "--node", host, "--state-dir", at / f"state-{host}", "--socket",
                   at / f"{host}.sock", "--pin-dir", self.pins(host), "--interface", "eth0", "--cluster", MEMBERS,
                   "--cluster-ca", at / "ca.pem", "--cluster-certificate", at / "sluice.pem", "--cluster-key", at / "sluice.key",
                   "--cluster-credentials", at / "credentials", "--subnet", f"net,cidr=10.0.0.0/24,range=10.0.0.16-10.0.0.99,id={SUBNET}",
                   "--peer-listen", f"10.0.0.{NODES[host]}")
        wait_for(lambda: self.answers(host), 10, f"sluiced answers on {host}")

    def answers(self, host):
        try:
            return self.ask(host, "GET", "/v1/cluster")[0] == 200
        except OSError:
            return False

    def metrics(self, host):
        return self.run_on(host, "curl", "-sS", "--unix-socket", self.directory / f"{host}.sock", "http://localhost/metrics")

    def ask(self, host, method, path, body=None):
        """Returns status, body and what X-Sluice-Fleet says."""
        connection = UnixConnection(self.directory / f"{host}.sock", timeout=60 * support.PATIENCE)
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer.getheader("X-Sluice-Fleet")
        finally:
            connection.close()

    def create(self, host, kind, **attributes):
        """Creates an object; while etcd elects a leader that may take several tries."""
        answer = {}

        def created():
            status, answer["body"], _ = self.ask(host, "POST", f"/v2.0/lbaas/{kind}s" if "/" not in kind else kind,
                                                 {kind.split("/")[-1].rstrip("s"): attributes})
            if status not in (201, 409, 503):
                raise AssertionError(f"{kind} at {host}: {status} {answer['body']}")
            return status == 201

        wait_for(created, 30, f"a {kind} is created at {host}")
        return next(iter(answer["body"].values()))

    def state(self, host):
        return self.ask(host, "GET", "/v1/cluster")[1]["cluster"]

    def wait_for_state(self, host, state):
        wait_for(lambda: self.state(host)["state"] == state, 30, f"{host} is {state}")

    def shown(self, host, path):
        return self.ask(host, "GET", f"/v2.0/lbaas/{path}")[1]

    def wait_for_active(self, path, *hosts):
        for host in hosts or NODES:
            def active(host=host):
                body = self.shown(host, path)
                return next(iter(body.values())).get("provisioning_status") == "ACTIVE"
            wait_for(active, 20, f"{path} is ACTIVE at {host}")

    def wait_for_peer_key(self, number):
        """All nodes have the key of this number alone, and understand each other."""
        for host in NODES:
            wait_for(lambda host=host: self.state(host)["peer_key"] == str(number), 30, f"{host} has key {number} of the peers")
            copy = self.directory / f"state-{host}" / "peer-keys"
            self.assertEqual(0o600, copy.stat().st_mode & 0o777)
            held = json.loads(copy.read_text())
            self.assertEqual((number, ""), (held["number"], held["older"]))
            wait_for(lambda host=host: self.peer_states(host) == ["FOLLOWING"] * 2, 30, f"{host} follows its peers")
        return held["newer"]

    def peer_states(self, host):
        return [peer["state"] for peer in self.ask(host, "GET", "/v1/peers")[1]["peers"]]

    def exchange_peer_key(self):
        """The first node has made a key; it is exchanged while all speak, and without etcd the copy is good."""
        first = self.wait_for_peer_key(1)
        self.ctl("lb2", "cluster", "rotate-peer-key")
        second = self.wait_for_peer_key(2)
        self.assertNotEqual(first, second)
        for host in NODES:
            refused = [peer["refused_datagrams"]["key"] for peer in self.ask(host, "GET", "/v1/peers")[1]["peers"]]
            self.assertEqual([0, 0], refused, host)

    def test_three_nodes_are_one_load_balancer(self):
        self.make_certificates()
        for host in NODES:
            self.start_etcd(host)
        wait_for(lambda: "OK" in self.etcdctl("put", "/ready", "1", check=False), 30, "etcd has a leader")
        self.protect_etcd()
        for host in NODES:
            self.start_sluiced(host)
        for host in NODES:
            self.wait_for_state(host, "FOLLOWING")
        wait_for(lambda: len(self.ask("lb1", "GET", "/v1/nodes")[1]["nodes"]) == 3, 20, "three nodes live")

        wait_for(lambda: "\nsluice_fleet_nodes 3\n" in self.metrics("lb2"), 20, "Prometheus is told of three nodes")
        self.assertEqual(shipped.of_fleets(shipped.documented()), shipped.of_fleets(shipped.found_in(self.metrics("lb2"))))

        self.exchange_peer_key()

        # What is created at one node is at all, and its VIP answered for by each node's data plane.
        balancer = self.create("lb1", "loadbalancer", name="web", vip_subnet_id=SUBNET)
        self.wait_for_active(f"loadbalancers/{balancer['id']}")
        listener = self.create("lb2", "listener", loadbalancer_id=balancer["id"], protocol="TCP", protocol_port=80)
        self.assertEqual(3, len(self.ask("lb2", "GET", "/v1/nodes")[1]["nodes"]))
        pool = self.create("lb3", "pool", listener_id=listener["id"], protocol="TCP", lb_algorithm="ROUND_ROBIN")
        self.wait_for_active(f"pools/{pool['id']}")
        for host in NODES:
            self.assertEqual(self.shown("lb1", f"loadbalancers/{balancer['id']}"),
                             self.shown(host, f"loadbalancers/{balancer['id']}"))

        # Three nodes change one pool at the same time, and allocate addresses: nothing is lost, and no address given twice.
        def change(number):
            host = list(NODES)[number % 3]
            self.create(host, f"/v2.0/lbaas/pools/{pool['id']}/members", address=f"10.0.1.{number}", protocol_port=80)
            return self.create(host, "loadbalancer", vip_subnet_id=SUBNET)["vip_address"]

        with concurrent.futures.ThreadPoolExecutor(6) as clients:
            vips = list(clients.map(change, range(1, 10)))
        self.assertEqual(9, len(set(vips)))
        for host in NODES:
            wait_for(lambda host=host: len(self.shown(host, f"pools/{pool['id']}/members")["members"]) == 9, 20, "all members")
            self.wait_for_active(f"pools/{pool['id']}", host)

        # etcd's leader dies.
        status = self.as_root("endpoint", "status", "--write-out=json")
        leader = next(one for one in json.loads(status)
                      if one["Status"]["leader"] == one["Status"]["header"]["member_id"])["Endpoint"]
        dead = next(host for host, number in NODES.items() if f"10.0.0.{number}:" in leader)
        self.end(f"etcd-{dead}")
        for host in NODES:
            another = self.create(host, "loadbalancer", vip_subnet_id=SUBNET, name=f"without-{dead}-{host}")
            self.wait_for_active(f"loadbalancers/{another['id']}")

        # Another one dies: no quorum. Reading goes on and is marked, changes are refused, and a node that starts serves.
        count = len(self.shown("lb1", "loadbalancers")["loadbalancers"])
        second = next(host for host in NODES if host != dead)
        self.end(f"etcd-{second}")
        for host in NODES:
            self.wait_for_state(host, "CUT_OFF")
        self.assertIn("\nsluice_fleet_following 0\n", self.metrics("lb1"))
        status, body, marked = self.ask("lb1", "GET", "/v2.0/lbaas/loadbalancers")
        self.assertEqual((200, count, "CUT_OFF"), (status, len(body["loadbalancers"]), marked))
        status, body, _ = self.ask("lb2", "POST", "/v2.0/lbaas/loadbalancers", {"loadbalancer": {"vip_subnet_id": SUBNET}})
        self.assertEqual(503, status)
        self.assertIn(f"10.0.0.{NODES[dead]}:2379: ", body["faultstring"])
        self.end("sluiced-lb3")
        self.start_sluiced("lb3")
        self.wait_for_state("lb3", "CUT_OFF")
        self.assertEqual(count, len(self.shown("lb3", "loadbalancers")["loadbalancers"]))
        self.wait_for_active(f"pools/{pool['id']}", "lb3")

        # They come back, and so does everything else.
        self.start_etcd(dead)
        self.start_etcd(second)
        for host in NODES:
            self.wait_for_state(host, "FOLLOWING")
        last = self.create("lb3", "loadbalancer", vip_subnet_id=SUBNET, name="back")
        self.wait_for_active(f"loadbalancers/{last['id']}")

        # etcd is full: that is what the answer says, and what to do about it; then changes are taken again.
        self.fill_etcd()
        status, body, _ = self.ask("lb3", "POST", "/v2.0/lbaas/loadbalancers", {"loadbalancer": {"vip_subnet_id": SUBNET}})
        self.assertEqual(503, status)
        self.assertIn("etcd is full (NOSPACE): compact and defragment it, then etcdctl alarm disarm", body["faultstring"])
        self.empty_etcd()
        again = self.create("lb3", "loadbalancer", vip_subnet_id=SUBNET, name="room again")
        self.assertEqual(204, self.ask("lb3", "DELETE", f"/v2.0/lbaas/loadbalancers/{again['id']}")[0])

        # A node that dies is missed, and counts no more.
        self.end("sluiced-lb2")
        def gone():
            return [node["name"] for node in self.ask("lb1", "GET", "/v1/nodes")[1]["nodes"] if node["state"] == "GONE"]

        wait_for(lambda: gone() == ["lb2"], 30, "lb2 is missed")
        self.ask("lb1", "DELETE", f"/v2.0/lbaas/loadbalancers/{last['id']}")
        self.start_sluiced("lb2")
        wait_for(lambda: self.ask("lb2", "GET", f"/v2.0/lbaas/loadbalancers/{last['id']}")[0] == 404, 20, "lb2 has caught up")

        # Somebody removes all keys: nobody is wiped, and a node's state can be put back.
        self.as_root("del", "--prefix", "/sluice/")
        for host in NODES:
            self.wait_for_state(host, "REFUSED")
            self.assertEqual(count, len(self.shown(host, "loadbalancers")["loadbalancers"]))
        shown = self.ctl("lb1", "cluster", "status")
        self.assertIn("etcd is empty below /sluice/v1/", shown)
        self.ctl("lb1", "cluster", "restore")
        for host in NODES:
            self.wait_for_state(host, "FOLLOWING")
        after = self.create("lb2", "loadbalancer", vip_subnet_id=SUBNET, name="after")
        self.wait_for_active(f"loadbalancers/{after['id']}")


if __name__ == "__main__":
    support.main()
