#!/usr/bin/python3
"""Keeps the picture of the layers true: who includes whom.

The picture is the table of arrows in userspace/README.md ("Who includes whom"). It is compared for equality: an include that
the picture doesn't have fails, and so does an arrow of the picture that no include needs any more. Each folder of
userspace/ is a layer, each tool is one, and so are bpf/ and maps/; rooms inside a layer are listed as `api/server`.
Nothing depends on tests; tests may include everything.
"""

import collections
import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = (".h", ".c", ".hpp", ".cpp")
# Layers with rooms, whose arrows are in the picture, too.
WITH_ROOMS = ("api", "sluicectl")
# The layers that may include headers of libbpf and libxdp, and the one that may include a skeleton.
KNOWS_LIBBPF = {"bpf", "maps", "kernel", "attachment", "dataplane"}
KNOWS_SKELETON = "kernel"

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
ARROWS = re.compile(r"^([\w/-]+) +→ *([\w/ -]*)$", re.MULTILINE)


def layer_of(parts):
    """The layer that a path (its parts, relative to userspace/, tools/ or the root) belongs to."""
    if parts[0] in WITH_ROOMS and len(parts) > 2:
        return f"{parts[0]}/{parts[1]}"
    return parts[0]


def layer_of_file(path):
    parts = path.parts
    return layer_of(parts[1:] if parts[0] in ("userspace", "tools") else parts)


def layer_of_include(include, layers):
    """The layer that an include names; None for a file of the same folder or of a library."""
    parts = include.split("/")
    if parts[0] in ("userspace", "tools"):
        parts = parts[1:]
    layer = layer_of(parts) if len(parts) > 1 else None
    return layer if layer in layers else None


def sources(root):
    for top in ("maps", "bpf", "userspace", "tools"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SOURCES:
                yield path.relative_to(root)


def arrows(root):
    """Layer -> the layers that its files include from, besides itself; every layer is a key."""
    layers = {layer_of_file(path) for path in sources(root)} | {"tests"}
    found = {layer: set() for layer in layers - {"tests"}}
    for path in sources(root):
        layer = layer_of_file(path)
        for quoted, _ in INCLUDE.findall((root / path).read_text()):
            target = layer_of_include(quoted, layers)
            if target not in (None, layer):
                found[layer].add(target)
    return found


def picture(readme):
    """Reads the arrows of userspace/README.md."""
    return {layer: set(targets.split()) for layer, targets in ARROWS.findall(readme)}


def differences(drawn, actual):
    """Returns a line per arrow or layer that only one of the two has."""
    found = [f"{layer}: is not in the picture" for layer in sorted(actual.keys() - drawn.keys())]
    found += [f"{layer}: is in the picture only" for layer in sorted(drawn.keys() - actual.keys())]
    for layer in sorted(actual.keys() & drawn.keys()):
        found += [f"{layer} → {other}: is not in the picture" for other in sorted(actual[layer] - drawn[layer])]
        found += [f"{layer} → {other}: is in the picture, and no include needs it"
                  for other in sorted(drawn[layer] - actual[layer])]
    return found


def cycle(graph):
    """Returns layers that include one another in a circle; empty if there are none."""
    done, path = set(), []

    def visit(layer):
        if layer in path:
            return path[path.index(layer):] + [layer]
        if layer in done:
            return []
        path.append(layer)
        for other in sorted(graph.get(layer, ())):
            if circle := visit(other):
                return circle
        path.pop()
        done.add(layer)
        return []

    for layer in sorted(graph):
        if circle := visit(layer):
            return circle
    return []


def strangers(root):
    """Returns a line per include of libbpf, libxdp or a skeleton by a layer that must not know them."""
    found, skeleton_users = [], collections.defaultdict(list)
    for path in sources(root):
        layer = layer_of_file(path)
        for quoted, angled in INCLUDE.findall((root / path).read_text()):
            include = quoted or angled
            if include.endswith(".skel.h"):
                skeleton_users[include].append(str(path))
                if layer != KNOWS_SKELETON:
                    found.append(f"{path}: includes {include}; only {KNOWS_SKELETON} knows the skeletons")
            if angled.split("/")[0] in ("bpf", "xdp") and layer not in KNOWS_LIBBPF:
                found.append(f"{path}: includes <{angled}>; only {', '.join(sorted(KNOWS_LIBBPF))} know libbpf and libxdp")
    for include, users in skeleton_users.items():
        if len(users) > 1:
            found.append(f"{include} is included by more than one file: {', '.join(users)}")
    return found


def tree(directory, files):
    for path, text in files.items():
        file = pathlib.Path(directory, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return pathlib.Path(directory)


class Includes(unittest.TestCase):
    def test_the_picture_in_the_readme_has_exactly_the_arrows_that_there_are(self):
        self.assertEqual([], differences(picture((ROOT / "userspace/README.md").read_text()), arrows(ROOT)))

    def test_no_layer_includes_itself_by_way_of_others(self):
        self.assertEqual([], cycle(arrows(ROOT)))

    def test_no_tool_depends_on_another_and_nothing_on_tools_or_tests(self):
        tools = {path.name for path in (ROOT / "tools").iterdir() if path.is_dir()}
        for layer, others in arrows(ROOT).items():
            for other in others:
                top = other.split("/")[0]
                self.assertFalse(top == "tests" or (top in tools and top != layer.split("/")[0]), f"{layer} → {other}")

    def test_libbpf_and_the_skeleton_stay_where_they_are_known(self):
        self.assertEqual([], strangers(ROOT))

    def test_an_arrow_that_appears_is_found(self):
        with tempfile.TemporaryDirectory() as directory:
            root = tree(directory, {"userspace/model/objects.hpp": '#include "control/controller.hpp"\n',
                                    "userspace/control/controller.hpp": ""})
            self.assertEqual(["model → control: is not in the picture"],
                             differences({"model": set(), "control": set()}, arrows(root)))

    def test_an_arrow_that_disappears_is_found(self):
        with tempfile.TemporaryDirectory() as directory:
            root = tree(directory, {"userspace/model/objects.hpp": "", "userspace/base/uuid.hpp": ""})
            self.assertEqual(["model → base: is in the picture, and no include needs it"],
                             differences({"model": {"base"}, "base": set()}, arrows(root)))

    def test_a_layer_that_is_not_in_the_picture_is_found(self):
        with tempfile.TemporaryDirectory() as directory:
            root = tree(directory, {"userspace/helpers/more.cpp": ""})
            self.assertEqual(["helpers: is not in the picture"], differences({}, arrows(root)))

    def test_rooms_of_a_layer_have_arrows_of_their_own(self):
        with tempfile.TemporaryDirectory() as directory:
            root = tree(directory, {"tools/sluicectl/nouns/pool.cpp": '#include "sluicectl/grammar/verbs.hpp"\n',
                                    "tools/sluicectl/grammar/verbs.hpp": "", "tools/sluicectl/main.cpp": ""})
            self.assertEqual({"sluicectl/nouns": {"sluicectl/grammar"}, "sluicectl/grammar": set(), "sluicectl": set()},
                             arrows(root))

    def test_a_circle_is_found(self):
        self.assertEqual(["a", "b", "a"], cycle({"a": {"b"}, "b": {"a"}}))

    def test_a_stranger_to_libbpf_or_the_skeleton_is_found(self):
        with tempfile.TemporaryDirectory() as directory:
            root = tree(directory, {"userspace/api/server.cpp": "#include <bpf/libbpf.h>\n",
                                    "userspace/dataplane/flows.cpp": '#include "sluice.skel.h"\n#include <bpf/bpf.h>\n'})
            self.assertEqual(2, len(strangers(root)))


if __name__ == "__main__":
    unittest.main()
