"""Packet captures on loopback, and what tshark, an independent decoder, makes of them.

tshark 4.0 follows a QUIC connection by its connection IDs, so a connection that moves to another port stays one
connection in its eyes only if every CID that is used was issued in a NEW_CONNECTION_ID frame it could decrypt."""

import collections
import os
import shutil
import signal
import socket
import subprocess
import time

from harness import BOUND_SECONDS, check

EXPERT_ERROR = 8388608  # PI_ERROR: tshark's highest severity
FIELDS = ["frame.number", "udp.srcport", "udp.dstport", "quic.connection.number", "quic.header_form",
          "quic.long.packet_type", "quic.version", "quic.frame_type", "quic.decryption_failed",
          "_ws.malformed", "_ws.expert.severity", "_ws.expert.message"]


class Capture:
    """dumpcap on lo for one UDP port, and others with it. stop() returns once everything sent before it is in the file."""

    def __init__(self, world, port, name="capture", also=()):
        self.port = port
        self.path = world.path(f"{name}.out")  # dumpcap writes to stdout, so it needs no right to our directory
        dumpcap = shutil.which("dumpcap", path=os.environ["PATH"] + ":/usr/bin:/usr/sbin")
        check(dumpcap, "dumpcap is missing; on Debian: apt-get install tshark")
        command = [dumpcap, "-q", "-i", "lo", "-f", " or ".join(f"udp port {one}" for one in (port, *also)),
                   "-B", "32", "-w", "-"]
        if os.geteuid() != 0 and not can_capture(dumpcap):
            command = ["sudo", "-n", *command]
        self.process = world.start(name, command)
        self.process.expect("err", r"^Capturing on|^File:")
        # dumpcap says so a little before it is so: a datagram seen in the file proves that packets are being caught.
        self.mark("begin")

    def mark(self, name):
        """Sends a marker, again and again, until the file has it: all that came before it is there too."""
        marker = f"roam interop marker {name} ".encode() + os.urandom(16)
        deadline = time.monotonic() + BOUND_SECONDS
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            # From the port's own number to a port that nobody reads, so that no peer ever sees the marker.
            sender.bind(("127.0.0.99", self.port))
            while marker not in self.path.read_bytes():
                sender.sendto(marker, ("127.0.0.98", 9))
                check(time.monotonic() < deadline, "the capture never showed its marker")
                check(self.process.child.poll() is None, "dumpcap ended early")
                time.sleep(0.05)

    def stop(self):
        self.mark("end")
        self.process.stop(signal.SIGINT)
        return self.path


def can_capture(dumpcap):
    return subprocess.run([dumpcap, "-D"], capture_output=True, check=False).returncode == 0 and \
        subprocess.run([dumpcap, "-q", "-i", "lo", "-c", "1", "-a", "duration:1", "-w", "/dev/null"],
                       capture_output=True, check=False).returncode == 0


def dissect(path, port, keylog=None, fields=FIELDS):
    """One Packet, a named tuple of the fields, for each datagram of the capture; a field that occurs several times is joined by commas."""
    command = ["tshark", "-r", str(path), "-d", f"udp.port=={port},quic", "-2",
               "-Y", f"udp.port=={port} and not udp.port==9", "-T", "fields", "-E", "separator=/t"]
    if keylog:
        command += ["-o", f"tls.keylog_file:{keylog}"]
    packet = collections.namedtuple("Packet", [field.replace(".", "_").lstrip("_") for field in fields])
    for field in fields:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_SECONDS, check=False)
    check(result.returncode == 0, f"tshark failed: {result.stderr.strip()}")
    lines = [line for line in result.stdout.split("\n") if line]
    return [packet(*(line + "\t" * len(fields)).split("\t")[:len(fields)]) for line in lines]


def judge(packets, connections=1):
    """Every packet decrypted, none malformed, no expert error, and as many connections as there should be."""
    check(packets, "tshark saw no QUIC packet at all")
    for packet in packets:
        where = f"frame {packet.frame_number}"
        check(not packet.ws_malformed, f"{where} is malformed: {packet.ws_expert_message}")
        errors = [s for s in packet.ws_expert_severity.split(",") if s and int(s) >= EXPERT_ERROR]
        check(not errors, f"{where}: tshark's expert error: {packet.ws_expert_message}")
        check(not packet.quic_decryption_failed, f"{where} did not decrypt: {packet.ws_expert_message}")
        plain = packet.quic_version.split(",")[0] in ("0x00000000", "0x1a2a3a4a") or \
            packet.quic_long_packet_type == "3"
        check(plain or packet.quic_frame_type, f"{where} was not decrypted")
    numbers = {packet.quic_connection_number for packet in packets}
    check(len(numbers) == connections, f"tshark saw {len(numbers)} connections, not {connections}")


def frame_types(packets):
    return {int(kind, 0) for packet in packets for kind in packet.quic_frame_type.split(",") if kind}


def client_ports(packets, port):
    """The ports that talked with the server's port, with the number of datagrams of each."""
    counts = collections.Counter()
    for packet in packets:
        counts[packet.udp_srcport if packet.udp_dstport == str(port) else packet.udp_dstport] += 1
    return counts


def has_version_negotiation(packets, port):
    return any(packet.quic_version.split(",")[0] == "0x00000000" and packet.udp_srcport == str(port)
               for packet in packets)


def has_retry(packets, port):
    return any("3" in packet.quic_long_packet_type.split(",") and packet.udp_srcport == str(port)
               for packet in packets)
