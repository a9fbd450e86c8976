"""What the figures of bench/ have in common: a network of their own, programs pinned to processors, their CPU time, rounds
that take turns, and medians with what lies around them.

A figure is a script that names its contenders and calls Figure.main(). Each contender is a function that is called once a
round and returns what it measured: {"Gbit/s": 12.3, ...}. All contenders of a round run one after the other before the next
round begins, so that whatever happens to the machine meanwhile happens to all of them.
"""
import argparse
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
INSIDE = "ROAM_BENCH_INSIDE"
PATIENCE = 600  # seconds: that it takes long is measured, that it takes forever is not
MTU = 1500
DATAGRAM = MTU - 28  # the UDP payload of a full packet over IPv4
SBIN = os.environ["PATH"] + ":/usr/sbin:/sbin"


class Missing(Exception):
    """A program that is not here; its contender is left out."""


def find(program):
    path = shutil.which(program, path=SBIN)
    if path is None:
        raise Missing(f"{program} is not installed")
    return path


# ---------------------------------------------------------------------------------------------------------- processes

class Process:
    """A program on one processor, with its CPU time."""

    def __init__(self, command, cpu, **options):
        self.command = [str(word) for word in command]
        self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                      preexec_fn=lambda: os.sched_setaffinity(0, {cpu}), **options)
        self.usage = None
        self.status = None

    @property
    def pid(self):
        return self.child.pid

    def cpu_seconds(self):
        """So far, of all its threads; to the nanosecond where the kernel tells."""
        if self.usage is not None:
            return self.usage
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def resident_bytes(self):
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def has_ended(self):
        """Asked here alone: Popen would take the CPU time along with the exit status."""
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid != 0:
                self.status = self.child.returncode = os.waitstatus_to_exitcode(status)
                self.usage = usage.ru_utime + usage.ru_stime
        return self.status is not None

    def wait(self, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not self.has_ended():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]} does not end")
            time.sleep(0.001)
        return self.status

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.has_ended():
                return
            os.kill(self.pid, number)
            try:
                self.wait(5)
            except RuntimeError:
                pass


class World:
    """Two processors, a directory in memory, a certificate, and the programs that were started."""

    def __init__(self, options):
        self.options = options
        cpus = options.cpus or sorted(os.sched_getaffinity(0))[:2]
        self.server_cpu, self.client_cpu = cpus[0], cpus[-1]
        self.scratch = Path(tempfile.mkdtemp(prefix="roam-bench-", dir="/dev/shm"))
        self.scratch.chmod(0o711)  # a server that drops its rights still finds its files
        self.build = Path(options.build)
        self.processes = []
        self.port = 20000

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def next_port(self):
        self.port += 1
        return self.port

    def roam(self):
        return self.built("roam")

    def built(self, name):
        path = self.build / name
        if not path.exists():
            raise Missing(f"{path} is not built")
        return str(path)

    def path(self, name):
        return self.scratch / name

    def start(self, command, ready=None, cpu=None, **options):
        """Starts a server. `ready`: a pattern that its output has when it can be asked, whose match is returned; or a
        number of seconds."""
        log = self.path(f"log-{len(self.processes)}")
        with log.open("w") as out:
            process = Process(command, self.server_cpu if cpu is None else cpu, stdout=out, stderr=out, **options)
        self.processes.append(process)
        process.log = log
        deadline = time.monotonic() + 10
        while isinstance(ready, str):
            found = re.search(ready, log.read_text(errors="replace"), re.M)
            if found:
                return process, found
            if process.has_ended() or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.01)
        time.sleep(ready or 0)
        return process, None

    def run(self, command, cpu=None, patience=PATIENCE, **options):
        """Runs a client to its end: (standard output, CPU seconds, seconds)."""
        out = self.path("client-out")
        with out.open("w") as stdout, self.path("client-err").open("w") as stderr:
            began = time.monotonic()
            process = Process(command, self.client_cpu if cpu is None else cpu, stdout=stdout, stderr=stderr, **options)
            self.processes.append(process)
            process.wait(patience)
            seconds = time.monotonic() - began
        self.processes.remove(process)
        if process.status != 0:
            raise RuntimeError(f"{' '.join(process.command)} ended with {process.status}: "
                               f"{out.read_text()[-1000:]}{self.path('client-err').read_text()[-1000:]}")
        return out.read_text(), process.usage, seconds

    # Files that several figures want.

    def certificate(self):
        """ECDSA P-256, self-signed: (certificate, key)."""
        key, cert = self.path("key.pem"), self.path("cert.pem")
        if not cert.exists():
            openssl = find("openssl")
            subprocess.run([openssl, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
            subprocess.run([openssl, "req", "-x509", "-new", "-key", key, "-subj", "/CN=localhost", "-addext",
                            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "30", "-out", cert], check=True)
        return cert, key

    def zeroes(self, size):
        """A file of so many zeroes. It has no pages of its own, so that who reads it reads what is in the cache."""
        path = self.path(f"zeroes-{size}")
        if not path.exists():
            with path.open("wb") as file:
                file.truncate(size)
            path.chmod(0o644)
        return path

    # Servers that several figures want: once each.

    def once(self, name, make):
        if name not in self.__dict__:
            self.__dict__[name] = make()
        return self.__dict__[name]

    def forget(self, name):
        """Ends the server of that name, so that the next round has a new one."""
        if name in self.__dict__:
            self.__dict__.pop(name)[0].stop()

    def roam_server(self, *options):
        """(process, address)"""
        def make():
            cert, key = self.certificate()
            process, found = self.start([self.roam(), "perf", "server", "--datagram-bytes", DATAGRAM, "--cert", cert, "--key",
                                         key, *options, "127.0.0.1:0"], r"^listening on (\S+)$")
            return process, found[1]
        return self.once("server_of_roam" + "".join(map(str, options)), make)

    def roam_client(self, *options, server=()):
        """What `roam perf client` reports."""
        _, address = self.roam_server(*server)
        out, _, _ = self.run([self.roam(), "perf", "client", "--json", "--datagram-bytes", DATAGRAM, *options, address])
        return json.loads(out)

    def nginx_server(self):
        """(process, port): one process, TLS 1.3 with AES-128-GCM, an ECDSA P-256 certificate, its files from memory."""
        def make():
            cert, key = self.certificate()
            port = self.next_port()
            paths = "".join(f"{what}_temp_path {self.path('nginx-' + what)};\n"
                            for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            self.path("nginx.conf").write_text(f"""
                daemon off; master_process off; pid {self.path('nginx.pid')}; error_log stderr;
                worker_rlimit_nofile 65536;
                events {{ worker_connections 60000; }}
                http {{
                    access_log off; sendfile on; output_buffers 2 512k; keepalive_timeout 3600s; {paths}
                    server {{
                        listen 127.0.0.1:{port} ssl backlog=4096;
                        ssl_certificate {cert}; ssl_certificate_key {key};
                        ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
                        client_max_body_size 0; lingering_close always; lingering_time 3600s;
                        location / {{ root {self.scratch}; }}
                        location /discard {{ return 200; }}
                    }}
                }}""")
            process, _ = self.start([find("nginx"), "-p", self.scratch, "-c", self.path("nginx.conf")], 0.5)
            return process, port
        return self.once("server_of_nginx", make)

    def ngtcp2_server(self):
        """(process, port)"""
        def make():
            cert, key = self.certificate()
            port = self.next_port()
            (self.scratch / "www").mkdir(exist_ok=True)
            process, _ = self.start([find("gtlsserver"), "-q", "--max-dyn-length=16G", "--max-window=24M",
                                     "--max-stream-window=16M", "-d", self.path("www"), "127.0.0.1", port, key, cert], 0.3)
            return process, port
        return self.once("server_of_ngtcp2", make)

    def ngtcp2_client(self, *options, uris, port):
        """Runs gtlsclient until all its requests are answered: (CPU seconds, seconds)."""
        _, cpu, seconds = self.run([find("gtlsclient"), "-q", "--exit-on-all-streams-close", *options, "127.0.0.1", port,
                                    *uris])
        return cpu, seconds


# --------------------------------------------------------------------------------------------------------- the network

def enter_network():
    """Goes on in a network namespace whose loopback has an MTU of 1,500 octets, so that nobody fills larger packets than
    the others, and nobody else's traffic is in the way."""
    if os.environ.get(INSIDE) == "1":
        subprocess.run([find("ip"), "link", "set", "lo", "up", "mtu", str(MTU)], check=True)
        return
    os.environ[INSIDE] = "1"
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    os.execv(find("unshare"), ["unshare", "--net", *rights, sys.executable, *sys.argv])


# -------------------------------------------------------------------------------------------------------------- figures

def span(values):
    """"12.3 (11.9-13.0)": median, least and most."""
    def text(value):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text(statistics.median(values))} ({text(min(values))}-{text(max(values))})"


class Ratio:
    """A line below the table: one number of a round over another of the same round, the median of that over the rounds,
    and what it should be."""

    def __init__(self, text, over, under, at_least=None, at_most=None):
        self.text, self.over, self.under, self.at_least, self.at_most = text, over, under, at_least, at_most

    @staticmethod
    def number(of, measured):
        """`of`: (contender, column), or a number. None where it was not measured."""
        return measured.get(of[0], {}).get(of[1]) if isinstance(of, tuple) else of

    def line(self, rounds):
        """None where no round has both."""
        pairs = [(self.number(self.over, measured), self.number(self.under, measured)) for measured in rounds]
        ratios = [over / under for over, under in pairs if over is not None and under]
        if not ratios:
            return None
        value = statistics.median(ratios)
        bar, kept = "", True
        if self.at_least is not None:
            bar, kept = f", wanted: at least {self.at_least:g}", value >= self.at_least
        if self.at_most is not None:
            bar, kept = f", wanted: at most {self.at_most:g}", value <= self.at_most
        return f"{self.text}: {span(ratios)}{bar}{'' if kept else ' - MISSED'}"


class Figure:
    """contenders: {name: function(world) -> {column: number}}; a function may raise Missing."""

    def __init__(self, name, what, contenders, ratios=(), options=None):
        self.name, self.what, self.contenders, self.ratios = name, what, contenders, ratios
        self.parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
        add = self.parser.add_argument
        add("--rounds", type=int, default=7, help="rounds to run (7)")
        add("--only", metavar="NAME", nargs="+", default=list(contenders), choices=list(contenders),
            help="only these contenders")
        add("--list", action="store_true", help="list the contenders and end")
        add("--save", metavar="FILE", type=Path, help="add each round to this file, and count those that are there")
        add("--cpus", metavar="SERVER,CLIENT", type=lambda text: [int(word) for word in text.split(",")],
            help="the processors of the two sides (the first two)")
        add("--build", metavar="DIR", default=str(TOP / "build"), help="where roam was built (build)")
        if options is not None:
            options(add)

    def run_round(self, world, number):
        measured = {}
        for name in world.options.only:
            try:
                values = self.contenders[name](world)
            except Missing as missing:
                if number == 0:
                    print(f"{self.name}: {name}: {missing}", file=sys.stderr)
                continue
            measured[name] = values
            shown = ", ".join(f"{column} {value:.4g}" for column, value in values.items())
            print(f"{self.name}: round {number + 1}: {name}: {shown}", file=sys.stderr, flush=True)
        return measured

    def rounds(self, world):
        saved = world.options.save
        rounds = []
        if saved is not None and saved.exists():
            rounds = [json.loads(line) for line in saved.read_text().splitlines()]
            rounds = [entry["measured"] for entry in rounds if entry["figure"] == self.name]
        for number in range(world.options.rounds):
            measured = self.run_round(world, number)
            rounds.append(measured)
            if saved is not None:
                with saved.open("a") as file:
                    file.write(json.dumps({"figure": self.name, "measured": measured}) + "\n")
        return rounds

    def table(self, rounds):
        """Markdown: medians (least-most) over the rounds."""
        names = [name for name in self.contenders if any(name in measured for measured in rounds)]
        columns = list(dict.fromkeys(column for measured in rounds for values in measured.values() for column in values))
        lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
        for name in names:
            cells = []
            for column in columns:
                values = [measured[name][column] for measured in rounds if column in measured.get(name, {})]
                cells.append(span(values) if values else "")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        below = [line for ratio in self.ratios if (line := ratio.line(rounds))]
        return "\n".join(lines + [""] + [f"- {line}" for line in below])

    def main(self):
        options = self.parser.parse_args()
        if options.list:
            print("\n".join(self.contenders))
            return
        if options.save is not None:
            options.save = options.save.resolve()
        enter_network()
        # Who is told to end ends what he has started, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        world = World(options)
        try:
            rounds = self.rounds(world)
        finally:
            world.close()
        print(f"{self.name}, {len(rounds)} rounds, medians (least-most)\n\n{self.table(rounds)}")
