#!/usr/bin/python3
"""Access to the API of the real daemon, its events about that, and clients that hold on to connections."""

import hashlib
import json
import resource
import socket
import time

import support
from support import wait_for

TOKENS = {"alice": ("admin", "", "alice-alice-alice-alice"),
          "ci": ("member", "projectofci", "ci-ci-ci-ci-ci-ci-ci-ci"),
          "grafana": ("reader", "", "look-look-look-look-look")}
PORT = 9876


class Access(support.LabTest):
    members = 1

    def start(self, *options):
        file = self.lab.directory / "tokens"
        file.write_text("".join(f"{name} {role} {project} sha256:{hashlib.sha256(token.encode()).hexdigest()}\n"
                                for name, (role, project, token) in TOKENS.items()))
        file.chmod(0o600)
        self.lab.attach()
        self.lab.start_controller("--listen", f"127.0.0.1:{PORT}", "--token-file", file, *options)

    def curl(self, path, *arguments, name=None):
        """Sends a request over TCP with the token of `name`; returns the status code."""
        token = ["-H", f"X-Auth-Token: {TOKENS[name][2]}"] if name else []
        return int(self.lab.run("lb", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *token, *arguments,
                                f"http://127.0.0.1:{PORT}{path}").stdout)

    def balancer(self, vip, name):
        body = json.dumps({"loadbalancer": {"vip_address": vip}})
        return self.curl("/v2.0/lbaas/loadbalancers", "-X", "POST", "-H", "Content-Type: application/json", "-d", body,
                         name=name)

    def test_roles_decide_and_everything_is_told(self):
        self.start()
        self.assertEqual(401, self.curl("/v2.0/lbaas/loadbalancers"))
        self.assertEqual(401, self.curl("/v2.0/lbaas/pools?token=mistaken-for-a-secret"))
        self.assertEqual(200, self.curl("/"), "versions are open to all")
        self.assertEqual(201, self.balancer("10.0.0.16", "alice"))
        self.assertEqual(201, self.balancer("10.0.0.17", "ci"))
        self.assertEqual(403, self.balancer("10.0.0.18", "grafana"))
        self.assertEqual(403, self.curl("/v1/flows", name="ci"))
        self.assertEqual(200, self.curl("/v1/flows", name="grafana"))
        self.assertEqual(403, self.curl("/v2.0/lbaas/loadbalancers", "-H", "Origin: http://evil.example", name="alice"))
        self.assertEqual(403, self.curl("/v2.0/lbaas/loadbalancers", "-H", "Host: evil.example", name="alice"))

        events = self.lab.rows("events")
        created = [(event["who"], event["message"].split()[0]) for event in events if event["kind"] == "change"]
        self.assertEqual([("alice", "created"), ("ci", "created")], created)
        self.assertEqual(["grafana", "ci"], [event["who"] for event in events if event["kind"] == "refused"])
        denied = [event for event in events if event["kind"] == "denied"]
        self.assertEqual(4, len(denied), denied)
        self.assertTrue(all(event["peer"].startswith("127.0.0.1:") for event in denied))
        self.assertTrue(any(event["kind"] == "attachment" for event in events))
        log = self.lab.log("lb", "sluiced")
        self.assertIn("-> 401: ", log)
        self.assertIn("alice (127.0.0.1:", log)
        told = json.dumps(events) + log
        for file in self.lab.state.glob("sluice.db*"):
            told += file.read_bytes().decode("latin-1")
        self.assertIn("created Load Balancer", told)
        for _, _, token in TOKENS.values():
            self.assertNotIn(token, told)
        self.assertNotIn("mistaken-for-a-secret", told)

    def test_watching_shows_what_happens(self):
        self.start()
        watch = self.lab.spawn("lb", support.program("sluicectl"), "--socket", self.lab.socket, "events", "--watch",
                               "--kind", "change")
        self.assertEqual(201, self.balancer("10.0.0.16", "alice"))
        line = watch.stdout.readline()
        self.assertIn("change", line)
        self.assertIn("alice (127.0.0.1:", line)
        self.assertIn("created Load Balancer", line)
        watch.terminate()


    def events(self, name, query=""):
        token = ["-H", f"X-Auth-Token: {TOKENS[name][2]}"]
        answer = self.lab.run("lb", "curl", "-sS", *token, f"http://127.0.0.1:{PORT}/v1/events{query}").stdout
        return json.loads(answer)["events"]

    def test_each_project_has_its_events_and_all_outlive_a_restart(self):
        self.start()
        self.assertEqual(201, self.balancer("10.0.0.16", "alice"))
        self.assertEqual(201, self.balancer("10.0.0.17", "ci"))
        self.assertEqual(400, self.balancer("nonsense", "ci"))
        before = self.events("alice")
        self.assertEqual([("change", "ci"), ("refused", "ci")],
                         [(event["kind"], event["who"]) for event in self.events("ci")])
        self.lab.stop("lb", "sluiced")
        self.lab.start_controller("--listen", f"127.0.0.1:{PORT}", "--token-file", self.lab.directory / "tokens")
        self.assertEqual(before, self.events("alice", f"?before={before[-1]['number'] + 1}"))
        self.lab.kill("lb", "sluiced")
        self.lab.start_controller("--listen", f"127.0.0.1:{PORT}", "--token-file", self.lab.directory / "tokens")
        changes = [event for event in before if event["kind"] == "change"]
        self.assertEqual(changes, self.events("alice", "?kind=change"), "a change is never without its event")
        rows = self.lab.rows("events", "--type", "loadbalancer", "--limit", "1")
        self.assertEqual([("ci", "change")], [(row["who"], row["kind"]) for row in rows])


class FewDescriptors(support.LabTest):
    members = 2

    def test_idle_clients_do_not_keep_a_dead_member_in_the_ring(self):
        lab = self.lab
        lab.serve()
        lab.attach()
        # The daemon inherits the limit and can't raise it.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lab.start("lb", "sluiced", "prlimit", "--nofile=96:96", support.program("sluiced"), "--state-dir", lab.state,
                  "--socket", lab.socket, "--pin-dir", lab.pins)
        self.assertEqual(hard, resource.getrlimit(resource.RLIMIT_NOFILE))
        wait_for(lambda: lab.ctl("loadbalancer", "list", check=False).returncode == 0, 10, "sluiced answers")
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", support.VIP)
        lab.ctl("loadbalancer", "listener", "create", "--name", "l", "--protocol", "tcp", "--protocol-port", 80, "lb")
        lab.ctl("loadbalancer", "pool", "create", "--name", "80_pool", "--protocol", "tcp", "--lb-algorithm",
                "round_robin", "--listener", "l")
        for number in (1, 2):
            lab.ctl("loadbalancer", "member", "create", "--name", f"m{number}", "--address", f"10.0.0.{2 + 2 * number}",
                    "--protocol-port", 80, "80_pool")
        lab.ctl("loadbalancer", "healthmonitor", "create", "--delay", 1, "--timeout", 1, "--max-retries", 1,
                "--max-retries-down", 2, "--type", "tcp", "80_pool")
        wait_for(lambda: lab.member_statuses("80_pool") == {"m1": "ONLINE", "m2": "ONLINE"}, 10, "both members up")

        idle = []
        for _ in range(92):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.connect(str(lab.socket))
            idle.append(client)
        time.sleep(0.5)
        lab.run("member1", "ip", "link", "set", "eth0", "down")
        wait_for(lambda: lab.member_statuses("80_pool")["m1"] == "ERROR", 10, "the dead member leaves the ring")
        self.assertEqual("ONLINE", lab.member_statuses("80_pool")["m2"])
        for client in idle:
            client.close()


if __name__ == "__main__":
    support.main()
