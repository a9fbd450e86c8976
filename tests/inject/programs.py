"""The programs of which calls are made to fail: each unit test by itself, and the command against one that is left in peace.
A program's run says what was wrong with it: None, or a sentence."""
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from judge import SANITIZER_STATUS, sanitizer_verdict

CONTENT = bytes(range(256)) * 240  # what every transfer carries
PATIENCE = 40  # that it takes long is no fault; that it takes forever is
SHORT = ["--idle", "3s", "--handshake", "3s"]


class World:
    """Where programs are, and what they share."""

    def __init__(self, build, shim, sanitizer, scratch):
        self.build, self.shim, self.sanitizer, self.scratch = build, shim, sanitizer, Path(scratch)
        self.roam = os.path.join(build, "roam")
        self.www = self.scratch / "www"
        self.www.mkdir()
        (self.www / "file").write_bytes(CONTENT)
        (self.www / "list").mkdir()
        self.peers = {}

    def environment(self, inject):
        """`inject`: None for those that are left in peace."""
        common = f"handle_abort=2:handle_segv=2:handle_sigbus=2:handle_sigfpe=2:exitcode={SANITIZER_STATUS}"
        ret = {**os.environ, "HOME": str(self.scratch), "XDG_RUNTIME_DIR": str(self.scratch), "LSAN_OPTIONS": common,
               "ASAN_OPTIONS": f"verify_asan_link_order=0:allocator_may_return_null=1:detect_stack_use_after_return=1:"
                               f"strict_string_checks=1:{common}",
               "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
        if inject is not None:
            ret.update(inject, LD_PRELOAD=f"{self.shim} {self.sanitizer}")
        return ret

    def server(self, *words):
        """One that is left in peace and serves all that come: its port and pin."""
        if words not in self.peers:
            said = self.scratch / f"peer{len(self.peers)}.err"
            child = subprocess.Popen([self.roam, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=said.open("w"), env=self.environment(None))
            self.peers[words] = (child, wait_listening(child, said))
            if self.peers[words][1] is None:
                raise RuntimeError(f"roam {' '.join(words)} does not listen: {said.read_text()}")
        return self.peers[words][1]

    def close(self):
        for child, _ in self.peers.values():
            child.kill()
            child.wait()


def wait_listening(child, said):
    """(port, pin) when it is there; None if it has ended, or says nothing in time. perf's clients want no pin."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        spoken = said.read_text(errors="replace")
        port = re.search(r"listening on \S+:(\d+)", spoken)
        pin = re.search(r"--pin (sha256:\w+)", spoken)
        if port and (pin or "perf" in child.args):
            return port[1], pin[1] if pin else None
        if child.poll() is not None:
            return None
        time.sleep(0.01)
    return None


class UnitTest:
    def __init__(self, world, binary, place):
        self.world, self.binary, self.place = world, binary, place
        self.name = f"{os.path.basename(binary)}:{place}"

    def run(self, inject):
        try:
            done = subprocess.run([self.binary], env=self.world.environment({**inject, "ROAM_INJECT_TEST": str(self.place)}),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return "does not end", ""
        said = done.stdout.decode(errors="replace")
        failed = "[  FAILED  ]" in said or done.returncode not in (0, SANITIZER_STATUS)
        verdict = sanitizer_verdict(said, True, failed)
        if verdict is None and done.returncode < 0:
            verdict = f"ended by signal {-done.returncode}"
        return verdict, said


class Command:
    """`roam` with these words, once something to its other side is there."""

    def __init__(self, world, name, body):
        self.world, self.name, self.body, self.binary = world, name, body, world.roam

    def run(self, inject):
        folder = self.world.scratch / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        injected = Injected(self.world, inject, folder)
        try:
            verdict = self.body(injected)
        finally:
            injected.stop()
        return injected.verdict() or verdict, injected.text()


def command_verdict(said, status, sent=None):
    """What is wrong with a command that has ended so. `sent`: the signal that it was given at the end, if any."""
    found = sanitizer_verdict(said, False, False)
    # One that was at its end already no longer listens to signals of its own.
    if found is None and status < 0 and status not in (-signal.SIGKILL, -(sent or 0)):
        return f"ended by signal {-status}"
    if found is None and status != 0 and not said.strip():
        return f"ended with {status}, and without a word"
    return found


class Canary:
    """A program that has this fault."""

    def __init__(self, world, fault):
        self.world, self.name, self.fault = world, "canary " + fault, fault
        self.binary = os.path.join(world.build, "tests", "inject_canary")

    def run(self, inject):
        try:
            done = subprocess.run([self.binary, self.fault], env=self.world.environment(inject), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=3, check=False)
        except subprocess.TimeoutExpired:
            return "does not end", ""
        said = done.stdout.decode(errors="replace")
        return command_verdict(said, done.returncode), said


class Injected:
    def __init__(self, world, inject, folder):
        self.world, self.inject, self.folder = world, inject, folder
        self.said, self.printed = folder / "said", folder / "printed"
        self.child, self.hangs, self.sent = None, False, None
        self.reports = False  # what it prints is its word

    def start(self, *words, given=b""):
        (self.folder / "given").write_bytes(given)
        self.child = subprocess.Popen([self.world.roam, *map(str, words)], stdin=(self.folder / "given").open(),
                                      stdout=self.printed.open("w"), stderr=self.said.open("w"), cwd=self.folder,
                                      env=self.world.environment(self.inject))

    def finish(self):
        try:
            return self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.hangs = True
            return None

    def terminate(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
            self.sent = how
        return self.finish()

    def stop(self):
        """At the end, whatever there was before."""
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def text(self):
        return self.said.read_text(errors="replace") if self.said.exists() else ""

    def verdict(self):
        said = self.text() + (self.printed.read_text(errors="replace") if self.reports else "")
        return "does not end" if self.hangs else command_verdict(said, self.child.returncode, self.sent)

    def peer(self, *words, given=b""):
        """A command that is left in peace: its status, and what it printed."""
        done = subprocess.run([self.world.roam, *map(str, words)], input=given, cwd=self.folder, timeout=PATIENCE, check=False,
                              env=self.world.environment(None), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def wrong_if(condition, what):
    return what if condition else None


# ---- What clients do

def transfer(run, file, *words):
    """Right content where it says that all is well."""
    run.start(*words)
    status = run.finish()
    got = file.read_bytes() if file.exists() else b""
    return wrong_if(status == 0 and got != CONTENT, "says that all is well, and has other octets than were sent")


def get(run):
    port, pin = run.world.server("serve", "--no-control", str(run.world.www), "127.0.0.1:0")
    return transfer(run, run.folder / "out", "get", "--pin", pin, "--idle", "3s", "--connect-timeout", "3s", "--qlog", "qlog",
                    "--progress", "none", "-o", "out", f"https://127.0.0.1:{port}/file")


def connect(run):
    port, pin = run.world.server("listen", "--keep", "--no-control", "--hq", str(run.world.www), "127.0.0.1:0")
    return transfer(run, run.folder / "out", "connect", "--pin", pin, *SHORT, "--session-file", "session", "--token-file",
                    "token", "--migrate-every", "100ms", "-v", "-o", "out", "--hq", f"https://127.0.0.1:{port}/file")


def perf(run):
    port, _ = run.world.server("perf", "server", "--no-control", "127.0.0.1:0")
    run.start("perf", "client", "--download", "20000", "--upload", "20000", "--requests", "5", "--handshakes", "2", "--time",
              "5s", f"127.0.0.1:{port}")
    run.finish()


def check(run):
    port, pin = run.world.server("serve", "--no-control", str(run.world.www), "127.0.0.1:0")
    run.reports = True
    run.start("check", "--pin", pin, "--timeout", "10s", "--bind", "127.0.0.1", "--second", "127.0.0.2",
              f"https://127.0.0.1:{port}/")
    run.finish()


def table(run):
    control = str(run.world.scratch / "control.sock")
    run.world.server("listen", "--keep", "--control", control, "--hq", str(run.world.www), "127.0.0.1:0")
    run.start("table", "--control", control)
    run.finish()
    return wrong_if(run.child.returncode == 0 and not run.printed.read_text(), "says that all is well, and prints nothing")


# ---- What servers do. The failure may hit each of two clients; who comes then is served, if the server is still there.

def serve_twice(run, fetch, how, *words):
    run.start(*words)
    where = wait_listening(run.child, run.said)
    verdict = None
    for turn in range(3):
        if where is None or run.child.poll() is not None or (turn == 2 and status == 0):
            break
        status, got, said = fetch(run, *where)
        if status == 0 and got != CONTENT:
            verdict = "a client was given other octets than there are"
        elif status != 0 and not said.strip():
            verdict = f"a client ended with {status}, and without a word"
        elif status != 0 and turn == 2 and run.child.poll() is None:
            verdict = f"serves nobody any more: {said.strip()}"
    run.terminate(how)
    return verdict


def fetch_by_get(run, port, pin):
    return run.peer("get", "--fail", "--pin", pin, "--idle", "2s", "--connect-timeout", "2s", "--progress", "none",
                    f"https://127.0.0.1:{port}/file")


def fetch_by_hq(run, port, pin):
    return run.peer("connect", "--pin", pin, "--idle", "2s", "--handshake", "2s", "--migrate-every", "50ms", "--hq",
                    f"https://127.0.0.1:{port}/file")


def serve(run):
    return serve_twice(run, fetch_by_get, signal.SIGTERM, "serve", "--control", "control", "--metrics", "127.0.0.1:0",
                       "--access-log", "access", "--listings", "--grace", "1s", "--idle", "3s", "--retry", "--static-key", "key",
                       run.world.www, "127.0.0.1:0")


def listen(run):
    def fetch(run, port, pin):
        run.peer("table", "--control", "control")
        return fetch_by_hq(run, port, pin)
    return serve_twice(run, fetch, signal.SIGINT, "listen", "--keep", "--control", "control", *SHORT, "--qlog", "qlog",
                       "-v", "--hq", run.world.www, "127.0.0.1:0")


def netcat(run):
    run.start("listen", "--no-control", *SHORT, "127.0.0.1:0", given=CONTENT)
    where = wait_listening(run.child, run.said)
    if where is None or run.child.poll() is not None:
        run.terminate(signal.SIGINT)
        return None
    port, pin = where
    status, got, said = run.peer("connect", "--pin", pin, "--idle", "2s", "--handshake", "2s", f"127.0.0.1:{port}",
                                 given=CONTENT)
    own = run.terminate(signal.SIGINT) if status != 0 else run.finish()
    if status == 0 and got != CONTENT:
        return "its client was told that all is well, and has other octets than were sent"
    return wrong_if(own == 0 and status == 0 and run.printed.read_bytes() != CONTENT, "prints other octets than were sent")


def natbox(run):
    port, pin = run.world.server("serve", "--no-control", str(run.world.www), "127.0.0.1:0")
    run.start("natbox", "--json", "--rebind-every", "50ms", "--delay", "2ms", "--duplicate", "5%", "127.0.0.1:0",
              f"127.0.0.1:{port}")
    end = time.monotonic() + PATIENCE
    door = None
    while door is None and run.child.poll() is None and time.monotonic() < end:
        door = re.search(r'"on":\s*"127.0.0.1:(\d+)"', run.printed.read_text())
        time.sleep(0.01)
    verdict = None
    if door:
        status, got, said = fetch_by_get(run, door[1], pin)
        verdict = wrong_if(status == 0 and got != CONTENT, "other octets than were sent have come through it")
    run.terminate()
    return verdict


COMMANDS = [get, connect, perf, check, table, serve, listen, netcat, natbox]


FAULTS = ["leak", "hang", "crash", "assertion", "silence"]


def canaries(world):
    return [Canary(world, fault) for fault in FAULTS + ["honest"]]


def commands(world):
    return [Command(world, "roam " + body.__name__, body) for body in COMMANDS]


def unit_tests(world, binaries, count_of):
    return [UnitTest(world, binary, place) for binary in binaries for place in range(count_of(binary))]
