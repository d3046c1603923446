"""openwrt/fleet/trigger beside a server that answers as rpcd does behind uhttpd. Ends with `N passed, N failed`."""

import http.server
import itertools
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time

tokens = itertools.count(1)
seen, open_sessions = [], set()
# How many are asked at a time, and the most there have been.
busy, busiest, turn = 0, 0, threading.Lock()
passed = failed = 0


class Ubus(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global busy, busiest
        with turn:
            busy += 1
            busiest = max(busiest, busy)
        # A router is not quick.
        time.sleep(0.1)
        # Whoever has the answer may ask the next.
        with turn:
            busy -= 1
        self.answer()

    def answer(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        session, object_, method, arguments = question["params"]
        answer = {"jsonrpc": "2.0", "id": question["id"]}
        if (object_, method) == ("session", "login"):
            if arguments["password"] == "right":
                token = f"{next(tokens):032x}"
                open_sessions.add(token)
                answer["result"] = [0, {"ubus_rpc_session": token, "timeout": 60}]
            else:
                answer["result"] = [6]
        elif session not in open_sessions or method == "close":
            answer["error"] = {"code": -32002, "message": "Access denied"}
        elif object_ == "session":
            open_sessions.remove(session)
            answer["result"] = [0]
        elif object_ != "ctwarden":
            answer["error"] = {"code": -32000, "message": "Object not found"}
        else:
            seen.append((method, arguments))
            budget = {"error": "refused: 4 within the hour, 4 allowed"}
            answer["result"] = [6, budget] if method == "flush" else [0, {"before": 9, "after": 5}]
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serving(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ubus)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_port}"


HERE = serving()


def case(words, arguments, status, expected, password="right", tls=False, times=1):
    global passed, failed
    environment = os.environ | {"CTWARDEN_PASSWORD": password}
    plain = [] if tls else ["--insecure-http"]
    done = subprocess.run(["openwrt/fleet/trigger", *plain, "--timeout", "3", *arguments], env=environment,
                          capture_output=True, text=True)
    told = done.stdout + done.stderr
    fine = done.returncode == status and told.count(expected) == times and "Traceback" not in done.stderr
    fine = fine and not open_sessions
    passed, failed = passed + fine, failed + (not fine)
    print(f"{'ok' if fine else 'FAILED'}: trigger: {words}" + ("" if fine else f": {done}"))


def holds(words, fine, what=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'FAILED'}: trigger: {words}" + ("" if fine else f": {what}"))


case("a method with arguments of each type", [HERE, "trim", "source=10.0.0.5", "dry_run=true", "n=5"], 0, '"after": 5')
case("the types are ubus's", [HERE, "status"], 0, "before")
assert seen == [("trim", {"source": "10.0.0.5", "dry_run": True, "n": 5}), ("status", {})], seen
case("a wrong password", [HERE, "status"], 1, "FAILED: refused", password="wrong")
case("what the user may not", [HERE, "close"], 1, "may not do that")
case("what the daemon refuses is told in its words", [HERE, "flush", "confirm=true"], 1, "4 allowed")
case("one that is not there does not keep the others waiting", [f"127.0.0.1:1,{HERE}", "status"], 1, '"after": 5')
case("an argument that is none", [HERE, "trim", "source"], 2, "wants NAME=VALUE")
with tempfile.TemporaryDirectory() as folder:
    # Routers of a file, as it is told; of which so many at a time.
    with open(f"{folder}/routers", "w") as file:
        file.write(f"# ours\n{HERE}\n\n" + f"  {HERE}\n" * 7)
    for at_a_time, least, most in [("1", 1, 1), ("3", 2, 3), ("20", 4, 8)]:
        busiest = 0
        words = f"@FILE: every line that is not empty or a remark, {at_a_time} at a time"
        case(words, ["--at-a-time", at_a_time, f"@{folder}/routers", "status"], 0, '"after": 5', times=8)
        holds(f"so many were asked at once: {busiest}", least <= busiest <= most, f"not {least} to {most}")

    # A router with a certificate of its own, which says who it is by its address.
    for name in ("ours", "another"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"],
                       check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/ours.pem", f"{folder}/ours.key")
    there = serving(context)
    seen.clear()
    case("TLS with --ca", ["--ca", f"{folder}/ours.pem", there, "status"], 0, '"after": 5', tls=True)
    holds("the router did it", seen == [("status", {})], seen)
    seen.clear()
    busiest = 0
    for words, trust, router in [("a certificate that nobody trusts", [], there),
                                 ("one that --ca does not trust", ["--ca", f"{folder}/another.pem"], there),
                                 ("one of another name", ["--ca", f"{folder}/ours.pem"], there.replace("127.0.0.1", "localhost"))]:
        case(f"{words} is refused", [*trust, router, "flush", "confirm=true"], 1, "CERTIFICATE_VERIFY_FAILED", tls=True)
    case("--ca is not there", ["--ca", f"{folder}/none", there, "status"], 2, "No such file", tls=True)
    case("nor is @FILE", [f"@{folder}/none", "status"], 2, "No such file")
    case("plain HTTP where TLS is", [there, "status"], 1, "FAILED: ")
    case("TLS where plain HTTP is", [HERE, "status"], 1, "FAILED: ", tls=True)
    holds("none of these was told the password or did anything", busiest == 0 and not seen, seen)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
