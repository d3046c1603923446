"""openwrt/fleet/trigger beside a server that answers as rpcd does behind uhttpd. Ends with `N passed, N failed`."""

import http.server
import json
import os
import subprocess
import sys
import threading

TOKEN = "a" * 32
seen, open_sessions = [], set()
passed = failed = 0


class Ubus(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        session, object_, method, arguments = question["params"]
        answer = {"jsonrpc": "2.0", "id": question["id"]}
        if (object_, method) == ("session", "login"):
            if arguments["password"] == "right":
                open_sessions.add(TOKEN)
                answer["result"] = [0, {"ubus_rpc_session": TOKEN, "timeout": 60}]
            else:
                answer["result"] = [6]
        elif session not in open_sessions or method == "close":
            answer["error"] = {"code": -32002, "message": "Access denied"}
        elif object_ == "session":
            open_sessions.discard(session)
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


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ubus)
threading.Thread(target=server.serve_forever, daemon=True).start()
HERE = f"127.0.0.1:{server.server_port}"


def case(words, arguments, status, expected, password="right"):
    global passed, failed
    environment = os.environ | {"CTWARDEN_PASSWORD": password}
    done = subprocess.run(["openwrt/fleet/trigger", "--insecure-http", "--timeout", "3", *arguments], env=environment,
                          capture_output=True, text=True)
    fine = done.returncode == status and expected in done.stdout + done.stderr and "Traceback" not in done.stderr
    fine = fine and not open_sessions
    passed, failed = passed + fine, failed + (not fine)
    print(f"{'ok' if fine else 'FAILED'}: trigger: {words}" + ("" if fine else f": {done}"))


case("a method with arguments of each type", [HERE, "trim", "source=10.0.0.5", "dry_run=true", "n=5"], 0, '"after": 5')
case("the types are ubus's", [HERE, "status"], 0, "before")
assert seen == [("trim", {"source": "10.0.0.5", "dry_run": True, "n": 5}), ("status", {})], seen
case("a wrong password", [HERE, "status"], 1, "FAILED: refused", password="wrong")
case("what the user may not", [HERE, "close"], 1, "may not do that")
case("what the daemon refuses is told in its words", [HERE, "flush", "confirm=true"], 1, "4 allowed")
case("one that is not there does not keep the others waiting", [f"127.0.0.1:1,{HERE}", "status"], 1, '"after": 5')
case("an argument that is none", [HERE, "trim", "source"], 2, "wants NAME=VALUE")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
