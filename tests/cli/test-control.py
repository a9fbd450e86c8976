#!/usr/bin/env python3
"""The control socket and the metrics of a server, asked by hand: see docs/control.md. Wants ROAM."""
import json
import os
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
        line = json.loads(self.file.readline())
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
        finally:
            server.send_signal(signal.SIGTERM)
        same(server.wait(PATIENCE), 0, "exit status")
        check(not os.path.exists(path), "the socket is removed")


def look(scratch, path, port, url):
    one, two = Client(path), Client(path)
    same(one.hello["command"], "roam perf server", "hello")
    same(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode")
    rows, end = one.table()
    same((rows, end["connections"]), ([], 0), "an empty table")
    same(two.ask(request="events", types=["connected", "closed"])["type"], "subscribed", "subscription")
    idle = subprocess.Popen([ROAM, "perf", "client", "--idle", "300", "--hold", "20s", f"127.0.0.1:{port}"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            same(two.line()["event"], "connected", "event")
        rows, end = one.table()
        check(len(rows) == end["shown"] == end["matching"] == end["connections"] >= 300, "all rows")
        same(len({row["cid"] for row in rows}), len(rows), "each once")
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
        check(any(cid["cid"] == wanted["cid"] and cid["in_use"] for cid in detail["cids"]), "its CIDs")
        scrape(url, len(rows))
    finally:
        idle.terminate()
        idle.wait(PATIENCE)
    for text, error in (("{", "bad_json"), ("[]", "bad_json"), ('{"request":"x"}', "bad_request"),
                        ('{"request":"table","filter":{"state":"x"}}', "bad_request"), ("x" * 4096, "too_long")):
        one.say(text)
        same(one.line()["error"], error, text[:40])
    second, second_said = start(scratch, "--control", path, name="second")
    same(second.wait(PATIENCE), 3, "a socket in use")
    with open(second_said) as file:
        check("is in use by process" in file.read(), "what is said of a socket in use")


def scrape(url, connections):
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
    same(int(values['roam_connections{state="established"}']), connections, "connections")
    for name in (name for name, kind in types.items() if kind == "histogram"):
        buckets = [int(n) for n in re.findall(rf'^{name}_bucket\{{le="[^"]+"\}} (\d+)$', text, re.M)]
        check(buckets == sorted(buckets) and buckets[-1] == int(values[name + "_count"]), f"{name} is cumulative")


sys.exit(main())
