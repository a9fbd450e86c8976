#!/usr/bin/env python3
"""qlogs of real transfers, read by somebody else than their writer: every record is what the drafts and qvis ask for, both
sides tell of the same packets, and the steps of a move are those that happened. What cannot be written is said, and harms
no connection. Secrets go to SSLKEYLOGFILE alone. Wants ROAM and ROAM_SIM."""
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

import qlog  # noqa: E402
from harness import Failure, World, check, sha256  # noqa: E402
from qlog import has_frame, is_event, is_state  # noqa: E402

ROAM, ROAM_SIM = os.environ["ROAM"], os.environ["ROAM_SIM"]
MEGABYTE = 1 << 20


def listen(world, options):
    server = world.start("server", [ROAM, "listen", "--recv-only", "--qlog", world.path("server-logs"), *options,
                                    "127.0.0.1:0"])
    pin = server.expect("err", r"--pin (sha256:[0-9a-f]{64})")[1]
    return server, pin, re.search(r"listening on 127\.0\.0\.1:(\d+)", server.text("err"))[1]


def transfer(world, megabytes, client_options, server_options=(), client_environment=None, limits=None, status=0):
    """The client sends a file to the server; returns both logs' directories, and what the server said."""
    payload = world.random_file(megabytes * MEGABYTE)
    server, pin, port = listen(world, server_options)
    environment = {key: value for key, value in os.environ.items() if key not in ("SSLKEYLOGFILE", "QLOGDIR")}
    environment.update(client_environment or {})
    with open(payload, "rb") as data:
        client = subprocess.run([ROAM, "connect", "--pin", pin, *client_options, f"127.0.0.1:{port}"], stdin=data,
                                capture_output=True, text=True, timeout=100, env=environment, preexec_fn=limits)
    check(client.returncode == status, f"the client ended with {client.returncode}: {client.stderr}")
    if status == 0:
        check(server.wait() == 0, f"the server ended with {server.child.returncode}")
        check(sha256(server.paths["out"]) == sha256(payload), "the file arrived altered")
    return server.text("err"), client.stderr


def ports_of_moves(said):
    return [(("127.0.0.1", int(old)), ("127.0.0.1", int(new)))
            for old, new in re.findall(r"moved from 127\.0\.0\.1:(\d+) to 127\.0\.0\.1:(\d+)", said)]


def check_moves(log, said):
    """The server's log has the moves that it printed, between the addresses that it printed."""
    logged = []
    for event in log.all("roam:path_moved"):
        previous, remote = event.data["previous"], event.data["remote"]
        logged.append(((previous["ip_v4"], previous["port_v4"]), (remote["ip_v4"], remote["port_v4"])))
        check(log.path_address(event.path, "remote") == logged[-1][1], "path_assigned is another address")
    check(logged == ports_of_moves(said) and logged, f"moves {logged}, printed {ports_of_moves(said)}")
    return logged


def a_rebinding(world):
    said, _ = transfer(world, 3, ["--qlog", world.path("client-logs"), "--rebind-at", "1M"])
    client, server = qlog.only_log(world.path("client-logs"), "client"), qlog.only_log(world.path("server-logs"), "server")
    check(client.header["trace"]["common_fields"]["ODCID"] == server.header["trace"]["common_fields"]["ODCID"], "ODCID")
    qlog.compare_sides(client, server)
    qlog.check_validations(client)
    qlog.check_validations(server)
    check(len(check_moves(server, said)) == 1, "one rebinding, one move")
    # What the drafts and the demo have in common: this order, on the new path.
    qlog.check_order(server, "1", [
        is_event("path_assigned"), is_event("roam:path_new"), is_event("packet_received"), is_event("roam:path_moved"),
        is_state("migration_started"), is_event("roam:path_challenged"), is_state("probing_started"),
        has_frame("packet_sent", "path_challenge"), has_frame("packet_received", "path_response"),
        is_event("roam:path_answered"), is_event("roam:path_validated"), is_state("probing_successful"),
        is_event("roam:path_settled"), is_state("migration_complete")])
    settled = server.all("roam:path_settled")
    check(len(settled) == 1 and settled[0].data["gap"] >= 0 and settled[0].data["congestion_window_before"] > 0, "settled")
    # A NAT rebinding changes no CID on either side; at the client, path 0 leaves from elsewhere.
    for log in (client, server):
        after = [event for event in log.all("connection_id_updated") if event.time >= settled[0].time]
        check(not after, "a CID changed with the rebinding")
        check(len({packet.data["header"]["dcid"] for packet in log.packets("packet_sent").values()}) == 1, "two DCIDs")
    check([event.path for event in client.all("path_assigned")].count("0") == 2, "the client's path was assigned once")
    check({event.data["packet_number_space"] for event in server.all("loss_timer_updated")} >= {"application_data"}, "timer")
    kinds = {event.kind for event in client.events + server.events}
    for kind in ("parameters_set", "version_information", "alpn_information", "connection_started", "connection_closed",
                 "metrics_updated", "congestion_state_updated", "ecn_state_updated", "mtu_updated", "key_updated",
                 "key_discarded", "recovery_parameters_set", "roam:cid_issued", "roam:cid_received"):
        check(kind in kinds, f"no {kind}")


def transfer_until_moved(world, moves, client_options, server_options):
    """The client sends until the server has printed so many moves, which it returns."""
    server, pin, port = listen(world, server_options)
    client = world.start("client", [ROAM, "connect", "--pin", pin, *client_options, f"127.0.0.1:{port}"],
                         stdin=subprocess.PIPE)
    fed = world.feed_until(client, lambda: len(ports_of_moves(server.text("err"))) >= moves)
    check(client.wait() == 0 and server.wait() == 0, f"ended with {client.child.returncode}, {server.child.returncode}")
    check(sha256(server.paths["out"]) == sha256(fed), "the octets arrived altered")
    return server.text("err")


def migrations(world):
    said = transfer_until_moved(world, 3, ["--qlog", world.path("client-logs"), "--qlog-latest", "--migrate-every", "40ms"],
                                ["--qlog-latest"])
    client, server = qlog.only_log(world.path("client-logs"), "client"), qlog.only_log(world.path("server-logs"), "server")
    check(client.latest and server.latest, "names of the latest draft were asked for")
    qlog.compare_sides(client, server)
    qlog.check_validations(client)
    qlog.check_validations(server)
    check_moves(server, said)
    path = client.all("roam:path_moved")[0].path
    qlog.check_order(client, path, [
        is_event("path_assigned"), is_event("roam:path_challenged"), has_frame("packet_sent", "path_challenge"),
        has_frame("packet_received", "path_response"), is_event("roam:path_answered"), is_event("roam:path_validated"),
        is_state("probing_successful"), is_event("roam:path_moved"), is_state("migration_started")])
    # A deliberate move changes the CIDs of both directions (RFC 9000 section 9.5), and each is told of once.
    for log in (client, server):
        by_path = {}
        for packet in log.packets("packet_sent").values():
            by_path.setdefault(packet.path, set()).add(packet.data["header"]["dcid"])
        check(len(by_path) >= 2, f"packets on {len(by_path)} paths")
        used = [cid for cids in by_path.values() for cid in cids]
        check(len(used) == len(set(used)), "two paths share a CID")
    told = [event.data["cid"] for event in server.all("roam:cid_used")]
    check(told and len(told) == len(set(told)), "roam:cid_used twice")


def the_environment_asks_as_well(world):
    secrets = world.path("secrets")
    transfer(world, 1, [], client_environment={"QLOGDIR": str(world.path("client-logs")), "SSLKEYLOGFILE": str(secrets)})
    log = qlog.only_log(world.path("client-logs"), "client")
    check(secrets.stat().st_mode & 0o777 == 0o600, f"mode {secrets.stat().st_mode:o}")
    lines = [line.split() for line in secrets.read_text().splitlines()]
    labels = [line[0] for line in lines]
    for label in ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0",
                  "SERVER_TRAFFIC_SECRET_0"):
        check(labels.count(label) == 1, f"{labels.count(label)} times {label}")
    text = log.path.read_text()
    for _, random, secret in lines:
        check(len(random) == 64 and secret not in text, "a secret is in the qlog")
    # Nobody asked the server.
    check(len(list(world.directory.glob("server*keys*"))) == 0, "secrets of the server")


def what_cannot_be_written_is_said_before_anything_else(world):
    world.path("file").write_text("in the way")
    for options, environment, message in (
            (["--qlog", world.path("file")], {}, r"cannot write qlogs to .*/file: Not a directory"),
            (["--qlog", world.path("no/such")], {}, r"cannot write qlogs to .*/no/such: No such file or directory"),
            ([], {"SSLKEYLOGFILE": str(world.path("no/such"))},
             r"cannot write secrets to .*/no/such: No such file or directory")):
        run = subprocess.run([ROAM, "connect", "--insecure", *options, "127.0.0.1:9"], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=20, env={**os.environ, **environment})
        check(run.returncode == 3 and re.search(message, run.stderr), f"{run.returncode}: {run.stderr}")


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))


def a_full_disk_ends_the_log_and_not_the_transfer(world):
    _, complaint = transfer(world, 5, ["--qlog", world.path("client-logs"), "--rebind-at", "1M"], limits=limit_files)
    check(len(re.findall(r"a log was cut short: .*: File too large", complaint)) == 1, f"said: {complaint}")
    log = qlog.only_log(world.path("client-logs"), "client")
    check(50000 < log.path.stat().st_size <= 100000, "the log is not as long as it could be")
    check(not log.all("connection_closed"), "it was not cut short")


def the_simulator_logs_too(world):
    run = subprocess.run([ROAM_SIM, "--scenario", "S001", "--qlog", world.path("sim")], capture_output=True, text=True)
    check(run.returncode == 0, run.stdout)
    (directory,) = world.path("sim").iterdir()
    check(directory.name.startswith("s001"), directory.name)
    client, server = qlog.only_log(directory, "client"), qlog.only_log(directory, "server")
    qlog.compare_sides(client, server)
    qlog.check_order(server, "1", [is_event("roam:path_new"), is_event("roam:path_moved"), is_event("roam:path_settled")])
    settled = server.all("roam:path_settled")[0].data
    check(settled["smoothed_rtt_before"] == settled["smoothed_rtt_after"] or settled["smoothed_rtt_after"] > 0, "RTT")


TESTS = [a_rebinding, migrations, the_environment_asks_as_well, what_cannot_be_written_is_said_before_anything_else,
         a_full_disk_ends_the_log_and_not_the_transfer, the_simulator_logs_too]


def main():
    failed = 0
    with tempfile.TemporaryDirectory(prefix="roam-qlog-") as scratch:
        for test in TESTS:
            directory = pathlib.Path(scratch) / test.__name__
            directory.mkdir()
            world = World(directory, None)
            try:
                test(world)
                print(f"ok   {test.__name__}", flush=True)
            except Failure as failure:
                failed += 1
                print(f"FAIL {test.__name__}: {failure}\n{world.tails()}", flush=True)
            finally:
                world.stop_all()
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
