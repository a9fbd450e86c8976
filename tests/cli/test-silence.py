#!/usr/bin/env python3
"""A server with an invitation key: a scan of its port draws not one octet, who has the key gets in. See docs/admission.md.
Wants ROAM."""
import os
import random
import re
import socket
import stat
import subprocess
import tempfile
import time

ROAM = os.environ["ROAM"]
PATIENCE = 60
V1, V2 = b"\0\0\0\1", b"\x6b\x33\x43\xcf"


def check(fact, message):
    if not fact:
        raise AssertionError(message)


def wait_for(path, pattern):
    deadline = time.monotonic() + PATIENCE
    while True:
        with open(path) as file:
            found = re.search(pattern, file.read())
        if found:
            return found.group(1)
        check(time.monotonic() < deadline, f"'{pattern}' does not come in {path}")
        time.sleep(0.02)


def roam(*words):
    return subprocess.run([ROAM, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)


def probes():
    """What scanners send: nothing, noise of all lengths, other protocols, and QUIC of every kind."""
    dice = random.Random(1)
    yield b""
    for length in (1, 7, 20, 21, 40, 41, 100, 1199, 1200, 1472):
        yield dice.randbytes(length)
        yield bytes(length)
    yield b"\xff" * 1200
    yield bytes.fromhex("12340100000100000000000007version04bind0000100003".replace("version", "76657273696f6e").replace(
        "bind", "62696e64"))  # DNS: version.bind
    yield b"\x16\xfe\xfd" + bytes(10) + b"\x01" + bytes(80)  # DTLS
    yield b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)  # STUN
    yield b"OPTIONS sip:a SIP/2.0\r\n\r\n"
    for version in (bytes(4), V1, V2, b"\x1a\x2a\x3a\x4a", b"Q046", b"\xff\0\0\x1d"):
        for first in (0x80, 0xc0, 0xc3, 0xd0, 0xe0, 0xf0):
            for length in (48, 1200):
                head = bytes([first]) + version + b"\x08" + dice.randbytes(8) + b"\x08" + dice.randbytes(8)
                body = b"\0\x44\x96" if length == 1200 else b"\0\x10"
                yield (head + body + dice.randbytes(length))[:length]
    for first in (0x00, 0x40, 0x43, 0x7f):  # short headers, with CIDs of nobody
        yield bytes([first]) + dice.randbytes(60)


def scan(address):
    """Octets that come back."""
    answers = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.connect(address)
        own.settimeout(1)
        for probe in probes():
            own.send(probe)
        try:
            while True:
                answers += max(len(own.recv(65536)), 1)
        except TimeoutError:
            return answers


def main():
    with tempfile.TemporaryDirectory() as scratch:
        key, said = os.path.join(scratch, "invitation.key"), os.path.join(scratch, "said")
        with open(os.path.join(scratch, "hello.txt"), "w") as file:
            file.write("hello\n")
        with open(said, "w") as out:
            server = subprocess.Popen([ROAM, "serve", scratch, "--no-tcp", "--no-control", "--invitation-key", key,
                                       "127.0.0.1:0"], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            port = int(wait_for(said, r"listening on 127\.0\.0\.1:(\d+)"))
            check(stat.S_IMODE(os.stat(key).st_mode) == 0o600, "others can read the key")
            url = f"https://127.0.0.1:{port}/hello.txt"
            check(scan(("127.0.0.1", port)) == 0, "the server has answered a scan")
            other = os.path.join(scratch, "other.key")
            with open(other, "wb") as file:
                file.write(bytes(32))
            for without in ((), ("--invitation-key", other)):
                ran = roam("get", "--insecure", "--connect-timeout", "1s", *without, url)
                check(ran.returncode != 0 and "hello" not in ran.stdout, f"got in with {without}: {ran}")
            for _ in range(2):
                ran = roam("get", "--insecure", "--invitation-key", key, url)
                check(ran.stdout == "hello\n", f"who is invited does not get in: {ran}")
            ran = roam("get", "--insecure", "--invitation-key", os.path.join(scratch, "none"), url)
            check(ran.returncode == 2 and "cannot use the key" in ran.stderr, f"a key that is not there: {ran}")
        finally:
            server.terminate()
            server.wait()


main()
