"""HTTP with JSON over a unix socket."""

import json

import control


class Connection(control.UnixConnection):
    def ask(self, method, path, body=None):
        """Returns the status and what the JSON says."""
        self.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
