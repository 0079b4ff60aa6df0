#!/usr/bin/python3
"""sluiced is killed with SIGKILL while it changes things, at random moments and at each system call that writes or
syncs: nothing that it acknowledged is lost, and what it had not is there as a whole or not at all."""

import contextlib
import http.client
import os
import random
import subprocess
import threading
import time

import support
from support import VIP
from unix_http import UnixConnection

ROUNDS = 25
SEED = int(os.environ.get("SLUICE_TEST_SEED", random.SystemRandom().randrange(1 << 32)))


class Api(UnixConnection):
    """sluiced's socket; an OSError or HTTPException means that it died before it answered."""

    def __init__(self, path):
        super().__init__(path, timeout=10 * support.PATIENCE)

    def ask(self, method, target, body=None):
        return super().ask(method, "/v2.0" + target, body)


class Stream(threading.Thread):
    """Creates, changes and deletes members until sluiced dies, and notes what was acknowledged."""

    def __init__(self, socket_path, pool, members, choose):
        super().__init__()
        self.api = Api(socket_path)
        self.pool = f"/lbaas/pools/{pool}/members"
        self.members = members  # id -> (address, port, weight), as acknowledged
        self.choose = choose
        self.in_doubt = None  # what was asked and not answered
        self.acknowledged = 0
        self.refusal = None

    def run(self):
        try:
            while self.refusal is None:
                self.change()
                self.acknowledged += 1
        except (OSError, http.client.HTTPException):
            pass

    def wait_for_acknowledged(self, count):
        """Waits until so many changes are acknowledged, or sluiced is dead."""
        while self.is_alive() and self.acknowledged < count:
            time.sleep(0.001)

    def change(self):
        kind = self.choose.choice(["create", "create", "update", "delete"]) if len(self.members) > 5 else "create"
        if kind == "create":
            wanted = (f"10.9.{self.choose.randrange(256)}.{self.choose.randrange(1, 255)}", self.choose.randrange(1, 65536), 1)
            self.in_doubt = ("create", wanted)
            body = {"member": {"address": wanted[0], "protocol_port": wanted[1]}}
            answer = self.expect(201, "POST", self.pool, body)
            if answer:
                self.members[answer["member"]["id"]] = wanted
        else:
            member = self.choose.choice(sorted(self.members))
            address, port, weight = self.members[member]
            weight = self.choose.choice([other for other in range(1, 257) if other != weight])
            self.in_doubt = (kind, member, (address, port, weight))
            if kind == "update":
                self.expect(200, "PUT", f"{self.pool}/{member}", {"member": {"weight": weight}})
                self.members[member] = (address, port, weight)
            else:
                self.expect(204, "DELETE", f"{self.pool}/{member}")
                del self.members[member]
        self.in_doubt = None

    def expect(self, status, method, target, body=None):
        got, answer = self.api.ask(method, target, body)
        if got != status and got != 409:  # 409: the address is there already
            self.refusal = (method, target, got, answer)
        return answer if got == status else None


class Durability(support.LabTest):
    members = 1

    def stored(self, pool):
        with contextlib.closing(Api(self.lab.socket)) as api:
            _, answer = api.ask("GET", f"/lbaas/pools/{pool}/members")
        found = answer["members"]
        self.assertEqual({"ACTIVE"}, {member["provisioning_status"] for member in found} or {"ACTIVE"})
        return {member["id"]: (member["address"], member["protocol_port"], member["weight"]) for member in found}

    def check(self, stream, stored):
        """Checks that the store has the acknowledged members, with or without the change that was not answered."""
        possible = [dict(stream.members)]
        if stream.in_doubt and stream.in_doubt[0] == "create":
            new = set(stored) - set(stream.members)
            if len(new) == 1 and stored[next(iter(new))] == stream.in_doubt[1]:
                possible.append({**stream.members, next(iter(new)): stream.in_doubt[1]})
        elif stream.in_doubt:
            kind, member, wanted = stream.in_doubt
            changed = dict(stream.members)
            if kind == "update":
                changed[member] = wanted
            else:
                changed.pop(member, None)
            possible.append(changed)
        self.assertIn(stored, possible, f"after {stream.acknowledged} changes; in doubt: {stream.in_doubt}")

    def make_pool(self, *options):
        self.lab.start_controller()
        self.lab.ctl("lb", "create", "--name", "lb", "--vip-address", VIP, *options)
        self.lab.ctl("pool", "create", "--name", "web", "--loadbalancer", "lb", "--protocol", "TCP", "--lb-algorithm",
                     "ROUND_ROBIN")
        return self.lab.value("pool", "show", "web", "id")

    def test_nothing_acknowledged_is_lost_at_random_moments(self):
        print(f"SLUICE_TEST_SEED={SEED}", flush=True)
        choose = random.Random(SEED)
        pool = self.make_pool()
        members, changes = {}, 0
        for _ in range(ROUNDS):
            stream = Stream(self.lab.socket, pool, members, choose)
            stream.start()
            stream.wait_for_acknowledged(choose.randrange(1, 30))
            time.sleep(choose.uniform(0, 0.01))  # somewhere in one of the next changes
            self.lab.kill("lb", "sluiced")
            stream.join()
            stream.api.close()
            self.assertIsNone(stream.refusal)
            self.lab.start_controller()
            stored = self.stored(pool)
            self.check(stream, stored)
            members = stored
            changes += stream.acknowledged
        self.assertGreater(changes, 3 * ROUNDS, "hardly anything was tried")
        self.assertNotIn("repaired the data plane", self.lab.log("lb", "sluiced"))

    WRITES = "pwrite64,write,fdatasync,fsync,ftruncate,unlink"
    ANSWERS = "sendto"

    def killed_at(self, calls, number):
        """An strace that waits to kill sluiced as one of its threads enters the n-th of these calls from now on, which is
        not made any more. strace counts for each thread apart: the store's writer and the event loop."""
        pid = self.lab.service_pid("lb", "sluiced")
        tracer = subprocess.Popen(["strace", "-f", "-o", self.calls, "-p", str(pid), "-e", f"trace={calls}", "-e",
                                   f"inject={calls}:error=EIO:signal=KILL:when={number}"], stderr=subprocess.PIPE, text=True)
        self.addCleanup(tracer.kill)
        # strace says so when each thread that there is will stop at its next call; the kernel names the tracer earlier. The
        # store's writer may have no thread yet, which strace gets hold of when it begins.
        self.assertRegex(tracer.stderr.readline(), r"attached( with \d+ threads)?$")
        return tracer

    def change_until_killed(self, pool, members, calls, number):
        """Makes changes one after the other until sluiced dies at the n-th of these calls, starts it again and checks what
        it has. The stream, and what is stored now."""
        stream = Stream(self.lab.socket, pool, members, random.Random(number))
        tracer = self.killed_at(calls, number)
        stream.start()
        stream.join(20 * support.PATIENCE)
        tracer.wait(5 * support.PATIENCE)
        tracer.stderr.close()
        stream.api.close()
        self.assertFalse(stream.is_alive(), f"sluiced was not killed at call {number}")
        self.assertIsNone(stream.refusal)
        self.lab.start_controller()
        stored = self.stored(pool)
        self.check(stream, stored)
        return stream, stored

    @property
    def calls(self):
        """Where strace writes the calls that it saw."""
        return self.lab.directory / "calls"

    def was_killed_at_an_answer(self):
        calls = [line for line in self.calls.read_text().splitlines() if f"{self.ANSWERS}(" in line]
        return '"HTTP/1.1 ' in calls[-1]

    def test_nothing_acknowledged_is_lost_at_any_system_call(self):
        if support.missing("strace"):
            self.skipTest("strace is not installed")
        pool = self.make_pool()
        members, changes = {}, 0
        for number in range(1, 60):
            stream, members = self.change_until_killed(pool, members, self.WRITES, number)
            changes += stream.acknowledged
        self.assertGreater(changes, 0, "no kill came after a change")

    def test_a_change_is_stored_before_it_is_answered(self):
        if support.missing("strace"):
            self.skipTest("strace is not installed")
        # The VIP of a disabled load balancer is not announced: announcements are sent by the same call as answers.
        pool = self.make_pool("--disable")
        members, answers = {}, 0
        for number in range(1, 13):
            stream, members = self.change_until_killed(pool, members, self.ANSWERS, number)
            if not self.was_killed_at_an_answer():  # but at a question to the kernel, which only a slow machine comes to
                continue
            self.assertNotEqual(stream.members, members, f"change {number} is lost though its answer was on the way")
            answers += 1
        self.assertGreater(answers, 6, "hardly any answer was on the way")


if __name__ == "__main__":
    support.main()
