"""The server's preferred address (RFC 9000 section 9.6) between roam and ngtcp2's examples, which log each step."""

import json
import re

import peers
from harness import check, free_port, wait_bound

ORIGINAL, PREFERRED = "127.0.0.1", "127.0.0.2"


def gtlsclient_to_roam(world):
    """gtlsclient validates roam's preferred address and goes on there; roam follows."""
    cert = world.certificates
    port = free_port(ORIGINAL)
    server = world.start("roam-server", [
        peers.ROAM, "listen", f"{ORIGINAL}:{port}", "--preferred", PREFERRED, "--alpn", "h3", "--handshake-only", "--verbose",
        "--cert", cert["chain"], "--key", cert["key"]])
    server.expect("err", rf"^preferred address {PREFERRED}:{port}")
    client = peers.gtls_client(world, ORIGINAL, port)
    client.expect("err", rf"^selected server preferred_address is \[{PREFERRED}\]:{port}")
    client.expect("err", rf"^Path validation against path .*remote:\[{PREFERRED}\]:{port}\}} succeeded")
    server.expect("err", rf" is spoken to from {PREFERRED}:{port} now")
    said = server.text("err")
    check(len(re.findall(r" path_moved ", said)) == 1, "the server moved more than once")
    check(not re.search(r"frm rx .* CONNECTION_CLOSE", client.text("err")), "the server closed the connection")


def roam_to_gtlsserver(world):
    """roam's doctor validates the preferred address that gtlsserver announces; gtlsserver has seen it there, and only probes
    before it was proven."""
    cert = world.certificates
    world.random_file(100000)
    port = free_port(ORIGINAL)
    server = world.start("gtlsserver", [
        "gtlsserver", "--no-quic-dump", "--no-http-dump", f"--preferred-ipv4-addr={PREFERRED}:{port}", "-d", world.path("www"),
        ORIGINAL, port, cert["key"], cert["chain"]], PATH=peers.SYSTEM_PATH)
    wait_bound(server, port)
    exam = world.start("roam-check", [peers.ROAM, "check", "--json", "--ca", cert["ca"], "--name", "localhost",
                                      f"https://{ORIGINAL}:{port}/payload"])
    check(exam.wait() == 0, f"roam check ended with {exam.child.returncode}")
    report = json.dumps(json.loads(exam.text("out")))
    check(f"{PREFERRED}:{port}" in report, "roam check says nothing of the preferred address")
    server.expect("err", rf"^Path validation against path \{{local:\[{PREFERRED}\]:{port}, .* succeeded")
    first = re.search(rf"^Received packet: local=\[{PREFERRED}\]:{port} .*\n((?!Received packet|Sent packet).*\n)*",
                      server.text("err"), re.MULTILINE)
    frames = set(re.findall(r"frm rx \d+ 1RTT (\w+)", first[0]))
    check("PATH_CHALLENGE" in frames and frames <= {"PATH_CHALLENGE", "PADDING", "NEW_CONNECTION_ID"},
          f"the first packet there had {frames}")
