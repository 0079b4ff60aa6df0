#!/usr/bin/python3
"""Keeps the picture of the layers true: who may include whom.

    bpf -> maps <- userspace/dataplane
    base <- model <- {balancing, store, health, network} <- control <- api <- tools

dataplane implements what control declares and is the only folder that knows libbpf and libxdp. Nothing
depends on tools or tests; tests may include everything.
"""

import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Folder -> the folders that its files may include from, besides itself.
MAY_INCLUDE = {
    "maps": set(),
    "bpf": {"maps"},
    "base": set(),
    "model": {"base"},
    "balancing": {"base", "model"},
    "store": {"base", "model"},
    "health": {"base", "model"},
    "network": {"base", "model"},
    "control": {"base", "model", "balancing", "store", "health", "network"},
    "dataplane": {"base", "model", "control", "maps"},
    "api": {"base", "model", "balancing", "store", "health", "network", "control"},
    "tools": {"base", "model", "balancing", "store", "health", "network", "control", "api",
              "dataplane"},
}
KNOWS_LIBBPF = {"bpf", "maps", "dataplane"}
SKELETON = "sluice.skel.h"

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def folder_of(path):
    """The layer that a file (path relative to the root) belongs to; None for files outside the picture."""
    parts = path.parts
    if parts[0] == "userspace" and len(parts) > 2:
        return parts[1]
    return parts[0] if parts[0] in ("maps", "bpf", "tools") else None


def target_of(include):
    """The layer that an include names; None for a file of the same folder or of a library."""
    parts = include.split("/")
    if parts[0] == "userspace":
        parts = parts[1:]
    return parts[0] if len(parts) > 1 and (parts[0] in MAY_INCLUDE or parts[0] == "tests") else None


def violations(root):
    """One line per include that goes against the picture."""
    found, skeleton_users = [], []
    for top in ("maps", "bpf", "userspace", "tools"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".c", ".hpp", ".cpp"):
                continue
            relative = path.relative_to(root)
            folder = folder_of(relative)
            if folder not in MAY_INCLUDE:
                found.append(f"{relative}: folder '{folder}' is not in the picture")
                continue
            for quoted, angled in INCLUDE.findall(path.read_text()):
                include = quoted or angled
                if include == SKELETON:
                    skeleton_users.append(str(relative))
                if angled.split("/")[0] in ("bpf", "xdp") and folder not in KNOWS_LIBBPF:
                    found.append(f"{relative}: includes <{angled}>; only dataplane knows libbpf and libxdp")
                target = target_of(quoted)
                if target not in (None, folder) and target not in MAY_INCLUDE[folder]:
                    allowed = ", ".join(sorted(MAY_INCLUDE[folder])) or "nothing"
                    found.append(f"{relative}: includes \"{quoted}\"; {folder} may include from: {allowed}")
    if len(skeleton_users) > 1:
        found.append(f"{SKELETON} is included by more than one file: {', '.join(skeleton_users)}")
    return found


class Includes(unittest.TestCase):
    def test_every_include_follows_the_picture(self):
        self.assertEqual([], violations(ROOT))

    def test_an_include_against_the_picture_is_found(self):
        cases = {
            "userspace/model/objects.hpp": '#include "control/controller.hpp"',
            "userspace/store/store.cpp": '#include "health/monitor.hpp"',
            "userspace/api/server.cpp": "#include <bpf/libbpf.h>",
            "userspace/control/controller.cpp": '#include "maps/flow.h"',
            "userspace/base/uuid.cpp": '#include "tools/sluiced/main.hpp"',
            "userspace/helpers/more.cpp": "",
            "maps/flow.h": '#include "bpf/packet.h"',
        }
        for path, text in cases.items():
            with self.subTest(path=path), tempfile.TemporaryDirectory() as directory:
                file = pathlib.Path(directory, path)
                file.parent.mkdir(parents=True)
                file.write_text(text + "\n")
                self.assertEqual(1, len(violations(pathlib.Path(directory))))

    def test_includes_downward_and_of_libraries_are_fine(self):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "userspace/dataplane/maps.cpp")
            file.parent.mkdir(parents=True)
            file.write_text('#include <bpf/bpf.h>\n#include "control/data_plane.hpp"\n'
                            '#include "maps/flow.h"\n#include "dataplane/maps.hpp"\n#include "fd.hpp"\n')
            self.assertEqual([], violations(pathlib.Path(directory)))


if __name__ == "__main__":
    unittest.main()
