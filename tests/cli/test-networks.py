#!/usr/bin/env python3
"""`roam connect` while the networks of its host change: a client with two interfaces, wifi and lte, and a server, each in a
network namespace of its own, and `ip` to take away, bring and change addresses, links and routes in the midst of a
transfer. Each time one connection must carry every octet; how long it stood still is printed, not judged.

    tests/cli/test-networks.py [REGEX]

Wants ROAM, and the right to make namespaces, else it is skipped. ROAM_NETWORKS_MIB=500 transfers so much each time.

#= rfc9000#9.7-1 Apply an IPv6 flow label where the system lets us.
#= rfc9000#9.7-2 Flow labels of different paths cannot be linked.
"""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROAM = os.environ["ROAM"]
SANITIZED = bool(os.environ.get("ROAM_SANITIZED"))
MIB = int(os.environ.get("ROAM_NETWORKS_MIB", "4" if SANITIZED else "24"))
PATIENCE = 120  # that it takes long is no fault; that it takes forever is
SKIPPED = 77

os.environ["PATH"] += ":/usr/sbin:/sbin"
tests = []


def test(function):
    tests.append(function)
    return function


def check(fact, message):
    if not fact:
        raise AssertionError(message)


def wait_for(what, is_so):
    deadline = time.monotonic() + PATIENCE
    while not (found := is_so()):
        check(time.monotonic() < deadline, f"{what} never came")
        time.sleep(0.01)
    return found


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    check(done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """A network namespace."""

    def __init__(self, name):
        self.name = f"roam-{os.getpid()}-{name}"
        run("ip", "netns", "add", self.name)
        self.ip("link set lo up")
        for setting in ("net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/accept_dad"):
            self.run("sh", "-c", f"echo 0 >/proc/sys/{setting}")

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    def ip(self, *commands):
        for command in commands:
            run("ip", "-n", self.name, *command.split())

    def inside(self, *words):
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def run(self, *words):
        return run(*self.inside(*words))


class World:
    """client: wifi 10.77.1.2, lte 10.77.2.2; server: 10.77.9.1, reached through either, by wifi where both are there."""

    def __init__(self):
        self.processes = []
        self.hosts = []
        self.directory = Path(tempfile.mkdtemp(prefix="roam-networks-"))
        try:
            self.client, self.server = self.host("client"), self.host("server")
            for i, name in enumerate(("wifi", "lte"), 1):
                run("ip", "link", "add", name, "netns", self.client.name, "type", "veth", "peer", "name", f"to-{name}", "netns",
                    self.server.name)
                self.client.ip(f"addr add 10.77.{i}.2/24 dev {name}", f"addr add fd77:{i}::2/64 dev {name} nodad")
                self.server.ip(f"addr add 10.77.{i}.1/24 dev to-{name}", f"addr add fd77:{i}::1/64 dev to-{name} nodad",
                               f"link set to-{name} up")
                self.client.ip(f"link set {name} up", *self.default_route(i, name))
            self.server.ip("addr add 10.77.9.1/32 dev lo", "addr add fd77:9::1/128 dev lo nodad")
        except BaseException:
            self.remove()
            raise

    def host(self, name):
        host = Host(name)
        self.hosts.append(host)
        return host

    @staticmethod
    def default_route(i, name):
        return (f"route replace default via 10.77.{i}.1 dev {name} metric {i}00",
                f"-6 route replace default via fd77:{i}::1 dev {name} metric {i}00")

    def remove(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for host in self.hosts:
            host.remove()
        shutil.rmtree(self.directory)

    def start(self, name, command, **options):
        with open(self.directory / f"{name}.err", "w") as err, open(self.directory / f"{name}.out", "wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=err, **options)
        self.processes.append(process)
        return process

    def said(self, name):
        return (self.directory / f"{name}.err").read_text(errors="replace")

    def wait_said(self, name, pattern, n=1):
        return wait_for(f"/{pattern}/ of the {name}", lambda: len(found := re.findall(pattern, self.said(name), re.M)) >= n and found)

    def tail(self):
        said = [(name, re.sub(r"^.* (stream|cid)_.*\n", "", self.said(name), flags=re.M)[-3000:])
                for name in ("client", "server") if (self.directory / f"{name}.err").exists()]
        return "".join(f"--- {name}\n{text}" for name, text in said)


class Transfer:
    """roam connect sends MIB mebibytes to roam listen; `half_way` runs in the midst of it, and the last mebibyte goes when
    that has returned."""

    def __init__(self, world, *options, family=4, server_options=()):
        self.world = world
        address = "10.77.9.1" if family == 4 else "[fd77:9::1]"
        self.listening = world.start("server", world.server.inside(ROAM, "listen", *server_options, f"{address}:0"), stdin=subprocess.DEVNULL)
        pin, = world.wait_said("server", r"--pin (\S+) ")
        port, = world.wait_said("server", r"^listening on \S+:(\d+)$")
        self.talking = world.start("client", world.client.inside(ROAM, "connect", "-v", *options, "--pin", pin,
                                                                 f"{address}:{port}"), stdin=subprocess.PIPE)
        self.hash = hashlib.sha256()
        self.block = os.urandom(1 << 20)

    def feed(self, n):
        for i in range(n):
            block = i.to_bytes(4, "big") + self.block[4:]
            self.hash.update(block)
            self.talking.stdin.write(block)
            self.talking.stdin.flush()

    def run(self, half_way):
        self.world.wait_said("client", r" confirmed *$")
        self.feed(MIB // 2)
        problem = []

        def change():
            try:
                half_way()
            except BaseException as exception:
                problem.append(exception)

        changing = threading.Thread(target=change)
        changing.start()
        self.feed(MIB - MIB // 2 - 1)
        changing.join()
        if problem:
            raise problem[0]
        self.feed(1)
        return self.finish()

    def finish(self):
        self.talking.stdin.close()
        check(self.talking.wait(PATIENCE) == 0, f"the client ended with {self.talking.returncode}")
        check(self.listening.wait(PATIENCE) == 0, f"the server ended with {self.listening.returncode}")
        with open(self.world.directory / "server.out", "rb") as got:
            arrived = hashlib.file_digest(got, "sha256") if hasattr(hashlib, "file_digest") else hashlib.sha256(got.read())
        check(arrived.hexdigest() == self.hash.hexdigest(), "what arrived is not what was sent")
        summary = dict(re.findall(r"(\w+)=(\S+)", self.world.said("client").splitlines()[-1]))
        check(summary.get("handshakes") == "1", f"not one connection: {summary}")
        gaps = re.findall(r"^moved to .*: gap ([\d.]+) ms", self.world.said("client"), re.M)
        print(f"  {MIB} MiB in {summary['seconds']} s, {summary['moves']} moves, gaps in ms: {', '.join(gaps) or 'none'}; "
              f"{summary['retransmitted']} octets sent again")
        return summary

    def seen_at(self):
        """The last address at which the server saw the client."""
        found = re.findall(r" moved from \S+ to (\S+):\d+(?:, .*)?$", self.world.said("server"), re.M)
        return found[-1] if found else None

    def moves_to(self, address):
        wait_for(f"the move to {address}", lambda: self.seen_at() == address)

    def processor_seconds(self):
        """Of the client, which `ip netns exec` became."""
        fields = Path(f"/proc/{self.talking.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def both_families(function):
    for family in (4, 6):
        def one(world, family=family):
            function(world, family)
        one.__name__ = f"{function.__name__}_ipv{family}"
        test(one)
    return function


# ------------------------------------------------------------------------------------------------------- what goes

WIFI = {4: ("10.77.1.2/24", "10.77.1.2"), 6: ("fd77:1::2/64", "[fd77:1::2]")}
LTE = {4: ("10.77.2.2/24", "10.77.2.2"), 6: ("fd77:2::2/64", "[fd77:2::2]")}


@both_families
def the_address_of_the_active_interface_is_deleted(world, family):
    transfer = Transfer(world, family=family)

    def half_way():
        world.client.ip(f"addr del {WIFI[family][0]} dev wifi")
        transfer.moves_to(LTE[family][1])

    transfer.run(half_way)


@both_families
def the_link_goes_down(world, family):
    transfer = Transfer(world, family=family)

    def half_way():
        world.client.ip("link set wifi down")
        transfer.moves_to(LTE[family][1])

    transfer.run(half_way)


@test
def the_carrier_is_lost(world):
    transfer = Transfer(world)

    def half_way():
        world.server.ip("link set to-wifi down")
        transfer.moves_to(LTE[4][1])

    transfer.run(half_way)


@both_families
def the_default_route_goes(world, family):
    transfer = Transfer(world, family=family)

    def half_way():
        world.client.ip(f"{'-6 ' if family == 6 else ''}route del default dev wifi")
        transfer.moves_to(LTE[family][1])

    transfer.run(half_way)


@test
def the_default_route_becomes_another(world):
    """What was the better one becomes the worse one: nothing needs to move, and nothing may break."""
    transfer = Transfer(world)

    def half_way():
        world.client.ip("route add default via 10.77.2.1 dev lte metric 50")
        world.wait_said("client", r"networks: lte \S+ default")

    transfer.run(half_way)


@test
def a_firewall_refuses(world):
    if shutil.which("nft") is None:
        print("  nft is not there: not tried")
        return
    transfer = Transfer(world)

    def half_way():
        world.client.run("nft", "add table inet t; add chain inet t out { type filter hook output priority 0; }; "
                                "add rule inet t out oifname wifi drop")
        transfer.moves_to(LTE[4][1])

    transfer.run(half_way)


@test
def packets_vanish_and_nobody_says_so(world):
    if shutil.which("nft") is None:
        print("  nft is not there: not tried")
        return
    transfer = Transfer(world)

    def half_way():
        world.server.run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; "
                                "add rule inet t in iifname to-wifi drop")
        transfer.moves_to(LTE[4][1])

    transfer.run(half_way)


# ----------------------------------------------------------------------------------------- what goes and comes again

@both_families
def the_address_moves_to_another_interface(world, family):
    """Its port goes with it: the server sees no move."""
    address = WIFI[family][0]
    gateway = {4: "10.77.1.1", 6: "fd77:1::1"}[family]
    prefix = {4: 24, 6: 64}[family]
    dad = " nodad" if family == 6 else ""
    world.client.ip(f"addr del {LTE[family][0]} dev lte")
    transfer = Transfer(world, family=family)

    def half_way():
        world.client.ip(f"addr del {address} dev wifi", f"addr add {address} dev lte{dad}")
        world.server.ip(f"addr del {gateway}/{prefix} dev to-wifi", f"addr add {gateway}/{prefix} dev to-lte{dad}")
        world.client.ip(f"route add default via {gateway} dev lte")
        world.wait_said("client", rf"networks: .*lte {re.escape(WIFI[family][1])}:\d+ default")

    transfer.run(half_way)
    check(transfer.seen_at() is None, f"the server saw a move to {transfer.seen_at()}")


@both_families
def there_is_no_network_and_then_a_new_address(world, family):
    world.client.ip("link set lte down")
    transfer = Transfer(world, family=family)
    new = {4: "10.77.1.77/24", 6: "fd77:1::77/64"}[family]
    seconds = 3 if MIB >= 100 else 1

    def half_way():
        if family == 6:
            world.client.ip("-6 addr flush dev wifi scope global")
        else:
            world.client.ip("addr flush dev wifi scope global")
        world.wait_said("client", r"networks: (none|wifi \[[^,]*|wifi 10[^\[]*)$")
        begun = transfer.processor_seconds()
        time.sleep(seconds)
        used = transfer.processor_seconds() - begun
        check(used < 0.5 * seconds, f"{used} s of processor time while there was no network")
        world.client.ip(f"addr add {new} dev wifi{' nodad' if family == 6 else ''}", World.default_route(1, "wifi")[family == 6])
        transfer.moves_to("10.77.1.77" if family == 4 else "[fd77:1::77]")

    transfer.run(half_way)


@test
def interfaces_take_turns(world):
    transfer = Transfer(world)

    def half_way():
        for _ in range(3):
            world.client.ip(f"addr del {WIFI[4][0]} dev wifi")
            transfer.moves_to(LTE[4][1])
            world.client.ip(f"addr add {WIFI[4][0]} dev wifi", World.default_route(1, "wifi")[0])
            world.wait_said("client", r"networks: wifi 10")
            world.client.ip(f"addr del {LTE[4][0]} dev lte")
            transfer.moves_to(WIFI[4][1])
            world.client.ip(f"addr add {LTE[4][0]} dev lte", World.default_route(2, "lte")[0])
            time.sleep(0.1)

    summary = transfer.run(half_way)
    check(int(summary["moves"]) >= 6, f"{summary['moves']} moves")


@test
def ipv4_goes_and_ipv6_comes_and_back(world):
    """The server has a preferred address of the other family (RFC 9000 section 9.6), or there would be nowhere to go."""
    world.client.ip("-6 addr flush scope global dev wifi", "-6 addr flush scope global dev lte")
    transfer = Transfer(world, server_options=["--preferred", "[fd77:9::1]:0"])

    def half_way():
        world.client.ip("addr flush dev wifi scope global", "addr flush dev lte scope global",
                        f"addr add {LTE[6][0]} dev lte nodad", World.default_route(2, "lte")[1])
        transfer.moves_to(LTE[6][1])
        world.client.ip("-6 addr flush dev lte scope global", f"addr add {WIFI[4][0]} dev wifi", World.default_route(1, "wifi")[0])
        transfer.moves_to(WIFI[4][1])

    transfer.run(half_way)


@test
def the_other_interface_takes_smaller_datagrams(world):
    for host, name in ((world.client, "lte"), (world.server, "to-lte")):
        host.ip(f"link set {name} mtu 1280")
    transfer = Transfer(world)

    def half_way():
        world.client.ip(f"addr del {WIFI[4][0]} dev wifi")
        transfer.moves_to(LTE[4][1])

    transfer.run(half_way)


@test
def the_active_interface_takes_smaller_datagrams_from_now_on(world):
    transfer = Transfer(world)

    def half_way():
        world.server.ip("link set to-wifi mtu 1280")
        world.client.ip("link set wifi mtu 1280")
        time.sleep(0.2)

    summary = transfer.run(half_way)
    check(summary["moves"] == "0", "it left wifi, which was as good as before")


# --------------------------------------------------------------------------------------------------- what is a network

def networks(world):
    """The list that the client printed last: {interface: [address]}, without ports."""
    lines = re.findall(r"networks: (.*)$", world.said("client"), re.M)
    found = {}
    for name, address in re.findall(r"(\S+) (\S+):\d+(?: default| metered)*(?:,|$)", lines[-1] if lines else ""):
        found.setdefault(name, []).append(address)
    return found


@test
def only_what_leads_to_the_server_is_a_network(world):
    """No loopback, link-local, tentative or deprecated address, no interface without a route."""
    world.client.ip("link add docker type veth peer name docker-peer", "addr add 172.17.0.1/16 dev docker", "link set docker up",
                    "link set docker-peer up", "addr add 169.254.7.7/16 dev wifi", "addr add 10.77.1.9/24 dev lo",
                    "addr add fd77:1::9/64 dev wifi nodad preferred_lft 0")
    transfer = Transfer(world, family=6)
    world.wait_said("client", " confirmed *$")
    found = networks(world)
    check(found.get("wifi") and found.get("lte") and set(found) == {"wifi", "lte"}, f"networks: {found}")
    check(sorted(found["wifi"]) == ["10.77.1.2", "[fd77:1::2]"], f"on wifi: {found['wifi']}")
    # What is tentative becomes a network when its detection is over, and not before.
    world.client.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/accept_dad; "
                                 "echo 1 >/proc/sys/net/ipv6/conf/wifi/accept_dad")
    world.client.ip("addr add fd77:1::5/64 dev wifi")
    while "tentative" in world.client.run("ip", "addr", "show", "dev", "wifi"):
        check("[fd77:1::5]" not in networks(world).get("wifi", []) or
              "tentative" not in world.client.run("ip", "addr", "show", "dev", "wifi"), "a tentative address is a network")
        time.sleep(0.05)
    wait_for("the address that was tentative", lambda: "[fd77:1::5]" in networks(world).get("wifi", []))
    # What was in use and is deprecated now may stay; what has gone must not.
    world.client.ip("addr change fd77:1::2/64 dev wifi preferred_lft 0")
    world.client.ip("addr del fd77:1::5/64 dev wifi")
    wait_for("the end of an address", lambda: "[fd77:1::5]" not in networks(world).get("wifi", []))
    check("[fd77:1::2]" in networks(world)["wifi"], "a deprecated address in use was taken away")
    transfer.feed(1)
    transfer.finish()


@test
def packets_leave_by_the_interface_whose_address_they_bear(world):
    """Both interfaces have a default route, and wifi's is the better one: the connection is on lte all the same."""
    sent = lambda name: int(world.client.run("cat", f"/sys/class/net/{name}/statistics/tx_bytes"))
    before = sent("wifi")
    transfer = Transfer(world, "--prefer", "lte", "--metered", "wifi")
    transfer.run(lambda: None)
    check("lte 10.77.2.2" in world.said("client") and "metered" in world.said("client"), "the networks were not told")
    check(sent("lte") > MIB << 20, f"only {sent('lte')} octets left by lte")
    check(sent("wifi") - before < 1 << 16, f"{sent('wifi') - before} octets left by wifi")


@test
def nobody_in_particular_may_do_that_too(world):
    """The same without any privilege."""
    command = world.client.inside("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "true")
    if subprocess.run(command, capture_output=True).returncode != 0:
        print("  setpriv is not there, or may not: not tried")
        return
    world.client.inside = lambda *words: ["ip", "netns", "exec", world.client.name, "setpriv", "--reuid=65534", "--regid=65534",
                                          "--clear-groups", "--bounding-set=-all", *map(str, words)]
    transfer = Transfer(world, "--prefer", "lte")
    del world.client.inside

    def half_way():
        world.client.ip(f"addr del {LTE[4][0]} dev lte")
        transfer.moves_to(WIFI[4][1])

    transfer.run(half_way)


# For LD_PRELOAD: a kernel before Linux 5.7, which lets only the privileged bind to an interface.
OLD_KERNEL = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
    if (level != SOL_SOCKET || name != SO_BINDTODEVICE)
        return real(fd, level, name, value, size);
    errno = EPERM;
    return -1;
}
"""


@both_families
def without_the_right_to_bind_to_an_interface(world, family):
    """IPv4 does so all the same; IPv6 prefers the better default route (see udp_socket.c), and carries on."""
    if SANITIZED:
        print("  a sanitizer wants to be preloaded first: not tried")
        return
    (world.directory / "old.c").write_text(OLD_KERNEL)
    library = world.directory / "old.so"
    run(*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-o", library, world.directory / "old.c", "-ldl")
    sent = lambda name: int(world.client.run("cat", f"/sys/class/net/{name}/statistics/tx_bytes"))
    before = sent("wifi")
    plain = world.client.inside
    world.client.inside = lambda *words: plain("env", f"LD_PRELOAD={library}", *words)
    transfer = Transfer(world, "--prefer", "lte", family=family)
    world.client.inside = plain

    def half_way():
        wrong = sent("wifi") - before
        check(family == 6 or wrong < 1 << 16, f"{wrong} octets left by wifi")
        world.client.ip(f"addr del {LTE[family][0]} dev lte")
        transfer.moves_to(WIFI[family][1])

    transfer.run(half_way)


@test
def forbidden_interfaces_are_not_used(world):
    transfer = Transfer(world, "--forbid", "wifi")
    world.wait_said("client", " confirmed *$")
    world.client.ip("link set lte down")
    world.wait_said("client", "networks: wifi")
    begun = transfer.processor_seconds()
    time.sleep(0.5)
    check(transfer.processor_seconds() - begun < 0.25, "busy while it waits")
    world.client.ip("link set lte up", World.default_route(2, "lte")[0])
    transfer.feed(1)
    transfer.finish()
    check(transfer.seen_at() in (None, LTE[4][1]), f"the server saw the client at {transfer.seen_at()}")


@test
def who_is_told_not_to_move_does_not(world):
    transfer = Transfer(world, "--no-move")
    world.wait_said("client", " confirmed *$")
    check("networks:" not in world.said("client"), "it watches the networks")
    transfer.feed(1)
    transfer.finish()


# ------------------------------------------------------------------------------------------------------- flow labels

SNIFFER = """
import socket, sys
seen = set()
tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) # all, or what leaves would not be seen
print("ready", flush=True)
while True:
    packet, (name, protocol, *_) = tap.recvfrom(2048)
    if protocol != 0x86dd or packet[6] != 17:
        continue
    label = int.from_bytes(packet[0:4], "big") & 0xfffff
    one = (name, packet[8:24].hex(), packet[24:40].hex(), packet[40:44].hex(), label)
    if one not in seen:
        seen.add(one)
        print(*one, flush=True)
"""


@test
def each_path_has_a_flow_label_of_its_own(world):
    for host in world.hosts:  # who wants a label must ask for it
        host.run("sh", "-c", "echo 2 >/proc/sys/net/ipv6/auto_flowlabels")
    world.start("sniffer", world.server.inside(sys.executable, "-c", SNIFFER))
    output = world.directory / "sniffer.out"
    wait_for("the sniffer", lambda: output.read_text().startswith("ready"))
    transfer = Transfer(world, family=6)

    def half_way():
        world.client.ip(f"addr del {WIFI[6][0]} dev wifi")
        transfer.moves_to(LTE[6][1])

    transfer.run(half_way)
    labels = {}
    for line in output.read_text().splitlines()[1:]:
        _, source, destination, ports, label = line.split()
        labels.setdefault((source, destination, ports), set()).add(int(label))
    check(len(labels) >= 4, f"two paths, two ways each: {labels}")
    check(all(0 not in found for found in labels.values()), f"a packet without a flow label: {labels}")
    check(all(len(found) == 1 for found in labels.values()), f"a path with several flow labels: {labels}")
    check(len({label for found in labels.values() for label in found}) == len(labels), f"paths share a flow label: {labels}")


# ------------------------------------------------------------------------------------------------------------ running

def namespaces_can_be_made():
    name = f"roam-test-{os.getpid()}"
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0 and \
        subprocess.run(["ip", "-n", name, "link", "add", "test0", "type", "veth", "peer", "name", "test1"],
                       capture_output=True).returncode == 0
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return made


def main():
    if not namespaces_can_be_made():
        print("network namespaces cannot be made here")
        return SKIPPED
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exit removes what was made
    failed = 0
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for function in tests:
        if not re.search(wanted, function.__name__):
            continue
        world = World()
        try:
            function(world)
            print(f"ok   {function.__name__}", flush=True)
        except Exception as problem:  # a bug of this file is a failure, too
            failed += 1
            print(f"FAIL {function.__name__}: {type(problem).__name__}: {problem}\n{world.tail()}", flush=True)
        finally:
            world.remove()
    print(f"{failed} failures")
    return 1 if failed else 0


sys.exit(main())
