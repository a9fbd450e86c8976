#!/usr/bin/env python3
"""The scripts of bench/ can be called, and add up what they measure. What they measure is not looked at: that is for a machine
that does nothing else. Wants ROAM_SOURCE and ROAM_BUILD."""
import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BENCH = Path(os.environ["ROAM_SOURCE"]) / "bench"
BUILD = os.environ["ROAM_BUILD"]
PATIENCE = 250  # that it takes long is no fault; that it takes forever is

sys.dont_write_bytecode = True
sys.path.insert(0, str(BENCH))
import harness  # noqa: E402

tests = []


def test(function):
    tests.append(function)
    return function


def check(fact, message):
    if not fact:
        raise AssertionError(message)


def same(got, wanted, what):
    check(got == wanted, f"{what}: {got!r}, not {wanted!r}")


def run(script, *arguments):
    return subprocess.run([sys.executable, "-B", BENCH / script, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE)


def has_namespaces():
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    found = subprocess.run(["unshare", "--net", *rights, "true"], capture_output=True).returncode == 0
    if not found:
        print("     no network namespaces here: nothing is run")
    return found


def scripts():
    return sorted(path.name for path in BENCH.iterdir() if path.is_file() and os.access(path, os.X_OK))


@test
def every_figure_tells_what_it_compares():
    names = scripts()
    check({"bulk", "migration", "requests", "handshakes", "idle", "streams", "datagrams", "soak"} <= set(names), f"figures: {names}")
    for name in names:
        listed = run(name, "--list")
        same((listed.returncode, listed.stderr), (0, ""), name)
        check(re.search(r"^roam", listed.stdout, re.M) and len(listed.stdout.splitlines()) > 1, f"{name}: {listed.stdout}")
        told = run(name, "--help")
        same(told.returncode, 0, name)
        check(f"bench/{name}: " in told.stdout, f"{name}: {told.stdout}")
        check(f"bench/{name}" in (BENCH / "README.md").read_text(), f"bench/README.md says nothing of {name}")


@test
def medians_stand_with_what_lies_around_them():
    same(harness.span([3, 1, 2]), "2 (1-3)", "three rounds")
    same(harness.span([1234.5, 1000, 99999]), "1234 (1000-99999)", "large numbers")


@test
def a_bar_that_is_missed_is_said_to_be():
    # The second round is a slow one for both.
    rounds = [{"a": {"x": 10}, "b": {"x": 4}}, {"a": {"x": 2}, "b": {"x": 1}}, {"a": {"x": 12}, "b": {"x": 4}}, {"b": {"x": 4}}]
    over = ("a", "x"), ("b", "x")
    same(harness.Ratio("r", *over).line(rounds), "r: 2.5 (2-3)", "no bar")
    same(harness.Ratio("r", *over, at_least=2.5).line(rounds), "r: 2.5 (2-3), wanted: at least 2.5", "just so")
    same(harness.Ratio("r", *over, at_least=2.6).line(rounds), "r: 2.5 (2-3), wanted: at least 2.6 - MISSED", "below")
    same(harness.Ratio("r", *over, at_most=2.4).line(rounds), "r: 2.5 (2-3), wanted: at most 2.4 - MISSED", "above")
    same(harness.Ratio("r", ("a", "x"), 20, at_most=0.5).line(rounds), "r: 0.5 (0.1-0.6), wanted: at most 0.5", "over 20")
    same(harness.Ratio("r", ("a", "x"), ("c", "x")).line(rounds), None, "of something that was not measured")


@test
def a_table_has_what_was_measured():
    figure = harness.Figure("it", "It.", {"a": None, "b": None, "c": None}, [harness.Ratio("r", ("a", "x"), ("b", "x"))])
    rounds = [{"a": {"x": 4, "y": 1}, "b": {"x": 2}}, {"a": {"x": 6, "y": 3}, "b": {"x": 2}}]
    same(figure.table(rounds), "| | x | y |\n|---|---|---|\n| a | 5 (4-6) | 2 (1-3) |\n| b | 2 (2-2) |  |\n\n- r: 2.5 (2-3)", "table")


@test
def rounds_take_turns_and_add_up():
    if not has_namespaces():
        return
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "rounds"
        arguments = ["--build", BUILD, "--octets", 3_000_000, "--only", "roam download", "udp download", "--save", saved]
        first = run("bulk", "--rounds", 2, *arguments)
        same(first.returncode, 0, first.stderr)
        check("bulk, 2 rounds" in first.stdout, first.stdout)
        ran = re.findall(r"^bulk: round (\d): (\w+) download: Gbit/s", first.stderr, re.M)
        same(ran, [("1", "roam"), ("1", "udp"), ("2", "roam"), ("2", "udp")], "order")
        second = run("bulk", "--rounds", 1, *arguments)
        check("bulk, 3 rounds" in second.stdout, second.stdout + second.stderr)
        check(re.search(r"^\| roam download \| \S+ \(\S+-\S+\) \| \S+ \(\S+\) \| \S+ \(\S+\) \|$", second.stdout, re.M),
              second.stdout)
        check("- download: roam over bare UDP: " in second.stdout, second.stdout)
        entries = [json.loads(line) for line in saved.read_text().splitlines()]
        same([entry["figure"] for entry in entries], ["bulk"] * 3, "rounds that were saved")
        same(list(entries[0]["measured"]), ["roam download", "udp download"], "contenders")


@test
def a_soak_counts_every_connection_and_octet():
    if not has_namespaces():
        return
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "told"
        ended = run("soak", "--build", BUILD, "--connections", 60, "--workers", 3, "--rate", 120, "--seconds", 3, "--report", told)
        same(ended.returncode, 0, ended.stderr)
        check(re.search(r"^\| roam moving \| ", ended.stdout, re.M), ended.stdout)
        report = json.loads(told.read_text())
        result, living = report["result"], [of for number, of in report["workers"].items() if int(number) not in report["killed"]]
        same((len(report["killed"]), len(report["workers"])), (2, 5), "workers that were killed, and all")
        same([result[what] for what in ("lost", "octets wrong")], [0, 0], "lost, wrong")
        check(result["opened"] >= 100 and result["killed"] > 0, f"connections: {result}")
        check(result["moves"] > 100 and result["moves seen"] > result["moves"] / 2, f"moves: {result}")
        for worker in living:
            check(worker["sent"] == worker["received"] > 0 and worker["opened"] == worker["closed"] >= 20, f"worker: {worker}")


def soaked(memory=lambda at: 50e6, ours={}, theirs={}):
    """The faults of a soak in which one worker has counted this, and the server that."""
    loader = importlib.machinery.SourceFileLoader("soak", str(BENCH / "soak"))
    soak = importlib.util.module_from_spec(importlib.util.spec_from_loader("soak", loader))
    loader.exec_module(soak)
    made = soak.Soak.__new__(soak.Soak)
    zeroes = dict.fromkeys(("lost", "streams_lost", "wrong", "refused"), 0)
    made.reports = {257: {**zeroes, "opened": 200, "closed": 200, "sent": 9000, "received": 9000, "streams_begun": 3,
                          "streams": 3, **ours}}
    made.counted = {"workers": {"257": {"opened": 200, "closed": 200, "timed_out": 0, "reset": 0, "failed": 0, "wrong": 0,
                                        "octets": 9000, "streams": 3, **theirs}}}
    made.killed = set()
    made.samples = [(at, memory(at)) for at in range(0, 600, 10)]
    return "; ".join(made.faults())


@test
def a_soak_finds_what_is_missing():
    same(soaked(), "", "nothing")
    same(soaked(ours={"closed": 199, "lost": 1}), "worker 257: lost 1; worker 257: opened 200, closed 199, at the server 200",
         "a connection")
    same(soaked(theirs={"octets": 8999}), "worker 257: sent 9000, at the server 8999, received 9000", "an octet")
    same(soaked(theirs={"wrong": 1}), "worker 257: at the server failed 0, wrong 1", "another octet")
    same(soaked(ours={"wrong": 1}), "worker 257: wrong 1", "another octet on the way back")
    same(soaked(theirs={"streams": 2}), "worker 257: streams 3, at the server 2, whole 3", "a stream")
    same(soaked(theirs={"closed": 198, "timed_out": 2}), "", "CONNECTION_CLOSE that was lost")
    check("not heard of 3 ends" in soaked(theirs={"closed": 197, "timed_out": 2, "reset": 1}), "ends that nobody heard of")
    same(soaked(memory=lambda at: 50e6 + min(at, 100) * 1e5 + at % 3 * 1e5), "", "memory after warming up, and noise")
    check("grows: by 8.8" in soaked(memory=lambda at: 50e6 + at * 2e4 + at % 3 * 1e4), "memory that grows")


@test
def who_is_told_to_end_leaves_nothing_behind():
    if not has_namespaces():
        return
    figure = subprocess.Popen([sys.executable, "-B", BENCH / "bulk", "--build", BUILD, "--octets", "1000000", "--rounds",
                               "1000000", "--only", "roam download"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    try:
        check(figure.stderr.readline().startswith("bulk: round 1: roam download: "), "no first round")
        children = Path(f"/proc/{figure.pid}/task/{figure.pid}/children").read_text().split()
        servers = [pid for pid in children if b"\0server\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        same(len(servers), 1, f"servers among {children}")
        words = Path(f"/proc/{servers[0]}/cmdline").read_text().split("\0")
        scratch = Path(words[words.index("--cert") + 1]).parent
        check(scratch.is_dir(), f"no directory {scratch}")
        figure.terminate()
        figure.stderr.read()
        same(figure.wait(PATIENCE), 143, "exit status")
        check(not Path(f"/proc/{servers[0]}").exists(), "the server still runs")
        check(not scratch.exists(), f"{scratch} is still there")
    finally:
        figure.kill()
        figure.wait()


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
