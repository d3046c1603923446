"""A terminal that knows what watch writes, and nothing else: what it does not know, what would wrap and what would scroll is a
failure. Arguments: the program, the daemon's socket, the daemon's process, the network namespace that it is in."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

PROGRAM, SOCKET, DAEMON, SPACE = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
# Columns of a chart that has the room.
BAR = 75
LIMIT = int(open("/proc/sys/net/netfilter/nf_conntrack_max").read())
# More than an eighth of the table, so that the chart's blocks are not the lowest.
HOSTS = {"10.97.0.2": LIMIT // 5, "10.97.0.3": LIMIT // 10}
TOKEN = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|\r|\n|[^\x1b\x00-\x1f\x7f]")
passed = failed = 0


class Terminal:
    def __init__(self, rows, columns):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.size(rows, columns)
        self.slave = slave
        self.other = self.hidden = False
        self.heard = b""
        self.clear()
        self.child = subprocess.Popen([PROGRAM, "watch", "--socket", SOCKET], stdin=slave, stdout=slave, stderr=slave,
                                      start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def size(self, rows, columns):
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def clear(self):
        self.screen, self.row, self.column = {}, 0, 0

    def take(self, text):
        at = 0
        while at < len(text):
            token = TOKEN.match(text, at)
            assert token, f"not known: {text[at:at + 20]!r}"
            at = token.end()
            code, word = token.group(1), token.group(0)
            if word == "\r":
                self.column = 0
            elif word == "\n":
                self.row += 1
                assert self.row < self.rows, "scrolled"
            elif code is None:
                assert self.column < self.columns, f"wrapped: {self.screen.get(self.row)!r}"
                self.screen[self.row] = self.screen.get(self.row, "")[:self.column] + word
                self.column += 1
            elif (code, token.group(2)) == ("", "H"):
                self.row = self.column = 0
            elif (code, token.group(2)) == ("", "K"):
                assert self.column == 0
                self.screen[self.row] = ""
            elif (code, token.group(2)) == ("", "J"):
                self.screen = {row: line for row, line in self.screen.items() if row <= self.row}
            elif code == "?1049":
                self.other = token.group(2) == "h"
                self.clear()
            elif code == "?25":
                self.hidden = token.group(2) == "l"
            else:
                assert token.group(2) == "m", f"not known: {word!r}"

    def read(self, seconds):
        """What comes within so many seconds, whole letters only."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                return
            try:
                self.heard += os.read(self.master, 65536)
            except OSError:
                return
            # A frame is taken when it is whole: it ends with the clearing of what is below, or the way out.
            ends = [m.end() for m in re.finditer(rb"\x1b\[J|\x1b\[\?1049[hl]|\x1b\[\?25[hl]|m\r\n$|\n$", self.heard)]
            if ends:
                self.take(self.heard[:ends[-1]].decode())
                self.heard = self.heard[ends[-1]:]

    def until(self, what, seconds=8):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if what():
                return
            self.read(0.2)
        raise AssertionError(f"did not come: {self.text()}")

    def text(self):
        return "\n".join(self.screen.get(row, "") for row in range(self.rows))

    def shows(self):
        return lambda: "verdict" in self.text() and "buckets" in self.text()

    def bar(self):
        """The line that shows how full the table is; empty: there is none, or more."""
        lines = [line for line in self.text().split("\n") if re.fullmatch("[█░|]{%d}" % min(BAR, self.columns), line)]
        return lines[0] if len(lines) == 1 else ""

    def holds(self, host, count, of):
        """A row for the host, with its share and its entries: of a sample, whose standard error is below 0.8 points."""
        row = re.search(rf"^ *([0-9.]+) %.* ~?([0-9,]+)  {re.escape(host)}$", self.text(), re.M)
        return row and abs(float(row[1]) - count * 100 / of) < 4 and abs(int(row[2].replace(",", "")) - count) < of * 0.04

    def blocks(self):
        """The line behind the bar: how full it was."""
        lines = self.text().split("\n")
        return lines[lines.index(self.bar()) + 1] if self.bar() else ""

    def bar_tells(self, count, limit):
        """The bar is what the marks of the default config and so many entries make of it."""
        columns = range(min(BAR, self.columns))
        marks = [next(n for n in range(BAR) if n * 1000 // BAR <= mark < (n + 1) * 1000 // BAR) for mark in (600, 850)]
        blocks = ["█" if (n + 1) * 1000 // BAR <= count * 1000 // limit else "░" for n in columns]
        return self.bar() == "".join("|" if n in marks else blocks[n] for n in columns)

    def key(self, key):
        os.write(self.master, key)

    def ends(self, seconds=5):
        """It ended by itself, with status 0, and the terminal is as it was."""
        end = time.monotonic() + seconds
        while self.child.poll() is None and time.monotonic() < end:
            self.read(0.1)
        assert self.child.poll() == 0, f"status {self.child.poll()}"
        self.read(0.3)
        assert not self.other and not self.hidden, "the screen was not given back"
        assert termios.tcgetattr(self.slave) == self.before, "the modes were not put back"

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for fd in (self.master, self.slave):
            try:
                os.close(fd)
            except OSError:
                pass


def case(words, rows=24, columns=80):
    def run(test):
        global passed, failed
        terminal = Terminal(rows, columns)
        try:
            test(terminal)
            passed += 1
            print(f"ok: {words}")
        except AssertionError as fault:
            failed += 1
            print(f"FAILED: {words}: {fault}")
        finally:
            terminal.close()
    return run


SIZES = [(24, 80), (30, 40), (40, 120), (60, 200), (10, 40), (2, 8), (1, 1)]
for rows, columns in SIZES:
    @case(f"{columns} x {rows}: nothing wraps, nothing scrolls, q ends it", rows, columns)
    def _(t):
        t.until(lambda: len([line for line in t.screen.values() if line]) >= min(t.rows, 8))
        assert t.other and t.hidden
        if rows >= 24:
            # A slot has to be full for the chart.
            t.until(lambda: "▁" * min(70, t.columns) in t.text())
            assert t.bar_tells(0, LIMIT), f"no bar for an empty table in {t.text()}"
            # A narrow one cuts lines.
            words = ["verdict", "5m: ", "ladder", "entries, ", "nothing has happened"] + ["buckets"] * (columns >= 80)
            for word in words:
                assert word in t.text(), f"no {word!r} in {t.text()}"
        t.read(2.2)
        t.key(b"q")
        t.ends()


@case("a terminal that changes its size is drawn anew at once")
def _(t):
    t.until(t.shows())
    for rows, columns in [(10, 40), (50, 160), (24, 80), (3, 20), (24, 80)]:
        # Right behind a frame, which come a second apart: what comes within half of that is because of the size.
        t.clear()
        t.until(lambda: t.screen, 3)
        t.read(0.2)
        t.size(rows, columns)
        assert select.select([t.master], [], [], 0.5)[0], "not drawn anew"
        t.clear()
        t.read(1.5)
        assert len(t.screen) >= min(rows, 12)
    t.key(b"q")
    t.ends()


for name, key in [("Ctrl-C", b"\x03"), ("Ctrl-D", b"\x04"), ("Ctrl-\\", b"\x1c")]:
    @case(f"{name} ends it")
    def _(t):
        t.until(t.shows())
        t.key(key)
        t.ends()

for which in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]:
    @case(f"{which.name} ends it")
    def _(t):
        t.until(t.shows())
        t.child.send_signal(which)
        t.ends()


@case("keys choose what holders are counted by, others do nothing")
def _(t):
    t.until(t.shows())
    for key, word in [(b"d", "by destination"), (b"p", "by prefix"), (b"t", "by state"), (b"s", "by source")]:
        t.key(key)
        t.until(lambda: word in t.text(), 3)
    t.key(b"x\x1b[A\x1a")
    t.read(1.2)
    assert t.child.poll() is None and "verdict" in t.text()
    t.key(b"q")
    t.ends()


fill = [word for host, count in HOSTS.items() for word in (host, str(count))]
subprocess.run(["ip", "netns", "exec", SPACE, "python3", "tests/watch/fill.py", "10.97.0.1", *fill], check=True)
for rows, columns in SIZES:
    @case(f"{columns} x {rows}: a table with something in it: how much as a bar and as blocks, and who holds it", rows, columns)
    def _(t):
        t.until(lambda: len([line for line in t.screen.values() if line]) >= min(t.rows, 8))
        held = sum(HOSTS.values())
        if rows >= 24:
            t.until(lambda: t.bar_tells(held, LIMIT), 15)
            assert f"{held:,} of {LIMIT:,} entries"[:columns - 12] in t.text(), f"not how many: {t.text()}"
        # The newest stands at the right, where a narrow one cuts.
        if rows >= 24 and columns >= 80:
            assert re.search("[▂▃▄▅▆▇█]$", t.blocks()), f"no block above the lowest: {t.text()}"
            for host, count in HOSTS.items():
                assert t.holds(host, count, held), f"not what {host} holds: {t.text()}"
        t.read(1.2)
        t.key(b"q")
        t.ends()


@case("80 x 24: what a trim took and that somebody asked for it")
def _(t):
    (first, kept), (second, gone) = HOSTS.items()
    t.until(lambda: first in t.text() and second in t.text())
    assert "after start: trim" not in t.text()
    done = subprocess.run([PROGRAM, "trim", "--source", second, "--socket", SOCKET], capture_output=True, text=True)
    assert done.returncode == 0, done
    t.until(lambda: f"after start: trim {second}, asked for by " in t.text(), 4)
    t.until(lambda: f"{kept:,} of {LIMIT:,} entries" in t.text() and t.bar_tells(kept, LIMIT), 15)
    # Who holds it is asked less often.
    t.until(lambda: t.holds(first, kept, kept) and not re.search(f"%.*{second}", t.text()), 8)
    t.key(b"q")
    t.ends()


@case("a terminal that is gone ends it")
def _(t):
    t.until(t.shows())
    os.close(t.slave)
    os.close(t.master)
    assert t.child.wait(5) in (0, -signal.SIGHUP)


@case("a daemon that does not answer is no reason not to end")
def _(t):
    t.until(t.shows())
    os.kill(DAEMON, signal.SIGSTOP)
    try:
        time.sleep(1.5)
        t.key(b"\x03")
        t.ends()
    finally:
        os.kill(DAEMON, signal.SIGCONT)


def plain(words, expected, status, **to):
    global passed, failed
    got = subprocess.run([PROGRAM, "watch", "--socket", to.pop("socket", SOCKET)], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL)
    fine = got.returncode == status and expected in got.stderr and not got.stdout
    passed, failed = passed + fine, failed + (not fine)
    print(f"{'ok' if fine else 'FAILED'}: {words}" + ("" if fine else f": {got}"))


plain("without a terminal it says what it wants", "watch wants a terminal", 2)


@case("a daemon that goes is said, and q still ends it")
def _(t):
    t.until(t.shows())
    os.kill(DAEMON, signal.SIGTERM)
    t.until(lambda: "the daemon does not answer" in t.text(), 5)
    t.key(b"q")
    t.ends()


@case("without a daemon the screen is not taken")
def _(t):
    t.read(1)
    assert t.child.wait(5) == 3 and not t.other
    assert "the daemon is not running" in t.heard.decode() + t.text()


print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
