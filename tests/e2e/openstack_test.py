#!/usr/bin/python3
"""The walkthrough with the real OpenStack client: its lines, verbatim, in one shell."""

import subprocess
import unittest

import support
from support import FLOATING_IP, VIP, alternates

SUBNETS = ["--subnet", "private-subnet,network=private,cidr=10.0.0.0/24,range=10.0.0.16-10.0.0.99,gateway=10.0.0.1",
           "--subnet", "public-subnet,network=public-net,cidr=172.24.4.0/24,range=172.24.4.10-172.24.4.99,external"]

# This replaces the walkthrough's `source example-openrc.sh`: there is no Keystone, so there are no credentials.
OPENRC = """
set -eu
export OS_AUTH_TYPE=none OS_ENDPOINT=http://127.0.0.1:9876
"""

BALANCE = """
export SUBNET=`openstack subnet list --name private-subnet -f value -c ID`
openstack loadbalancer create --vip-subnet-id ${SUBNET} --name lb_test_1
openstack loadbalancer list
openstack loadbalancer listener create --name 80_listener --protocol TCP --protocol-port 80 lb_test_1
openstack loadbalancer listener create --name 443_listener --protocol TCP --protocol-port 443 lb_test_1
openstack loadbalancer listener list
openstack loadbalancer pool create --name 80_pool --listener 80_listener --protocol TCP --lb-algorithm ROUND_ROBIN
openstack loadbalancer pool create --name 443_pool --listener 443_listener --protocol TCP --lb-algorithm ROUND_ROBIN
openstack loadbalancer member create --name 80_member_1 --address 10.0.0.4 --protocol-port 80  80_pool
openstack loadbalancer member create --name 80_member_2 --address 10.0.0.6 --protocol-port 80  80_pool
openstack loadbalancer member list 80_pool
openstack loadbalancer member create --name 443_member_1 --address 10.0.0.4 --protocol-port 443  443_pool
openstack loadbalancer member create --name 443_member_2 --address 10.0.0.6 --protocol-port 443  443_pool
openstack loadbalancer member list 443_pool
openstack loadbalancer healthmonitor create --name 80_healthcheck --delay 60 --timeout 20 --max-retries 2 --url-path /health --type http  80_pool
"""

ASSIGN = """
export FIP=`openstack floating ip create public-net -f value -c floating_ip_address`
export VIP_PORT_ID=`openstack loadbalancer show lb_test_1 -f value -c vip_port_id`
openstack floating ip set --port $VIP_PORT_ID $FIP
export VIP=$(openstack loadbalancer show lb_test_1 -f value -c vip_address)
openstack floating ip list | grep $VIP | awk '{ print $4}'
"""


PASSWORD = "correct horse battery staple"


class Walk(support.LabTest):
    """The load balancer host with the client on it."""

    openrc = OPENRC

    def setUp(self):
        if support.missing("openstack"):
            self.skipTest("the openstack client is not installed (python3-openstackclient, python3-octaviaclient)")
        super().setUp()
        self.lab.attach()
        self.lab.start_controller("--listen", "127.0.0.1:9876", *self.options(), *SUBNETS)

    def options(self):
        return []

    def shell(self, script, check=True):
        """Runs the lines in one shell on the load balancer, without any user's settings."""
        return self.lab.run("lb", "env", "-i", "PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "sh",
                            "-c", self.openrc + script, check=check, timeout=150)

    def value(self, command):
        return self.shell(f"openstack {command}").stdout.strip()

    def walk(self):
        for member in (1, 2):
            for port in (80, 443):
                self.lab.serve_web(member, port)
        shown = self.shell(BALANCE).stdout
        self.assertIn("PENDING_CREATE", shown)
        self.assertEqual(FLOATING_IP, self.shell(ASSIGN).stdout.strip())
        self.assertEqual("ACTIVE", self.value("loadbalancer show lb_test_1 -f value -c provisioning_status"))

        wanted = {"Server : member1 @ 10.0.0.4", "Server : member2 @ 10.0.0.6"}
        for url in (f"http://{FLOATING_IP}/", f"http://{FLOATING_IP}:443/", f"http://{VIP}/"):
            answers = [self.lab.curl(url) for _ in range(10)]
            self.assertEqual(wanted, set(answers), url)
            self.assertTrue(alternates(answers), f"{url}: {answers}")
        self.assertEqual("healthy!", self.lab.curl(f"http://{FLOATING_IP}/health"))


class OpenStackClient(Walk):
    def test_the_walkthrough_verbatim_and_curl_alternates(self):
        self.walk()

    def test_what_else_an_operator_types(self):
        self.shell("openstack loadbalancer create --vip-network-id private --name lb --wait > /dev/null")
        self.assertEqual(VIP, self.value("loadbalancer show lb -f value -c vip_address"))
        self.shell("""
            openstack loadbalancer set --name lb2 --description office --tag red lb
            openstack loadbalancer listener create --name http --protocol HTTP --protocol-port 80 lb2 > /dev/null
            openstack loadbalancer pool create --name web --listener http --protocol HTTP \
                --lb-algorithm ROUND_ROBIN > /dev/null
            openstack loadbalancer member create --name m --address 10.0.0.4 --protocol-port 80 web > /dev/null
            openstack loadbalancer member set --weight 5 web m
            openstack loadbalancer listener set --connection-limit 100 http
            openstack loadbalancer listener unset --connection-limit http
            openstack loadbalancer failover --wait lb2
        """)
        self.assertEqual("lb2 office", self.value("loadbalancer list --tags red -f value -c name -c provider")
                         .replace("sluice", "office"))
        self.assertEqual("5", self.value("loadbalancer member show web m -f value -c weight"))
        self.assertEqual("-1", self.value("loadbalancer listener show http -f value -c connection_limit"))
        self.assertIn("total_connections", self.value("loadbalancer stats show lb2"))
        self.assertIn("operating_status", self.value("loadbalancer status show lb2"))
        self.assertIn("sluice", self.value("loadbalancer provider list"))
        self.assertIn("-1", self.value("loadbalancer quota defaults show"))
        refused = self.shell("openstack loadbalancer delete lb2", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("it has children", refused.stderr)
        self.shell("openstack loadbalancer delete --cascade lb2")
        self.assertEqual("", self.value("loadbalancer list -f value"))
        self.assertEqual("", self.value("loadbalancer pool list -f value"))


class WithPassword(Walk):
    """Begins as the walkthrough does: `source` a file that asks for a password, which is in the environment here."""

    def options(self):
        hashed = subprocess.run([support.program("sluiced"), "--hash-password"], input=PASSWORD, text=True,
                                capture_output=True, check=True).stdout.strip()
        file = self.lab.directory / "users"
        file.write_text(f"alice admin {hashed}\n")
        file.chmod(0o600)
        return ["--token-file", file, "--identity"]

    def test_the_walkthrough_verbatim_after_signing_in_by_name_and_password(self):
        example = self.lab.directory / "example-openrc.sh"
        example.write_text(self.lab.ctl("openrc").stdout)
        self.openrc = f"set -eu; export OS_PASSWORD='{PASSWORD}'; . {example}\n"
        self.walk()
        self.assertEqual({"alice"}, {event["who"] for event in self.lab.rows("events") if event["kind"] == "change"})


if __name__ == "__main__":
    support.main()
