#!/usr/bin/env python3
"""The doctor and its patients: roam listen, which is well, and servers that are ill in one way each: a forwarder in front
of it, between the doctor and the server, plays them. Each verdict that the illness calls for must come, and no other no.
Wants ROAM."""
import concurrent.futures
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROAM = os.environ["ROAM"]
SURVIVAL = ["handshake", "port-rebinding", "small-rebinding", "address-rebinding", "rebinding-row", "rebinding-response",
            "migration"]
failures = []


def check(what, truth):
    if not truth:
        failures.append(what)
        print(f"FAILED: {what}")


class Forwarder(threading.Thread):
    """Carries datagrams between clients and the server, and is ill. What it does with a client that comes from a new
    address without a handshake, which a long header begins, is the illness:
      healthy   carries it, so that the server sees a new address too
      drops     drops it: the server, or the firewall before it, knows only where the handshake came from
      stays     carries it, and what the server answers goes to the old address
      floods    carries it, and sends much more there than came from there
      crashes   ends: nothing is carried any more, for nobody
      silent    carries nothing at all, for nobody"""

    def __init__(self, port, illness):
        super().__init__(daemon=True)
        self.server = ("127.0.0.1", port)
        self.illness = illness
        self.listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.listening.bind(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.ways = {}  # a client's address: our socket to the server
        self.newest = None  # the way of the newest handshake
        self.moved = set()
        self.ended = threading.Event()

    def way_of(self, client, data):
        if client in self.ways:
            return self.ways[client]
        begins = data[0] & 0x80
        if not begins and self.illness == "drops":
            return None
        if not begins and self.illness == "stays" and self.newest:
            return self.newest
        way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        way.connect(self.server)
        self.ways[client] = way
        if begins:
            self.newest = way
        else:
            self.moved.add(client)
        return way

    def to_server(self):
        data, client = self.listening.recvfrom(65536)
        if self.illness in ("silent", "crashed"):
            return
        if self.illness == "crashes" and not data[0] & 0x80 and client not in self.ways:
            self.illness = "crashed"
            return
        way = self.way_of(client, data)
        if way is not None:
            way.send(data)

    def to_client(self, client, way):
        try:
            data = way.recv(65536)
        except ConnectionError:
            return
        if self.illness != "crashed":
            self.listening.sendto(data, client)
        for _ in range(4 if self.illness == "floods" and client in self.moved else 0):
            self.listening.sendto(bytes([0x40]) + os.urandom(1199), client)

    def run(self):
        while not self.ended.is_set():
            clients = {way: client for client, way in self.ways.items()}
            ready, _, _ = select.select([self.listening, *clients], [], [], 0.1)
            for one in ready:
                if one is self.listening:
                    self.to_server()
                else:
                    self.to_client(clients[one], one)

    def stop(self):
        self.ended.set()
        self.join()
        for one in [self.listening, *self.ways.values()]:
            one.close()


class Server:
    """roam listen with a certificate of its own, which the doctor pins."""

    def __init__(self, *arguments, host="127.0.0.1"):
        self.said = tempfile.NamedTemporaryFile("r")
        self.process = subprocess.Popen([ROAM, "listen", *arguments, f"{host}:0"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=open(self.said.name, "w"))
        self.port = int(self.wait_for(r"^listening on .*:(\d+)$"))
        self.pin = self.wait_for(r"--pin (sha256:[0-9a-f]+)")

    def wait_for(self, pattern):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(pattern, open(self.said.name).read(), re.M)
            if found:
                return found[1]
            time.sleep(0.02)
        sys.exit(f"roam listen never said {pattern}: {open(self.said.name).read()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def ask(*arguments, **environment):
    return subprocess.run([ROAM, "check", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, env=dict(os.environ, **environment))


def examine(name, port, *arguments, host="127.0.0.1", path="/payload"):
    run = ask("--json", *arguments, f"https://{host}:{port}{path}")
    report = json.loads(run.stdout)
    report["answers"] = {verdict["id"]: verdict["answer"] for verdict in report["verdicts"]}
    lines = [f"{verdict['answer']:8} {verdict['id']:26} {verdict['evidence']}\n" for verdict in report["verdicts"]]
    print(f"--- {name}: {run.returncode} {run.stderr}\n" + "".join(lines), end="", flush=True)
    check(f"{name}: the exit status stands in the report", report["exit_status"] == run.returncode)
    check(f"{name}: bounded", report["totals"]["datagrams_sent"] < 600 and report["totals"]["bytes_sent"] < 600000)
    return report


def nos(report):
    """What is answered with no, and matters."""
    return {v["id"] for v in report["verdicts"] if v["answer"] == "no" and v["severity"] in ("survival", "must")}


def expect(name, report, answers, status):
    check(f"{name}: exit status {status}, not {report['exit_status']}", report["exit_status"] == status)
    for which, answer in answers.items():
        check(f"{name}: {which} is {answer}, not {report['answers'].get(which)}", report["answers"].get(which) == answer)


def well(directory):
    server = Server("--hq", directory)
    report = examine("well", server.port, "--pin", server.pin)
    expect("well", report, dict.fromkeys(SURVIVAL, "yes"), 0)
    expect("well", report, {
        "challenge-new-path": "yes", "challenge-first": "yes", "challenge-padded": "yes", "challenge-data": "yes",
        "amplification": "yes", "challenge-old-path": "yes", "probe-answered": "yes", "probe-stays": "yes",
        "cid-rotation": "yes", "cid-supply": "yes", "cid-refill": "yes", "stateless-reset": "yes", "reset-size": "yes",
        "reset-token": "yes", "version-negotiation": "yes", "ack-delay": "yes", "still-there": "yes", "datagram-size": "yes", "retry": "no",
        "retry-token": "n/a", "disable-active-migration": "n/a", "session-tickets": "yes",
        "session-resumption": "yes", "new-token": "yes"}, 0)
    check("well: nothing that matters is no", nos(report) == set())
    check("well: outcome", report["outcome"] == "survives" and report["schema"] == "roam-check/1")
    moves = {move["id"]: move for move in report["moves"]}
    check("well: all moves", set(moves) == {"port-rebinding", "small-rebinding", "address-rebinding",
                                            "rebinding-response", "migration"})
    check("well: only the port changed", moves["port-rebinding"]["to"].startswith("127.0.0.1:"))
    check("well: the address changed", moves["address-rebinding"]["to"].startswith("127.0.0.2:"))
    check("well: the challenge is as large as may be", moves["port-rebinding"]["challenge_datagram_bytes"] == 1200)
    check("well: the small packet was small", moves["small-rebinding"]["trigger_bytes"] < 100)
    check("well: our answer was held back", moves["small-rebinding"]["response_sent_ms"] >= 300)
    check("well: another CID on a migration only", not moves["migration"]["cid_shared"]
          and moves["port-rebinding"]["cid_shared"])
    check("well: the response went on", moves["rebinding-response"]["stream_bytes_new"] > 10000)
    check("well: parameters", report["transport_parameters"]["source_connection_id_bytes"] == 8)

    documented(report)

    # A qlog for each connection, and the secrets of each.
    with tempfile.TemporaryDirectory() as logs:
        secrets = os.path.join(logs, "secrets")
        report = json.loads(ask("--json", "--qlog", os.path.join(logs, "qlogs"), "--pin", server.pin,
                                f"127.0.0.1:{server.port}", SSLKEYLOGFILE=secrets).stdout)
        connections = report["totals"]["connections"]
        qlogs = os.listdir(os.path.join(logs, "qlogs"))
        check(f"qlogs: {len(qlogs)} of {connections}", len(qlogs) == connections)
        check("qlogs: records", all(open(os.path.join(logs, "qlogs", name)).read().startswith("\x1e{") for name in qlogs))
        known = len(set(re.findall(r"^CLIENT_TRAFFIC_SECRET_0 (\w+)", open(secrets).read(), re.M)))
        check(f"secrets: of {known} connections", known in (connections, connections - 1))  # one ALPN is refused
        check("qlogs: not there", ask("--qlog", "/dev/null/x", "x.invalid:1").returncode == 4)

    # For people: a line for each verdict, no colour in a pipe.
    people = ask("--pin", server.pin, f"127.0.0.1:{server.port}")
    check("people: survives", people.returncode == 0 and "survives every move that was made" in people.stdout)
    check("people: no colour in a pipe", "\033" not in people.stdout)
    check("people: every question", all(v["question"] in people.stdout for v in report["verdicts"]))
    check("people: what was sent", re.search(r"^\d+ connections in [\d.]+ s: \d+ datagrams", people.stdout, re.M))
    check("people: without a file there is no middle", "name a file in the URL" in people.stdout)
    server.stop()


def documented(report):
    """docs/check.md has a line for each verdict, and no other."""
    text = open(os.path.join(os.environ["ROAM_SOURCE"], "docs", "check.md")).read()
    lines = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| ([a-z]+) \|$", text.split("## The lines")[1].split("\n## ")[0], re.M))
    check("docs/check.md has these lines", lines == {v["id"]: v["severity"] for v in report["verdicts"]})


def retry(directory):
    server = Server("--hq", directory, "--retry")
    report = examine("retry", server.port, "--pin", server.pin)
    expect("retry", report, {"retry": "yes", "retry-token": "yes", "port-rebinding": "yes"}, 0)
    server.stop()


def what_it_announced(directory):
    """A server that asks to be left alone, and one that asks to be spoken to elsewhere."""
    server = Server("--hq", directory, "--no-migration")
    report = examine("no migration", server.port, "--pin", server.pin)
    expect("no migration", report, {"migration": "n/a", "disable-active-migration": "yes", "port-rebinding": "yes",
                                    "address-rebinding": "yes", "cid-rotation": "n/a"}, 0)
    check("no migration: odd", report["transport_parameters"]["disable_active_migration"])
    server.stop()
    server = Server("--hq", directory, "--preferred", "127.0.0.3")
    report = examine("preferred", server.port, "--pin", server.pin)
    expect("preferred", report, {"preferred-address": "yes", **dict.fromkeys(SURVIVAL, "yes")}, 0)
    check("preferred: where", report["transport_parameters"]["preferred_address_ipv4"].startswith("127.0.0.3:"))
    server.stop()


def no_cids(directory):
    """Zero-length CIDs: nothing can move, and the doctor does not pretend otherwise."""
    server = Server("--hq", directory, "--cid-length", "0")
    report = examine("no CIDs", server.port, "--pin", server.pin)
    expect("no CIDs", report, {"handshake": "yes", "cid-length": "no", "port-rebinding": "no", "migration": "n/a",
                               "cid-supply": "n/a", "stateless-reset": "n/a"}, 1)
    server.stop()


def behind(name, directory, illness, answers, status, allowed):
    server = Server("--hq", directory)
    forwarder = Forwarder(server.port, illness)
    forwarder.start()
    report = examine(name, forwarder.port, "--pin", server.pin)
    expect(name, report, answers, status)
    check(f"{name}: {nos(report) - allowed} is no besides", nos(report) <= allowed)
    forwarder.stop()
    server.stop()
    return report


MOVES = {"port-rebinding", "small-rebinding", "rebinding-response", "address-rebinding", "migration"}
STRANDED = {"handshake": "yes", "port-rebinding": "no", "small-rebinding": "no", "address-rebinding": "no",
            "rebinding-row": "unknown", "rebinding-response": "no", "migration": "no", "challenge-new-path": "unknown",
            "amplification": "unknown"}


def ill_of_nothing(directory):
    behind("forwarded", directory, "healthy", dict.fromkeys(SURVIVAL, "yes"), 0, set())


def dropping(directory):
    report = behind("new path dropped", directory, "drops", STRANDED, 1, MOVES)
    check("dropped: nothing came anywhere", all(m["received_new"] == 0 for m in report["moves"]))
    check("dropped: each was tried twice", all(m["attempts"] == 2 for m in report["moves"]))


def staying(directory):
    report = behind("old path kept", directory, "stays", STRANDED, 1, MOVES | {"probe-answered"})
    check("stayed: it went to the old address", all(m["received_old"] > 2 for m in report["moves"]))
    check("stayed: nothing came to the new one", all(m["received_new"] == 0 for m in report["moves"]))


def crashing(directory):
    report = behind("crashes", directory, "crashes",
                    {"handshake": "yes", "port-rebinding": "no", "still-there": "no", "small-rebinding": "unknown"}, 1,
                    {"port-rebinding", "still-there"})
    check("crashes: tried once only", report["moves"][0]["attempts"] == 1)


def flooding(directory):
    report = behind("floods", directory, "floods", {"port-rebinding": "yes", "amplification": "no"}, 1, {"amplification"})
    check("floods: counted", any(m["bytes_beyond_limit"] > 0 for m in report["moves"]))


def nobody(directory):
    """Who does not answer gets a clear word, and soon."""
    forwarder = Forwarder(9, "silent")
    forwarder.start()
    begun = time.monotonic()
    run = ask("--insecure", f"127.0.0.1:{forwarder.port}")
    check("silent: exit status 3", run.returncode == 3 and "nobody answers" in run.stdout)
    check("silent: in time", time.monotonic() - begun < 20)
    forwarder.stop()
    run = ask("--insecure", f"127.0.0.1:{forwarder.port}")
    check("closed port: named", run.returncode == 3 and "nobody listens on that UDP port" in run.stdout)
    run = ask("--insecure", "no-such-host.invalid:443")
    check("no such name: named", run.returncode == 3 and "does not resolve" in run.stderr)
    server = Server("--hq", directory)
    run = ask(f"127.0.0.1:{server.port}")
    check("untrusted: named", run.returncode == 3 and "CRYPTO_ERROR" in run.stdout)
    run = ask("--insecure", "--timeout", "200ms", f"https://127.0.0.1:{server.port}/payload")
    check("out of time: undecided", run.returncode == 5 and "out of time" in run.stdout)
    run = ask("-6", "--insecure", f"127.0.0.1:{server.port}")
    check("other family: named", run.returncode == 3 and "does not resolve" in run.stderr)
    running = subprocess.Popen([ROAM, "check", "--insecure", f"127.0.0.1:{server.port}"], stdout=subprocess.PIPE, text=True)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=30)[0]
    check("interrupted: says what it knows", running.returncode == 5 and "completes a handshake" in said)
    server.stop()
    for arguments in [], ["a", "b"], ["localhost"], ["http://localhost/"], ["--json=1", "x:1"], ["-4", "-6", "x:1"]:
        check(f"usage: {arguments}", ask(*arguments).returncode == 2)
    check("help", "usage: roam check" in ask("--help").stdout)


def two_networks(directory):
    """In a network namespace of our own: the second address is found by itself; where the network carries nothing from
    there, the server is not blamed."""
    for command in ("ip link set lo up", "ip link add one type veth peer name two", "ip addr add 10.1.0.1/24 dev one",
                    "ip addr add 10.2.0.1/24 dev two", "ip addr add fd01::1/64 dev one nodad",
                    "ip addr add fd02::1/64 dev two nodad", "ip link set one up", "ip link set two up"):
        subprocess.run(command.split(), check=True)
    for host, second in ("10.1.0.1", "10.2.0.1:"), ("[fd01::1]", "[fd02::1]:"):
        server = Server("--hq", directory, host=host)
        report = examine(f"two networks, {host}", server.port, "--pin", server.pin, host=host)
        expect(host, report, dict.fromkeys(SURVIVAL, "yes"), 0)
        to = {move["id"]: move["to"] for move in report["moves"]}
        check(f"{host}: to {to}", to["address-rebinding"].startswith(second) and to["migration"].startswith(second))
        server.stop()
    for rule in ("add table inet lost", "add chain inet lost input { type filter hook input priority 0; }",
                 "add rule inet lost input ip saddr 10.2.0.1 udp sport 0-65535 drop"):
        subprocess.run(["nft", rule], check=True)
    server = Server("--hq", directory, host="10.1.0.1")
    report = examine("second network lost", server.port, "--pin", server.pin, host="10.1.0.1")
    expect("second network lost", report, {"port-rebinding": "yes", "address-rebinding": "unknown", "migration": "yes"}, 0)
    server.stop()


def in_a_namespace(directory):
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        print("--- no network namespace here: not tried")
        return
    run = subprocess.run(["unshare", "-n", sys.executable, __file__, "--two-networks", directory], capture_output=True,
                         text=True, timeout=200)
    print(run.stdout, run.stderr)
    check("two networks", run.returncode == 0)


if sys.argv[1:2] == ["--two-networks"]:
    two_networks(sys.argv[2])
    sys.exit(1 if failures else 0)

with tempfile.TemporaryDirectory() as scratch:
    with open(os.path.join(scratch, "payload"), "wb") as payload:
        payload.write(os.urandom(200000))
    # They wait more than they work.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [pool.submit(one, scratch)
                     for one in (well, retry, what_it_announced, no_cids, ill_of_nothing, dropping, staying, crashing, flooding, nobody, in_a_namespace)]:
            done.result()
sys.exit(1 if failures else 0)
