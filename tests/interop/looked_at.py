"""One move, seen by three who do not know each other: tshark, which decrypts what was caught on loopback with the secrets
of SSLKEYLOGFILE, and the qlogs of both ends. All must tell of the same packets, connection IDs and challenges."""

import subprocess

import capture as cap
import peers
import qlog
from harness import check, free_port, sha256

PAYLOAD_BYTES = 10 * 1024 * 1024
MIGRATIONS = 5
FIELDS = ["frame.number", "udp.srcport", "udp.dstport", "quic.header_form", "quic.packet_number", "quic.dcid",
          "quic.frame_type", "quic.path_challenge.data", "quic.path_response.data"]
# Frame types as in a capture -> names as in a qlog.
FRAME_NAMES = {0: "padding", 1: "ping", 2: "ack", 3: "ack", 4: "reset_stream", 5: "stop_sending", 6: "crypto", 7: "new_token",
               **{kind: "stream" for kind in range(0x08, 0x10)}, 0x10: "max_data", 0x11: "max_stream_data",
               0x12: "max_streams", 0x13: "max_streams", 0x14: "data_blocked", 0x15: "stream_data_blocked",
               0x16: "streams_blocked", 0x17: "streams_blocked", 0x18: "new_connection_id",
               0x19: "retire_connection_id", 0x1a: "path_challenge", 0x1b: "path_response", 0x1c: "connection_close",
               0x1d: "connection_close", 0x1e: "handshake_done", 0x1f: "immediate_ack", 0xaf: "ack_frequency"}


def server_with_log(world, port, *how):
    server = world.start("roam-server", [
        peers.ROAM, "listen", f"127.0.0.1:{port}", *how, "--cert", world.certificates["chain"], "--key",
        world.certificates["key"], "--qlog", world.path("server-logs")], SSLKEYLOGFILE=world.path("server.keys"))
    server.expect("err", r"^listening on ")
    return server


def client_with_log(world, *how, **options):
    return world.start("roam-client", [
        peers.ROAM, "connect", "-4", "--ca", world.certificates["ca"], "--qlog", world.path("client-logs"), *how],
        SSLKEYLOGFILE=world.path("client.keys"), **options)


def rebound_download(world, port):
    """A file comes down, and the client's port changes early on."""
    payload = world.random_file(PAYLOAD_BYTES)
    server_with_log(world, port, "--hq", world.path("www"))
    catch = cap.Capture(world, port)
    client = client_with_log(world, "--hq", f"https://localhost:{port}/payload", "-o", world.path("got"), "--rebind-at",
                             PAYLOAD_BYTES // 8)
    check(client.wait() == 0, f"the client exited with {client.child.returncode}")
    peers.judge_file(world, payload)
    return catch


def migrating_upload(world, port):
    """A client sends until it has migrated often enough."""
    server = server_with_log(world, port, "--recv-only")
    catch = cap.Capture(world, port)
    client = client_with_log(world, "--migrate-every", "15ms", f"localhost:{port}", stdin=subprocess.PIPE)
    fed = world.feed_until(client, lambda: server.text("err").count(" moved from ") >= MIGRATIONS, chunk=1 << 18)
    check(client.wait() == 0, f"the client exited with {client.child.returncode}")
    check(server.wait() == 0, f"the server exited with {server.child.returncode}")
    check(sha256(server.paths["out"]) == sha256(fed), "what arrived is not what was sent")
    return catch


def caught_packets(path, port, keys):
    """Direction -> number -> Packet, of datagrams that hold one 1-RTT packet and nothing else."""
    caught = {"client": {}, "server": {}}
    for packet in cap.dissect(path, port, keys, FIELDS):
        if packet.quic_header_form not in ("0", "False"):
            continue
        sender = "server" if packet.udp_srcport == str(port) else "client"
        number = int(packet.quic_packet_number)
        check(number not in caught[sender], f"packet {number} of the {sender} was caught twice")
        caught[sender][number] = packet
    return caught


def names_of(packet):
    return {FRAME_NAMES[int(kind, 0)] for kind in packet.quic_frame_type.split(",")}


def is_read_whole(names):
    """tshark 4.0 does not know IMMEDIATE_ACK by its number of today, and reads nothing behind it."""
    return "immediate_ack" not in names


def octets_of(field):
    return sorted(value.replace(":", "") for value in field.split(",") if value)


def compare(log, caught, port, role):
    """What one side says that it sent is what was on the wire, packet by packet."""
    sent = log.packets("packet_sent")
    check(set(caught) <= set(sent), f"packets of the {role} that its log does not have: {sorted(set(caught) - set(sent))}")
    unseen = set(sent) - set(caught)
    # Those that shared a datagram with a handshake packet, and what was dropped on the way to the capture.
    check(len(unseen) <= 20, f"{len(unseen)} packets of the {role} were never caught: {sorted(unseen)[:30]}")
    for number, packet in caught.items():
        event, where = sent[number], f"packet {number} of the {role} (frame {packet.frame_number})"
        check(octets_of(packet.quic_dcid) == [event.data["header"]["dcid"]], f"{where}: another DCID")
        names, logged_names = names_of(packet), {frame["frame_type"] for frame in event.data["frames"]}
        check(names == logged_names if is_read_whole(names) else names <= logged_names, f"{where}: other frames")
        for kind in ("path_challenge", "path_response"):
            logged = sorted(frame["data"] for frame in event.frames(kind))
            check(octets_of(getattr(packet, f"quic_{kind}_data")) == logged, f"{where}: another {kind}")
        if role == "server":
            check(log.path_address(event.path, "remote")[1] == int(packet.udp_dstport), f"{where}: another path")


def check_ports(server_log, caught, port, move):
    """The CIDs on the client's packets, port by port, before and after the change of address."""
    cids = {}
    for packet in caught["client"].values():
        cids.setdefault(packet.udp_srcport, set()).update(octets_of(packet.quic_dcid))
    check(len(cids) >= 2, f"the client was on the ports {sorted(cids)}")
    every = [cid for found in cids.values() for cid in found]
    if move == "rebind":
        check(len(set(every)) == 1, f"a rebinding changed the CID: {cids}")
    else:
        check(len(every) == len(set(every)), f"one CID from two ports (RFC 9000 section 9.5): {cids}")
        told, issued = ({event.data["cid"] for event in server_log.all(f"roam:cid_{what}")} for what in ("used", "issued"))
        # All but that of the handshake, which is not always on the first packet: a migration may follow on its heels.
        check(len(set(every) - issued) == 1, f"CIDs that were never issued: {set(every) - issued}")
        check(told == set(every) & issued, f"roam:cid_used tells of {told}, on the wire were {cids}")
    # Each address that the server moved to was challenged there, and answered from there.
    for moved in server_log.all("roam:path_moved"):
        new = str(moved.data["remote"]["port_v4"])
        asked = {data for packet in caught["server"].values() if packet.udp_dstport == new
                 for data in octets_of(packet.quic_path_challenge_data)}
        answered = {data for packet in caught["client"].values() if packet.udp_srcport == new
                    for data in octets_of(packet.quic_path_response_data)}
        told = {event.data["data"] for event in server_log.all("roam:path_answered") if event.path == moved.path}
        check(told and told <= asked & answered, f"challenges of port {new}: asked {asked}, answered {answered}, told {told}")


def tshark_and_qlogs(world, move):
    port = free_port("127.0.0.1")
    path = (rebound_download if move == "rebind" else migrating_upload)(world, port).stop()
    keys = [sorted(world.path(f"{side}.keys").read_text().splitlines()) for side in ("client", "server")]
    check(keys[0] == keys[1] and len(keys[0]) >= 4, "the two ends told different secrets")
    cap.judge(cap.dissect(path, port, world.path("server.keys")))
    caught = caught_packets(path, port, world.path("client.keys"))
    logs = {side: qlog.only_log(world.path(f"{side}-logs"), side) for side in ("client", "server")}
    for side, log in logs.items():
        qlog.check_validations(log)
        compare(log, caught[side], port, side)
    check_ports(logs["server"], caught, port, move)
