# SPDX-License-Identifier: MIT
"""Frames made by hand: every way that we know of to dress up the first packet of a conversation.

A Disguise says how frames are made, for TCP (a SYN) and for UDP (a datagram that is echoed); probe()
sends them and reports which were answered. Each probe has a source port of its own, so that many can
be under way at a time.
"""

import dataclasses
import errno
import itertools
import select
import socket
import struct
import time
from typing import Callable

from scapy.layers.inet import IP, TCP, UDP, IPOption, IPOption_NOP, IPOption_RR
from scapy.layers.inet import IPOption_Router_Alert, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.inet6 import IPv6ExtHdrRouting, PadN
from scapy.layers.l2 import LLC, SNAP, Dot3, Ether
from scapy.packet import Raw

from lib import services

_source_ports = itertools.cycle(range(20000, 32000))  # below the kernel's own ephemeral ports
_identifications = itertools.count(int(time.time()) & 0xffff)

NH_DESTOPT, NH_FRAGMENT, NH_ROUTING, NH_AH, NH_NONE = 60, 44, 43, 51, 59


class Probe:
    """One conversation to be opened: addresses, ports, and the parts that disguises build with."""

    def __init__(self, link, family, protocol, port, source=None):
        self.link = link
        self.family = family
        self.protocol = protocol
        self.port = port
        self.source_port = next(_source_ports)
        self.source = source or link.source(family)
        self.destination = link.server[family]
        self.number = next(_identifications)

    # ---- layers -------------------------------------------------------------------------

    def ether(self, **fields):
        return Ether(**({"src": self.link.mac, "dst": self.link.peer_mac} | fields))

    def ip(self, **fields):
        """The plain network header."""
        fields = {"src": self.source, "dst": self.destination} | fields
        if self.family == "ipv4":
            return IP(**({"id": self.number & 0xffff} | fields))
        return IPv6(**fields)

    def transport(self, flags="S", payload=None, **fields):
        if self.protocol == "udp":
            return UDP(sport=self.source_port, dport=self.port, **fields) / Raw(payload or b"ping")
        header = TCP(sport=self.source_port, dport=self.port, flags=flags, seq=self.number,
                     options=[("MSS", 1460)], **fields)
        return header / Raw(payload) if payload else header

    def l4(self, **fields):
        """The transport header and payload as bytes, with the checksum of the plain packet."""
        packet = self.ip() / self.transport(**fields)
        return bytes(packet)[40 if self.family == "ipv6" else 20:]

    def next_header(self):
        return 6 if self.protocol == "tcp" else 17

    def frame(self, packet, **ether):
        return bytes(self.ether(**ether) / packet)

    def chain(self, *headers, **ipv6):
        """An IPv6 packet with extension headers: (their number, bytes behind the next header)."""
        numbers = [number for number, _ in headers] + [self.next_header()]
        body = b"".join(bytes([following]) + rest
                        for following, (_, rest) in zip(numbers[1:], headers))
        packet = self.ip(nh=numbers[0], **ipv6)
        return self.frame(packet / Raw(body + self.l4()))


@dataclasses.dataclass(frozen=True)
class Disguise:
    name: str
    family: str
    build: Callable  # Probe -> frames
    drop: bool = False  # spale drops it, grant or not


DISGUISES = []


def _disguise(family, name=None, drop=False):
    def add(build):
        families = ("ipv4", "ipv6") if family == "both" else (family,)
        for each in families:
            DISGUISES.append(Disguise(name or build.__name__.strip("_").replace("_", "-"),
                                      each, build, drop))
        return build
    return add


def _add(family, name, build, drop=False):
    _disguise(family, name, drop)(build)


# ---- any family -----------------------------------------------------------------------------

@_disguise("both")
def _plain(p):
    return [p.frame(p.ip() / p.transport())]


@_disguise("both")
def _padded(p):
    return [p.frame(p.ip() / p.transport()) + bytes(64)]


@_disguise("both")
def _to_other_station(p):
    return [p.frame(p.ip() / p.transport(), dst="02:00:00:00:0f:0f")]


@_disguise("both")
def _to_broadcast_mac(p):
    return [p.frame(p.ip() / p.transport(), dst="ff:ff:ff:ff:ff:ff")]


@_disguise("both")
def _llc_snap(p):
    code = 0x0800 if p.family == "ipv4" else 0x86dd
    return [bytes(Dot3(src=p.link.mac, dst=p.link.peer_mac) / LLC() / SNAP(code=code) / p.ip() /
                  p.transport())]


@_disguise("both")
def _wrong_ethertype(p):
    return [p.frame(p.ip() / p.transport(), type=0x86dd if p.family == "ipv4" else 0x0800)]


def _tagged(*tags):
    """TAGS: (ethertype, VLAN), outermost first."""
    def build(p):
        packet = p.ip() / p.transport()
        inner = 0x0800 if p.family == "ipv4" else 0x86dd
        types = [kind for kind, _ in tags] + [inner]
        body = b"".join(struct.pack(">HH", vlan, following)
                        for following, (_, vlan) in zip(types[1:], tags))
        return [bytes(p.ether(type=types[0])) + body + bytes(packet)]
    return build


_add("both", "priority-tag", _tagged((0x8100, 0)))
_add("both", "priority-tag-with-priority", _tagged((0x8100, 0xe000)))
_add("both", "priority-tag-802.1ad", _tagged((0x88a8, 0)))
_add("both", "tag-of-vlan-5", _tagged((0x8100, 5)))
_add("both", "qinq", _tagged((0x88a8, 0), (0x8100, 0)))
_add("both", "two-802.1q-tags", _tagged((0x8100, 0), (0x8100, 0)))
_add("both", "qinq-of-vlan-5", _tagged((0x88a8, 0), (0x8100, 5)))
_add("both", "three-tags", _tagged(*[(0x8100, 0)] * 3), drop=True)
_add("both", "three-tags-802.1ad", _tagged((0x88a8, 0), (0x88a8, 0), (0x8100, 0)), drop=True)
_add("both", "five-tags", _tagged(*[(0x8100, 0)] * 5), drop=True)


def _cut(count):
    """The frame ends inside its transport header, and its length fields say so."""
    def build(p):
        return [p.frame(p.ip(**({"proto": p.next_header()} if p.family == "ipv4" else
                                {"nh": p.next_header()})) / Raw(p.l4()[:count]))]
    return build


for _count in (0, 1, 3, 4, 7):
    _add("both", f"transport-of-{_count}-bytes", _cut(_count), drop=_count < 4)


def _frame_cut(count):
    """The frame ends early, and its length fields do not say so."""
    def build(p):
        return [p.frame(p.ip() / p.transport())[:-count]]
    return build


_add("both", "frame-cut-by-1", _frame_cut(1))
_add("both", "frame-cut-by-10", _frame_cut(10))
_add("both", "frame-cut-in-network-header", lambda p: [p.frame(p.ip() / p.transport())[:14 + 12]],
     drop=True)


def _tcp_only(build):
    return lambda p: build(p) if p.protocol == "tcp" else []


for _flags in ("SE", "SEC", "SPU", "SF", "SR"):
    _add("both", "flags-" + _flags.lower(), _tcp_only(
        lambda p, flags=_flags: [p.frame(p.ip() / p.transport(flags=flags))]))
_add("both", "data-in-syn", _tcp_only(
    lambda p: [p.frame(p.ip() / p.transport(payload=b"early" * 20))]))
_add("both", "data-offset-of-4", _tcp_only(
    lambda p: [p.frame(p.ip() / p.transport(dataofs=4))]))
_add("both", "data-offset-past-the-end", _tcp_only(
    lambda p: [p.frame(p.ip() / p.transport(dataofs=15))]))


# ---- IPv4 -----------------------------------------------------------------------------------

def _with_options(*options):
    return lambda p: [p.frame(p.ip(options=list(options)) / p.transport())]


_add("ipv4", "option-nop", _with_options(*[IPOption_NOP()] * 4))
_add("ipv4", "options-of-40-bytes", _with_options(*[IPOption_NOP()] * 40))
_add("ipv4", "option-record-route", _with_options(IPOption_RR(length=7, routers=["0.0.0.0"])))
_add("ipv4", "option-timestamp", _with_options(
    IPOption(bytes([68, 12, 5, 0]) + bytes(8))))
_add("ipv4", "option-router-alert", _with_options(IPOption_Router_Alert()))
_add("ipv4", "option-unknown", _with_options(IPOption(bytes([30, 4, 0, 0]))))
_add("ipv4", "option-source-route-done", _with_options(
    IPOption(bytes([131, 7, 8, 10, 77, 0, 3])), IPOption_NOP()))


def _ihl(value):
    return lambda p: [p.frame(p.ip(ihl=value) / p.transport())]


_add("ipv4", "header-length-of-4-words", _ihl(4), drop=True)
_add("ipv4", "header-length-of-0", _ihl(0), drop=True)
_add("ipv4", "header-length-into-transport", _ihl(6))
_add("ipv4", "header-length-past-the-end", lambda p: [
    p.frame(p.ip(ihl=15, proto=p.next_header()) / Raw(p.l4()[:8]))], drop=True)
_add("ipv4", "version-5", lambda p: [p.frame(p.ip(version=5) / p.transport())], drop=True)
_add("ipv4", "total-length-too-long", lambda p: [p.frame(p.ip(len=400) / p.transport())])
_add("ipv4", "total-length-under-header", lambda p: [p.frame(p.ip(len=12) / p.transport())],
     drop=True)
_add("ipv4", "total-length-of-0", lambda p: [p.frame(p.ip(len=0) / p.transport())])
_add("ipv4", "total-length-without-ports", lambda p: [p.frame(p.ip(len=22) / p.transport())],
     drop=True)
_add("ipv4", "bad-checksum", lambda p: [p.frame(p.ip(chksum=0xdead) / p.transport())])
_add("ipv4", "time-to-live-1", lambda p: [p.frame(p.ip(ttl=1) / p.transport())])
_add("ipv4", "dont-fragment", lambda p: [p.frame(p.ip(flags="DF") / p.transport())])
_add("ipv4", "reserved-bit", lambda p: [p.frame(p.ip(flags="evil") / p.transport())])


def _fragments4(size, arrange=lambda parts: parts):
    def build(p):
        packet = p.ip(flags=0) / p.transport(payload=b"ping" * 16)
        return [p.frame(part) for part in arrange(fragment(packet, fragsize=size))]
    return build


_add("ipv4", "fragments", _fragments4(16))
_add("ipv4", "fragments-tiny-first", _fragments4(8))
_add("ipv4", "fragments-reversed", _fragments4(8, lambda parts: parts[::-1]))
_add("ipv4", "fragments-first-last", _fragments4(8, lambda parts: parts[1:] + parts[:1]))
_add("ipv4", "fragments-first-twice", _fragments4(8, lambda parts: parts[:1] + parts))


@_disguise("ipv4", drop=True)
def _fragment_without_ports(p):
    """The first fragment is too small to hold both ports."""
    l4 = p.l4()
    ip = {"proto": p.next_header()}
    return [p.frame(p.ip(flags="MF", **ip) / Raw(l4[:3])),
            p.frame(p.ip(frag=1, **ip) / Raw(l4[8:]))]


@_disguise("ipv4")
def _fragments_overlap(p):
    """The ports of the first fragment are harmless; a second first fragment has the true ones."""
    l4 = p.l4()
    free = services.FREE_TCP if p.protocol == "tcp" else services.FREE_UDP
    harmless = l4[:2] + struct.pack(">H", free) + l4[4:8]
    ip = {"proto": p.next_header()}
    return [p.frame(p.ip(flags="MF", **ip) / Raw(harmless)),
            p.frame(p.ip(flags="MF", **ip) / Raw(l4[:8])),
            p.frame(p.ip(frag=1, **ip) / Raw(l4[8:]))]


@_disguise("ipv4")
def _fragment_alone_with_options(p):
    packet = p.ip(flags=0, options=[IPOption_NOP()] * 8) / p.transport(payload=b"ping" * 16)
    return [p.frame(part) for part in fragment(packet, fragsize=8)]


# ---- IPv6 -----------------------------------------------------------------------------------

def _options(size):
    """
    Behind the next header, a hop-by-hop or destination options header of SIZE bytes in all: one
    option that nobody knows and everybody skips (longer padding makes Linux drop the packet).
    """
    return bytes([size // 8 - 1, 0x1e, size - 4]) + bytes(size - 4)


def _routing(kind, left=0, addresses=1):
    return bytes([2 * addresses, kind, left]) + bytes(4 + 16 * addresses)


def _chained(*headers):
    return lambda p: [p.chain(*headers)]


_HOPOPTS, _DESTOPTS = (0, _options(8)), (NH_DESTOPT, _options(8))
_ATOMIC = (NH_FRAGMENT, bytes(7))

_add("ipv6", "hop-by-hop", lambda p: [
    p.frame(p.ip() / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]) / p.transport())])
_add("ipv6", "hop-by-hop-of-248-bytes", _chained((0, _options(248))))
_add("ipv6", "destination-options", lambda p: [
    p.frame(p.ip() / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]) / p.transport())])
_add("ipv6", "destination-options-of-248-bytes", _chained((NH_DESTOPT, _options(248))))
_add("ipv6", "hop-by-hop-and-destination-options", _chained(_HOPOPTS, _DESTOPTS))
for _count in (2, 5, 8):
    _add("ipv6", f"{_count}-headers", _chained(*[_DESTOPTS] * _count))
_add("ipv6", "9-headers", _chained(*[_DESTOPTS] * 9), drop=True)
_add("ipv6", "30-headers", _chained(*[_DESTOPTS] * 30), drop=True)
_add("ipv6", "hop-by-hop-second", _chained(_DESTOPTS, _HOPOPTS))
_add("ipv6", "routing-type-0", lambda p: [
    p.frame(p.ip() / IPv6ExtHdrRouting(type=0, segleft=0, addresses=["fd77::9"]) /
            p.transport())])
for _kind in (2, 3, 4, 253):
    _add("ipv6", f"routing-type-{_kind}", _chained((NH_ROUTING, _routing(_kind))))
_add("ipv6", "routing-of-8-bytes", _chained((NH_ROUTING, _routing(0, addresses=0))))
_add("ipv6", "routing-not-done", _chained((NH_ROUTING, _routing(0, left=1))))
_add("ipv6", "atomic-fragment", lambda p: [
    p.frame(p.ip() / IPv6ExtHdrFragment(offset=0, m=0, id=p.number) / p.transport())])
_add("ipv6", "two-atomic-fragments", _chained(_ATOMIC, _ATOMIC))
_add("ipv6", "hop-by-hop-and-atomic-fragment", _chained(_HOPOPTS, _ATOMIC))
_add("ipv6", "atomic-fragment-and-destination-options", _chained(_ATOMIC, _DESTOPTS))
_add("ipv6", "destination-options-routing-fragment", _chained(
    _DESTOPTS, (NH_ROUTING, _routing(0)), _ATOMIC, _DESTOPTS))
_add("ipv6", "reserved-bits-in-fragment", _chained((NH_FRAGMENT, b"\xff\x00\x06" + bytes(4))))
_add("ipv6", "authentication", _chained((NH_AH, b"\x04\x00\x00" + bytes(20))))
_add("ipv6", "mobility", _chained((135, bytes(7))))
_add("ipv6", "host-identity", _chained((139, bytes(7))))
_add("ipv6", "shim6", _chained((140, bytes(7))))
_add("ipv6", "mapped-source", lambda p: [
    p.frame(IPv6(src="::ffff:10.77.0.2", dst=p.destination) / p.transport())], drop=True)
_add("ipv6", "version-4", lambda p: [p.frame(p.ip(version=4) / p.transport())], drop=True)
_add("ipv6", "payload-length-too-long", lambda p: [p.frame(p.ip(plen=400) / p.transport())])
_add("ipv6", "payload-length-of-0", lambda p: [p.frame(p.ip(plen=0) / p.transport())])
_add("ipv6", "payload-length-without-ports", lambda p: [p.frame(p.ip(plen=2) / p.transport())],
     drop=True)
_add("ipv6", "chain-past-the-end", lambda p: [
    p.frame(p.ip(nh=NH_DESTOPT) / Raw(bytes([p.next_header(), 200]) + bytes(6) + p.l4()))],
     drop=True)
_add("ipv6", "hop-limit-1", lambda p: [p.frame(p.ip(hlim=1) / p.transport())])


def _fragments6(size, before=(), inside=(), arrange=lambda parts: parts):
    """Real fragments of SIZE bytes; BEFORE and INSIDE: extension headers around that cut."""
    def build(p):
        numbers = [n for n, _ in before] + [NH_FRAGMENT]
        prefix = b"".join(bytes([following]) + rest
                          for following, (_, rest) in zip(numbers[1:], before))
        within = [n for n, _ in inside] + [p.next_header()]
        body = b"".join(bytes([following]) + rest
                        for following, (_, rest) in zip(within[1:], inside))
        body += p.l4(payload=b"ping" * 16)
        parts = []
        for offset in range(0, len(body), size):
            more = offset + size < len(body)
            header = struct.pack(">BBHI", within[0], 0, offset | more, p.number)
            parts.append(p.ip(nh=numbers[0]) / Raw(prefix + header + body[offset:offset + size]))
        return [p.frame(part) for part in arrange(parts)]
    return build


_add("ipv6", "fragments", _fragments6(24))
_add("ipv6", "fragments-tiny-first", _fragments6(8))
_add("ipv6", "fragments-reversed", _fragments6(24, arrange=lambda parts: parts[::-1]))
_add("ipv6", "fragments-behind-options", _fragments6(24, before=(_HOPOPTS, _DESTOPTS)))
_add("ipv6", "fragments-with-options-inside", _fragments6(32, inside=(_DESTOPTS,)))
_add("ipv6", "fragment-without-ports", _fragments6(8, inside=(_DESTOPTS,)), drop=True)
_add("ipv6", "fragment-cut-in-options", _fragments6(8, inside=((NH_DESTOPT, _options(24)),)),
     drop=True)
_add("ipv6", "fragments-in-priority-tag", lambda p: [
    frame[:12] + struct.pack(">HH", 0x8100, 0) + frame[12:] for frame in _fragments6(24)(p)])


# ---- sending and listening ------------------------------------------------------------------

class Wire:
    """A packet socket on a link's device: sends frames, and sees what comes back."""

    _SOL_PACKET, _PACKET_VNET_HDR = 263, 15

    def __init__(self, link, scattered=False):
        self._scattered = scattered
        self._socket = link.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                             socket.htons(0x0003))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        if scattered:
            self._socket.setsockopt(self._SOL_PACKET, self._PACKET_VNET_HDR, 1)
        self._socket.bind((link.device, 0))
        self._socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._socket.close()

    def send(self, frame):
        """SCATTERED: all but the Ethernet header lies outside the linear part of the skb."""
        while True:
            try:
                self._socket.send(bytes(10) + frame if self._scattered else frame)
                return
            except OSError as error:
                # Dropped, or not taken: the other end has too much to do.
                if error.errno not in (errno.ENOBUFS, errno.EAGAIN):
                    raise
                time.sleep(0.001)

    def receive(self):
        """A frame that came in from the other end, or None."""
        while True:
            try:
                frame, address = self._socket.recvfrom(65600)
            except BlockingIOError:
                return None
            if address[2] != socket.PACKET_OUTGOING:
                return frame[10:] if self._scattered else frame

    def wait(self, timeout):
        return bool(select.select([self._socket], [], [], max(timeout, 0))[0])


def reply_port(frame, any_segment=False):
    """The client's port that FRAME answers, as a SYN-ACK or a datagram; None: it answers none."""
    kind = struct.unpack_from(">H", frame, 12)[0]
    if kind == 0x0800:
        protocol, offset = frame[23], 14 + (frame[14] & 15) * 4
    elif kind == 0x86dd:
        protocol, offset = frame[20], 14 + 40
    else:
        return None
    if protocol == 17 or (protocol == 6 and
                          (any_segment or frame[offset + 13] & 0x12 == 0x12)):
        return struct.unpack_from(">H", frame, offset + 2)[0]
    return None


def collect(wire, wanted, quiet=0.3, any_segment=False, awaited=()):
    """
    The ports of WANTED that are answered, until all are or nothing has come for QUIET seconds; but
    for those AWAITED two seconds are waited.
    """
    answered, awaited = set(), set(awaited)
    end = time.monotonic() + (2.0 if awaited else quiet)
    while wanted - answered and wire.wait(end - time.monotonic()):
        while (frame := wire.receive()) is not None:
            port = reply_port(frame, any_segment)
            if port in wanted and port not in answered:
                answered.add(port)
                end = time.monotonic() + (2.0 if awaited - answered else quiet)
    return answered


def datagram(link, family, source, port, payload, source_port=40000):
    """A frame with one UDP datagram, from any source at all."""
    ip = IP if family == "ipv4" else IPv6
    return bytes(Ether(src=link.mac, dst=link.peer_mac) /
                 ip(src=source, dst=link.server[family]) /
                 UDP(sport=source_port, dport=port) / Raw(payload))


def probe_syn(link, frame, source_port, timeout=0.3, scattered=False):
    """Whether one frame, whose transport source port is SOURCE_PORT, is answered in time."""
    with Wire(link, scattered) as wire:
        wire.send(frame)
        return bool(collect(wire, {source_port}, timeout))


KINDS = tuple(itertools.product(("tcp", "udp"), ("linear", "scattered")))


def answered(link, family, source=None, expected=(), quiet=0.3):
    """
    Sends every disguise of FAMILY to the protected ports, as TCP and UDP, linear and scattered.
    Returns the (name, protocol, layout) that were answered. Waits two seconds for those that are
    EXPECTED, and then until nothing has come for QUIET seconds.
    """
    found = set()
    for layout in ("linear", "scattered"):
        with Wire(link, layout == "scattered") as wire:
            sent = {}
            for disguise, protocol in itertools.product(DISGUISES, ("tcp", "udp")):
                if disguise.family != family:
                    continue
                port = services.TCP if protocol == "tcp" else services.UDP
                probe = Probe(link, family, protocol, port, source)
                for frame in disguise.build(probe):
                    wire.send(frame)
                sent[probe.source_port] = (disguise.name, protocol, layout)
            awaited = {port for port, kind in sent.items() if kind in expected}
            found |= {sent[port] for port in collect(wire, set(sent), quiet, awaited=awaited)}
    return found
