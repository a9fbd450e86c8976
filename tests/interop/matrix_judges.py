"""The verdicts of the public QUIC interop runner, from packets and files alone.

Each judge takes a Seen, and raises Failure unless it shows what the case is about. `left` is the leg between client and
network, `right` the one between network and server."""

import collections
import filecmp

from harness import check
from matrix_trace import V1, V2, path_of, values

Seen = collections.namedtuple("Seen", "left right wanted got has_keys bytes tcp")
CHAIN_BYTES_MIN = 7500  # of nine certificates, the runner's figure
STREAMS_MAX = 1000
STARVED_MBITS = 0.5
TOLERATED = 4  # as many times what came may a server send before it is believed: the RFC says 3, the runner lets 4 pass


def judge_files(seen):
    names = {path.name for path in seen.wanted.iterdir()}
    got = {path.name for path in seen.got.iterdir()} if seen.got.exists() else set()
    check(got <= names, f"files that nobody asked for: {sorted(got - names)[:3]}")
    check(got == names, f"{len(names - got)} of {len(names)} files are missing")
    different = [name for name in names if not filecmp.cmp(seen.wanted / name, seen.got / name, shallow=False)]
    check(not different, f"{len(different)} of {len(names)} files are not what was sent")


def judge_handshakes(seen, wanted=1):
    handshakes = len({packet.scid for packet in seen.right.of("initial", True)})
    check(handshakes == wanted, f"{handshakes} handshakes, not {wanted}")


def transfer(seen, handshakes=1):
    judge_handshakes(seen, handshakes)
    versions = {packet.version for packet in seen.right.of("initial", True)}
    check(versions == {V1}, f"versions {sorted(map(hex, versions))}")
    judge_files(seen)


def handshake(seen):
    transfer(seen)
    check(not seen.left.of("retry", True), "a Retry was sent")


def many_handshakes(seen):
    transfer(seen, len(list(seen.wanted.iterdir())))


def longrtt(seen):
    transfer(seen)
    # A ClientHello that comes again is marked as a retransmission, or as overlapping, of its CRYPTO data.
    hellos = [packet for packet in seen.left.of("initial", False)
              if "1" in packet.fields["tls.handshake.type"] or "quic.crypto.offset" in packet.fields]
    check(len(hellos) >= 2, f"{len(hellos)} ClientHellos, not 2: was the RTT long?")


def chacha20(seen):
    transfer(seen)
    offered = {suite for packet in seen.left.of("initial", False) for suite in packet.fields["tls.handshake.ciphersuite"]}
    check({int(suite, 0) for suite in offered} == {0x1303}, f"the client offered the cipher suites {sorted(offered)}")


def multiplexing(seen):
    transfer(seen)
    limits = [int(limit) for packet in seen.left.of("handshake", True)
              for limit in packet.fields["tls.quic.parameter.initial_max_streams_bidi"]]
    check(limits, "no initial_max_streams_bidi was seen")
    check(max(limits) <= STREAMS_MAX, f"the server allowed {max(limits)} streams at once")


def retry(seen):
    transfer(seen)
    tokens = {token for packet in seen.left.of("retry", True) for token in packet.fields["quic.retry_token"]}
    check(tokens, "no Retry was sent")
    before = -1
    for packet in seen.left.of("initial", False):
        token = packet.first("quic.token", "")
        if not token:
            before = max(before, packet.number)
            continue
        check(packet.number > before, f"packet number {packet.number} after the Retry, {before} before")
        if token in tokens:
            return
    check(False, "no Initial had the token of the Retry")


def resumption(seen):
    transfer(seen, 2)
    packets = seen.left.of("handshake", True)
    scids = list(dict.fromkeys(packet.scid for packet in packets))
    check(len(scids) == 2, f"Handshake packets of {len(scids)} connections")
    shown = {packet.scid for packet in packets if "tls.handshake.certificates_length" in packet.fields}
    check(scids[0] in shown, "no Certificate in the first handshake")
    check(scids[1] not in shown, "the server sent a Certificate in the second handshake: it was not resumed")


def zerortt(seen):
    transfer(seen, 2)
    early = sum(int(size) for packet in seen.left.of("0rtt", False) for size in packet.fields["quic.packet_length"])
    check(early > 0, "the client sent no 0-RTT packet")
    asked = sum(len(path.name) for path in seen.wanted.iterdir())
    late = sum(int(one.bytes) for one in seen.left.sent(False) if set(values(one.form)) <= {"0", "False"}
               and any(8 <= int(kind, 0) <= 15 for kind in values(one.frames)))  # a probe of the MTU asks for nothing
    check(late <= asked // 2, f"the client sent {late} octets in 1-RTT packets with STREAM frames")


def versionnegotiation(seen):
    first = next((one for one in seen.left.long if not one.from_server), None)
    check(first, "the client sent no packet with a long header")
    check(any(one.scid == first.dcid for one in seen.left.of("versions", True)), "no Version Negotiation came with its DCID")


def keyupdate(seen):
    transfer(seen)
    phases = {}
    for server, leg in ((False, seen.left), (True, seen.right)):
        phases[server] = collections.Counter(
            phase in ("1", "True") for one in leg.sent(server) for phase in values(one.key_phase))
    said = ", ".join(f"{'server' if server else 'client'} {count[False]} and {count[True]}"
                     for server, count in phases.items())
    check(phases[False][True] and phases[True][True], f"packets of key phase 0 and 1: {said}")


def ecn(seen):
    handshake(seen)
    for server, leg in ((False, seen.left), (True, seen.right)):
        who = "server" if server else "client"
        marks = collections.Counter(int(one.ecn or one.ecn6 or "0", 0) for one in leg.sent(server))
        check(marks[1] or marks[2], f"the {who} marked no packet ECT(0) or ECT(1)")
        check(not marks[3], f"the {who} sent packets marked CE")
    for server, leg in ((False, seen.left), (True, seen.right)):
        who = "server" if server else "client"
        check(any(one.ect0 for one in leg.sent(server)), f"the {who} sent no ACK frame with ECN counts")


def amplificationlimit(seen):
    transfer(seen)
    reached = 0
    for packet in seen.right.of("handshake", True):
        for offset, length in zip(packet.fields["quic.crypto.offset"], packet.fields["quic.crypto.length"]):
            reached = max(reached, int(offset) + int(length))
    check(reached >= CHAIN_BYTES_MIN, f"the server sent {reached} octets of Handshake CRYPTO: where is the chain?")
    allowed = sent = 0
    for one in seen.right.datagrams:
        size = int(one.bytes) - 8
        if one.port_from in seen.right.ports:
            sent += size
            check(sent < allowed, f"the server sent {sent} octets where {allowed * 3 // TOLERATED} were allowed")
        elif "2" in values(one.types):
            return  # a Handshake packet proves the address
        else:
            allowed += TOLERATED * size
    check(False, "the client sent no Handshake packet")


def rebinding(seen, new_address=False, packets_new_cid=False):
    transfer(seen)
    paths, challenges = new_paths(seen.right.sent(True))
    check(len(paths) > 1, "the server saw one path only")
    if new_address:
        hosts = {path[1][0] for path in paths}
        check(len(hosts) > 1, f"the server saw one address only, {hosts}")
    responses = {data for one in seen.left.sent(False) for data in values(one.response)}
    check(challenges <= responses, f"{len(challenges - responses)} of {len(challenges)} challenges were never answered")
    if packets_new_cid:
        judge_cids(seen.left.sent(False))


def new_paths(sent):
    """The paths that a server used, in order, and the challenges with which it came to the new ones."""
    paths, challenges, last = [], set(), None
    for one in sent:
        path = path_of(one)
        if path == last or path in paths:
            continue
        if last is not None:
            check(one.challenge, f"the server's first packet on a new path (the {len(paths) + 1}th) has no PATH_CHALLENGE: "
                  f"its frames are {one.frames or 'unknown'}")
            challenges.update(values(one.challenge))
        paths.append(path)
        last = path
    return paths, challenges


def judge_cids(sent):
    last = cid = None
    for one in sent:
        path, here = path_of(one), values(one.dcid)[-1:]
        if last is not None and path != last:
            check(here != cid, f"the client's first packet on a new path has the DCID {cid} of the old one")
        last, cid = path, here


def rebind_addr(seen):
    rebinding(seen, new_address=True)


def connectionmigration(seen):
    rebinding(seen, packets_new_cid=True)


def ipv6(seen):
    transfer(seen)
    check(not any(one.ip_from for one in seen.right.datagrams), "there were IPv4 packets")


def v2(seen):
    def versions(leg, kind, server):
        return {packet.version for packet in leg.of(kind, server)}
    check(V1 in versions(seen.left, "initial", False), "the client's Initials have another version than 1")
    check(V2 in versions(seen.right, "initial", True), "the server's Initials are not of version 2")
    check(versions(seen.left, "handshake", False) == {V2}, "the client's Handshake packets are not all of version 2")
    check(versions(seen.right, "handshake", True) == {V2}, "the server's Handshake packets are not all of version 2")
    judge_files(seen)


def rate_of(seen):
    """Mbit/s of the files' octets."""
    transfer(seen)
    times = [float(one.time) for one in seen.left.sent(True) if values(one.form)[-1] in ("0", "False")]
    check(times and times[-1] > times[0], "the transfer took no time")
    return 8 * seen.bytes / (times[-1] - times[0]) / 1e6


def goodput(seen):
    return f"{rate_of(seen):.1f} Mbit/s"


def crosstraffic(seen):
    """The runner measures, and asks no more than that the file arrives; but a flow that is starved is no traffic."""
    rate = rate_of(seen)
    check(seen.tcp >= STARVED_MBITS, f"TCP had {seen.tcp:.2f} Mbit/s beside {rate:.2f}")
    return f"{rate:.1f}, TCP {seen.tcp:.1f}"
