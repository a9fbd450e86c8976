#!/usr/bin/env python3
"""A TCP flow for QUIC to share a bottleneck with.

    tcp_beside.py far PORT       listens on that port of 127.0.0.1
    tcp_beside.py near PORT      sends to that port of 127.0.0.1, and prints the octets that came: "time octets"

Each end has a network namespace of its own with one TUN device. A packet that leaves it goes on as the payload of a datagram,
so that any box for datagrams between the two ends is a bottleneck of TCP, too. iperf3 downloads from far to near, by CUBIC, until
it is stopped. As root, or where users may have namespaces of their own."""

import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
ADDRESSES = {"near": "10.111.0.1/24", "far": "10.111.0.2/24"}
MTU = 1472
BATCH = 64
REPORT_SECONDS = 0.1


def enter_namespace():
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNET | (CLONE_NEWUSER if uid != 0 else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        sys.exit(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    if flags & CLONE_NEWUSER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def open_tun(address):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"beside", IFF_TUN | IFF_NO_PI))
    for words in (["link", "set", "lo", "up"], ["address", "add", address, "dev", "beside"],
                  ["link", "set", "beside", "mtu", str(MTU), "up"]):
        subprocess.run(["ip", *words], check=True)
    return tun


def pump(tun, udp, place, iperf):
    """Until iperf3 ends. `place` is where to send, None until somebody was heard."""
    octets, said = 0, 0.0
    while iperf.poll() is None:
        readable, _, _ = select.select([tun, udp], [], [], REPORT_SECONDS)
        try:
            for _ in range(BATCH if tun in readable else 0):
                packet = os.read(tun, 65536)
                if place is not None:
                    udp.sendto(packet, place)
        except BlockingIOError:
            pass
        try:
            for _ in range(BATCH if udp in readable else 0):
                packet, place = udp.recvfrom(65536)
                octets += len(packet)
                os.write(tun, packet)
        except BlockingIOError:
            pass
        if time.time() - said >= REPORT_SECONDS:
            said = time.time()
            print(f"{said:.3f} {octets}", flush=True)


def main():
    role, port = sys.argv[1], int(sys.argv[2])
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # outside
    udp.bind(("127.0.0.1", port if role == "far" else 0))
    udp.setblocking(False)
    enter_namespace()
    tun = open_tun(ADDRESSES[role])
    how = ["--server", "--one-off"] if role == "far" else \
        ["--client", ADDRESSES["far"].split("/")[0], "--reverse", "--congestion", "cubic", "--time", "0"]
    with subprocess.Popen(["iperf3", "--forceflush", *how], stdout=sys.stderr) as iperf:
        pump(tun, udp, ("127.0.0.1", port) if role == "near" else None, iperf)
    return iperf.returncode


if __name__ == "__main__":
    sys.exit(main())
