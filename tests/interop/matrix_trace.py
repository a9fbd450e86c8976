"""What tshark, an independent decoder, makes of one leg of a connection: each QUIC packet with its fields.

Long headers are read whole (PDML: a datagram may hold several packets); of the rest only what the judges look at."""

import collections
import functools
import subprocess
import xml.etree.ElementTree

from harness import check

PATIENCE_SECONDS = 240
TYPES = {"0": "initial", "1": "0rtt", "2": "handshake", "3": "retry"}
TYPES_V2 = {"1": "initial", "2": "0rtt", "3": "handshake", "0": "retry"}
V1, V2 = 1, 0x6b3343cf

Datagram = collections.namedtuple(
    "Datagram", "time ip_from ip6_from ip_to ip6_to port_from port_to bytes ecn ecn6 form key_phase dcid challenge response"
    " ect0 frames types")
FIELDS = ["frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "udp.dstport", "udp.length",
          "ip.dsfield.ecn", "ipv6.tclass.ecn", "quic.header_form", "quic.key_phase", "quic.dcid",
          "quic.path_challenge.data", "quic.path_response.data", "quic.ack.ect0_count", "quic.frame_type",
          "quic.long.packet_type"]


class LongPacket:
    """One packet with a long header. `fields` has a list of values for each of its fields."""

    def __init__(self, protocol, from_server):
        self.fields = collections.defaultdict(list)
        for field in protocol.iter("field"):
            name, value = field.get("name"), field.get("show")
            if name == "tls.handshake.certificates_length" or value:
                self.fields[name].append(value)
        self.from_server = from_server
        self.version = int(self.first("quic.version", "0"), 0)
        self.scid = self.first("quic.scid", "")
        self.dcid = self.first("quic.dcid", "")
        self.type = "versions" if self.version == 0 else \
            TYPES_V2.get(self.first("quic.long.packet_type_v2")) or TYPES.get(self.first("quic.long.packet_type"))
        self.number = int(self.first("quic.packet_number", "-1"))

    def first(self, name, default=None):
        return self.fields[name][0] if name in self.fields else default


class Leg:
    """A capture between two neighbours, one of whom has one of the server ports."""

    def __init__(self, path, ports, keys):
        self.path, self.keys = path, keys
        self.ports = {str(port) for port in ports}

    def tshark(self, *options):
        command = ["tshark", "-n", "-r", str(self.path), "--disable-protocol", "http3", *options]
        for port in sorted(self.ports):
            command += ["-d", f"udp.port=={port},quic"]
        if self.keys.exists():
            command += ["-o", f"tls.keylog_file:{self.keys}"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        check(result.returncode == 0, f"tshark failed: {result.stderr.strip()[-300:]}")
        return result.stdout

    @functools.cached_property
    def long(self):
        """Every packet with a long header, in order."""
        text = self.tshark("-T", "pdml", "-Y", "quic.header_form == 1 and not udp.port == 9", "-J", "udp quic tls")
        packets = []
        for packet in xml.etree.ElementTree.fromstring(text).iter("packet"):
            udp = next(one for one in packet.iter("proto") if one.get("name") == "udp")
            source = next(field.get("show") for field in udp.iter("field") if field.get("name") == "udp.srcport")
            for protocol in packet.iter("proto"):
                if protocol.get("name") != "quic":
                    continue
                form = next((field.get("show") for field in protocol.iter("field")
                             if field.get("name") == "quic.header_form"), None)
                if form in ("1", "True"):
                    packets.append(LongPacket(protocol, source in self.ports))
        return packets

    def of(self, kind, server):
        return [packet for packet in self.long if packet.type == kind and packet.from_server == server]

    @functools.cached_property
    def datagrams(self):
        words = []
        for field in FIELDS:
            words += ["-e", field]
        text = self.tshark("-T", "fields", "-E", "separator=/t", "-Y", "quic and not udp.port == 9", *words)
        lines = (line + "\t" * len(FIELDS) for line in text.split("\n") if line)
        return [Datagram(*line.split("\t")[:len(FIELDS)]) for line in lines]

    def sent(self, server):
        return [one for one in self.datagrams if (one.port_from in self.ports) == server]


def path_of(datagram):
    return (datagram.ip_from or datagram.ip6_from, datagram.port_from), (datagram.ip_to or datagram.ip6_to, datagram.port_to)


def values(field):
    return [value for value in field.split(",") if value]
