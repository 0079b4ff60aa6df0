"""What the real service answered, kept in a file, so that a comparison needs neither that service nor its two minutes.

A recording has the corpus' sections by name, and for each the requests in order: what was asked (as a hash, which is
enough to see that the corpus has changed), the status code and the body. Ids and times are replaced by made-up ones
that are the same in every recording, so that two recordings differ in what the service says and in nothing else.
"""

import hashlib
import json
import lzma
import pathlib
import re

import corpus
import services

FILE = pathlib.Path(__file__).resolve().parent / "answers.json.xz"

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?"')  # in a JSON text; an object's, without a zone
LINK = re.compile(r"http://127\.0\.0\.1:\d+")


def fingerprint(method, path, body):
    text = body if body is None or isinstance(body, str) else json.dumps(body, sort_keys=True)
    return hashlib.sha256(f"{method} {path} {text}".encode()).hexdigest()[:12]


class Recorder(services.Oracle):
    """The real service, whose answers are written down. Ids that the service made are renamed at once, in both
    directions: the comparison never sees the real ones."""

    def __init__(self):
        self.sections = {}
        self.made_up, self.real = {}, {}

    def begin(self, section):
        self.answers = self.sections.setdefault(section, [])

    def send(self, method, path, body=None, headers=None):
        status, answer = super().send(method, self.to_real(path), self.to_real(body), headers)
        answer = self.to_made_up(answer)
        if hasattr(self, "answers"):  # the first requests only wait until the service is up
            self.answers.append([fingerprint(method, path, body), status, answer])
        return status, answer

    def to_real(self, value):
        return through_text(value, lambda text: UUID.sub(lambda id: self.real.get(id[0], id[0]), text))

    def to_made_up(self, value):
        def renamed(id):
            if id[0] in corpus.KEPT:
                return id[0]
            if id[0] not in self.made_up:
                name = f"0c7a51a0-0000-4000-8000-{len(self.made_up):012x}"
                self.made_up[id[0]], self.real[name] = name, id[0]
            return self.made_up[id[0]]

        def replaced(text):
            text = LINK.sub("http://127.0.0.1:9876", UUID.sub(renamed, text))
            return TIME.sub('"2026-01-01T00:00:00"', text)

        return through_text(value, replaced)

    def keep(self):
        text = json.dumps(self.sections, ensure_ascii=False, indent=0)
        FILE.write_bytes(lzma.compress(text.encode(), preset=9))


def through_text(value, change):
    if value is None:
        return None
    return change(value) if isinstance(value, str) else json.loads(change(json.dumps(value)))


class OutOfDate(Exception):
    """The corpus, or what Sluice answers, no longer leads to the requests that were recorded."""


class Replay:
    """Answers as the real service did when it was asked the same in the same order."""

    name = "the recorded octavia-api"

    def __enter__(self):
        self.sections = json.loads(lzma.decompress(FILE.read_bytes()))
        return self

    def __exit__(self, *_):
        pass

    def begin(self, section):
        if section not in self.sections:
            raise OutOfDate(f"section {section} was never recorded")
        self.answers = iter(self.sections[section])

    def send(self, method, path, body=None):
        asked, status, answer = next(self.answers, (None, None, None))
        if asked != fingerprint(method, path, body):
            raise OutOfDate(f"{method} {path} was not recorded at this place")
        return status, answer
