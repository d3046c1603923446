#!/usr/bin/env python3
"""What LAN and WAN hosts do in tests/openwrt/run.

traffic.py sink PORT FILE                     counts UDP flows that arrive, into FILE, until TERM
traffic.py serve PORT                         answers TCP connections with a byte
traffic.py flows SOURCE DEST PORT N SECONDS FIRST
                                              opens N UDP flows of a datagram each, spread over SECONDS, from port FIRST on
traffic.py keep PORT                          accepts TCP connections and keeps them
traffic.py hold SOURCE DEST PORT N SECONDS    opens N TCP connections, spread over SECONDS, and holds them until TERM
traffic.py connect SOURCE DEST PORT N SECONDS makes N TCP connections, one after the other, each within 1 s; prints how many got through
"""
import resource, signal, socket, sys, time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sink(port, file):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    s.bind(("", int(port)))
    seen = set()

    def end(*_):
        with open(file, "w") as f:
            print(len(seen), file=f)
        sys.exit()

    signal.signal(signal.SIGTERM, end)
    while True:
        seen.add(s.recvfrom(64)[1])


def serve(port):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", int(port)))
    s.listen(256)
    while True:
        with s.accept()[0] as c:
            c.send(b".")


def many():
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))


def keep(port):
    many()
    s = socket.socket(socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", int(port)))
    s.listen(4096)
    kept = []
    while True:
        kept.append(s.accept()[0])


def hold(source, dest, port, n, seconds):
    many()
    kept = []
    for _ in paced(int(n), float(seconds)):
        s = socket.socket(family(dest))
        s.setblocking(False)
        s.bind((source, 0))
        try:
            s.connect((dest, int(port)))
        except OSError:
            pass
        kept.append(s)
    signal.pause()


def paced(n, seconds):
    began = time.monotonic()
    for i in range(n):
        ahead = began + seconds * i / n - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        yield i


def flows(source, dest, port, n, seconds, first):
    first = int(first)
    for i in paced(int(n), float(seconds)):
        with socket.socket(family(dest), socket.SOCK_DGRAM) as s:
            s.bind((source, first + i))
            try:
                s.sendto(b".", (dest, int(port)))
            except OSError:
                pass


def connect(source, dest, port, n, seconds):
    got = 0
    for _ in paced(int(n), float(seconds)):
        with socket.socket(family(dest)) as s:
            s.settimeout(1)
            s.bind((source, 0))
            try:
                s.connect((dest, int(port)))
                got += s.recv(1) != b""
            except OSError:
                pass
    print(got)


{f.__name__: f for f in (sink, serve, flows, keep, hold, connect)}[sys.argv[1]](*sys.argv[2:])
