"""Two hosts with so many connections each: fill.py OTHER HOST COUNT [HOST COUNT]. Answers do not count: nothing listens."""

import socket
import sys

OTHER = sys.argv[1]
for host, count in zip(sys.argv[2::2], map(int, sys.argv[3::2])):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((host, 0))
        for port in range(10_000, 10_000 + count):
            try:
                sender.sendto(b".", (OTHER, port))
            except ConnectionRefusedError:
                # Told of the one before: this one was not sent.
                sender.sendto(b".", (OTHER, port))
