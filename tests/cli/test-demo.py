#!/usr/bin/env python3
"""The demo, parsed: the row moved and is the same row, "Hello again!" came on the same stream, no octet was lost; and TCP
did not do it. As root also in network namespaces, of which nothing may be left. Wants ROAM."""
import os
import re
import subprocess
import sys

ROAM = os.environ["ROAM"]
failures = []


def check(what, truth):
    if not truth:
        failures.append(what)
        print(f"FAILED: {what}")


def figures(said, kind):
    line = re.search(rf"^result {kind} (.*)$", said, re.M)
    return dict(re.findall(r"(\w+)=(\S+)", line[1])) if line else {}


def rows(said):
    """The rows of the tables that were printed, in order."""
    return re.findall(r"^([0-9a-f]{16})  (\S+:\d+) +(\w+)$", said, re.M)


def judge(arguments, before, after):
    run = subprocess.run([ROAM, "demo", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    said = run.stdout
    print(said)
    print(run.stderr, file=sys.stderr)
    check("exit status 0", run.returncode == 0)
    check("no colour in a pipe", "\033" not in said)
    check("two tables of one row", len(rows(said)) == 2)
    if len(rows(said)) != 2:
        return
    (cid_1, address_1, state_1), (cid_2, address_2, state_2) = rows(said)
    check("same CID", cid_1 == cid_2)
    # A port that somebody else has is replaced by another one, which the demo says.
    check(f"before: {before}", address_1 == before or f"({before} cannot be had" in said)
    check(f"after: {after}", address_2 == after or f"({after} is taken" in said)
    check("the address is another", address_1 != address_2)
    check("established all the time", state_1 == state_2 == "established")

    events = [f"packet from an unknown address {address_2}", f"row moved from {address_1} to {address_2}",
              f"PATH_CHALLENGE sent to {address_2}", f"PATH_RESPONSE received for {address_2}", f"path to {address_2} validated"]
    places = [re.search(rf"^ *\d+\.\d+ ms +server +{re.escape(event)}", said, re.M) for event in events]
    for event, place in zip(events, places):
        check(f"told, with its time: {event}", place)
    found = [place.start() for place in places if place]
    check("told in order", found == sorted(found))

    read = re.findall(r'its application reads "(.*)" on stream (\d+)', said)
    check("both messages, in order", [text for text, _ in read] == ["Hello!", "Hello again!"])
    check("on the same stream", len({stream for _, stream in read}) == 1)

    quic = figures(said, "quic")
    check("the figures agree with the tables", (quic.get("cid_before"), quic.get("cid_after"), quic.get("address_before"),
                                                quic.get("address_after")) == (cid_1, cid_2, address_1, address_2))
    for key, value in {"same_cid": "yes", "moved": "yes", "validated": "yes", "second_message": "yes", "same_stream": "yes",
                       "bytes_lost": "0", "handshakes": "1", "moves": "1"}.items():
        check(f"{key}={value}", quic.get(key) == value)
    check("bytes were sent, and as many received", int(quic.get("bytes_sent", 0)) > 100 and
          quic.get("bytes_sent") == quic.get("bytes_received"))
    check("the gap is a number", re.fullmatch(r"\d+\.\d", quic.get("gap_ms", "")))
    check("TCP's connection did not move", figures(said, "tcp").get("same_connection") == "no")


def namespaces_can_be_made():
    name = f"roam-test-{os.getpid()}"
    if os.geteuid() != 0 or subprocess.run(["ip", "netns", "add", name], stderr=subprocess.DEVNULL).returncode != 0:
        return False
    nft = subprocess.run(["ip", "netns", "exec", name, "nft", "add table ip t; add chain ip t c { type nat hook postrouting "
                          "priority srcnat; }; add rule ip t c masquerade"], stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return nft.returncode == 0


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    judge([], "127.0.0.10:50000", "127.0.0.20:51000")
    if namespaces_can_be_made():
        judge(["--netns"], "192.168.1.10:50000", "10.0.0.20:51000")
        left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        check("no namespace is left", "roam-demo-" not in left)
    else:
        print("namespaces with a NAT cannot be made here: --netns not tried")
    wrong = subprocess.run([ROAM, "demo", "--nonsense"], capture_output=True, text=True)
    check("an unknown option is a usage error", wrong.returncode == 2 and "--nonsense" in wrong.stderr)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
