"""`roam check` and patients that others wrote: what it must say of each, and that the packets on loopback agree.

Only what a patient does every time is asserted. A verdict that hangs on how its timers fall is left out."""

import json

import capture as cap
import peers
from harness import check

SURVIVES = dict.fromkeys(["handshake", "port-rebinding", "small-rebinding", "address-rebinding", "migration"], "yes")
PROVES_FIRST = dict.fromkeys(["challenge-new-path", "challenge-padded", "challenge-data", "amplification",
                              "probe-answered", "probe-stays", "cid-rotation", "cid-supply", "cid-refill"], "yes")

# Of each patient: what starts it, the exit status, the answers.
PATIENTS = {
    "roam": (peers.roam_server, 0, {
        **SURVIVES, **PROVES_FIRST, "rebinding-row": "yes", "rebinding-response": "yes", "challenge-first": "yes",
        "challenge-old-path": "yes", "stateless-reset": "yes", "reset-size": "yes", "reset-token": "yes",
        "version-negotiation": "yes", "disable-active-migration": "n/a", "session-resumption": "yes"}),
    # ngtcp2 challenges the new path, though not always with its first packet; it sends no resets.
    "gtls": (peers.gtls_server, 0, {
        **SURVIVES, **PROVES_FIRST, "rebinding-row": "yes", "rebinding-response": "yes", "challenge-old-path": "yes",
        "stateless-reset": "no", "reset-size": "n/a", "new-token": "yes"}),
    # quic-go keeps sending to the old port, and says that nobody may migrate.
    "caddy": (peers.caddy_server, 1, {
        "handshake": "yes", "port-rebinding": "no", "small-rebinding": "no", "address-rebinding": "no",
        "rebinding-row": "unknown", "rebinding-response": "no", "migration": "n/a", "cid-rotation": "n/a",
        "challenge-new-path": "unknown", "amplification": "unknown", "disable-active-migration": "yes",
        "cid-supply": "yes", "session-tickets": "yes"}),
    # quiche uses up an ID of ours with each rebinding, never asks at the old address, and never sends again what was
    # under way to a mapping that is gone.
    "quiche": (peers.quiche_server, 1, {
        **SURVIVES, **PROVES_FIRST, "rebinding-row": "no", "rebinding-response": "no", "challenge-first": "yes",
        "challenge-old-path": "no", "stateless-reset": "no", "new-token": "no"}),
}


def doctor(world, url, *arguments):
    """Runs the examination; the report, with `answers` by line."""
    process = world.start("roam-check", [peers.ROAM, "check", "--json", "--ca", world.certificates["ca"], *arguments, url],
                          SSLKEYLOGFILE=world.path("roam.keys"))
    status = process.wait()
    check(process.text("out").startswith("{"), f"no report: {process.text('err')}")
    report = json.loads(process.text("out"))
    check(report["exit_status"] == status, f"exit status {status}, but the report says {report['exit_status']}")
    report["answers"] = {verdict["id"]: verdict["answer"] for verdict in report["verdicts"]}
    report["said"] = {verdict["id"]: verdict["evidence"] for verdict in report["verdicts"]}
    return report


def judge(report, status, answers):
    for line, answer in answers.items():
        check(report["answers"].get(line) == answer,
              f"{line}: {report['answers'].get(line)}, not {answer}: {report['said'].get(line)}")
    check(report["exit_status"] == status, f"exit status {report['exit_status']}, not {status}")
    check(report["totals"]["datagrams_sent"] < 600, f"that was not polite: {report['totals']}")


def port_of(address):
    return address.rsplit(":", 1)[1]


def judge_packets(report, packets, port):
    """What came to each new port according to tshark, which saw the wire and not the doctor."""
    to = {packet.udp_dstport for packet in packets if packet.udp_srcport == str(port)}
    check(report["moves"], "no move was made")
    for move in report["moves"]:
        came = port_of(move["to"]) in to
        check(came == (move["received_new"] > 0),
              f"{move['id']}: {move['received_new']} came according to the doctor, tshark says {came}")
    # Several datagrams that left by one system call (GSO) are one that tshark cannot read. Our answers are never so.
    answered = 0x1b in cap.frame_types([packet for packet in packets if packet.udp_dstport == str(port)])
    challenged = any(move["challenges_new"] for move in report["moves"])
    check(answered == challenged, f"PATH_CHALLENGE frames: the doctor says {challenged}, tshark saw an answer: {answered}")


def examine(world, server, host="127.0.0.1"):
    """The doctor's verdicts on this server, and tshark's account of the same packets."""
    start, status, answers = PATIENTS[server]
    world.random_file(300000)
    _, port = start(world, host=host)
    catch = cap.Capture(world, port)
    name = host if ":" in host else "localhost"
    report = doctor(world, f"https://{peers.authority(name, port)}/payload", *(["-4"] if name == "localhost" else []))
    if ":" in host:  # there is one ::1 only
        answers = {**answers, "address-rebinding": "n/a"}
    judge(report, status, answers)
    judge_packets(report, cap.dissect(catch.stop(), port, world.path("roam.keys")), port)


def examine_retry(world):
    """Retry is told, and a token that was tampered with is tried on it."""
    world.random_file(300000)
    _, port = peers.gtls_server(world, retry=True)
    report = doctor(world, f"https://localhost:{port}/payload", "-4")
    judge(report, 0, {"retry": "yes", "retry-token": "yes", "port-rebinding": "yes"})
