#!/usr/bin/python3
"""UDP sessions: small and fragmented datagrams, both IP versions; a failed member's sessions move on."""

import json

import support
from support import VIP, VIP6, alternates


class Udp(support.LabTest):
    def ask(self, vip, sockets, size):
        # Ports that the kernel chooses may be those of earlier sockets, whose sessions they would go on with.
        return json.loads(self.lab.run("client", support.PYTHON, support.HERE / "udp_echo.py", "ask", vip, 53, sockets, size,
                                       20000 + size).stdout)

    def test_each_new_socket_is_a_session_and_datagrams_arrive_whole(self):
        lab = self.lab
        lab.serve_udp(53)
        for vip in (VIP, VIP6):
            with self.subTest(vip=vip):
                if vip == VIP:
                    lab.balance(port=53, vip=VIP, protocol="UDP")
                else:
                    lab.ctl("loadbalancer", "delete", "--cascade", "lb")
                    lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP6)
                    lab.add_service("lb", 53, 53, ipv6=True, protocol="UDP")
                self.assertTrue(alternates(self.ask(vip, 20, 100)))
                self.assertTrue(alternates(self.ask(vip, 6, 4000)), "fragmented datagrams")
        self.assertEqual(0, lab.reasons().get("fragment_without_first", 0))


    def test_a_failed_members_sessions_move_to_another_one(self):
        lab = self.lab
        lab.serve_udp(53)
        lab.balance(port=53, protocol="UDP")
        lab.ctl("loadbalancer", "healthmonitor", "create", "--type", "UDP-CONNECT", "--delay", "4", "--timeout", "1",
                "--max-retries", "1", "--max-retries-down", "1", "53_pool")
        # One socket, so one session, asks until another member than the first one answers.
        code = ("import socket, time\n"
                f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('{VIP}', 53)); s.settimeout(0.2)\n"
                "def ask():\n"
                " try: s.send(b'x'); return s.recv(99).split()[0].decode()\n"
                " except OSError: return None\n"
                "first = None\n"
                "while first is None: first = ask()\n"
                "print(first, flush=True)\n"
                "while True:\n"
                " name = ask(); time.sleep(0.05)\n"
                " if name not in (None, first): print(name, flush=True); break\n")
        session = lab.spawn("client", support.PYTHON, "-c", code)
        first = session.stdout.readline().strip()
        self.assertIn(first, ("member1", "member2"))
        lab.stop(first, "udp53")
        self.assertEqual({"member1", "member2"} - {first}, {session.stdout.readline().strip()})


if __name__ == "__main__":
    support.main()
