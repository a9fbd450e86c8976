#!/usr/bin/env python3
"""roam top on a terminal of tmux: what stands there, what keys do, and that the terminal is as it was. Wants ROAM, tmux."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROAM = os.environ["ROAM"]
PATIENCE = 60


def check(fact, message):
    if not fact:
        raise AssertionError(message)


def wait_until(look, what):
    """What look() finds, once it finds something."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} does not come")
        time.sleep(0.02)


class Terminal:
    """A shell on a terminal of 80 by 24."""

    def __init__(self, scratch):
        self.tmux = ["tmux", "-S", os.path.join(scratch, "tmux"), "-f", "/dev/null"]
        self.scratch = scratch
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TMUX")}
        environment.pop("NO_COLOR", None)
        subprocess.run([*self.tmux, "new-session", "-d", "-x", "80", "-y", "24", "env PS1='$ ' sh"], check=True,
                       env=environment, stderr=subprocess.PIPE)

    def run(self, *command):
        return subprocess.run([*self.tmux, *command], check=True, capture_output=True, text=True).stdout

    def keys(self, *names):
        self.run("send-keys", *names)

    def type(self, text):
        self.run("send-keys", "-l", text)

    def screen(self, *options):
        return self.run("capture-pane", "-p", *options)

    def wait_for(self, pattern, *options):
        last = ""

        def look():
            nonlocal last
            last = self.screen(*options)
            return re.search(pattern, last, re.M)

        try:
            return wait_until(look, pattern)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is:\n{last}") from None

    def file(self, name):
        return os.path.join(self.scratch, name)

    def start(self, control, settings=""):
        """Runs roam top; what it says on standard error, its status and the terminal's settings are kept in files."""
        self.type(f"clear; echo shell; stty -g >{self.file('before')}; {settings} {ROAM} top --control {control} "
                  f"2>{self.file('said')}; echo $? >{self.file('status')}; stty -g >{self.file('after')}; "
                  f"mv {self.file('after')} {self.file('done')}")
        self.keys("Enter")

    def pid(self):
        shell = self.run("display-message", "-p", "#{pane_pid}").strip()
        return int(wait_until(lambda: open(f"/proc/{shell}/task/{shell}/children").read().split(), "roam top")[0])

    def ended(self, status, said, screen=r"^shell$"):
        """With that status, having said that; the terminal is as it was, and shows what it showed."""
        wait_until(lambda: os.path.exists(self.file("done")), "the end of roam top")
        with open(self.file("status")) as file, open(self.file("said")) as err:
            found = int(file.read()), err.read()
        check(found[0] == status and re.search(said, found[1]), f"ended with {found}, not with {status} and '{said}'")
        with open(self.file("before")) as before, open(self.file("done")) as after:
            check(before.read() == after.read(), "the terminal's settings are others than before")
        os.remove(self.file("done"))
        self.wait_for(screen)
        # A shell says so where standard input was left so that it does not wait.
        check("NDELAY" not in self.screen(), "standard input does not wait any more")


class Server:
    """Handshakes are all that it does, and what clients send to keep their connections is all that comes. One client is
    behind a NAT."""

    def __init__(self, scratch):
        self.children, self.scratch = [], scratch
        self.control = os.path.join(scratch, "c.sock")
        self.server, port = self.start("listen", "--handshake-only", "--control", self.control, "127.0.0.1:0")
        self.box, outside = self.start("natbox", "127.0.0.1:0", f"127.0.0.1:{port}")
        for to in (outside, port):
            self.start("connect", "--insecure", "--recv-only", "--keep-alive", "50ms", f"127.0.0.1:{to}", listens=False)
        self.rows = wait_until(lambda: self.table(2), "two connections")
        self.direct, self.behind = self.rows if self.is_behind(self.rows[1]) else self.rows[::-1]

    def start(self, *command, listens=True):
        name = os.path.join(self.scratch, f"{len(self.children)}.out")
        with open(name, "w") as out:
            child = subprocess.Popen([ROAM, *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.children.append(child)
        if not listens:
            return child, None
        return child, wait_until(lambda: re.search(r"listening on[ =]127\.0\.0\.1:(\d+)", open(name).read()),
                                 "listening").group(1)

    def table(self, n):
        with socket.socket(socket.AF_UNIX) as asked, asked.makefile("rb") as file:
            asked.connect(self.control)
            asked.sendall(b'{"request":"table"}\n')
            file.readline()
            rows = json.loads(file.readline()).get("rows", [])
        return rows if len(rows) == n and all(row["state"] == "established" for row in rows) else None

    def is_behind(self, row):
        with open(os.path.join(self.scratch, "1.out")) as box:
            return re.search(rf"mapped .*{re.escape(row['address'])}\b", box.read())

    def move(self):
        self.box.send_signal(signal.SIGUSR1)

    def stop(self):
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(PATIENCE)


def look_at_table(terminal, server):
    """Both rows; one moves, stands out and says where it was."""
    cid, address = server.behind["cid"], server.behind["address"]
    terminal.wait_for(rf"^[> ]{cid} {address} +estab ")
    terminal.wait_for(rf"^[> ]{server.direct['cid']} {server.direct['address']} ")
    screen = terminal.screen()
    check(re.match(r"roam listen \S+, process \d+, up \d+\.\ds\nconnections 2 established, 0 in handshake", screen), screen)
    check("MOVES MOVED\n" in screen, screen)
    server.move()
    moved = terminal.wait_for(rf"^[> ](\w+) (127\.0\.0\.1:\d+) +was {address} .* 1  [0-9.]+s$").groups()
    check(moved[1] != address, "it is elsewhere")
    terminal.wait_for(rf"^\x1b\[[0-9;]*7m.*was {address}", "-e")
    return moved


def look_at_filters(terminal, server, moved):
    terminal.type("/127.0.0.0/33")
    terminal.keys("Enter")
    terminal.wait_for(r"^filter: 127\.0\.0\.0/33_   an address is ADDR")
    terminal.keys("C-u")
    terminal.type("127.0.0.2")
    terminal.keys("Enter")
    terminal.wait_for(r"^ no connection is like that$")
    terminal.type("/")
    terminal.keys("C-u")
    terminal.type(moved[0])
    terminal.keys("Enter")
    terminal.wait_for(rf"^rows 1-1 of 1 by last_move, only {moved[0]} ")
    check(server.direct["cid"] not in terminal.screen(), "the other row")


def look_at_detail(terminal, server, old, moved):
    """Of the row that is left: what it has done, and what it does."""
    terminal.keys("Enter")
    terminal.wait_for(rf"^connection {moved[0]}  id {server.behind['id']}$")
    terminal.wait_for(rf"^ \d\d:\d\d:\d\d\.\d\d\d moved {old} -> {moved[1]} \(peer\)")
    terminal.wait_for(rf"^ \* +\d+ validated +{moved[1]} ")
    check(re.search(rf"^ server .*\b\d:{moved[0]}\*", terminal.screen(), re.M), "its CIDs")
    server.move()
    again = terminal.wait_for(rf"^ [0-9:.]+ moved {moved[1]} -> (\S+) \(peer\)").group(1)
    terminal.wait_for(rf"^ [0-9:.]+ path_validated {again} ")
    terminal.wait_for(rf"^address {again} ")
    terminal.keys("?")
    terminal.wait_for(r"^ Enter +the connection: ")
    terminal.keys("q")
    terminal.wait_for(r"^ TIMELINE ")
    terminal.keys("Escape")
    terminal.wait_for(rf"^>{moved[0]} {again} ")


def look_at_sizes(terminal):
    terminal.run("resize-window", "-x", "150", "-y", "30")
    terminal.wait_for(r" PATHS MOVES MOVED    GAP\n")
    terminal.run("resize-window", "-x", "30", "-y", "6")
    terminal.wait_for(r"\A ADDRESS\n>127\.0\.0\.1:\d+\n\n*rows 1-1 of 1 by last_move, o~\n\Z")
    terminal.run("resize-window", "-x", "80", "-y", "24")
    terminal.wait_for(r"\Aroam listen .*\n(.*\n)*.*MOVES MOVED\n")


def main():
    if shutil.which("tmux") is None:
        print("tmux is missing")
        return 77
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        terminal, server = Terminal(scratch), Server(scratch)
        try:
            terminal.start(server.control)
            moved = look_at_table(terminal, server)
            look_at_filters(terminal, server, moved)
            look_at_detail(terminal, server, server.behind["address"], moved)
            look_at_sizes(terminal)
            terminal.keys("q")
            terminal.ended(0, r"\A\Z")
            # Without colours, and ended by a signal.
            terminal.start(server.control, "NO_COLOR=1")
            terminal.wait_for(r"^rows 1-2 of 2 by last_move ")
            terminal.type("m")
            terminal.wait_for(r"^rows 1-2 of 2 by moves ")
            # A pause does not keep anybody from opening a connection.
            terminal.type("p")
            terminal.wait_for(r"^roam listen .* PAUSED$")
            terminal.keys("Enter")
            terminal.wait_for(r"^ \* +\d+ validated ")
            terminal.wait_for(r"^PAUSED ")
            check(not re.search(r"\x1b\[[0-9;]*\b[34][0-7]\b", terminal.screen("-e")), "no colours")
            os.kill(terminal.pid(), signal.SIGTERM)
            terminal.ended(128 + signal.SIGTERM, r"\A\Z")
            # Curses keeps what it tried with, which a sanitizer calls a leak.
            if not os.environ.get("ROAM_SANITIZED"):
                terminal.start(server.control, "TERM=nonsense")
                terminal.ended(3, r"cannot be drawn on")
            terminal.start(server.control, "TERM=vt100")
            terminal.wait_for(rf"^[> ]{server.direct['cid']} ")
            server.server.terminate()
            # This one has no other screen to go back to.
            terminal.ended(1, r"\Aroam: the server has ended\n\Z", r"^\$ *\n*\Z")
            terminal.start(server.control)
            terminal.ended(1, r"no server can be asked by \S+: ")
        finally:
            server.stop()
            terminal.run("kill-server")
    refused = subprocess.run([ROAM, "top"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    check(refused.returncode == 3 and "on a terminal" in refused.stderr, "without a terminal")
    return 0


sys.exit(main())
