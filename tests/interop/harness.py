"""What every interop case stands on: processes that cannot outlive it, certificates, ports, and honest failures."""

import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

BOUND_SECONDS = 60  # no case asserts a time; this only keeps a hung peer from hanging the suite


class Failure(Exception):
    """A case did not show what it had to show."""


def check(fact, message):
    if not fact:
        raise Failure(message)


class Process:
    """A child in a session of its own, with stdout and stderr in files that may be read while it runs."""

    def __init__(self, name, argv, directory, environment, stdin=subprocess.DEVNULL):
        self.name = name
        self.paths = {"out": directory / f"{name}.out", "err": directory / f"{name}.err"}
        with open(self.paths["out"], "wb") as out, open(self.paths["err"], "wb") as err:
            self.child = subprocess.Popen(
                [str(word) for word in argv], stdout=out, stderr=err, stdin=stdin,
                cwd=directory, env=environment, start_new_session=True)

    def text(self, stream):
        return self.paths[stream].read_text(errors="replace")

    def wait(self, seconds=BOUND_SECONDS):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {seconds} s") from None

    def expect(self, stream, pattern, seconds=BOUND_SECONDS):
        """Waits until the stream holds a match of the pattern."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.child.poll() is not None
            match = re.search(pattern, self.text(stream), re.MULTILINE)
            if match:
                return match
            check(not ended, f"{self.name} ended with code {self.child.returncode} before it said /{pattern}/")
            check(time.monotonic() < deadline, f"{self.name} never said /{pattern}/")
            time.sleep(0.02)

    def stop(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.signal(how)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self.child.wait()
        return self.child.returncode

    def signal(self, how):
        try:
            os.killpg(self.child.pid, how)
        except ProcessLookupError:
            pass

    def events(self, name=None):
        """The JSON lines of quiche_peer.mjs, all or those of one event."""
        lines = [json.loads(line) for line in self.text("out").splitlines() if line.startswith("{")]
        return [line for line in lines if name in (None, line["event"])]

    def event(self, name):
        found = self.events(name)
        check(len(found) == 1, f"{self.name}: {len(found)} '{name}' events, not one")
        return found[0]


class World:
    """One case's own directory and everything that it started."""

    def __init__(self, directory, certificates):
        self.directory = directory
        self.certificates = certificates
        self.processes = []

    def path(self, name):
        return self.directory / name

    def start(self, name, argv, stdin=subprocess.DEVNULL, **environment):
        clean = {key: value for key, value in os.environ.items() if key != "SSLKEYLOGFILE"}
        clean.update({key: str(value) for key, value in environment.items()})
        process = Process(name, argv, self.directory, clean, stdin)
        self.processes.append(process)
        return process

    def stop_all(self):
        for process in reversed(self.processes):
            process.stop()

    def random_file(self, size):
        (self.directory / "www").mkdir(exist_ok=True)
        path = self.directory / "www" / "payload"
        path.write_bytes(os.urandom(size))
        return path

    def feed_until(self, process, is_enough, chunk=1 << 20):
        """Writes random octets to the process's standard input until there are enough, and ends it: what has to happen in
        the middle of a transfer happens there, however fast that is. Returns a file with the octets."""
        deadline = time.monotonic() + BOUND_SECONDS
        path = self.directory / "fed"
        with open(path, "wb") as copy, process.child.stdin as pipe:
            while not is_enough():
                check(time.monotonic() < deadline, f"{process.name} was never fed enough")
                octets = os.urandom(chunk)
                copy.write(octets)
                try:
                    pipe.write(octets)
                except BrokenPipeError:
                    raise Failure(f"{process.name} ended before it was fed enough") from None
                time.sleep(0.002)
        return path

    def tails(self, lines=12):
        """The last lines of everything that ran, for a failed case's report."""
        parts = []
        for process in self.processes:
            for stream in ("out", "err"):
                text = process.text(stream).splitlines()[-lines:]
                if text and not any("\0" in line for line in text):  # a capture is not for reading
                    parts.append(f"--- {process.name} std{stream}, last {len(text)} lines")
                    parts.extend(line[:300] for line in text)
        return "\n".join(parts)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(file.read()).hexdigest()


_given_out = set()
_giving_out = threading.Lock()


def free_port(host):
    """A UDP port that nobody holds now on the host's address, and that no other case was given."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
            port = probe.getsockname()[1]
        with _giving_out:
            if port not in _given_out:
                _given_out.add(port)
                return port


def wait_bound(process, port, seconds=BOUND_SECONDS):
    """Waits until some process has the UDP port, for servers that do not say when they are ready."""
    wanted = f":{port:04X} "
    deadline = time.monotonic() + seconds
    while not any(wanted in line.split(" rem_")[0][:60]
                  for table in ("/proc/net/udp", "/proc/net/udp6")
                  for line in pathlib.Path(table).read_text().splitlines()[1:]):
        check(process.child.poll() is None, f"{process.name} ended before it was ready")
        check(time.monotonic() < deadline, f"{process.name} never bound port {port}")
        time.sleep(0.02)


def openssl(*words, **keywords):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, **keywords)


def make_certificates(directory):
    """A P-256 CA and a leaf for localhost, 127.0.0.1 and ::1, and one more CA that signed nothing."""
    def key(name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", directory / name)

    for name in ("ca", "other-ca"):
        key(f"{name}.key")
        openssl("req", "-x509", "-new", "-key", directory / f"{name}.key", "-sha256", "-days", "2",
                "-subj", f"/CN=roam interop {name}", "-out", directory / f"{name}.pem")
    key("leaf.key")
    openssl("req", "-new", "-key", directory / "leaf.key", "-subj", "/CN=localhost", "-out", directory / "leaf.csr")
    extensions = directory / "leaf.ext"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", directory / "leaf.csr", "-CA", directory / "ca.pem", "-CAkey",
            directory / "ca.key", "-CAcreateserial", "-days", "2", "-sha256", "-extfile", extensions,
            "-out", directory / "leaf.pem")
    chain = directory / "chain.pem"
    chain.write_text((directory / "leaf.pem").read_text() + (directory / "ca.pem").read_text())
    return {"ca": directory / "ca.pem", "other_ca": directory / "other-ca.pem", "chain": chain,
            "key": directory / "leaf.key"}


def make_chain(directory, length):
    """ca.pem, cert.pem with a chain of so many certificates, priv.key, as the public interop runner lays them out. What is
    longer than one certificate has a leaf with many names, too, so that it fills several datagrams."""
    directory.mkdir()
    authority = directory / "extensions-ca"
    authority.write_text("basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n")
    names = ["DNS:localhost", "IP:127.0.0.1", "IP:::1"]
    if length > 1:
        names += [f"DNS:{'.'.join([os.urandom(30).hex()] * 4)}" for _ in range(20)]
    leaf = directory / "extensions-leaf"
    leaf.write_text(f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth\n")
    for n in range(length + 1):
        key, request = directory / f"{n}.key", directory / f"{n}.csr"
        signer = [] if n == 0 else ["-CA", directory / f"{n - 1}.pem", "-CAkey", directory / f"{n - 1}.key", "-set_serial", n + 1]
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        openssl("req", "-new", "-key", key, "-subj", f"/CN=roam interop {n} of {length}", "-out", request)
        openssl("x509", "-req", "-in", request, "-days", "2", "-sha256", "-extfile", leaf if n == length else authority,
                *(signer or ["-signkey", key]), "-out", directory / f"{n}.pem")
    (directory / "0.pem").rename(directory / "ca.pem")
    (directory / f"{length}.key").rename(directory / "priv.key")
    (directory / "cert.pem").write_text("".join((directory / f"{n}.pem").read_text() for n in range(length, 0, -1)))
    return directory
