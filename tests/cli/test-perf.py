#!/usr/bin/env python3
"""`roam perf`: what each kind of run counts, and what its report looks like. How long anything takes is not looked at.
Wants ROAM."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

ROAM = os.environ["ROAM"]
PATIENCE = 120  # that it takes long is no fault; that it takes forever is

tests = []


def test(function):
    tests.append(function)
    return function


def check(fact, message):
    if not fact:
        raise AssertionError(message)


def same(got, wanted, what):
    check(got == wanted, f"{what}: {got!r}, not {wanted!r}")


class Server:
    """roam perf server on a port of its own; `said` is what it reports when it ends."""

    def __init__(self, *options):
        self.err = tempfile.NamedTemporaryFile("r")
        self.child = subprocess.Popen([ROAM, "perf", "server", *options, "127.0.0.1:0"], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=open(self.err.name, "w"), text=True)
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"^listening on (\S+)$", open(self.err.name).read(), re.M)):
            check(self.child.poll() is None and time.monotonic() < deadline, f"no server: {open(self.err.name).read()}")
            time.sleep(0.01)
        self.address = found[1]
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        self.said, _ = self.child.communicate(timeout=PATIENCE)
        if kind is None:
            same(self.child.returncode, 0, f"exit status of the server ({open(self.err.name).read()})")

    def run(self, *options):
        return subprocess.run([ROAM, "perf", "client", *map(str, options), self.address], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)

    def report(self, *options):
        run = self.run("--json", *options)
        # That buffers are small is no fault.
        same((run.returncode, re.sub(r"^roam: socket buffers are small: .*\n", "", run.stderr)), (0, ""), options)
        report = json.loads(run.stdout)
        check_shape(report)
        return report


SIDE = {"cpu_user_seconds", "cpu_system_seconds", "resident_bytes", "packets_sent", "packets_received", "packets_lost",
        "udp_bytes_sent", "udp_bytes_received", "stream_bytes_resent", "datagram_bytes", "window_bytes",
        "smoothed_rtt_ms", "min_rtt_ms", "receive_buffer_bytes", "send_buffer_bytes"}
LATENCIES = ["min", "p50", "p90", "p99", "p99.9", "p99.99", "max"]


def check_shape(report):
    same(report["schema"], "roam-perf/1", "schema")
    idle, datagrams = report["mode"] == "idle", report["mode"] == "datagrams"
    bulk = report["mode"] == "bulk" or datagrams
    same(set(report), {"schema", "mode", "streams", "seconds", "download", "upload", "client", "server", "cipher",
                       "crypto_backend"} | (set() if bulk else {"operations"}) | ({"hold_seconds"} if idle else set()) |
         ({"datagrams"} if datagrams else set()),
         "members")
    cost = {"cpu_seconds_per_gb"} if bulk else {"cpu_us_per_operation"}
    held = {"hold_cpu_seconds", "resident_bytes_per_connection"} if idle else set()
    for side in ("client", "server"):
        same(set(report[side]), SIDE | cost | held, side)
        check(report[side]["resident_bytes"] > 0, f"{side}: {report[side]}")
        # Of the connection that did the work: handshakes are others'.
        if report["mode"] in ("bulk", "requests", "datagrams"):
            check(report[side]["packets_sent"] > 0 and report[side]["min_rtt_ms"] > 0, f"{side}: {report[side]}")
    if not bulk:
        latencies = [report["operations"]["latency_ms"][name] for name in LATENCIES]
        check(latencies == sorted(latencies) and latencies[0] > 0, f"latencies: {latencies}")


def amounts(report):
    return report["download"]["bytes"], report["upload"]["bytes"]


# ------------------------------------------------------------------------------------------------------- what it does

@test
def bulk_transfers_are_of_the_size_that_was_asked_for():
    with Server() as server:
        same(amounts(server.report("--download", "3M")), (3 << 20, 0), "down")
        same(amounts(server.report("--upload", "2000001")), (0, 2000001), "up")
        both = server.report("--download", "1M", "--upload", "1500K", "--streams", 7)
        same(amounts(both), (1 << 20, 1500 << 10), "both ways, over 7 streams")
        same(both["streams"], 7, "streams")
        same(amounts(server.report("--download", 3, "--streams", 200)), (3, 0), "more streams than octets")
        for side in "client", "server":
            check(both[side]["udp_bytes_sent"] > 1 << 20, f"{side} sent: {both[side]['udp_bytes_sent']}")


def check_way(way, bytes_, wanted, payload):
    same(set(way), {"sent", "acknowledged", "lost", "unsent", "delivered", "unread", "per_second"}, "members of a way")
    check(way["acknowledged"] + way["lost"] == way["sent"], f"each has a fate: {way}")
    # Those that are only believed lost arrive all the same.
    check(way["acknowledged"] <= way["delivered"] + way["unread"] <= way["sent"], f"delivered: {way}")
    check(bytes_ <= wanted, f"octets: {bytes_}, not more than {wanted}")
    if payload:
        same(way["sent"] + way["unsent"], -(-wanted // payload), "datagrams of one size")
    if way["lost"] + way["unsent"] + way["unread"] == 0:
        same(bytes_, wanted, "octets, where nothing was lost")


@test
def datagrams_are_counted_where_they_leave_and_where_they_arrive():
    with Server("--json") as server:
        for payload in (0, 1000, 60):
            report = server.report("--upload", "300K", "--download", "200K", "--datagrams", "--payload", payload)
            same(report["mode"], "datagrams", "mode")
            check_way(report["datagrams"]["upload"], report["upload"]["bytes"], 300 << 10, payload)
            check_way(report["datagrams"]["download"], report["download"]["bytes"], 200 << 10, payload)
            latencies = [report["datagrams"]["latency_ms"][name] for name in LATENCIES]
            check(latencies == sorted(latencies) and latencies[0] > 0, f"latencies: {latencies}")
        report = server.report("--upload", "1000G", "--download", "1000G", "--datagrams", "--time", "300ms")
        check(0 < report["upload"]["bytes"] < 1000 << 30 and 0 < report["download"]["bytes"] < 1000 << 30, report)
        run = server.run("--upload", "100K", "--datagrams")
        check(re.search(r"^up +\d+ datagrams sent, \d+ delivered: \d+ a second; \d+ lost, \d+ unsent, \d+ unread$",
                        run.stdout, re.M), run.stdout)
        run = server.run("--upload", "100K", "--datagrams", "--payload", 1400, "--datagram-bytes", 1300)
        same(run.returncode, 1, "more than fits")
        check("no datagram could be sent: too large" in run.stderr, run.stderr)
        run = server.run("--download", "100K", "--datagrams", "--payload", 1400, "--datagram-bytes", 1300)
        check("the server could not send datagrams" in run.stderr, run.stderr)
    served = json.loads(server.said)
    check(served["bytes_received"] >= 3 * (300 << 10) * 0.9, served)


@test
def the_datagrams_are_no_larger_than_asked_for():
    with Server() as server:
        for one in ("client", "server"):
            report = server.report("--download", "4M", "--upload", "4M", "--datagram-bytes", 1400)
            same(report[one]["datagram_bytes"], 1400, f"a full datagram of the {one}")
        sent = report["server"]["udp_bytes_sent"] / report["server"]["packets_sent"]
        check(sent <= 1400, f"octets a packet: {sent}")


@test
def the_cipher_is_the_one_that_was_asked_for():
    with Server() as server:
        same(server.report("--download", "10K", "--cipher", "aes256")["cipher"], "AES-256-GCM", "cipher")
        same(server.report("--download", "10K", "--congestion", "newreno")["download"]["bytes"], 10 << 10, "newreno")


@test
def each_request_is_answered_once():
    with Server("--json") as server:
        one = server.report("--requests", 500)
        same((one["operations"]["done"], one["operations"]["failed"]), (500, 0), "one at a time")
        same(amounts(one), (500, 500), "octets of them")
        many = server.report("--requests", 1000, "--streams", 64, "--request-bytes", 3000, "--response-bytes", "5K")
        same((many["operations"]["done"], many["operations"]["failed"]), (1000, 0), "64 at once")
        same(amounts(many), (5120 * 1000, 3000 * 1000), "octets of them")
        none = server.report("--requests", 10, "--request-bytes", 0, "--response-bytes", 0)
        same((none["operations"]["done"], amounts(none)), (10, (0, 0)), "empty ones")
    served = json.loads(server.said)
    same(served["schema"], "roam-perf-server/1", "schema of the server's report")
    same((served["connections"], served["requests"]), (3, 1510), "what the server counts")
    same((served["bytes_received"], served["bytes_sent"]), (500 + 3000 * 1000, 500 + 5120 * 1000), "its octets")


@test
def handshakes_are_counted():
    with Server("--json") as server:
        report = server.report("--handshakes", 40, "--parallel", 8)
        same((report["operations"]["done"], report["operations"]["failed"]), (40, 0), "handshakes")
        check(report["server"]["cpu_us_per_operation"] > 0, f"server's CPU: {report['server']}")
    same(json.loads(server.said)["connections"], 41, "connections at the server")


@test
def handshakes_are_resumed_where_that_is_asked_for():
    with Server("--json") as server:
        report = server.report("--handshakes", 20, "--resume")
        same((report["operations"]["done"], report["operations"]["failed"]), (20, 0), "handshakes")
    same(json.loads(server.said)["connections"], 21, "connections at the server")


@test
def handshakes_are_resumed_without_fresh_keys_where_both_sides_say_so():
    with Server("--without-dh") as server:
        report = server.report("--handshakes", 20, "--resume", "--without-dh")
        same((report["operations"]["done"], report["operations"]["failed"]), (20, 0), "handshakes")


@test
def idle_connections_stay():
    with Server() as server:
        report = server.report("--idle", 50, "--hold", "100ms")
        same((report["operations"]["done"], report["operations"]["failed"]), (50, 0), "connections")
        check(report["hold_seconds"] >= 0.09, f"held for {report['hold_seconds']} s")


@test
def time_ends_a_run_and_what_was_done_counts():
    with Server() as server:
        down, up = amounts(server.report("--download", "1000G", "--upload", "1000G", "--streams", 3, "--time", "300ms"))
        check(0 < down < 1000 << 30 and 0 < up < 1000 << 30, f"octets: {down}, {up}")
        done = server.report("--requests", 10**12, "--streams", 4, "--time", "300ms")["operations"]["done"]
        check(0 < done < 10**12, f"requests: {done}")
        done = server.report("--handshakes", 10**9, "--time", "300ms")["operations"]["done"]
        check(0 < done < 10**9, f"handshakes: {done}")


@test
def a_table_is_for_people():
    with Server() as server:
        run = server.run("--download", "100K")
        same(run.returncode, 0, run.stderr)
        check(re.search(r"^download +100\.0 KiB in [0-9.]+ s: [0-9.]+ Gbit/s$", run.stdout, re.M), run.stdout)
        run = server.run("--requests", 20)
        check(re.search(r"^requests +20 in [0-9.]+ s: \d+ a second, 0 failed$", run.stdout, re.M), run.stdout)
        check(re.search(r"^latency ms +min .* p50 .* p99\.9 .* max [0-9.]+$", run.stdout, re.M), run.stdout)
        run = server.run("--idle", 3, "--hold", "50ms")
        check(re.search(r"^server +\d+ octets of memory a connection; ", run.stdout, re.M), run.stdout)
        for side in "client", "server":
            check(re.search(rf"^{side} +[0-9.]+ +[0-9.]+ +[0-9.]+ +\d+ +\d+ +\d+ ", run.stdout, re.M), run.stdout)
    check(re.match(r"connections 6, requests 21: 20 B received, 100\.0 KiB sent, CPU ", server.said), server.said)


@test
def a_side_stays_on_its_processor():
    cpu = min(os.sched_getaffinity(0))
    with Server("--pin", str(cpu)) as server:
        same(os.sched_getaffinity(server.child.pid), {cpu}, "processors of the server")
        same(amounts(server.report("--download", "10K", "--pin", cpu)), (10 << 10, 0), "down")


# For whom the administrator's limits hold.
WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
LIMITS = {way: int(open(f"/proc/sys/net/core/{way}mem_max").read()) for way in "rw"}


@test
def the_buffers_that_the_kernel_grants_are_reported():
    with Server("--socket-buffer", "32K") as server:
        report = server.report("--download", "10K", "--socket-buffer", "64K")
        for side, wanted in ("client", 64 << 10), ("server", 32 << 10):
            got = report[side]["receive_buffer_bytes"], report[side]["send_buffer_bytes"]
            same(got, (wanted, wanted), f"buffers of the {side}")


@test
def that_the_kernel_grants_less_than_wanted_is_said_once_with_what_helps():
    wanted = max(LIMITS.values()) + 4096
    command = [*WITHOUT_PRIVILEGES, ROAM, "perf", "client", "--handshakes", "3", "--json", "--socket-buffer"]
    with Server("--socket-buffer", "32K") as server:
        run = subprocess.run([*command, str(wanted), server.address], stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=PATIENCE)
        same(run.returncode, 0, run.stderr)
        same(len(run.stderr.splitlines()), 1, f"lines in {run.stderr!r}")
        remedy = f"; as root: sysctl -w net.core.rmem_max={wanted} net.core.wmem_max={wanted}\n"
        check(run.stderr.startswith("roam: socket buffers are small: ") and run.stderr.endswith(remedy), run.stderr)
        client = json.loads(run.stdout)["client"]
        same((client["receive_buffer_bytes"], client["send_buffer_bytes"]), (LIMITS["r"], LIMITS["w"]), "granted")
        run = subprocess.run([*command, "32K", server.address], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=PATIENCE)
        same((run.returncode, run.stderr), (0, ""), "with as much as everybody may have")


@test
def another_protocol_is_refused():
    with Server() as server:
        run = subprocess.run([ROAM, "connect", "--insecure", server.address], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=PATIENCE)
        same(run.returncode, 1, run.stderr)
        check("no_application_protocol" in run.stderr, run.stderr)


@test
def what_is_wrong_is_named():
    def expect(status, text, *arguments):
        run = subprocess.run([ROAM, "perf", *arguments], capture_output=True, text=True, timeout=PATIENCE,
                             stdin=subprocess.DEVNULL)
        same(run.returncode, status, arguments)
        check(re.search(text, run.stderr), f"{arguments}: {run.stderr!r} has no {text!r}")

    expect(2, r"usage: roam perf server")
    expect(2, r"usage: roam perf server", "both")
    expect(2, r"wants one place to listen on", "server")
    expect(2, r"wants one server", "client", "--download", "1M")
    expect(2, r"not a HOST:PORT: 'here'", "client", "--download", "1M", "here")
    expect(2, r"what is to be measured\?", "client", "127.0.0.1:4433")
    expect(2, r"exclude each other", "client", "--download", "1", "--requests", "1", "127.0.0.1:4433")
    expect(2, r"exclude each other", "client", "--idle", "1", "--handshakes", "1", "127.0.0.1:4433")
    expect(2, r"--resume goes with --handshakes", "client", "--download", "1", "--resume", "127.0.0.1:4433")
    expect(2, r"--datagrams says how", "client", "--requests", "1", "--datagrams", "127.0.0.1:4433")
    expect(2, r"--payload goes with --datagrams", "client", "--upload", "1", "--payload", "9", "127.0.0.1:4433")
    expect(2, r"--payload is 65536 at most", "client", "--upload", "1", "--datagrams", "--payload", "1M", "[::1]:1")
    expect(2, r"--streams and --parallel are 1 or more", "client", "--download", "1", "--streams", "0", "[::1]:1")
    expect(2, r"--download wants a number of octets", "client", "--download", "much", "127.0.0.1:4433")
    expect(2, r"unknown option: --requests", "server", "--requests", "1", "127.0.0.1:0")
    expect(3, r"cannot stay on processor 4000", "server", "--pin", "4000", "127.0.0.1:0")


def main():
    failed = 0
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for function in tests:
        if not re.search(wanted, function.__name__):
            continue
        try:
            function()
            print(f"ok   {function.__name__}", flush=True)
        except Exception as problem:  # a bug of this file is a failure, too
            failed += 1
            print(f"FAIL {function.__name__}: {type(problem).__name__}: {problem}", flush=True)
    print(f"{failed} failures")
    return 1 if failed else 0


sys.exit(main())
