#!/usr/bin/python3
"""The unmodified openstack client for many commands: what takes it a second, its imports, is done once.

Reads a command a line, as a JSON list of words; runs each in a process of its own, as the installed `openstack` would;
answers each with a line, the JSON object {"code": EXIT CODE, "out": TEXT, "err": TEXT}.
"""

import json
import os
import sys
import tempfile

import octaviaclient.osc.v2.load_balancer  # noqa: F401 - for what they import in turn
import openstack.connection  # noqa: F401
import openstackclient.shell
import osc_lib.command.command  # noqa: F401
import yaml  # noqa: F401


def run(words):
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    child = os.fork()
    if child == 0:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        os.close(0)
        code = 1
        try:
            code = openstackclient.shell.main(words)
        except SystemExit as end:
            code = end.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = []
    for file in (out, err):
        with file:
            file.seek(0)
            texts.append(file.read().decode())
    return {"code": code, "out": texts[0], "err": texts[1]}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
