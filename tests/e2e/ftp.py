#!/usr/bin/python3
"""FTP in passive mode: ftp.py serve DIRECTORY ADDRESS FIRST LAST | transfer ADDRESS FILES BYTES

`serve` serves DIRECTORY on port 21, tells IPv4 clients that ADDRESS is its own, and takes data connections on the ports
from FIRST to LAST. `transfer` stores FILES files, each over a data connection of its own, lists them, reads them back and
prints, as JSON, the server's host name, how many files came back as they were, and the names that the server lists.
"""

import ftplib
import io
import json
import random
import socket
import sys


def serve(directory, address, first, last):
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(directory, perm="elradfmw")
    handler = FTPHandler
    handler.authorizer = authorizer
    handler.banner = socket.gethostname()
    handler.masquerade_address = address
    handler.passive_ports = range(first, last + 1)
    FTPServer(("::", 21), handler).serve_forever()


def transfer(address, files, size):
    ftp = ftplib.FTP(timeout=60)
    name = ftp.connect(address, 21).split()[1]
    ftp.login()
    intact = 0
    for number in range(files):
        data = random.Random(number).randbytes(size)
        ftp.storbinary(f"STOR {number}", io.BytesIO(data))
        back = io.BytesIO()
        ftp.retrbinary(f"RETR {number}", back.write)
        intact += back.getvalue() == data
    listed = sorted(ftp.nlst())
    ftp.quit()
    print(json.dumps({"server": name, "intact": intact, "listed": listed}))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:6]))
    else:
        transfer(sys.argv[2], *map(int, sys.argv[3:5]))
