"""Early data (0-RTT) between roam and ngtcp2's examples: the side that receives it must say so."""

import os
import re
import time

import peers
from harness import check, free_port, wait_bound

HOST = "127.0.0.1"


def gtlsclient_to_roam(world):
    """gtlsclient comes back with a session, and its request is answered by roam out of 0-RTT packets."""
    cert = world.certificates
    port = free_port(HOST)
    world.random_file(1000)
    server = world.start("roam-server", [
        peers.ROAM, "listen", f"{HOST}:{port}", "--early", "--alpn", "h3", "--handshake-only", "--verbose",
        "--cert", cert["chain"], "--key", cert["key"]])
    server.expect("err", r"^listening on ")
    session, params = world.path("session"), world.path("params")
    argv = ["gtlsclient", "--no-quic-dump", "--no-http-dump", "--sni=localhost", f"--session-file={session}",
            f"--tp-file={params}", HOST, port, f"https://localhost:{port}/payload"]
    first = world.start("gtlsclient-first", argv, PATH=peers.SYSTEM_PATH)
    first.expect("err", r"frm rx \d+ 1RTT CRYPTO")
    deadline = time.monotonic() + 10
    while not (session.exists() and session.stat().st_size > 0 and params.exists()):
        check(time.monotonic() < deadline, "gtlsclient kept no session")
        time.sleep(0.02)
    first.stop()
    check("early_data_accepted" not in server.text("err"), "early data without a session")
    second = world.start("gtlsclient-second", argv, PATH=peers.SYSTEM_PATH)
    server.expect("err", r" early_data_accepted\b")
    server.expect("err", r" stream_opened\b")
    second.expect("err", r"^QUIC handshake has completed")
    log = second.text("err")
    check(re.search(r"pkt tx .*type=0RTT|frm tx \d+ 0RTT STREAM", log), "gtlsclient sent no 0-RTT packet")
    check("Early data was rejected" not in log, "gtlsclient saw its early data rejected")


def input_that_stays_open(octets):
    """Standard input that holds these octets, and no end as long as we live."""
    reading, writing = os.pipe()
    os.write(writing, octets)
    return reading


def roam_to_gtlsserver(world):
    """roam's second connection sends with the first flight; gtlsserver reads it from 0-RTT packets."""
    cert = world.certificates
    port = free_port(HOST)
    world.random_file(1000)
    server = world.start("gtlsserver", [
        "gtlsserver", "--no-quic-dump", "--no-http-dump", "-d", world.path("www"), HOST, port, cert["key"], cert["chain"]],
        PATH=peers.SYSTEM_PATH)
    wait_bound(server, port)
    connect = [peers.ROAM, "connect", "--early", "--session-file", world.path("sessions"), "--ca", cert["ca"], "--name",
               "localhost", "--alpn", "h3", "--verbose"]
    first = world.start("roam-first", [*connect, f"{HOST}:{port}"], stdin=input_that_stays_open(b""))
    first.expect("err", r" new_session\b")
    first.stop()
    # Half of a HEADERS frame: nothing that the server would answer.
    second = world.start("roam-second", [*connect, f"{HOST}:{port}"], stdin=input_that_stays_open(b"\x01\x20early"))
    second.expect("err", r" early_data_accepted\b")
    server.expect("err", r"frm rx \d+ 0RTT STREAM|pkt rx \d+ .*type=0RTT")
    check(re.search(r" early_data_ready\b", second.text("err")), "roam offered no early data")
