"""The cases of the public QUIC interop runner: files, network, and judge. Its simulator's networks are roam natbox's here."""

import collections

import matrix_judges as judges

KB, MB = 1 << 10, 1 << 20

# Two nodes 15 ms apart at 10 Mbit/s, with a queue of 25 packets of Ethernet.
LINK = ["--rate", "10M", "--burst", "3000", "--queue", "37500", "--mtu", "1472"]
NEAR = ["--delay", "15ms", *LINK]
# The old mapping lasts until the client is heard by the new one: who only receives has nothing else to say.
REBINDING = [*NEAR, "--old-mapping", "until-uplink", "--rebind-first", "1s", "--rebind-every", "5s"]
ADDRESSES = ",".join(f"127.0.0.{n}" for n in range(11, 19))


def shares(what, share):
    return [*NEAR, what, share, "--in-a-row", "3"]


# `client` and `server` are the runner's names of what the ends are asked to do.
Case = collections.namedtuple("Case", "name files judge client server network host chain names beside")


def case(name, files, judge, client="transfer", server=None, network=NEAR, host="127.0.0.1", chain=1, names=0,
         beside=False):
    return Case(name, files, judge, client, server or client, network, host, chain, names, beside)


CASES = [
    case("handshake", [KB], judges.handshake, "handshake"),
    case("transfer", [2 * MB, 3 * MB, 5 * MB], judges.transfer),
    case("longrtt", [KB], judges.longrtt, "handshake", network=["--delay", "750ms", *LINK]),
    case("chacha20", [3 * MB], judges.chacha20, "chacha20"),
    case("multiplexing", [32] * 1999, judges.multiplexing),
    case("retry", [10 * KB], judges.retry, "retry"),
    case("resumption", [5 * KB, 10 * KB], judges.resumption, "resumption"),
    case("zerortt", [32] * 40, judges.zerortt, "zerortt", names=250),
    case("http3", [5 * KB, 10 * KB, 500 * KB], judges.transfer, "http3"),
    case("versionnegotiation", [KB], judges.versionnegotiation, "versionnegotiation"),
    case("blackhole", [10 * MB], judges.transfer, network=[*NEAR, "--outage", "2s,7s,5s"]),
    case("keyupdate", [3 * MB], judges.keyupdate, "keyupdate", "transfer"),
    case("ecn", [100 * KB], judges.ecn, "ecn"),
    case("amplificationlimit", [5 * KB], judges.amplificationlimit, chain=9,
         network=[*NEAR, "--drop", "6,0", "--drop-after", "1,0"]),
    case("handshakeloss", [KB] * 50, judges.many_handshakes, "multiconnect", network=shares("--loss", "30%")),
    case("transferloss", [2 * MB], judges.transfer, network=shares("--loss", "2%")),
    case("handshakecorruption", [KB] * 50, judges.many_handshakes, "multiconnect", network=shares("--corrupt", "30%")),
    case("transfercorruption", [2 * MB], judges.transfer, network=shares("--corrupt", "2%")),
    case("ipv6", [5 * KB, 10 * KB], judges.ipv6, host="::1"),
    case("v2", [KB], judges.v2, "v2"),
    case("rebind-port", [10 * MB], judges.rebinding, network=REBINDING),
    case("rebind-addr", [10 * MB], judges.rebind_addr, network=[*REBINDING, "--rebind", "both", "--address", ADDRESSES]),
    # The preferred address is not behind a natbox: both legs are one.
    case("connectionmigration", [2 * MB], judges.connectionmigration, "transfer", "connectionmigration", network=None),
    case("goodput", [10 * MB], judges.goodput),
    case("crosstraffic", [25 * MB], judges.crosstraffic, beside=True),
]
