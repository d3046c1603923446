"""Asks Prometheus what it sees while one router is attacked: watch.py KEEPER, the process in the attacked router's namespaces.
Ends with `N passed, N failed`."""

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ATTACKED = "10.99.2.2:9100"
ALERT = "CtwardenRelieving"
# New flows in a burst of 50, 500 a second; nobody answers.
FLOOD = """
import socket, time
n = 0
while True:
    for _ in range(50):
        n += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"x", ("10.99.2.1", 10000 + n % 50000))
    time.sleep(0.1)
"""
passed = failed = 0


def query(expression):
    address = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            result = json.load(reply)["data"]["result"]
    except OSError:
        return {}
    return {row["metric"].get("instance"): float(row["value"][1]) for row in result}


def firing():
    return set(query(f'ALERTS{{alertname="{ALERT}", alertstate="firing"}}'))


def expect(words, what, seconds):
    global passed, failed
    began = time.monotonic()
    while not (fine := what()) and time.monotonic() - began < seconds:
        time.sleep(0.5)
    passed, failed = passed + fine, failed + (not fine)
    print(f"{'ok' if fine else 'FAILED'}: {words} ({time.monotonic() - began:.0f} s)", flush=True)
    return fine


expect("Prometheus scrapes three routers", lambda: len(query("up == 1 and on (instance) ctwarden_info")) == 3, 30)
expect("all of them calm", lambda: sum(query('ctwarden_verdict{verdict="calm"}').values()) == 3, 30)
expect("no alert fires", lambda: not query('ALERTS{alertstate="firing"}'), 1)
flood = subprocess.Popen(["nsenter", "--target", sys.argv[1], "--net", sys.executable, "-c", FLOOD])
try:
    expect(f"one is attacked: {ALERT} fires", lambda: ATTACKED in firing(), 60)
    expect("it fires for no other", lambda: firing() == {ATTACKED}, 1)
finally:
    flood.kill()
    flood.wait()
expect("it resolves when the attack is over", lambda: not firing(), 270)
refused, evicted = query("ctwarden_refused_packets_total"), query("ctwarden_evicted_entries_total")
print(f"   evicted {evicted.get(ATTACKED, 0):.0f}, refused {refused.get(ATTACKED, 0):.0f}")
expect("the others evicted nothing", lambda: [n for i, n in evicted.items() if i != ATTACKED] == [0, 0], 0)
print(f"{passed} passed, {failed} failed")
