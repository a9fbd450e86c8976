#!/usr/bin/env python3
"""The control socket and the metrics of a server, asked by hand: see docs/control.md. Wants ROAM."""
import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request

ROAM = os.environ["ROAM"]
PATIENCE = 60


def check(fact, message):
    if not fact:
        raise AssertionError(message)


def same(got, wanted, what):
    check(got == wanted, f"{what}: {got}, not {wanted}")


def start(scratch, *options, name="server"):
    """roam perf server on a free port, once it listens: (process, port, what it said)."""
    said = os.path.join(scratch, name + ".err")
    with open(said, "w") as err:
        child = subprocess.Popen([ROAM, "perf", "server", *options, "127.0.0.1:0"], stderr=err,
                                 stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return child, said


def wait_for(said, pattern, child):
    deadline = time.monotonic() + PATIENCE
    while True:
        with open(said) as file:
            found = re.search(pattern, file.read())
        if found:
            return found.group(1)
        check(child.poll() is None and time.monotonic() < deadline, f"'{pattern}' does not come in {said}")
        time.sleep(0.02)


members = set()  # of all that a server has said


def each_once(pairs):
    same(len({key for key, _ in pairs}), len(pairs), f"members of {pairs}")
    members.update(key for key, _ in pairs)
    return dict(pairs)


def roam(*words, status=0, **options):
    """What a command prints; what it says on standard error where it fails."""
    ran = subprocess.run([ROAM, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=PATIENCE, **options)
    same(ran.returncode, status, f"exit status of {words}: {ran.stderr}")
    return ran.stdout if status == 0 else ran.stderr


class Client:
    def __init__(self, path):
        deadline = time.monotonic() + PATIENCE
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                check(time.monotonic() < deadline, f"{path} does not come")
                time.sleep(0.02)
        self.socket.settimeout(PATIENCE)
        self.file = self.socket.makefile("rb")
        self.hello = self.line()

    def line(self):
        line = json.loads(self.file.readline(), object_pairs_hook=each_once)
        same(line["schema"], "roam-control/1", "schema")
        return line

    def say(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def ask(self, **request):
        self.say(json.dumps(request))
        return self.line()

    def table(self, **request):
        rows, line = [], self.ask(request="table", id=7, **request)
        while line["type"] == "rows":
            same(line["id"], 7, "id")
            rows += line["rows"]
            line = self.line()
        return rows, line


def main():
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "c.sock")
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)  # nobody listens there: a server takes its place
        stale.close()
        server, said = start(scratch, "--control", path, "--metrics", "127.0.0.1:0")
        try:
            port = wait_for(said, r"listening on 127\.0\.0\.1:(\d+)", server)
            url = wait_for(said, r"metrics on (\S+)", server)
            look(scratch, path, port, url)
            move(scratch, path, port, url)
        finally:
            server.send_signal(signal.SIGTERM)
        same(server.wait(PATIENCE), 0, "exit status")
        check(not os.path.exists(path), "the socket is removed")
        discover(scratch)
    with open(os.path.join(os.environ["ROAM_SOURCE"], "docs", "control.md")) as file:
        told = set(re.findall(r"`(\w+)`", file.read()))
    check(len(members) > 80 and members <= told, f"docs/control.md has not {members - told}")


def look(scratch, path, port, url):
    one, two, slow = Client(path), Client(path), Client(path)
    same(one.hello["command"], "roam perf server", "hello")
    same(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode")
    rows, end = one.table()
    same((rows, end["connections"]), ([], 0), "an empty table")
    same(two.ask(request="events", types=["connected", "closed"])["type"], "subscribed", "subscription")
    same(slow.ask(request="events", types=["connection", "path", "cid", "stream"])["type"], "subscribed", "subscription")
    idle = subprocess.Popen([ROAM, "perf", "client", "--idle", "300", "--hold", "20s", f"127.0.0.1:{port}"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ids = set()
        for _ in range(300):
            event = two.line()
            same(event["event"], "connected", "event")
            ids.add(event["id"])
        rows, end = one.table()
        check(len(rows) == end["shown"] == end["matching"] == end["connections"] >= 300, "all rows")
        same(len({row["cid"] for row in rows}), len(rows), "each once")
        same(len({row["id"] for row in rows}), len(rows), "ids, each once")
        check(ids <= {row["id"] for row in rows}, "events have the ids of rows")
        check(abs(end["server"]["time_ms"] / 1000 - time.time()) < 60, "the server's clock")
        paged = one.table(offset=250, limit=20)[0]
        same([row["cid"] for row in paged], [row["cid"] for row in rows[250:270]], "a page")
        ordered = one.table(sort="cid", offset=5, limit=140)[0]
        same([row["cid"] for row in ordered], sorted(row["cid"] for row in rows)[5:145], "a sorted page")
        back = one.table(sort="cid", reverse=True, limit=3)[0]
        same([row["cid"] for row in back], sorted((row["cid"] for row in rows), reverse=True)[:3], "backwards")
        wanted = rows[123]
        same(len(one.table(filter={"cid": wanted["cid"]})[0]), 1, "by CID")
        same(len(one.table(filter={"address": "127.0.0.0/8", "alpn": "roam-perf"})[0]), len(rows), "by prefix")
        same(one.table(filter={"address": "10.0.0.0/8"})[0], [], "by another prefix")
        same(one.table(filter={"state": "draining"})[0], [], "by state")
        detail = one.ask(request="connection", cid=wanted["cid"])
        same((detail["type"], detail["cid"], len(detail["paths"])), ("connection", wanted["cid"], 1), "detail")
        same(detail["row_id"], wanted["id"], "its id")
        same(one.ask(request="connection", row_id=wanted["id"])["cid"], wanted["cid"], "by id")
        same(one.table(filter={"id": wanted["id"]})[0][0]["cid"], wanted["cid"], "a filter by id")
        check(any(cid["cid"] == wanted["cid"] and cid["in_use"] for cid in detail["cids"]), "its CIDs")
        same(int(scrape(url)['roam_connections{state="established"}']), len(rows), "connections")
        ask_by_command(path, rows)
        subscribe_and_sleep(slow)
    finally:
        idle.terminate()
    # Tables that are under way while connections go.
    while one.table(sort="age")[0]:
        rows, end = one.table()
        same(len({row["id"] for row in rows}), end["shown"], "each once")
    idle.wait(PATIENCE)
    for text, error in (("{", "bad_json"), ("[]", "bad_json"), ('{"request":"x"}', "bad_request"),
                        ('{"request":"table","filter":{"state":"x"}}', "bad_request"), ("x" * 4096, "too_long")):
        one.say(text)
        same(one.line()["error"], error, text[:40])
    second, second_said = start(scratch, "--control", path, name="second")
    same(second.wait(PATIENCE), 3, "a socket in use")
    with open(second_said) as file:
        check("is in use by process" in file.read(), "what is said of a socket in use")


def subscribe_and_sleep(slow):
    """It reads nothing while more happens than there is room for."""
    lost = events = 0
    while not lost:
        line = slow.line()
        events += line["type"] == "event"
        lost = line.get("lost", 0)
    check(events > 100, f"{events} events before {lost} were lost")


def ask_by_command(path, rows):
    """`roam table` with what there is to say."""
    lines = roam("table", "--control", path).splitlines()
    check(lines[0].startswith("ConnectionID     | ClientIP:Port "), lines[0])
    shown = [re.split(r" +\| +", line) for line in lines[1:len(rows) + 1]]
    same([cells[:4] for cells in shown], [[row[key] for key in ("cid", "address", "state", "alpn")] for row in rows], "rows")
    same({len(cells) for cells in shown}, {13}, "columns")
    same(len({tuple(at for at, c in enumerate(line) if c == "|") for line in lines[:len(rows) + 1]}), 1, "alignment")
    check(f"{len(rows)} of {len(rows)} connections: {len(rows)} established" in lines, lines[-2])
    table = [json.loads(line) for line in roam("table", "--control", path, "--json", "--sort", "cid", "--reverse", "--limit",
                                               2, "--state", "established", "--address", "127.0.0.0/8").splitlines()]
    same([line["type"] for line in table], ["row", "row", "end"], "JSON")
    last = sorted(rows, key=lambda row: row["cid"])[-1]
    same((table[0]["id"], table[2]["matching"], table[2]["shown"]), (last["id"], len(rows), 2), "the last by CID")
    check("0 of" in roam("table", "--control", path, "--alpn", "h3"), "none of another protocol")
    check("1 of" in roam("table", "--control", path, "--cid", last["cid"]), "one CID")
    for name in (last["cid"], last["id"]):
        detail = roam("table", "--control", path, "--connection", name)
        check(f"id {last['id']}, " in detail and "\nNewest moves: none" in detail, detail)
        check(re.search(rf"^  server +\| +0 \| {last['cid']} \| in use ", detail, re.M), detail)
    detail = json.loads(roam("table", "--control", path, "--connection", last["address"], "--json"))
    same((detail["type"], detail["address"]), ("connection", last["address"]), "by address")
    check("no connection" in roam("table", "--control", path, "--connection", "00" * 8, status=1), "one that is not there")
    check("state is" in roam("table", "--control", path, "--state", "x", status=2), "a state that is none")
    check("wants a column" in roam("table", "--control", path, "--sort", "x", status=2), "a column that is none")
    check("types has" in roam("events", "--control", path, "--types", "x", status=2), "an event that is none")


def move(scratch, path, port, url):
    """A client behind a NAT that gives it another place again and again."""
    watcher = Client(path)
    watcher.ask(request="events", types=["connected", "path", "cid"])
    with open(os.path.join(scratch, "natbox.out"), "w") as out:
        natbox = subprocess.Popen([ROAM, "natbox", "--json", "--rebind-first", "100ms", "--rebind-every", "100ms",
                                   "127.0.0.1:0", f"127.0.0.1:{port}"], stdout=out, stdin=subprocess.DEVNULL)
    door = wait_for(out.name, r'"on":"([^"]+)"', natbox)
    busy = subprocess.Popen([ROAM, "perf", "client", "--requests", "1000000000", "--time", "1500ms", door],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        events = [watcher.line()]
        while events[-1]["event"] != "path_settled":
            events.append(watcher.line())
        ours = events[-1]
        same({event["id"] for event in events}, {ours["id"]}, "one connection")
        names = [event["event"] for event in events]
        for name in ("cid_issued", "cid_received", "path_new", "path_challenged", "path_validated"):
            check(name in names, f"no {name} among {names}")
        moved = next(event for event in events if event["event"] == "path_moved")
        check(moved["previous"] != moved["remote"] == ours["remote"] and moved["why"], f"{moved}")
        check(ours["move"]["settled"] and ours["move"]["gap_ms"] > 0 and ours["move"]["to"] == ours["remote"], f"{ours}")
        detail = watcher_detail(path, ours["id"])
        check(detail["newest_moves"] and detail["moves"] >= 1 and detail["gap_ms"] >= 0, f"{detail}")
        follow(path, ours["id"])
        row = roam("table", "--control", path, "--sort", "moves", "--limit", 1).splitlines()[1]
        check(re.search(r" \| +[1-9]\d* \| +\S+ m?s ago \| +\S+ m?s$", row), row)
        check("from" in roam("table", "--control", path, "--connection", ours["id"]).lower(), "moves in detail")
        values = scrape(url)
        for name in ('roam_moves_total{kind="port",outcome="begun"}', 'roam_moves_total{kind="port",outcome="settled"}',
                     'roam_path_validations_total{outcome="validated"}', "roam_move_gap_seconds_count",
                     "roam_move_gap_seconds_sum", "roam_packets_received_total", "roam_sent_bytes_total",
                     'roam_handshakes_total{outcome="full"}', "roam_allocated_bytes", "process_resident_memory_bytes"):
            check(float(values[name]) > 0, f"{name} is {values[name]}")
        draw(values)
        # It ends with the connection.
        last = roam("events", "--control", path, "--connection", ours["id"], "--types", "closed").splitlines()
        same([(json.loads(line)["event"], json.loads(line)["id"]) for line in last], [("closed", ours["id"])], "the end")
    finally:
        busy.terminate()
        natbox.terminate()
        busy.wait(PATIENCE)
        natbox.wait(PATIENCE)


def draw(values):
    """Each query of the Grafana dashboard asks for what is told, by labels that this has, and nothing is left out."""
    with open(os.path.join(os.environ["ROAM_SOURCE"], "packaging", "grafana", "roam.json")) as file:
        panels = json.load(file)["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    same(len({panel["id"] for panel in panels}), len(panels), "ids of panels")
    labels = {}
    for key in values:
        labels.setdefault(key.split("{")[0], set()).update(re.findall(r'(\w+)="', key))
    shown = set()
    for query in queries:
        names = re.findall(r"\b(?:roam|process)_\w+", query)
        check(names and set(names) <= set(labels), f"{query} asks for what is not told")
        shown |= set(names)
        for label in re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query))):
            check(label in labels[names[0]], f"{query}: {names[0]} has no label {label}")
        for pair in re.findall(r'\w+="[^"]*"', query):
            check(any(pair in key for key in values if key.startswith(names[0])), f"{query}: {names[0]} has no {pair}")
    same({re.sub(r"_(sum|count)$", "_bucket", name) for name in labels} - shown, set(), "what is told and not shown")


def watcher_detail(path, row_id):
    other = Client(path)
    detail = other.ask(request="connection", row_id=row_id, id="mine")
    same((detail["type"], detail["row_id"], detail["id"]), ("connection", row_id, "mine"), "by its id")
    return detail


def follow(path, row_id):
    """`roam events`, as JSON and for people."""
    lines = roam("events", "--control", path, "--types", "path_moved,path_settled", "--count", 2).splitlines()
    same([json.loads(line)["id"] for line in lines], [row_id] * 2, "events")
    ours, theirs = pty.openpty()
    options = ["--control", path, "--types", "path_settled", "--connection", row_id, "--count", "1"]
    subprocess.run([ROAM, "events", *options], stdin=subprocess.DEVNULL, stdout=theirs, timeout=PATIENCE, check=True)
    line = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    check(re.match(r"\d\d:\d\d:\d\d\.\d{3}  path_settled +[0-9a-f]+ 127\.0\.0\.1:\d+ path=\d+ .* gap_ms=\d+\.\d{3} ", line), line)


def discover(scratch):
    """Without --control: the only server of this user, wherever its runtime directory is."""
    environment = dict(os.environ, XDG_RUNTIME_DIR=scratch)
    sockets = os.path.join(scratch, "roam")
    check("no server of this user runs" in roam("table", status=1, env=environment), "none")
    servers = [subprocess.Popen([ROAM, "listen", "-k", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env=environment) for _ in range(2)]
    paths = [os.path.join(sockets, f"{server.pid}.sock") for server in servers]
    try:
        for path in paths:
            Client(path)
        said = roam("table", status=1, env=environment)
        check("several servers run" in said and all(path in said for path in paths), said)
        check("roam listen, up" in roam("table", "--control", servers[1].pid, env=environment), "by its process")
        servers[0].kill()
        servers[0].wait(PATIENCE)
        check("nobody listens on" in roam("table", "--control", paths[0], status=1, env=environment), "a dead socket")
        check("0 of 0 connections" in roam("table", env=environment), "the one that is left")
        check(not os.path.exists(paths[0]), "a dead socket is removed")
        same(stat.S_IMODE(os.stat(sockets).st_mode), 0o700, "mode of the directory")
        listener = subprocess.Popen([ROAM, "events"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                    env=environment)
        time.sleep(0.1)
    finally:
        for server in servers:
            server.kill()
            server.wait(PATIENCE)
    said = listener.communicate(timeout=PATIENCE)[1]
    same(listener.returncode, 1, f"the server has gone: {said}")
    check(roam("table", "--control", os.path.join(scratch, "none"), status=1).startswith("roam: no server can be asked"), "none")
    os.chmod(sockets, 0o777)
    refused = subprocess.Popen([ROAM, "listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env=environment)
    said = "".join(refused.stderr.readline() for _ in range(3))
    check("others can write to it" in said and "listening on" in said, said)
    refused.kill()
    refused.communicate()


def scrape(url):
    """The values of all that there is."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        check(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), "content type")
        text = answer.read().decode()
    helped = re.findall(r"^# HELP (\S+) .", text, re.M)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    same((len(set(helped)), set(helped)), (len(helped), set(types)), "HELP and TYPE, once each")
    values = dict(re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.M))
    for key in values:
        name = key.split("{")[0]
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        check(name in types or types.get(base) == "histogram", f"{name} has a type")
    for name in (name for name, kind in types.items() if kind == "histogram"):
        buckets = [int(n) for n in re.findall(rf'^{name}_bucket\{{le="[^"]+"\}} (\d+)$', text, re.M)]
        check(buckets == sorted(buckets) and buckets[-1] == int(values[name + "_count"]), f"{name} is cumulative")
    return values


sys.exit(main())
