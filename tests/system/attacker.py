# SPDX-License-Identifier: MIT
"""Sends SYNs as fast as it can, and counts who answers. On SIGTERM it prints both numbers.

Arguments: device, the server's MAC, source, destination, port.
"""

import contextlib
import signal
import socket
import sys

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

SYN_ACK = 0x12


def main(device, mac, source, destination, port):
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    sock.bind((device, 0x0800))
    sock.setblocking(False)
    frames = [bytes(Ether(src=sock.getsockname()[4], dst=mac) / IP(src=source, dst=destination)
                    / TCP(sport=sport, dport=int(port), flags="S", seq=sport))
              for sport in range(20000, 20200)]
    wanted = socket.inet_aton(destination) + socket.inet_aton(source)
    sent = answers = 0
    print("ready", flush=True)
    while not ending:
        for frame in frames:
            with contextlib.suppress(OSError):  # the cable is full
                sock.send(frame)
                sent += 1
        while True:
            try:
                got, (_, _, kind, *_) = sock.recvfrom(2048)
            except BlockingIOError:
                break
            if kind != socket.PACKET_OUTGOING and got[26:34] == wanted and got[23] == 6 \
                    and got[34:36] == int(port).to_bytes(2, "big") and got[47] & SYN_ACK == SYN_ACK:
                answers += 1
    print(sent, answers)


main(*sys.argv[1:])
