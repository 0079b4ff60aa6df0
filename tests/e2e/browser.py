"""A real browser in a lab: Debian's Chromium without a screen, driven over the WebDriver protocol (W3C).

The browser runs on a host of the lab and so reaches what only that host reaches. Commands are sent by curl from there."""

import base64
import json
import shutil
import tempfile

from support import PATIENCE, missing, wait_for

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the standard gives to references


def is_missing():
    """Returns why there is no browser; None if there is one."""
    absent = [tool for tool in ("chromium", "chromedriver") if missing(tool)]
    return f"{' and '.join(absent)} not installed (scripts/install-deps --browser)" if absent else None


class Browser:
    def __init__(self, lab, host="lb", port=9515, size=(1280, 800), dark=False):
        self.lab, self.host, self.port = lab, host, port
        self.profile = tempfile.mkdtemp(prefix="sluice-browser-")
        lab.start(host, f"chromedriver{port}", "chromedriver", f"--port={port}", "--log-level=WARNING")
        wait_for(lambda: lab.run(host, "curl", "-sf", f"http://127.0.0.1:{port}/status", check=False).returncode == 0, 10, "chromedriver")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                     f"--user-data-dir={self.profile}", f"--window-size={size[0]},{size[1]}"]
        if dark:
            arguments.append("--force-dark-mode")
        capabilities = {"alwaysMatch": {"goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                                        "goog:chromeOptions": {"args": arguments}}}
        self.session = ""
        self.session = "/session/" + self._ask("POST", "/session", {"capabilities": capabilities})["sessionId"]

    def _ask(self, method, path, body=None):
        command = ["curl", "-sS", "--max-time", str(30 * PATIENCE), "-X", method, f"http://127.0.0.1:{self.port}{self.session}{path}"]
        if method == "POST":
            command += ["-H", "Content-Type: application/json", "--data", json.dumps(body or {})]
        value = json.loads(self.lab.run(self.host, *command).stdout)["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{path}: {value['error']}: {value['message']}")
        return value

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def resize(self, width, height):
        self._ask("POST", "/window/rect", {"width": width, "height": height})

    def run(self, script, *arguments):
        """Runs the script's statements in the page; returns what it returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector):
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def type(self, selector, text):
        """Types like a person, at the element."""
        self._ask("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def press(self, keys):
        """Presses keys one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def click(self, selector):
        self._ask("POST", f"/element/{self.find(selector)}/click")

    def text(self, selector):
        """The text of the first such element as it is seen; None: there is none."""
        return self.run("const found = document.querySelector(arguments[0]); return found && found.innerText", selector)

    def dialog(self):
        """The text of an alert that is open; None if there is none."""
        try:
            return self._ask("GET", "/alert/text")
        except AssertionError:
            return None

    def log(self, kind="browser"):
        """What the browser has noted since the last call: refusals of the page's policy, errors of its scripts."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": kind})]

    def screenshot(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def close(self):
        try:
            self._ask("DELETE", "")
        finally:
            self.lab.stop(self.host, f"chromedriver{self.port}")
            shutil.rmtree(self.profile, ignore_errors=True)
