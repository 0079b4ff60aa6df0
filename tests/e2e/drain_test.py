#!/usr/bin/python3
"""A member that is drained or removed keeps its connections until the deadline; then clients are reset and move on."""

import support
from support import VIP, wait_for

# Sends a line every tenth of a second and reads the answer, which names the server; reconnects after a reset. Prints
# each server that it gets to, and "reset".
TALKER = """
import socket, time
while True:
    try:
        s = socket.create_connection(("%s", 80), timeout=600)
        name = None
        while True:
            s.sendall(b"x")
            answer = s.recv(99).decode()
            if answer != name: name = answer; print(name, flush=True)
            time.sleep(0.1)
    except ConnectionResetError:
        print("reset", flush=True)
""" % VIP
# Sends a byte, prints the answer, and then only listens.
LISTENER = """
import socket
s = socket.create_connection(("%s", 80), timeout=600)
s.sendall(b"x"); print(s.recv(99).decode(), flush=True)
try:
    print(s.recv(99), flush=True)
except ConnectionResetError:
    print("reset", flush=True)
""" % VIP
SERVER = """
import socket, sys, threading
def serve(c):
    try:
        while c.recv(99): c.sendall(sys.argv[1].encode())
    except ConnectionResetError:
        print("reset", flush=True)
    except OSError:
        pass
l = socket.create_server(("", 80))
while True: threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
"""


class Drain(support.LabTest):
    def test_a_drain_with_a_deadline_ends_with_a_reset_and_until_then_disturbs_nobody(self):
        lab = self.lab
        for member in ("member1", "member2"):
            lab.start(member, "server", support.PYTHON, "-c", SERVER, member)
            lab.wait_listening(member, 80)
        lab.attach()
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP)
        lab.add_service("lb", 80, 80)
        pool = lab.rows("loadbalancer", "pool", "list")[0]["name"]
        members = {row["address"]: row["name"] for row in lab.rows("loadbalancer", "member", "list", pool)}
        talker = lab.spawn("client", support.PYTHON, "-c", TALKER)
        first = talker.stdout.readline().strip()
        self.assertIn(first, ("member1", "member2"))
        drained = members[lab.address(int(first[-1]))]
        # Others have connections to both members, on which nobody says anything.
        silent = [lab.spawn("client", support.PYTHON, "-c", LISTENER) for _ in range(2)]
        heard = {one.stdout.readline().strip(): one for one in silent}
        self.assertEqual({"member1", "member2"}, set(heard))

        # A long drain only keeps new connections away.
        lab.ctl("loadbalancer", "member", "set", "--drain", 6000, pool, drained)
        shown = lab.rows("loadbalancer", "member", "show", pool, drained)
        self.assertEqual((0, 2), (shown["weight"], shown["connections_left"]))
        self.assertTrue(5000 < shown["drain_seconds_left"] <= 6000, shown)
        # A new deadline counts from now on, even across a restart of the daemon.
        lab.ctl("loadbalancer", "member", "set", "--drain", 4, pool, drained)
        lab.kill("lb", "sluiced")
        lab.start_controller()
        self.assertEqual(["reset", ({"member1", "member2"} - {first}).pop()],
                         [talker.stdout.readline().strip() for _ in range(2)])
        wait_for(lambda: lab.rows("loadbalancer", "member", "show", pool, drained)["connections_left"] == 0, 10,
                 "nothing is left")
        self.assertEqual("reset", heard[first].stdout.readline().strip(), "it is told without having sent anything")
        wait_for(lambda: "reset" in lab.log(first, "server"), 20, "so is the member")
        self.assertIsNone(heard[({"member1", "member2"} - {first}).pop()].poll(), "the other one lives on")
        self.assertTrue(any("drained for long enough" in event["message"] for event in lab.rows("events")))

        # A member that is removed has the time that its pool gives, also across a restart of the daemon.
        last = ({"member1", "member2"} - {first}).pop()
        removed = members[lab.address(int(last[-1]))]
        lab.ctl("loadbalancer", "member", "set", "--weight", 1, pool, drained)
        self.assertEqual([], lab.rows("flows", "removed"))
        lab.ctl("loadbalancer", "pool", "set", "--drain-timeout", 4, pool)
        lab.ctl("loadbalancer", "member", "delete", pool, removed)
        lab.kill("lb", "sluiced")
        lab.start_controller()
        left = lab.rows("flows", "removed")
        self.assertEqual([(lab.address(int(last[-1])), 80, 2)],
                         [(row["address"], row["protocol_port"], row["connections_left"]) for row in left])
        self.assertLessEqual(left[0]["drain_seconds_left"], 4)
        self.assertEqual(["reset", first], [talker.stdout.readline().strip() for _ in range(2)])
        self.assertEqual("reset", heard[last].stdout.readline().strip(), "it is told without having sent anything")
        wait_for(lambda: "reset" in lab.log(last, "server"), 20, "so is the member")
        wait_for(lambda: lab.rows("flows", "removed") == [], 10, "nothing is left")
        self.assertTrue(any("which was removed" in event["message"] for event in lab.rows("events")))

        # Once it takes connections again, it is like any other.
        self.assertNotIn("connections_left", lab.rows("loadbalancer", "member", "show", pool, drained))


if __name__ == "__main__":
    support.main()
