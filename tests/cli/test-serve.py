#!/usr/bin/env python3
"""`roam serve` and `roam get` on loopback: against each other, against ngtcp2's gtlsclient and gtlsserver, and against
Python's HTTP/1.1. What is not served, what goes wrong on either side and how it is said, what survives. Wants ROAM."""
import hashlib
import http.client
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROAM = os.environ["ROAM"]
SIZE = (8 if os.environ.get("ROAM_SANITIZED") else 40) << 20
scratch = Path(tempfile.mkdtemp())
root = scratch / "root"
children = []


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"{what}: not in time")
        time.sleep(0.01)


class Server:
    """A server of ours on a port that the kernel chose."""

    def __init__(self, *options, directory=root, place="127.0.0.1:0"):
        self.said = scratch / f"server{len(children)}.err"
        self.log = scratch / f"access{len(children)}.log"
        with open(self.said, "w") as said:
            self.process = subprocess.Popen([ROAM, "serve", "--access-log", self.log, *options, directory, place],
                                            stderr=said, stdin=subprocess.DEVNULL)
        children.append(self.process)
        # Both sockets are there when it invites; with certificates of ours it says no more than where it listens.
        wait_until(lambda: "listening on" in self.text() and ("roam get" in self.text() or "--cert" in options),
                   "the server")
        self.port = int(re.search(r"listening on .*:(\d+)$", self.text(), re.M)[1])
        pin = re.search(r"--pin (\S+)", self.text())
        self.trust = ["--pin", pin[1]] if pin else []
        self.url = f"https://127.0.0.1:{self.port}"

    def text(self):
        return self.said.read_text()

    def lines(self):
        return self.log.read_text().splitlines()

    def end(self, expected=0):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        check(status == expected, f"the server ended with {status}: {self.text()}")

    def tcp(self, method, path, name=None, **headers):
        """One request over TCP by a client who has never heard of HTTP/3."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=10)
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), body


def get(server, path, *options, expected=0, **more):
    url = path if path.startswith("https:") else server.url + path
    done = subprocess.run([ROAM, "get", *(server.trust if server else []), *options, url], capture_output=True,
                          stdin=subprocess.DEVNULL, cwd=scratch, timeout=60, **more)
    check(done.returncode == expected, f"get {path} {options}: {done.returncode} instead of {expected}: {done.stderr}")
    return done


def start_get(server, path, *options, **more):
    process = subprocess.Popen([ROAM, "get", *server.trust, *options, server.url + path], cwd=scratch,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    children.append(process)
    return process


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def certificate(name, stem):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", scratch / f"{stem}.key",
                    "-out", scratch / f"{stem}.pem"], check=True, capture_output=True)
    return scratch / f"{stem}.pem", scratch / f"{stem}.key"


def test_files(server):
    text = get(server, "/a.txt").stdout
    check(text == b"0123456789", text)
    for ask in (server.tcp,):
        status, fields, body = ask("GET", "/a.txt")
        check((status, body) == (200, b"0123456789"), (status, body))
        check(fields["alt-svc"] == f'h3=":{server.port}"; ma=86400', fields)
        check("connection" not in fields, "a plain request ends its connection")
        etag, modified = fields["etag"], fields["last-modified"]
        check(ask("GET", "/a.txt", If_None_Match=etag)[::2] == (304, b""), "If-None-Match")
        check(ask("GET", "/a.txt", If_Modified_Since=modified)[0] == 304, "If-Modified-Since")
        check(ask("GET", "/a.txt", If_Match='"x"')[0] == 412, "If-Match")
        status, fields, body = ask("GET", "/a.txt", Range="bytes=2-4")
        check((status, body, fields["content-range"]) == (206, b"234", "bytes 2-4/10"), (status, fields, body))
        check(ask("GET", "/a.txt", Range="bytes=2-4", If_Range='"x"')[::2] == (200, b"0123456789"), "If-Range")
        check(ask("GET", "/a.txt", Range="bytes=10-")[0] == 416, "beyond the end")
        check(ask("GET", "/a.txt", Range="bytes=0-0,-1")[1]["content-type"].startswith("multipart/byteranges"), "parts")
        status, fields, body = ask("HEAD", "/a.txt")
        check((status, body, fields["content-length"]) == (200, b"", "10"), fields)
        status, fields, body = ask("POST", "/a.txt")
        check((status, fields["allow"]) == (405, "GET, HEAD"), status)
        check(b"&#60;x&#62;" in ask("GET", "/list/")[2], "a listing")
    # The same over HTTP/3, whose fields are printed.
    said = get(server, "/a.txt", "-i", "-H", "Range: bytes=2-4").stdout.decode()
    check("HTTP/3 206" in said and "content-range: bytes 2-4/10" in said and said.endswith("\n\n234"), said)
    check("HTTP/3 304" in get(server, "/a.txt", "-i", "-H", f"If-None-Match: {etag}").stdout.decode(), "304")
    check("HTTP/3 405" in get(server, "/a.txt", "-i", "-d", "x" * 100).stdout.decode(), "405")
    said = get(server, "/a.txt", "--head").stdout.decode()
    check("HTTP/3 200" in said and "content-length: 10" in said and "0123" not in said, said)
    check("HTTP/3 431" in get(server, "/a.txt", "-i", *["-H", "x: " + "y" * 4000] * 6).stdout.decode(), "431")
    check(get(server, "/a.txt", "-i", "-H", "Accept-Encoding: gzip").stdout.endswith(b"\n\nGZ"), "precompressed")
    check(any(re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET /a.txt HTTP/3\.0" 200 10 "-" "roam"', line)
              for line in server.lines()), server.lines())


def test_confinement(server):
    for path in ("/../secret", "/%2e%2e/secret", "/..%2fsecret", "/a.txt/../../secret", "//etc/passwd", "/..%5csecret", "/link",
                 "/up/secret", "/.hidden", "/%00", "/fifo", "/" + "a" * 5000):
        said = get(server, path, "-i").stdout.decode()
        check(re.match(r"HTTP/3 4\d\d\n", said) and "SECRET" not in said, (path, said))
        if len(path) < 5000:
            status, _, body = server.tcp("GET", path)
            check(400 <= status < 500 and b"SECRET" not in body, (path, status, body))
    check(get(server, "/inside").stdout == b"0123456789", "a link that stays below")


def test_get_statuses(server):
    get(None, "https://127.0.0.1:x/", expected=3)
    check(b"not resolved" in get(None, "https://name.invalid/", "-k", expected=6).stderr, "a name")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        get(None, f"https://127.0.0.1:{deaf.getsockname()[1]}/", "-k", "--connect-timeout", "300ms", expected=7)
        get(None, f"https://127.0.0.1:{deaf.getsockname()[1]}/", "-k", "--max-time", "300ms", expected=28)
    untrusting = subprocess.run([ROAM, "get", server.url + "/a.txt"], capture_output=True)
    check(untrusting.returncode == 60, untrusting)
    get(server, "/none", "--fail", expected=22)
    get(server, "/none")
    get(server, "/sub", "-L", "--max-redirects", "0", expected=47)
    check(get(server, "/sub", "-L").stdout == b"below", "a redirect")
    check(b"No space left on device" in get(server, "/big", "-o", "/dev/full", expected=23).stderr, "a full disk")

    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    check(b"File too large" in get(server, "/big", "-o", "limited", expected=23, preexec_fn=small).stderr, "a limit")
    check(not (scratch / "limited").exists() and (scratch / "limited.part").stat().st_size == 1 << 20, "what is left")
    get(server, "/big", "-C", "-o", "limited")
    check(digest(scratch / "limited") == digest(root / "big"), "gone on with")
    get(server, "/a.txt", server.url + "/big", "-Z", "-o", "p1", "-o", "p2")
    check(digest(scratch / "p1") == digest(root / "big") and (scratch / "p2").read_bytes() == b"0123456789", "parallel")
    said = get(server, "/a.txt", "--progress=json").stderr.decode()
    check('"received":10,"total":10' in said and '"status":200,"exit":0' in said, said)


def test_killed(server):
    """A get that is killed goes on where it was; from the beginning where the file has changed."""
    part = scratch / "killed.part"
    for _ in range(10):  # one that is through before it is killed, on a busy machine, says nothing
        process = start_get(server, "/big", "-o", "killed")
        wait_until(lambda: process.poll() is not None or part.exists() and part.stat().st_size > 1 << 20, "a part")
        process.kill()
        process.wait()
        process.stderr.close()
        if part.exists():
            break
        (scratch / "killed").unlink()
    at = part.stat().st_size
    check(at < SIZE and not (scratch / "killed").exists(), "it was through before it was killed")
    get(server, "/big", "-C", "-o", "killed")
    check(digest(scratch / "killed") == digest(root / "big"), "not the same")
    wait_until(lambda: f'"GET /big HTTP/3.0" 206 {SIZE - at} ' in server.log.read_text(), "the rest alone")
    check(not part.exists() and not (scratch / "killed.part.meta").exists(), "left behind")
    (scratch / "changed.part").write_bytes(b"old")
    (scratch / "changed.part.meta").write_text(f"{server.url}/a.txt\n\"old\"\n")
    get(server, "/a.txt", "-C", "-o", "changed")
    check((scratch / "changed").read_bytes() == b"0123456789", "an old part was gone on with")


def test_moves(server):
    before = len(server.lines())
    done = get(server, "/big", "-v", "--rebind-every", "5ms", "-o", "moved")
    check(digest(scratch / "moved") == digest(root / "big"), "not the same")
    said = done.stderr.decode()
    check(len(re.findall(r" connected ", said)) == 1, said)
    check(" rebound to " in said, "it never moved")
    wait_until(lambda: len(server.lines()) > before, "the log")
    check(len(server.lines()) == before + 1 and f" 200 {SIZE} " in server.lines()[-1], server.lines()[before:])


def agreed(done):
    return re.search(r" agreed version=(\S+) cipher=(\S+) resumed=(\S+)", done.stderr.decode()).groups()


def test_many():
    """More URLs than either side takes requests at once, over one connection."""
    some = scratch / "some"
    some.mkdir()
    server = Server("--no-tcp")
    names = [f"many{n}" for n in range(250)]
    for name in names:
        (root / name).write_text(name)
    done = subprocess.run([ROAM, "get", *server.trust, "-v", "-Z", "-O", *(f"{server.url}/{name}" for name in names)],
                          capture_output=True, stdin=subprocess.DEVNULL, cwd=some, timeout=60)
    check(done.returncode == 0 and len(re.findall(rb" agreed ", done.stderr)) == 1, done)
    check({path.name: path.read_text() for path in some.iterdir()} == {name: name for name in names}, "what came")
    server.end()


def test_agreements():
    """What both sides may be told to speak, and what is kept from one connection to the next."""
    server = Server("--no-tcp", "--quic-version", "v2", "--quic-version", "v1", "--cipher", "chacha20")
    check(agreed(get(server, "/a.txt", "-v"))[:2] == ("0x6b3343cf", "CHACHA20-POLY1305"), "the server's wishes")
    check(agreed(get(server, "/a.txt", "-v", "--quic-version", "v1"))[0] == "0x00000001", "no version but one")
    check(agreed(get(server, "/a.txt", "-v", "--force-version", "1a2a3a4a")), "no version in common at first")
    kept = ["-v", "--quic-version", "v2", "--session-file", scratch / "kept", "--token-file", scratch / "kept"]
    for resumed in "no", "yes", "yes":
        check(agreed(get(server, "/a.txt", *kept))[2] == resumed, f"resumed is not {resumed}")
        check(sorted(line.split()[0] for line in (scratch / "kept").read_text().splitlines()) ==
              [f"127.0.0.1:{server.port}", "session"], "what is kept")
    get(server, "/a.txt", "--session-file", scratch, expected=7)
    done = get(server, "/big", "-v", "--key-update-every", "2ms", "-o", "updated")
    check(b" key_updated" in done.stderr and digest(scratch / "updated") == digest(root / "big"), done)
    server.end()


def test_early():
    """Early data: asked for with the first flight, by methods that are safe, once with each session."""
    server = Server("--no-tcp", "--early")
    kept = ["-v", "--early", "--session-file", scratch / "early"]

    def early(*options):
        return re.search(r" early=(\S+)$", get(server, "/a.txt", *kept, *options).stderr.decode(), re.M)[1]

    check(early() == "no", "early data without a session")
    used = (scratch / "early").read_text()
    check(early() == "accepted" and early() == "accepted", "each connection brings the session of the next")
    (scratch / "early").write_text(used)
    check(early() == "rejected", "a session that was used")
    said = get(server, "/a.txt", *kept, "-i", "-d", "x").stdout.decode()
    check("HTTP/3 405" in said, said)
    server.end()


def test_renewal():
    """SIGHUP: new certificates for who comes, by name; who is there goes on. SIGTERM: likewise."""
    names = [certificate("one.test", "one"), certificate("two.test", "two")]
    server = Server("--cert", names[0][0], "--key", names[0][1], "--cert", names[1][0], "--key", names[1][1])
    time.sleep(0.1)

    def shown(name):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", server.port), 5) as plain:
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True))

    def greet(name, ca):
        return subprocess.run([ROAM, "connect", "--handshake-only", "--alpn", "h3", "--name", name, "--ca", ca,
                               f"127.0.0.1:{server.port}"], capture_output=True).returncode

    for name, (pem, _) in zip(("one.test", "two.test"), names):
        check(shown(name) == pem.read_text(), f"another certificate for {name} over TCP")
        check(greet(name, pem) == 0, f"{name} over QUIC")
    # One who reads slowly is there before, and after.
    server.trust = ["--insecure"]
    slow = start_get(server, "/big", stdout=subprocess.PIPE)
    head = slow.stdout.read(65536)
    old = names[1][0].read_text()
    certificate("two.test", "two")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "read anew" in server.text(), "renewal")
    check(shown("two.test") == names[1][0].read_text() != old, "the old certificate over TCP")
    check(greet("two.test", names[1][0]) == 0, "the new one over QUIC")
    # What cannot be read changes nothing.
    names[1][0].write_text("no certificate")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "cannot use the certificate" in server.text(), "a bad one")
    check(greet("one.test", names[0][0]) == 0, "after a bad one")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    rest = slow.stdout.read()
    check(slow.wait(20) == 0, "the slow one was dropped")
    check(hashlib.sha256(head + rest).hexdigest() == digest(root / "big"), "the slow one has something else")
    check(server.process.wait(20) == 0, "the end")
    slow.stdout.close()
    slow.stderr.close()


def test_changes_in_flight(server):
    (root / "shrinks").write_bytes(bytes(SIZE))
    slow = start_get(server, "/shrinks", stdout=subprocess.PIPE)
    slow.stdout.read(65536)
    os.truncate(root / "shrinks", 70000)
    slow.stdout.read()
    said = slow.stderr.read()
    check(slow.wait(20) == 18 and b"H3_INTERNAL_ERROR" in said, said)
    check("changed while it was sent" in server.text(), server.text())
    slow.stdout.close()
    slow.stderr.close()


def serve_fails(text, *arguments, expected=3):
    done = subprocess.run([ROAM, "serve", *arguments], capture_output=True, timeout=20)
    check(done.returncode == expected and text in done.stderr, (arguments, done))


def test_refusals(server):
    serve_fails(b"No such file", scratch / "none", "127.0.0.1:0")
    serve_fails(b"Address already in use", root, f"127.0.0.1:{server.port}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serve_fails(b"--no-tcp", root, f"127.0.0.1:{taken.getsockname()[1]}")
    (scratch / "bad.pem").write_text("nothing")
    serve_fails(b"bad.pem", "--cert", scratch / "bad.pem", "--key", scratch / "bad.pem", root, "127.0.0.1:0", expected=2)
    (scratch / "gone").mkdir()
    vanished = Server("--no-tcp", directory=scratch / "gone")
    (scratch / "gone").rmdir()
    get(vanished, "/x", "--fail", expected=22)
    vanished.end()


def test_others(server):
    """Those of ngtcp2: a client, and a server."""
    done = subprocess.run(["gtlsclient", "-q", "--exit-on-all-streams-close", "--download", scratch, "127.0.0.1", str(server.port),
                           server.url + "/small"], capture_output=True, timeout=30)
    check(done.returncode == 0 and digest(scratch / "small") == digest(root / "small"), done)
    pem, key = certificate("localhost", "other")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_port:
        any_port.bind(("127.0.0.1", 0))
        port = any_port.getsockname()[1]
    children.append(subprocess.Popen(["gtlsserver", "-q", "-d", root, "127.0.0.1", str(port), key, pem], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL))
    get(None, f"https://127.0.0.1:{port}/small", "-k", "--retry", "3", "--connect-timeout", "2s", "-o", "fetched")
    check(digest(scratch / "fetched") == digest(root / "small"), "from gtlsserver")


def main():
    root.mkdir()
    (scratch / "secret").write_text("SECRET")
    (root / "a.txt").write_text("0123456789")
    (root / "a.txt.gz").write_text("GZ")
    (root / ".hidden").write_text("SECRET")
    (root / "big").write_bytes(os.urandom(SIZE))
    (root / "small").write_bytes(os.urandom(300000))
    for name in ("sub", "list"):
        (root / name).mkdir()
    (root / "sub/index.html").write_text("below")
    (root / "list/<x>").write_text("")
    (root / "link").symlink_to(scratch / "secret")
    (root / "up").symlink_to("..")
    (root / "inside").symlink_to("a.txt")
    os.mkfifo(root / "fifo")
    server = Server("--listings")
    for test in (test_files, test_confinement, test_get_statuses, test_killed, test_moves, test_changes_in_flight, test_refusals,
                 test_others):
        began = time.monotonic()
        test(server)
        print(f"{test.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    server.end()
    for test in (test_many, test_agreements, test_early, test_renewal):
        began = time.monotonic()
        test()
        print(f"{test.__name__}: {time.monotonic() - began:.1f} s")


try:
    main()
finally:
    for child in children:
        if child.poll() is None:
            child.kill()
            child.wait()
    if sys.exc_info()[0] is not None:
        for said in sorted(scratch.glob("server*.err")):
            print(f"--- {said.name}\n{said.read_text()[-2000:]}")
    shutil.rmtree(scratch)
