"""One cell of the matrix: a client, a server, a case. What comes of it is a Verdict."""

import collections
import os
import re
import shutil
import sys
import time
import traceback

import capture as cap
import matrix_endpoints as ends
import matrix_judges as judges
import peers
from harness import Failure, World, check, free_port
from matrix_trace import Leg

# kind: ok, FAIL, unsupported (the peer's own), not yet (roam's). `why` is what was seen, or the reason.
Verdict = collections.namedtuple("Verdict", "kind why seconds value")


def application_of(client, server, case):
    """hq where both speak it and the case is not of HTTP/3; None where they have nothing in common."""
    both = [name for name in client.applications if name in server.applications]
    wanted = [name for name in both if name == "h3"] if case.name == "http3" else both
    return wanted[0] if wanted else None


def make_files(world, case):
    www = world.path("www")
    www.mkdir()
    world.path("downloads").mkdir()
    if case.name == "versionnegotiation":
        return ["none"]  # no connection, no file
    for n, size in enumerate(case.files):
        name = (f"file-{n}-" + os.urandom(125).hex())[:case.names] if case.names else f"file-{n}"
        (www / name).write_bytes(os.urandom(size))
    return sorted((path.name for path in www.iterdir()), key=lambda name: int(name.split("-")[1]))


def merged_keys(world):
    """The secrets that both sides told, in one file."""
    lines = {line for file in world.directory.glob("*.keys") for line in file.read_text().splitlines()}
    path = world.path("all.keylog")
    path.write_text("".join(f"{line}\n" for line in sorted(lines)))
    return path


def network(world, case, host, *ports):
    """The natbox before the servers; returns its ports."""
    door = "[::1]:0" if ":" in host else f"{host}:0"
    doors = [word for port in ports for word in (door, peers.authority(host, port))]
    box = world.start("natbox", [peers.ROAM, "natbox", "--json", "--seed", "7", *case.network, *doors])
    box.expect("out", r'(?s)(?:"event":"listening".*?\n.*?){%d}' % len(ports))
    return [int(event["on"].rsplit(":", 1)[1]) for event in box.events("listening")]


class Beside:
    """A TCP flow through the same natbox."""

    def __init__(self, world, case):
        self.world, self.port, self.near = world, free_port(case.host), None
        self.start("far", self.port).expect("err", "Server listening")

    def start(self, role, port):
        return self.world.start(role, [sys.executable, peers.HERE / "tcp_beside.py", role, port])

    def begin(self, door):
        """Returns once it fills the link."""
        self.near = self.start("near", door)
        self.near.expect("out", r"^\S+ [1-9]\d{6}")

    def rate(self, begun, ended):
        """Mbit/s between two times."""
        reports = [line.split() for line in self.near.text("out").splitlines(keepends=True) if line.endswith("\n")]
        counts = [int(octets) for at, octets in reports if begun <= float(at) <= ended]
        return 8 * (counts[-1] - counts[0]) / (ended - begun) / 1e6 if counts else 0.0


def connect(world, client, server, place):
    """Runs both ends; returns what the judges look at."""
    case = place.case
    names = make_files(world, case)
    preferred = f"127.0.0.1:{free_port('127.0.0.1')}" if case.name == "connectionmigration" else None
    _, port = server.server(world, place, preferred)
    also = [int(preferred.rsplit(":", 1)[1])] if preferred else []
    right = cap.Capture(world, port, "right", also)
    door, left = port, right
    beside = Beside(world, case) if case.beside else None
    if beside:
        door, other_door = network(world, case, place.host, port, beside.port)
        beside.begin(other_door)
    elif case.network is not None:
        [door] = network(world, case, place.host, port)
    if case.network is not None:
        left = cap.Capture(world, door, "left")
    begun = time.time()
    host = "localhost" if place.host == "127.0.0.1" else place.host
    status = client.client(world, place, [f"https://{peers.authority(host, door)}/{name}" for name in names])
    tcp = beside.rate(begun, time.time()) if beside else None
    time.sleep(0.3)  # a closing packet is still on its way
    paths = {one: one.stop() for one in {left, right}}
    if case.name != "versionnegotiation":
        check(status == 0, f"the client ended with {status}: {last_words(world)}")
    keys = merged_keys(world)
    return judges.Seen(Leg(paths[left], [door, *also], keys), Leg(paths[right], [port, *also], keys), world.path("www"),
                       world.path("downloads"), keys.stat().st_size > 0, sum(case.files), tcp)


def last_words(world):
    words = [line.strip() for process in world.processes if process.name.startswith("client")
             for line in process.text("err").splitlines()[-3:] + process.text("out").splitlines()[-1:] if line.strip()]
    return " / ".join(words[-2:])[:240] or "it said nothing"


def limit_of(client, server, case, failure):
    for end, role in ((client, "client"), (server, "server")):
        pattern, why = ends.LIMITS.get((end.name, role, case.name), (None, None))
        if pattern and re.search(pattern, failure):
            return f"{why}; seen: {failure}"
    return None


def decide(world, client, server, place):
    if place.application is None:
        own = ", ".join(client.applications) + " and " + ", ".join(server.applications)
        return Verdict("unsupported", f"they have no application in common: {own}", 0, None)
    try:
        value = place.case.judge(connect(world, client, server, place))
        return Verdict("ok", "", 0, value)
    except ends.NotYet as gap:
        return Verdict("not yet", str(gap), 0, None)
    except Failure as failure:
        why = limit_of(client, server, place.case, str(failure))
        return Verdict("unsupported", why, 0, None) if why else Verdict("FAIL", str(failure), 0, None)


def run_cell(client, server, case, directory, chains, keep):
    """Never raises: a bug of the harness is a failed cell, and is told whole."""
    directory.mkdir()
    world = World(directory, {})
    begun = time.monotonic()
    place = ends.Place(case, case.host, application_of(client, server, case), chains[case.chain])
    try:
        verdict = decide(world, client, server, place)
    except Exception:
        verdict = Verdict("FAIL", "the harness: " + traceback.format_exc(), 0, None)
    finally:
        world.stop_all()
    tails = world.tails() if verdict.kind == "FAIL" else ""
    if not keep:
        shutil.rmtree(directory)
    return verdict._replace(seconds=time.monotonic() - begun), tails
