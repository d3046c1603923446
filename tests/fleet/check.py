"""What promtool does not check by itself. check.py rules FOLDER | dashboard FILE | lua ROWS | same ONE OTHER"""

import json
import re
import subprocess
import sys
import tempfile

FOREIGN = {"up", "node_nf_conntrack_entries", "node_nf_conntrack_entries_limit"}


def fail(words):
    sys.exit(f"{sys.argv[2]}: {words}")


def rules(folder):
    """Every alert is expected to fire in some test."""
    alerts = re.findall(r"- alert: (\w+)", open(f"{folder}/ctwarden.yml").read())
    tests = open(f"{folder}/tests/ctwarden.yml").read()
    fires = set(re.findall(r"- alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n", tests))
    untested = set(alerts) - fires
    if not alerts or untested:
        fail(f"no test has these fire: {sorted(untested)}")


def expressions(dashboard):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def dashboard(path):
    board = json.load(open(path))
    panels = board["panels"]
    if len({panel["id"] for panel in panels}) != len(panels):
        fail("two panels of one id")
    taken = {}
    for panel in panels:
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            fail(f"{panel['title']}: wider than the grid")
        for place in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if place in taken:
                fail(f"{panel['title']} lies on {taken[place]}")
            taken[place] = panel["title"]
        if not panel["targets"]:
            fail(f"{panel['title']}: nothing in it")
    variables = {variable["name"] for variable in board["templating"]["list"]} | {"__rate_interval"}
    known = set(re.findall(r"^(\w+)", open("tests/expected/metrics.prom").read(), re.M)) | FOREIGN
    written = ["groups: [{name: dashboard, rules: ["]
    for number, (title, expression) in enumerate(expressions(board)):
        for variable in re.findall(r"\$\{?(\w+)", expression):
            if variable not in variables:
                fail(f"{title}: no variable {variable}")
        for name in re.findall(r"\b((?:ctwarden|node)_\w+)", expression):
            if name not in known:
                fail(f"{title}: nobody tells {name}")
        expression = expression.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*")
        written.append(f"{{record: 'panel{number}', expr: {json.dumps(expression)}}},")
    missing = {name for name in known if name.startswith("ctwarden_")} - set(re.findall(r"ctwarden_\w+", json.dumps(board)))
    if missing - {"ctwarden_dry_run", "ctwarden_incidents_total", "ctwarden_census_age_seconds"}:
        fail(f"shown nowhere: {sorted(missing)}")
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write("\n".join(written) + "]}]\n")
        file.flush()
        done = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
    if done.returncode:
        fail(done.stderr)


def lua(path):
    """JSON as a Lua table: what the ubus module makes of a reply."""
    def of(value):
        if isinstance(value, dict):
            return "{" + ",".join(f"[{json.dumps(key)}]={of(inner)}" for key, inner in value.items()) + "}"
        if isinstance(value, list):
            return "{" + ",".join(of(inner) for inner in value) + "}"
        return json.dumps(value)
    print("return", of(json.load(open(path))))


def samples(path):
    """Samples without the order of labels; types. Numbers that pass with time are left out."""
    found, types = set(), {}
    for line in open(path):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            if name in types:
                fail(f"{path}: the type of {name} is told twice")
            types[name] = kind
        elif not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line.strip()).groups()
            if not name.endswith("_seconds"):
                found.add((name, tuple(sorted((labels or "").split(","))), float(value)))
    return found, types


def same(one, other):
    if not samples(one)[0] or samples(one) != samples(other):
        fail(f"not as {other}: {samples(one)[0] ^ samples(other)[0]}")


{"rules": rules, "dashboard": dashboard, "lua": lua, "same": same}[sys.argv[1]](*sys.argv[2:])
