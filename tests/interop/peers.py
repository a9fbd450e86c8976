"""How each peer is started, and what its own output must say for a case to pass.

A driver starts its peer and returns the process (servers: with the port, when they are ready). A judge raises Failure
unless the peer itself reported what was wanted. Exit codes are checked too, but never alone."""

import os
import pathlib
import re

from harness import check, free_port, sha256, wait_bound

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
INSTALLED = pathlib.Path(os.environ.get("ROAM_INTEROP_DIR", TOP / "build" / "interop")).resolve()
ROAM = pathlib.Path(os.environ.get("ROAM", TOP / "build" / "roam")).resolve()
QUICHE_PEER = ["node", HERE / "quiche_peer.mjs"]
RESERVED_VERSION = "0x1a2a3a4a"
SYSTEM_PATH = os.environ["PATH"] + ":/usr/sbin:/usr/bin"  # gtlsserver is installed in sbin


def authority(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# ------------------------------------------------------------------------------------------------------- servers

def quiche_server(world, host="127.0.0.1", alpn="hq-interop", retry=False, **_):
    cert = world.certificates
    port = free_port(host)
    process = world.start("quiche-server", [
        *QUICHE_PEER, "server", "--host", host, "--port", port, "--cert", cert["chain"], "--key", cert["key"],
        "--dir", world.path("www"), "--alpn", alpn, *(["--retry"] if retry else [])],
        ROAM_INTEROP_DIR=INSTALLED)
    process.expect("out", r'"event":"listening"')
    return process, port


def roam_server(world, host="127.0.0.1", alpn="hq-interop", retry=False, **_):
    cert = world.certificates
    port = free_port(host)
    serve = ["--hq", world.path("www")] if alpn == "hq-interop" else ["--alpn", alpn, "--handshake-only"]
    process = world.start("roam-server", [
        ROAM, "listen", authority(host, port), *serve, "--cert", cert["chain"], "--key", cert["key"],
        *(["--retry"] if retry else [])], SSLKEYLOGFILE=world.path("roam.keys"))
    process.expect("err", r"^listening on ")
    return process, port


def gtls_server(world, host="127.0.0.1", retry=False, **_):
    cert = world.certificates
    port = free_port(host)
    process = world.start("gtlsserver", [
        "gtlsserver", "--no-quic-dump", "--no-http-dump", *(["-V"] if retry else []), "-d", world.path("www"),
        host, port, cert["key"], cert["chain"]], PATH=SYSTEM_PATH)
    wait_bound(process, port)
    return process, port


CADDYFILE = """{{
    admin off
    auto_https disable_redirects
    skip_install_trust
    storage file_system {home}
}}
https://localhost:{port}, https://127.0.0.1:{port}, https://[::1]:{port} {{
    bind {host}
    tls {chain} {key}
    root * {www}
    file_server
}}
"""


def caddy_server(world, host="127.0.0.1", **_):
    cert = world.certificates
    port = free_port(host)
    home = world.path("caddy-home")
    home.mkdir()
    file = world.path("Caddyfile")
    file.write_text(CADDYFILE.format(home=home, port=port, host=host, chain=cert["chain"], key=cert["key"],
                                     www=world.path("www")))
    process = world.start("caddy", ["caddy", "run", "--config", file, "--adapter", "caddyfile"], HOME=home,
                          XDG_DATA_HOME=home, XDG_CONFIG_HOME=home)
    wait_bound(process, port)
    return process, port


SERVERS = {"quiche": quiche_server, "roam": roam_server, "gtls": gtls_server, "caddy": caddy_server}


# ----------------------------------------------------------------------------------------------- between the peers

def natbox(world, port, *options):
    """roam natbox before the server's port; the port that clients see instead."""
    process = world.start("natbox", [ROAM, "natbox", "--json", *options, "127.0.0.1:0", f"127.0.0.1:{port}"])
    process.expect("out", r'"event":"listening".*\n')
    return process, int(process.event("listening")["on"].rsplit(":", 1)[1])


def judge_natbox(process, rebindings):
    """It rebound so often, and somebody went on each time. Returns the places where the client was seen, in order."""
    process.stop()
    places = [event["outside"] for event in process.events("mapped")]
    check(len(process.events("rebind")) == rebindings, f"{len(process.events('rebind'))} rebindings")
    check(len(places) == rebindings + 1, f"the client was at {places}")
    return places


# ------------------------------------------------------------------------------------- transfers over hq-interop

def quiche_client(world, host, port, move=None, at=0, second_host=None, versions=False, cid_length=16, ca="ca"):
    options = ["--ca", world.certificates[ca], "--cid-length", cid_length]
    if move == "migrate":
        options += ["--migrate-at", at]
    elif move in ("rebind", "rebind-hard"):
        options += ["--rebind-at", at, *(["--rebind-hard"] if move == "rebind-hard" else [])]
    if second_host:
        options += ["--second-host", second_host]
    if versions:
        options += ["--version-negotiation"]
    name = host if ":" in host else "localhost"
    return world.start("quiche-client", [
        *QUICHE_PEER, "client", f"https://{authority(name, port)}/payload", "--out", world.path("got"), *options],
        ROAM_INTEROP_DIR=INSTALLED, SSLKEYLOGFILE=world.path("quiche-client.keys"))


def roam_client(world, host, port, move=None, at=0, cipher=None, **_):
    options = ["--rebind-at", at] if move == "rebind" else []
    options += ["--cipher", cipher] if cipher else []
    name = host if ":" in host else "localhost"
    return world.start("roam-client", [
        ROAM, "connect", "--hq", f"https://{authority(name, port)}/payload", "-o", world.path("got"),
        "--ca", world.certificates["ca"], *options], SSLKEYLOGFILE=world.path("roam.keys"))


CLIENTS = {"quiche": quiche_client, "roam": roam_client}


def judge_file(world, payload):
    got = world.path("got")
    check(got.exists(), "the client wrote no file")
    check(got.stat().st_size == payload.stat().st_size,
          f"{got.stat().st_size} bytes arrived of {payload.stat().st_size}")
    check(sha256(got) == sha256(payload), "the file that arrived is not the file that was sent")


def moved_packets(world, payload):
    """At least so many datagrams must have come to the new address: a fifth of the file, in full-sized ones."""
    return payload.stat().st_size // 5 // 1452


def judge_quiche_client(world, client, payload, move, versions=False):
    result = client.event("result")
    check(result["success"] and result["bytes"] == payload.stat().st_size, f"quiche client: {result}")
    check(result["sha256"] == sha256(payload), "quiche client computed another checksum")
    closed = client.event("closed")
    check(closed["peerError"] is None, f"the server closed with {closed['peerError']}")
    client.event("handshake")
    if versions:
        check(client.event("version_negotiation")["right"], "the Version Negotiation packet was not right")
    sockets = client.events("socket")
    if move is None:
        check(len(sockets) == 1, "the quiche client moved")
        return None
    check(len(sockets) == 2, "the quiche client did not move")
    check(sockets[1]["received"] >= moved_packets(world, payload),
          f"only {sockets[1]['received']} datagrams came to the new address {sockets[1]['local']}")
    if move == "migrate":
        validated = [e for e in client.events("path") if e["type"] == "Validated"]
        check([e["local"] for e in validated] == [sockets[1]["local"]], "quiche did not validate the new path")
        client.event("migrated")
    else:
        client.event("rebound")
    return sockets[1]["local"]


def judge_quiche_server(world, server, payload, move, retry=False, versions=False):
    check(len(server.events("accepted")) == 1, f"quiche server accepted {len(server.events('accepted'))} connections")
    check(len(server.events("handshake")) == 1, "not exactly one handshake")
    check(server.event("answered")["sha256"] == sha256(payload), "quiche server sent another file")
    check(not server.events("drop"), f"quiche server dropped: {server.events('drop')[:3]}")
    check(not server.events("recv_error"), f"quiche server could not take: {server.events('recv_error')[:3]}")
    if retry:
        check(server.events("retry_sent"), "no Retry was sent")
        server.event("token_accepted")
    if versions:
        server.event("version_negotiation_sent")
    server.expect("out", r'"event":"closed"')
    closed = server.event("closed")
    check(not closed["timedOut"] and closed["localError"] is None, f"quiche server ended the connection: {closed}")
    check(closed["peerError"] is not None and closed["peerError"]["code"] == 0, f"client's close: {closed}")
    if move is None:
        check(closed["pathsCount"] == 1, "quiche server saw more than one path")
        return
    path_events = server.events("path")
    moved = [event["new"] for event in path_events if event["type"] == "PeerMigrated"]
    check(len(moved) == 1, f"quiche server saw {len(moved)} moves of its peer, not one")
    check([e["peer"] for e in path_events if e["type"] == "Validated"] == moved,
          "quiche server did not validate the new path")
    reused = [e for e in path_events if e["type"] == "ReusedSourceConnectionId"]
    if move == "migrate":
        check(not reused, "a deliberate move used an old connection ID on the new path")
    new_path = [s for s in server.events("path_stats") if s["peer"] == moved[0]]
    check(new_path and new_path[0]["active"], "the new path is not the server's active one")
    check(new_path[0]["sent"] >= moved_packets(world, payload), f"too little went to the new path: {new_path}")


def judge_roam_server(server, new_address):
    check(server.child.poll() is None, "roam listen ended")
    if new_address:
        check(re.search(re.escape(new_address) + r"\b", server.text("err")),
              f"roam listen did not report its client's new address {new_address}")


# ------------------------------------------------------------------------------------- handshakes with ALPN h3

def gtls_client(world, host, port, versions=False, download=None, idle=None):
    options = ["--version=" + RESERVED_VERSION, "--preferred-versions=v1"] if versions else []
    if download:
        options += ["--exit-on-all-streams-close", f"--download={download}"]
    if idle:
        options += [f"--timeout={idle}"]
    request = [f"https://localhost:{port}/payload"] if download else []
    return world.start("gtlsclient", [
        "gtlsclient", "--no-quic-dump", "--no-http-dump", "--sni=localhost", *options, host, port, *request],
        PATH=SYSTEM_PATH)


def quiche_h3_client(world, host, port, versions=False):
    return world.start("quiche-client", [
        *QUICHE_PEER, "client", f"https://localhost:{port}/", "--alpn", "h3", "--handshake-only", "--ca",
        world.certificates["ca"], *(["--version-negotiation"] if versions else [])], ROAM_INTEROP_DIR=INSTALLED)


def roam_h3_client(world, host, port, versions=False):
    return world.start("roam-client", [
        ROAM, "connect", "--handshake-only", f"localhost:{port}", "--alpn", "h3", "--ca", world.certificates["ca"],
        *(["--force-version", RESERVED_VERSION] if versions else [])], SSLKEYLOGFILE=world.path("roam.keys"))


H3_CLIENTS = {"gtls": gtls_client, "quiche": quiche_h3_client, "roam": roam_h3_client}


def judge_gtls_log(process, client, versions=False, retry=False):
    """The ngtcp2 examples log every packet and frame; this is their account of a confirmed handshake."""
    way = "rx" if client else "tx"
    process.expect("err", r"^QUIC handshake has completed")
    process.expect("err", rf"frm {way} \d+ 1RTT HANDSHAKE_DONE")
    log = process.text("err")
    check("Negotiated ALPN is h3" in log, f"{process.name} did not negotiate h3")
    check(len(re.findall(r"^QUIC handshake has completed", log, re.MULTILINE)) == 1, "more than one handshake")
    if not client:
        # The client's Finished alone does not show that it took what the server sent last.
        process.expect("err", r"frm rx \d+ 1RTT (ACK|CONNECTION_CLOSE)")
    else:
        check(not re.search(r"frm rx .* CONNECTION_CLOSE", log), "the server closed the connection")
    if versions and client:
        check(re.search(r"pkt rx .*type=VN", log), "gtlsclient saw no Version Negotiation packet")
        check("Client selected version 0x1" in log, "gtlsclient did not choose version 1")
    if retry and client:
        check(re.search(r"pkt rx .*type=Retry", log), "gtlsclient saw no Retry packet")
    if retry and not client:
        check("Token was successfully validated" in log, "gtlsserver got no valid Retry token back")


def judge_quiche_h3_client(client, versions=False):
    check(client.wait() == 0, "the quiche client failed")
    check(client.event("handshake")["alpn"] == "h3", "quiche did not negotiate h3")
    if versions:
        check(client.event("version_negotiation")["right"], "the Version Negotiation packet was not right")


def judge_quiche_h3_server(server, versions=False, retry=False):
    check(server.event("handshake")["alpn"] == "h3", "quiche did not negotiate h3")
    server.event("accepted")
    if versions:
        server.event("version_negotiation_sent")
    if retry:
        server.event("token_accepted")


def judge_roam_h3_client(client):
    check(client.wait() == 0, "roam connect --handshake-only failed")
    said = client.text("out") + client.text("err")
    line = re.search(r"^.*\bconnected\b.*$", said, re.MULTILINE)
    check(line, "roam connect did not say that it is connected")
    check(re.search(r"\bh3\b", line[0]), f"roam connect did not negotiate h3: {line[0]}")
