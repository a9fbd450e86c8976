"""The two ends of a cell. roam is what packaging/interop/run_endpoint.sh makes of it, as for the public runner; a peer is
driven by its own command. Each says which applications it speaks, its version, and what it cannot do by itself."""

import collections
import json
import os
import re
import subprocess

import peers
from harness import BOUND_SECONDS, check, free_port, wait_bound

RUN_ENDPOINT = peers.TOP / "packaging" / "interop" / "run_endpoint.sh"
UNSUPPORTED_STATUS = 127
CLIENT_SECONDS = 300

# What a cell needs to know of its place: case name, host, where clients find the server, files below www.
Place = collections.namedtuple("Place", "case host application certs")


class NotYet(Exception):
    """roam has no such option."""


def refused(process):
    if process.child.poll() == UNSUPPORTED_STATUS:
        raise NotYet(re.sub(r"^unsupported: \S+: ", "", process.text("err").strip().split("\n")[-1]))


# ----------------------------------------------------------------------------------------------------------- roam

def roam_environment(world, place, role):
    keys = {"SSLKEYLOGFILE": world.path(f"{role}.keys"), "STATE": world.directory, "ROAM": peers.ROAM}
    application = {"HTTP3": "1"} if place.application == "h3" else {}
    return {**keys, **application, "ROLE": role, "CERTS": place.certs, "WWW": world.path("www"),
            "DOWNLOADS": world.path("downloads")}


def roam_server(world, place, preferred=None):
    port = free_port(place.host)
    extra = {"PREFERRED": preferred} if preferred else {}
    process = world.start("server", [RUN_ENDPOINT], TESTCASE=place.case.server, LISTEN=peers.authority(place.host, port),
                          **extra, **roam_environment(world, place, "server"))
    try:
        process.expect("err", r"^listening on |^serving ")
    except Exception:
        refused(process)
        raise
    return process, port


def roam_client(world, place, urls):
    process = world.start("client", [RUN_ENDPOINT], TESTCASE=place.case.client, REQUESTS=" ".join(urls),
                          **roam_environment(world, place, "client"))
    process.wait(CLIENT_SECONDS)
    refused(process)
    return process.child.returncode


# --------------------------------------------------------------------------------------------------------- quiche

def quiche_server(world, place, preferred=None):
    port = free_port(place.host)
    process = world.start("server", [
        *peers.QUICHE_PEER, "server", "--host", place.host, "--port", port, "--cert", place.certs / "cert.pem", "--key",
        place.certs / "priv.key", "--dir", world.path("www"), "--bound", CLIENT_SECONDS,
        *(["--retry"] if place.case.server == "retry" else [])], ROAM_INTEROP_DIR=peers.INSTALLED)
    process.expect("out", r'"event":"listening"')
    return process, port


def quiche_once(world, name, place, urls, *options):
    return world.start(name, [
        *peers.QUICHE_PEER, "client", *urls, "--download", world.path("downloads"), "--ca", place.certs / "ca.pem", "--bound",
        CLIENT_SECONDS, *options], ROAM_INTEROP_DIR=peers.INSTALLED, SSLKEYLOGFILE=world.path(f"{name}.keys"))


def quiche_client(world, place, urls):
    case = place.case.client
    if case == "multiconnect":
        return at_once(lambda n, url: quiche_once(world, f"client-{n}", place, [url]), urls)
    if case in ("resumption", "zerortt"):
        session = world.path("session")
        first = quiche_once(world, "client-1", place, urls[:1], "--session-file", session).wait(CLIENT_SECONDS)
        options = ["--session-file", session, *(["--early"] if case == "zerortt" else [])]
        return first or quiche_once(world, "client-2", place, urls[1:], *options).wait(CLIENT_SECONDS)
    options = ["--migrate-at", 1 << 18] if place.case.name == "connectionmigration" else []
    return quiche_once(world, "client", place, urls, *options).wait(CLIENT_SECONDS)


def at_once(start, urls, limit=10):
    """One process for each file, some at once."""
    status = 0
    for begin in range(0, len(urls), limit):
        running = [start(begin + n, url) for n, url in enumerate(urls[begin:begin + limit])]
        for process in running:
            status = process.wait(CLIENT_SECONDS) or status
    return status


# ---------------------------------------------------------------------------------------------------------- ngtcp2

def gtls_server(world, place, preferred=None):
    port = free_port(place.host)
    options = {"retry": ["-V"]}.get(place.case.server, [])
    if place.case.name == "chacha20":
        options = ["--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305"]
    if preferred:
        options = [f"--preferred-ipv4-addr={preferred}"]
    process = world.start("server", [
        "gtlsserver", "-q", "--handshake-timeout=60s", "--max-gso-dgrams=1", *options, "-d", world.path("www"), place.host, port, place.certs / "priv.key",
        place.certs / "cert.pem"], PATH=peers.SYSTEM_PATH, SSLKEYLOGFILE=world.path("server.keys"))
    wait_bound(process, port)
    return process, port


def gtls_once(world, name, place, urls, *options):
    host, port = re.match(r"https://\[?([^/\]]+?)\]?:(\d+)/", urls[0]).groups()
    return world.start(name, [
        "gtlsclient", "-q", "--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close", "--sni=localhost",
        "--handshake-timeout=60s", f"--download={world.path('downloads')}", *options, host, port, *urls],
        PATH=peers.SYSTEM_PATH, SSLKEYLOGFILE=world.path(f"{name}.keys"))


def gtls_client(world, place, urls):
    case = place.case.client
    if case == "multiconnect":
        return at_once(lambda n, url: gtls_once(world, f"client-{n}", place, [url]), urls)
    if case in ("resumption", "zerortt"):
        kept = [f"--session-file={world.path('session')}", f"--tp-file={world.path('parameters')}"]
        early = ["--disable-early-data"] if case == "resumption" else []
        first = gtls_once(world, "client-1", place, urls[:1], *kept, *early).wait(CLIENT_SECONDS)
        return first or gtls_once(world, "client-2", place, urls[1:], *kept, *early).wait(CLIENT_SECONDS)
    options = {
        "chacha20": ["--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305"],
        "keyupdate": ["--key-update=300ms"],
        "versionnegotiation": [f"--version={peers.RESERVED_VERSION}", "--preferred-versions=v1"],
    }.get(case, [])
    return gtls_once(world, "client", place, urls, *options).wait(CLIENT_SECONDS)


# ----------------------------------------------------------------------------------------------------------- caddy

def caddy_server(world, place, preferred=None):
    for name, source in (("chain", "cert.pem"), ("key", "priv.key")):
        world.certificates[name] = place.certs / source
    return peers.caddy_server(world, host=place.host)


# --------------------------------------------------------------------------------------------------------- quic-go

QUIC_GO_PEER = peers.INSTALLED / "quic_go_peer"


def quic_go_options(place):
    return (["-h3"] if place.application == "h3" else []) + (["-chacha20"] if place.case.name == "chacha20" else [])


def quic_go_server(world, place, preferred=None):
    port = free_port(place.host)
    process = world.start("server", [
        QUIC_GO_PEER, "server", "-listen", peers.authority(place.host, port), "-cert", place.certs / "cert.pem", "-key",
        place.certs / "priv.key", "-www", world.path("www"), *quic_go_options(place),
        *(["-retry"] if place.case.server == "retry" else [])], SSLKEYLOGFILE=world.path("server.keys"))
    wait_bound(process, port)
    return process, port


def quic_go_client(world, place, urls):
    options = {"multiconnect": ["-each"], "resumption": ["-again"], "zerortt": ["-again", "-early"],
               "versionnegotiation": ["-draft"]}.get(place.case.client, [])
    process = world.start("client", [
        QUIC_GO_PEER, "client", "-ca", place.certs / "ca.pem", "-downloads", world.path("downloads"), *quic_go_options(place),
        *options, *urls], SSLKEYLOGFILE=world.path("client.keys"))
    return process.wait(CLIENT_SECONDS)


# ------------------------------------------------------------------------------------------------------ Bun and Deno

BUN_PEER = [peers.INSTALLED / "node_modules/@oven/bun-linux-x64-baseline/bin/bun", peers.HERE / "bun_peer.mjs"]
DENO_PEER = [peers.INSTALLED / "node_modules/@deno/linux-x64-glibc/deno", "run", "--quiet", "-A", "--unstable-net",
             peers.HERE / "deno_peer.mjs"]


def script_server(world, place, command, *options):
    port = free_port(place.host)
    process = world.start("server", [*command, "server", place.host, port, place.certs / "cert.pem",
                                     place.certs / "priv.key", world.path("www"), *options], NO_COLOR=1)
    process.expect("out", "^listening")
    return process, port


def bun_server(world, place, preferred=None):
    return script_server(world, place, BUN_PEER)


def deno_server(world, place, preferred=None):
    return script_server(world, place, DENO_PEER, *([preferred] if preferred else []))


def script_client(world, place, urls, command, *first):
    """One process, or one for each file."""
    def start(name, some):
        how = {"resumption": "again", "zerortt": "early"}.get(place.case.client, "all")
        return world.start(name, [*command, "client", how, *first, world.path("downloads"), *some], NO_COLOR=1,
                           NODE_EXTRA_CA_CERTS=place.certs / "ca.pem")

    if place.case.client == "multiconnect":
        return at_once(lambda n, url: start(f"client-{n}", [url]), urls, limit=5)
    return start("client", urls).wait(CLIENT_SECONDS)


def bun_client(world, place, urls):
    # It asks for ::1 alone where localhost has that, too.
    return script_client(world, place, [url.replace("localhost", "127.0.0.1") for url in urls], BUN_PEER)


def deno_client(world, place, urls):
    return script_client(world, place, urls, DENO_PEER, place.certs / "ca.pem")


# ----------------------------------------------------------------------------------------------------------- all

Endpoint = collections.namedtuple("Endpoint", "name applications server client version")


def debian(package):
    result = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return f"{result.stdout.split('+')[0] or 'unknown'} (Debian {package})"


def npm(package):
    file = peers.INSTALLED / "node_modules" / package / "package.json"
    return f"{json.loads(file.read_text())['version'] if file.exists() else 'not installed'} (npm {package})"


ENDPOINTS = {one.name: one for one in (
    Endpoint("roam", ("hq", "h3"), roam_server, roam_client, lambda: "this tree"),
    Endpoint("quiche", ("hq",), quiche_server, quiche_client, lambda: npm("@matrixai/quic-linux-x64")),
    Endpoint("ngtcp2", ("h3",), gtls_server, gtls_client, lambda: debian("ngtcp2-client")),
    Endpoint("caddy", ("h3",), caddy_server, None, lambda: debian("caddy")),
    Endpoint("quic-go", ("hq", "h3"), quic_go_server, quic_go_client,
             lambda: debian("golang-github-lucas-clemente-quic-go-dev")),
    Endpoint("bun", ("h3",), bun_server, bun_client, lambda: npm("@oven/bun-linux-x64-baseline")),
    Endpoint("deno", ("hq",), deno_server, deno_client, lambda: npm("@deno/linux-x64-glibc")),
)}

QUICHE_FLIGHT = "quiche looks for losses only on the path that is newly acknowledged, so that what the old mapping took with " \
    "it comes back at one packet for each PTO"
NGTCP2_ORDER = "ngtcp2 0.12 may acknowledge on a new path before it challenges it"
ZERO_LENGTH = "quic-go's client has connection IDs of no octets: tshark cannot tell on a new path whose packets those are"
SEGMENTS = "Deno hands the kernel many datagrams in one (GSO), so are they captured on loopback, and tshark reads none of them"
QUICHE_CIDS = "quiche sends nothing more (InvalidState) once it was asked, on a path that loses much, to retire all the connection " \
    "IDs that it had"
BUN_RETRY = "Bun sends a Retry to an Initial without a ClientHello, and sends it once: where that is lost, nothing is answered any more"
NO_ECN = "quic-go of that age has no ECN"

# What a peer cannot do, by its role and the case, where its packets say so: (what they show, why). A cell that passes is ok
# all the same, and one that fails in another way has failed.
LIMITS = {
    ("quiche", "client", "chacha20"): (r"offered the cipher suites", "quiche has no choice of TLS 1.3 cipher suites"),
    ("quiche", "client", "keyupdate"): (r"key phase", "quiche updates keys only in answer to the other side"),
    ("quiche", "client", "ecn"): (r"the client marked no packet", "Node's sockets cannot mark packets"),
    ("quiche", "server", "ecn"): (r"the server (marked no packet|sent no ACK)", "Node's sockets neither mark packets nor see marks"),
    ("quiche", "client", "versionnegotiation"): (r"no Version Negotiation", "quiche speaks version 1 only"),
    ("quiche", "server", "rebind-port"): (r"idle timeout", QUICHE_FLIGHT),
    ("quiche", "server", "rebind-addr"): (r"idle timeout", QUICHE_FLIGHT),
    ("quiche", "server", "handshakecorruption"): (r"idle timeout", QUICHE_CIDS),
    ("quiche", "server", "handshakeloss"): (r"idle timeout", QUICHE_CIDS),
    ("quiche", "client", "v2"): (r"not of version 2", "quiche speaks version 1 only"),
    ("quiche", "server", "v2"): (r"not of version 2", "quiche speaks version 1 only"),
    ("quiche", "server", "connectionmigration"): (r"one path only", "quiche announces no preferred address"),
    ("ngtcp2", "server", "connectionmigration"): (
        r"its frames are 27\b", "ngtcp2 0.12 answers the probe of its preferred address, and challenges when the client moves"),
    ("ngtcp2", "server", "rebind-port"): (r"its frames are [23]$", NGTCP2_ORDER),
    ("ngtcp2", "server", "rebind-addr"): (r"its frames are [23]$", NGTCP2_ORDER),
    ("ngtcp2", "client", "v2"): (r"not of version 2", "ngtcp2 0.12 knows the draft's version only, 0x709a50c4"),
    ("ngtcp2", "server", "v2"): (r"not of version 2", "ngtcp2 0.12 knows the draft's version only, 0x709a50c4"),
    ("quic-go", "client", "connectionmigration"): (r"one path only", "quic-go of that age moves to no preferred address"),
    ("quic-go", "client", "ecn"): (r"the client marked no packet", NO_ECN),
    ("quic-go", "client", "keyupdate"): (r"key phase", "quic-go updates keys after 100,000 packets, and has no other choice"),
    ("quic-go", "client", "rebind-port"): (r"its frames are unknown", ZERO_LENGTH),
    ("quic-go", "client", "rebind-addr"): (r"its frames are unknown", ZERO_LENGTH),
    ("quic-go", "client", "v2"): (r"not of version 2", "quic-go of that age knows the draft's version only, 0x709a50c4"),
    ("bun", "client", "chacha20"): (r"offered the cipher suites", "Bun has no choice of cipher suites in HTTP/3"),
    ("bun", "client", "connectionmigration"): (r"one path only", "Bun moves to no preferred address"),
    ("bun", "client", "ecn"): (r"the client marked no packet", "Bun marks no packet"),
    ("bun", "client", "ipv6"): (r"^the client ended with 1", "Bun puts the address in its brackets into server_name, which RFC 6066 "
                                "section 3 does not allow; GnuTLS answers illegal_parameter"),
    ("bun", "client", "keyupdate"): (r"key phase", "Bun updates no keys"),
    ("bun", "client", "multiplexing"): (r"^\d+ handshakes, not 1$", "Bun makes another connection for what one's limit of "
                                        "streams does not allow"),
    ("bun", "client", "resumption"): (r"^1 handshakes", "Bun keeps its connection, and has no way of ending it"),
    ("bun", "client", "zerortt"): (r"^1 handshakes", "Bun keeps its connection, and has no way of ending it"),
    ("bun", "client", "versionnegotiation"): (r"no Version Negotiation", "Bun has no choice of versions"),
    ("bun", "client", "v2"): (r"not of version 2", "Bun has no choice of versions"),
    ("bun", "server", "connectionmigration"): (r"one path only", "Bun announces no preferred address"),
    ("bun", "server", "ecn"): (r"the server (marked no packet|sent no ACK)", "Bun marks no packet"),
    ("bun", "server", "handshakeloss"): (r"handshake timeout", BUN_RETRY),
    ("bun", "server", "handshakecorruption"): (r"handshake timeout", BUN_RETRY),
    ("bun", "server", "retry"): (r"no Retry", "Bun asks for no proof of address"),
    ("bun", "server", "zerortt"): (r"no 0-RTT packet", "Bun's tickets allow no early data"),
    ("deno", "client", "amplificationlimit"): (
        r"^the client ended with 1", "rustls takes six intermediate certificates at most (MaximumPathDepthExceeded), here are eight"),
    ("deno", "client", "chacha20"): (r"offered the cipher suites", "Deno has no choice of cipher suites"),
    ("deno", "client", "connectionmigration"): (r"one path only", "Deno moves to no preferred address"),
    ("deno", "client", "keyupdate"): (r"key phase", "Deno updates no keys"),
    ("deno", "client", "versionnegotiation"): (r"no Version Negotiation", "Deno has no choice of versions"),
    ("deno", "client", "v2"): (r"not of version 2", "Deno speaks version 1 only"),
    ("deno", "server", "connectionmigration"): (
        r"one path only", "an endpoint of Deno's has one socket, and so none at the preferred address that it announces"),
    ("deno", "server", "rebind-port"): (r"its frames are unknown", SEGMENTS),
    ("deno", "server", "rebind-addr"): (r"its frames are unknown", SEGMENTS),
    ("deno", "server", "retry"): (r"no Retry", "Deno asks for no proof of address"),
    ("deno", "server", "v2"): (r"not of version 2", "Deno speaks version 1 only"),
    **{(name, "server", case): limit for name in ("caddy", "quic-go") for case, limit in {
        "connectionmigration": (r"one path only", "quic-go of that age announces no preferred address"),
        "ecn": (r"the server marked no packet", NO_ECN),
        "rebind-port": (r".", "quic-go of that age sends to the address that its client had at first"),
        "rebind-addr": (r".", "quic-go of that age sends to the address that its client had at first"),
        "v2": (r"not of version 2", "quic-go of that age knows the draft's version only, 0x709a50c4"),
    }.items()},
    ("caddy", "server", "retry"): (r"no Retry", "caddy asks for no proof of address until it has too many handshakes"),
}
