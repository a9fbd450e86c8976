#!/usr/bin/env python3
"""What a change of the client's address costs a download: roam and ngtcp2, each through the same `roam natbox`, in turn.

The NAT forgets the old mapping at once: what still comes there is lost. It says itself what it handed on and when
(--watch), and what the application has got in order is read from the client's output as it comes. Wants ROAM, the command
(build/roam where nothing is said), openssl, and for ngtcp2 gtlsserver and gtlsclient (Debian: ngtcp2-server,
ngtcp2-client).

  spoke      the client's first datagram after the change
  first      the first datagram that the NAT lets in by the new mapping
  wire gap   the longest time without a datagram for the client
  gap        the longest time without an octet in order for the application
  80 %, 90 % from when on the application gets that share of the octets that it got before, in 10 ms
  lost       octets that the server sent to the dead mapping, or into a full queue: they are sent again
  over       octets that the client got beyond the file: headers, and what it had already"""
import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROAM = os.environ.get("ROAM", os.path.join(HERE, "..", "build", "roam"))
PATIENCE = 60
MEBIBYTE = 1 << 20
READ_BYTES = 1 << 16
DATAGRAM = 1472  # octets of UDP payload that pass: Ethernet

RATE_WINDOW = 0.010  # a rate is that of so many seconds
BEFORE = 0.200  # the rate before is that of so many seconds before the change
GIVE_UP = 5  # seconds of silence after which a client ends
AFTER = 1.0  # what comes later than that has nothing to do with the change


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {what} within {PATIENCE} s")
        time.sleep(0.005)
    return found


class Child:
    """A process that is ended with the block."""

    def __init__(self, *command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        self.process = subprocess.Popen([str(word) for word in command], **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)


# ------------------------------------------------------------------------------------------------------- the stacks

class Roam:
    name = "roam"

    @staticmethod
    def missing():
        return None if os.access(ROAM, os.X_OK) else ROAM

    @staticmethod
    def server(place, port):
        return Child(ROAM, "listen", "--keep", "--hq", place.files, "--cert", place.certificate, "--key", place.key,
                     f"127.0.0.1:{port}")

    @staticmethod
    def client(place, port, options):
        return Child(ROAM, "connect", "--insecure", "--idle", f"{GIVE_UP}s", *options, "--hq", f"https://127.0.0.1:{port}/{place.file}", "-o",
                     place.fifo)


class Ngtcp2:
    name = "ngtcp2"

    @staticmethod
    def missing():
        return next((name for name in ("gtlsserver", "gtlsclient") if shutil.which(name) is None), None)

    @staticmethod
    def server(place, port):
        return Child("gtlsserver", "--quiet", "-d", place.files, "127.0.0.1", port, place.key, place.certificate)

    @staticmethod
    def client(place, port, options):
        return Child("gtlsclient", "--quiet", "--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close",
                     f"--timeout={GIVE_UP}s", f"--download={place.out}", "127.0.0.1", port, f"https://127.0.0.1:{port}/{place.file}")


STACKS = {stack.name: stack for stack in (Roam, Ngtcp2)}


class Place:
    """Files, a certificate, and a pipe through which the clients' output is read."""

    def __init__(self, root, size):
        self.files, self.out, self.file = os.path.join(root, "files"), os.path.join(root, "out"), "file"
        self.key, self.certificate = os.path.join(root, "key.pem"), os.path.join(root, "cert.pem")
        self.fifo, self.size, self.lines = os.path.join(self.out, self.file), size, os.path.join(root, "natbox")
        os.mkdir(self.files)
        os.mkdir(self.out)
        os.mkfifo(self.fifo)
        with open(os.path.join(self.files, self.file), "wb") as file:
            file.write(random.Random(1).randbytes(MEBIBYTE) * (size // MEBIBYTE))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-keyout", self.key, "-out", self.certificate],
                       check=True, capture_output=True)


def free_port():
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


# --------------------------------------------------------------------------------------------------------- one run

class Reader(threading.Thread):
    """What the application gets, and when: (time, octets so far)."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.progress = path, [(time.monotonic(), 0)]

    def run(self):
        with open(self.path, "rb", buffering=0) as pipe:
            while data := pipe.read(READ_BYTES):
                self.progress.append((time.monotonic(), self.progress[-1][1] + len(data)))


def natbox_lines(place):
    with open(place.lines) as file:
        return [json.loads(line) for line in file.read().split("\n")[:-1]]


def run(stack, place, arguments):
    """One download; the NAT's lines, when its clock began, and what the application got."""
    port = free_port()
    what = ["--rebind", "both", "--address", "127.0.0.2,127.0.0.3"] if arguments.change == "address" else []
    with open(place.lines, "w") as lines, stack.server(place, port) as server:
        time.sleep(0.3)
        box = Child(ROAM, "natbox", "--json", "--watch", "200us", "--delay", f"{arguments.rtt / 2}ms", "--rate",
                    arguments.rate, "--queue", arguments.queue, "--mtu", DATAGRAM, *what, "0", f"127.0.0.1:{port}", stdout=lines)
        with box:
            listening = wait_for("natbox", lambda: [line for line in natbox_lines(place) if line["event"] == "listening"])
            reader = Reader(place.fifo)
            reader.start()
            with stack.client(place, int(listening[0]["on"].rsplit(":", 1)[1]), arguments.client) as client:
                wait_for("data", lambda: reader.progress[-1][1] > 0 or server.process.poll() is not None)
                time.sleep(arguments.after + random.uniform(0, 0.3))
                box.process.send_signal(signal.SIGUSR1)
                reader.join(PATIENCE)
                client.process.wait(PATIENCE)
    found = natbox_lines(place)
    began = next(line["monotonic_ns"] for line in found if line["event"] == "seed") / 1e9
    return found, began, reader.progress


# ------------------------------------------------------------------------------------------------- what came of it

def octets_at(progress, when):
    """Octets that had come by then."""
    low, high = 0, len(progress)
    while low < high:
        middle = (low + high) // 2
        if progress[middle][0] <= when:
            low = middle + 1
        else:
            high = middle
    return progress[low - 1][1] if low else 0


def longest_gap(times, begin, end):
    """Between two of the times, of which the second is later than `begin` and the first earlier than `end`."""
    return max((b - a for a, b in zip(times, times[1:]) if b > begin and a < end), default=0.0)


def back_at(progress, change, share):
    """From when on, after the change, a window had that share of the rate from before."""
    before = (octets_at(progress, change) - octets_at(progress, change - BEFORE)) / BEFORE
    # What was under way behind the NAT comes yet: the search begins when that is over.
    at = change + RATE_WINDOW
    while at < change + GIVE_UP:
        if octets_at(progress, at + RATE_WINDOW) - octets_at(progress, at) >= share * before * RATE_WINDOW:
            return at - change
        at += 0.0005
    return float("inf")


def judge(lines, began, progress):
    """Milliseconds from the change on; infinite is what never happened."""
    change = began + next(line["ms"] for line in lines if line["event"] == "rebind") / 1000
    spoke = [began + line["ms"] / 1000 for line in lines if line["event"] == "mapped" and "was" in line]
    down = [(began + line["ms"] / 1000 - line["within_us"] / 1e6, began + line["ms"] / 1000)
            for line in lines if line["event"] == "passed" and line["way"] == "down"]
    wire = sorted({moment for span in down for moment in span})
    first = next((begin for begin, _ in down if begin > change + 0.002), float("inf"))
    return {
        "spoke": (spoke[0] - change if spoke else float("inf")) * 1000,
        "first": (first - change) * 1000,
        "wire gap": longest_gap(wire, change, change + AFTER) * 1000,
        "gap": longest_gap([moment for moment, _ in progress], change, change + AFTER) * 1000,
        "80 %": back_at(progress, change, 0.8) * 1000,
        "90 %": back_at(progress, change, 0.9) * 1000,
    }


COLUMNS = ("spoke", "first", "wire gap", "gap", "80 %", "90 %", "lost kB", "over kB")


def measure(stack, place, arguments):
    lines, began, progress = run(stack, place, arguments)
    if progress[-1][1] != place.size:
        return dict.fromkeys(COLUMNS, float("inf"))
    result = judge(lines, began, progress)
    sent = next(line["bytes"] for line in reversed(lines) if line["event"] == "total" and line["way"] == "down")
    handed_on = sum(line["bytes"] for line in lines if line["event"] == "passed" and line["way"] == "down")
    result["lost kB"] = (sent - handed_on) / 1000
    result["over kB"] = (handed_on - place.size) / 1000
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stacks", default="roam,ngtcp2", help="in this order in each round")
    parser.add_argument("--change", choices=("port", "address"), default="port")
    parser.add_argument("--rtt", type=float, default=20, help="ms, without the queue")
    parser.add_argument("--rate", default="200M", help="bits a second")
    parser.add_argument("--queue", default="128K", help="octets before the bottleneck")
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--after", type=float, default=0.8, help="seconds of download before the change")
    parser.add_argument("--client", action="append", default=[], metavar="OPTION", help="another option of roam connect")
    parser.add_argument("--json", action="store_true", help="all rounds, instead of a table of medians")
    arguments = parser.parse_args()
    stacks = [STACKS[name] for name in arguments.stacks.split(",")]
    for stack in list(stacks):
        if stack.missing():
            print(f"{stack.name} is left out: there is no {stack.missing()}", file=sys.stderr)
            stacks.remove(stack)
    results = {stack.name: [] for stack in stacks}
    with tempfile.TemporaryDirectory() as root:
        place = Place(root, arguments.megabytes * MEBIBYTE)
        for _ in range(arguments.rounds):
            for stack in stacks:
                results[stack.name].append(measure(stack, place, arguments))
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{arguments.change} changes after {arguments.after} s and some: {arguments.rtt:g} ms, {arguments.rate} bit/s, "
          f"queue {arguments.queue}; median (least to most) of {arguments.rounds}, in ms after the change")
    print("| stack | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for name, rounds in results.items():
        cells = []
        for column in COLUMNS:
            values = [one[column] for one in rounds]
            cells.append(f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        unfinished = sum(one["gap"] == float("inf") for one in rounds)
        name += f", {unfinished} of {len(rounds)} not finished" if unfinished else ""
        print(f"| {name} | " + " | ".join(cells) + " |")


main()
