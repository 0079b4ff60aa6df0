#!/usr/bin/python3
"""Keeps the pages' links true: each leads to a file, and to a heading, that there is.

A link whose text is one name in code, as [`Suite.Name`](x_test.cpp) or [`SLUICE_MAX_VIPS`](vip.h), says that the file
has it. So a promise can't outlive the test that shows it, nor a limit the constant that it is."""

import collections
import functools
import pathlib
import re
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOT_OURS = ("build", ".git")

FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"\[([^\[\]]*)\]\(([^()\s]+)\)")
BY_REFERENCE = re.compile(r"\[([^\[\]]+)\]\[([^\[\]]+)\]")
REFERENCE = re.compile(r"^\[([^\[\]]+)\]:\s*(\S+)$", re.MULTILINE)
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)
NAME = re.compile(r"`(\w+)(?:\.(\w+))?`")


def pages():
    return sorted(path for path in ROOT.rglob("*.md") if path.relative_to(ROOT).parts[0] not in NOT_OURS)


@functools.cache
def text_of(file):
    return file.read_text()


@functools.cache
def prose(page):
    return FENCED.sub("", text_of(page))


def links(text):
    """Returns (text, target) of each link; the target of one by reference without definition is None."""
    definitions = dict(REFERENCE.findall(text))
    by_reference = [(said, definitions.get(name)) for said, name in BY_REFERENCE.findall(text)]
    return INLINE.findall(text) + by_reference


def anchors(text):
    """Returns the anchors of a page's headings, as GitHub makes them."""
    seen, made = collections.Counter(), set()
    for heading in HEADING.findall(text):
        said = INLINE.sub(r"\1", heading).lower()
        anchor = re.sub(r"[^\w -]", "", said).replace(" ", "-")
        made.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return made


def has(file, scope, name):
    """Says whether a source file has the test `scope`.`name`, or the name `scope`."""
    if name is None:
        needed = [rf"\b{scope}\b"]
    elif file.suffix == ".py":
        needed = [rf"^class {scope}\b", rf"^ +def {name}\("]
    else:
        needed = [rf"^TEST(?:_F|_P)?\({scope},\s*{name}\)"]
    return all(re.search(pattern, text_of(file), re.MULTILINE) for pattern in needed)


def fault_of(page, text, target):
    """Returns what is wrong with a link of a page; None if it is right."""
    if target is None:
        return "has no definition"
    if urllib.parse.urlsplit(target).scheme:
        return None
    path, _, anchor = urllib.parse.unquote(target).partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return f"leads to {target}, which is not there"
    if anchor and anchor not in anchors(prose(file)):
        return f"leads to {target}, and there is no such heading"
    named = NAME.fullmatch(text)
    if named and file.is_file() and file.suffix != ".md" and text != f"`{file.name}`":
        if not has(file, *named.groups()):
            return f"names what is not in {target}"
    return None


class Links(unittest.TestCase):
    def test_each_leads_somewhere(self):
        found = 0
        for page in pages():
            for text, target in links(prose(page)):
                found += 1
                with self.subTest(f"{page.relative_to(ROOT)}: [{text}]"):
                    self.assertIsNone(fault_of(page, text, target))
        self.assertGreater(found, 200, "hardly any link was found")

    def test_a_fault_is_found(self):
        page = ROOT / "README.md"
        for text, target in [("x", None), ("x", "no/such/file"), ("x", "bpf/README.md#no-such-heading"),
                             ("`NO_SUCH_NAME`", "maps/vip.h"),
                             ("`Links.test_of_nothing`", "tests/architecture/links_test.py"),
                             ("`Balance.OfNothing`", "tests/packet/balance_test.cpp")]:
            self.assertIsNotNone(fault_of(page, text, target), (text, target))
        for text, target in [("x", "https://example.org"), ("x", "bpf/README.md#glossary"), ("`vip.h`", "maps/vip.h"),
                             ("`SLUICE_MAX_VIPS`", "maps/vip.h"),
                             ("`Links.test_a_fault_is_found`", "tests/architecture/links_test.py"),
                             ("`Balance.TwoEqualMembersAlternateStrictly`", "tests/packet/balance_test.cpp")]:
            self.assertIsNone(fault_of(page, text, target), (text, target))


if __name__ == "__main__":
    unittest.main()
