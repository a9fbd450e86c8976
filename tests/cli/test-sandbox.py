#!/usr/bin/env python3
"""Servers in their sandbox: what the kernel says of every thread, and that all of what a server does after its start still
works there: certificates and logs that SIGHUP opens anew, qlogs, the control socket, metrics, the dashboard. Wants ROAM."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROAM = os.environ["ROAM"]
if os.environ.get("ROAM_SANITIZED"):
    print("no sandbox where a sanitizer watches")
    sys.exit(77)

scratch = Path(tempfile.mkdtemp())
scratch.chmod(0o755)
is_root = os.geteuid() == 0
children = []


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"{what}: not in time")
        time.sleep(0.01)


class Server:
    def __init__(self, *words, ready="listening on"):
        self.said = scratch / f"said{len(children)}"
        with open(self.said, "w") as said:
            self.process = subprocess.Popen([ROAM, *map(str, words)], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        children.append(self.process)
        wait_until(lambda: re.search(ready, self.text()) or self.process.poll() is not None, f"{words}")
        match = re.search(r"listening on \S*:(\d+)$", self.text(), re.M)
        self.port = int(match[1]) if match else 0

    def text(self):
        return self.said.read_text()

    def threads(self):
        """What the kernel says of each thread."""
        return [dict(re.findall(r"^(\w+):\s*(.*)$", status.read_text(), re.M))
                for status in Path(f"/proc/{self.process.pid}/task").glob("*/status")]

    def wait_confined(self, uid, filtered="2"):
        wait_until(lambda: all(t["Seccomp"] == filtered for t in self.threads()), "the filter of system calls")
        for thread in self.threads():
            check(thread["Uid"].split() == [str(uid)] * 4, f"whose: {thread['Uid']}, not {uid}: {self.text()}")
            if filtered == "2":
                check(thread["NoNewPrivs"] == "1", "new privileges can be had")
                check(int(thread["CapEff"], 16) == int(thread["CapPrm"], 16) == 0, f"capabilities: {thread['CapPrm']}")

    def hang_up(self, said, times):
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.text().count(said) == times, f"'{said}' after SIGHUP: {self.text()}")

    def end(self, expected=0):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        check(status == expected, f"ended with {status}, not {expected}: {self.text()}")


def get(url, *options, expected=0):
    done = subprocess.run([ROAM, "get", "--insecure", *options, url], capture_output=True, timeout=20)
    check(done.returncode == expected, f"{url}: {done.returncode}, {done.stderr.decode()}")
    return done.stdout


def make_certificate(name):
    """Put in the place of what is there by renaming, as those do who renew them."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", f"/CN={name}", "-keyout", scratch / "keys/new.key", "-out", scratch / "keys/new.pem"],
                   check=True, capture_output=True)
    for kind in "key", "pem":
        (scratch / f"keys/new.{kind}").chmod(0o644)
        (scratch / f"keys/new.{kind}").rename(scratch / f"keys/server.{kind}")


def try_everything_of_serve(user, uid):
    make_certificate("first")
    control = scratch / "run/control"
    options = ["--user", user] if user else []
    server = Server("serve", *options, "--cert", scratch / "keys/server.pem", "--key", scratch / "keys/server.key",
                    "--access-log", scratch / "log/access", "--qlog", scratch / "qlog", "--control", control, "--dashboard",
                    "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--listings", scratch / "site", "127.0.0.1:0",
                    ready="dashboard at")
    server.wait_confined(uid)
    url = f"https://127.0.0.1:{server.port}/"
    check(get(url + "page") == b"what is served\n", "over HTTP/3")
    # By TCP, where a thread reads the file.
    wait_until(lambda: len(server.threads()) > 1, "the thread of TCP")
    server.wait_confined(uid)
    over_tcp = subprocess.run(["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{server.port}"],
                              input=b"GET /page HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", capture_output=True)
    check(b"what is served" in over_tcp.stdout, f"over TCP: {over_tcp}")
    check(b"page" in get(url), "the listing")

    (scratch / "log/access").rename(scratch / "log/access.1")
    (scratch / "log/access").touch()
    (scratch / "log/access").chmod(0o666)
    make_certificate("second")
    server.hang_up("certificates were read anew", 1)
    get(url + "page")
    wait_until(lambda: "/page" in (scratch / "log/access").read_text(), "the new log")
    subject = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}"], input=b"", capture_output=True)
    check(b"second" in subject.stdout, "the new certificate")

    check(len(list((scratch / "qlog").glob("*.sqlog"))) >= 3, "a qlog of each connection")
    table = subprocess.run([ROAM, "table", "--control", control], capture_output=True, text=True)
    check(table.returncode == 0 and "ConnectionID" in table.stdout, f"the table: {table}")
    metrics = re.search(r"metrics on (\S+)", server.text())[1]
    resident = re.search(r"^process_resident_memory_bytes (\d+)", urllib.request.urlopen(metrics).read().decode(), re.M)
    check(int(resident[1]) > 0, "what is resident, of /proc")
    # The page's data comes by way of the control socket, and goes on for ever.
    page = re.search(r"dashboard at (https://\S+)/", server.text())[1]
    check(b"<html" in get(page + "/"), "the dashboard")
    live = subprocess.run(["timeout", "-s", "INT", "1", ROAM, "get", "--insecure", page + "/live"], capture_output=True)
    check(b"{" in live.stdout, f"the dashboard's data: {live}")
    server.end()
    check(not control.exists() or uid != os.geteuid(), "the control socket stays behind")
    control.unlink(missing_ok=True)


def try_others():
    place = "127.0.0.1:0"
    own = ["--user", "root"] if is_root else []
    for words in (["listen", *own, place], ["perf", "server", *own, place], ["natbox", *own, place, "127.0.0.1:9"]):
        server = Server(*words)
        server.wait_confined(os.geteuid())
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
    server = Server("serve", "--no-sandbox", scratch / "site", place, ready="roam get")
    server.wait_confined(os.geteuid(), filtered="0")
    server.end()


def try_users():
    nobody = int(subprocess.run(["id", "-u", "nobody"], capture_output=True, text=True, check=True).stdout)
    (scratch / "secret").mkdir(mode=0o700)
    if not is_root:
        server = Server("serve", "--user", "nobody", scratch / "site", "127.0.0.1:0", ready="only root")
        check(server.process.wait(20) == 3, "who is not root becomes somebody else")
        return
    try_everything_of_serve("nobody", nobody)
    # Without a name as with nobody's, where nobody could serve it; else as root, which is said.
    server = Server("serve", "--no-control", scratch / "site", "127.0.0.1:0", ready="roam get")
    default = server.threads()[0]["Uid"].split()[0]
    check(default != "0" and "stays root" not in server.text(), server.text())
    server.end()
    server = Server("serve", "--no-control", scratch / "secret", "127.0.0.1:0", ready="roam get")
    server.wait_confined(0)
    check("stays root" in server.text(), server.text())
    server.end()
    server = Server("serve", "--user", "nobody", scratch / "secret", "127.0.0.1:0", ready="may not use")
    check(server.process.wait(20) == 3, "nobody serves what they may not read")


try:
    for name in "site", "keys", "log", "qlog", "run":
        (scratch / name).mkdir()
        (scratch / name).chmod(0o777)
    (scratch / "site/page").write_text("what is served\n")
    (scratch / "log/access").touch()
    (scratch / "log/access").chmod(0o666)
    try_everything_of_serve("root" if is_root else None, os.geteuid())
    try_users()
    try_others()
finally:
    for child in children:
        if child.poll() is None:
            child.kill()
    shutil.rmtree(scratch)
