#!/usr/bin/python3
"""The walkthrough's web application: tells which server answers, and that it is healthy."""

import argparse
import socket

import flask


def own_address():
    """Returns the address from which this host sends. Its name doesn't resolve in a namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # chooses a route; nothing is sent
            return probe.getsockname()[0]
        except OSError:
            return socket.gethostbyname(socket.gethostname())


def make_app(url):
    app = flask.Flask(__name__)
    name, address = socket.gethostname(), own_address()

    @app.route("/")
    def hello():
        if url is None:
            return f"Server : {name} @ {address}\n"
        return f"Welcome to {url} @ {address}\n"

    @app.route("/health")
    def health():
        return "healthy!\n"

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-p", "--port", type=int, required=True, help="port to listen on")
    parser.add_argument("-u", "--url", help="greet with this URL instead of the server's name")
    arguments = parser.parse_args()
    make_app(arguments.url).run(host="0.0.0.0", port=arguments.port)


if __name__ == "__main__":
    main()
