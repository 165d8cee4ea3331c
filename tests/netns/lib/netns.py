# SPDX-License-Identifier: MIT
"""Network namespaces, and the small network that the tests run in.

        client c0 ------ s0 server s1 ------ a0 attacker

Both links carry IPv4 and IPv6. Addresses need no duplicate address detection, and neighbours are
permanent entries, so that every packet on the wire is one that a test sent or provoked.
"""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import time

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

FAMILIES = ("ipv4", "ipv6")
_PREFIX = "spaletest"


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Namespace:
    """A named network namespace. Sockets made inside enter() stay in it."""

    def __init__(self, name):
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        self.ip("link set lo up")
        # A device's own address can be used at once too.
        with self.enter(), open("/proc/sys/net/ipv6/conf/default/accept_dad", "w",
                                encoding="ascii") as file:
            file.write("0")

    @contextlib.contextmanager
    def enter(self):
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._fd)
            try:
                yield
            finally:
                _setns(before)
        finally:
            os.close(before)

    def command(self, *argv):
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def run(self, *argv, **options):
        options = {"check": True, "capture_output": True, "text": True, "timeout": 30} | options
        return subprocess.run(self.command(*argv), **options)

    def popen(self, *argv, **options):
        return subprocess.Popen(self.command(*argv), **options)

    def ip(self, *lines):
        """Runs lines of ip(8), all in one process."""
        subprocess.run(["ip", "-n", self.name, "-batch", "-"], check=True, text=True,
                       input="\n".join(lines) + "\n")


    def socket(self, family, kind, protocol=0):
        with self.enter():
            return socket.socket(family, kind, protocol)

    def delete(self):
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        subprocess.run(["ip", "netns", "del", self.name], check=False)


# What tests may need of the kernel: marker -> how to find out.
NEEDS = {
    "needs_vlans": "ip link add v0 type veth peer name v1 && "
                   "ip link add link v0 name v2 type vlan id 1",
    "needs_bonds": "ip link add b0 type bond",
    "needs_coarse_clock": r"printf '5.11\n%s\n' $(uname -r) | sort -VC",
    "needs_owned_tables": r"printf '5.12\n%s\n' $(uname -r) | sort -VC",  # of nftables
    "needs_tcx": r"printf '6.6\n%s\n' $(uname -r) | sort -VC",
    "needs_xdp": r"printf '5.18\n%s\n' $(uname -r) | sort -VC",  # for frames of several buffers
}


def has(need):
    """Whether this kernel can do what NEEDS has a name for."""
    return subprocess.run(["unshare", "--net", "sh", "-c", NEEDS[need]],
                          capture_output=True, check=False).returncode == 0


def remove_stale():
    """Removes what a killed earlier run left behind; a run's names carry its process id."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
        match = re.fullmatch(_PREFIX + r"-(\d+)-\w+", name)
        if not match or os.path.exists(f"/proc/{match[1]}"):
            continue
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True,
                              check=False).stdout.split()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", name], check=False)


def _mac(last):
    return f"02:00:00:00:00:{last:02x}"


class Link:
    """One cable into the server: what an end of it needs to know to send frames by hand."""

    def __init__(self, namespace, device, mac, peer_mac, sources, server):
        self.namespace = namespace
        self.device = device
        self.mac = mac
        self.peer_mac = peer_mac
        self.sources = sources  # family -> addresses of this end
        self.server = server  # family -> the server's address on this link

    def source(self, family, index=0):
        return self.sources[family][index]


class Lab:
    """The three namespaces and their addresses."""

    SERVER_DEVICES = ("s0", "s1")

    def __init__(self):
        self._namespaces = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _namespace(self, role):
        namespace = Namespace(f"{_PREFIX}-{os.getpid()}-{role}")
        self._namespaces.append(namespace)
        return namespace

    def _build(self):
        self.server = self._namespace("server")
        self.client = self._link(self._namespace("client"), "c0", "s0", 77)
        self.attacker = self._link(self._namespace("attacker"), "a0", "s1", 78)
        # The attacker reaches the client's side of the server too.
        self.attacker.namespace.ip(
            f"route add 10.77.0.0/24 via {self.attacker.server['ipv4']}",
            f"route add fd77::/64 via {self.attacker.server['ipv6']}")
        # Every refused datagram is answered by ICMP, however many there are.
        with self.server.enter():
            for name, value in (("ipv4/icmp_ratemask", 0), ("ipv6/icmp/ratemask", 128),
                                ("ipv4/tcp_max_syn_backlog", 8192), ("ipv4/tcp_syncookies", 0),
                                ("ipv4/conf/all/accept_source_route", 1),
                                ("ipv6/conf/all/accept_source_route", 1),
                                ("ipv6/conf/s0/accept_source_route", 1)):
                with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
                    file.write(str(value))

    def _link(self, namespace, device, server_device, net):
        mac, server_mac = _mac(net), _mac(net + 100)
        server = {"ipv4": f"10.{net}.0.1", "ipv6": f"fd{net}::1"}
        sources = {"ipv4": [f"10.{net}.0.{n}" for n in range(2, 8)],
                   "ipv6": [f"fd{net}::{n}" for n in range(2, 8)]}
        namespace.ip(f"link add {device} address {mac} type veth peer name {server_device} "
                     f"address {server_mac} netns {self.server.name}")
        lengths = {"ipv4": 24, "ipv6": 64}
        for family in FAMILIES:
            # Deprecated but for the first, so that a program that does not bind takes that.
            namespace.ip(*(f"addr add {a}/{lengths[family]} dev {device}"
                           + (" nodad" if family == "ipv6" else "")
                           + (" preferred_lft 0" if n else "")
                           for n, a in enumerate(sources[family])))
            self.server.ip(f"addr add {server[family]}/{lengths[family]} dev {server_device}"
                           + (" nodad" if family == "ipv6" else ""))
        namespace.ip(f"link set {device} up")
        self.server.ip(f"link set {server_device} up")
        for family in FAMILIES:
            namespace.ip(f"neigh replace {server[family]} lladdr {server_mac} dev {device} "
                         "nud permanent")
            self.server.ip(*(f"neigh replace {a} lladdr {mac} dev {server_device} nud permanent"
                             for a in sources[family]))
        return Link(namespace, device, mac, server_mac, sources, server)

    def close(self):
        for namespace in reversed(self._namespaces):
            namespace.delete()


# How much longer than usual what has to come may take: where the processor is emulated, say.
PATIENCE = float(os.environ.get("SPALE_PATIENCE", "1"))


def wait_until(condition, timeout=3.0, step=0.01):
    """Whether CONDITION() became true in time."""
    end = time.monotonic() + timeout * PATIENCE
    while True:
        if condition():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(step)


def _sockaddr_family(family):
    return socket.AF_INET if family == "ipv4" else socket.AF_INET6


# What has to be open gets plenty of time, so that a busy machine fails no test. What has to be closed
# gets little: an answer comes within a fraction of a millisecond or not at all.
_OPEN_SEC, _CLOSED_SEC = 2.0 * PATIENCE, 0.12


def _echoes(link, family, kind, port, source, server, timeout):
    """Has a few bytes echoed, from an address of LINK's end. Whether that worked."""
    with link.namespace.socket(_sockaddr_family(family), kind) as sock:
        sock.settimeout(timeout)
        sock.bind((link.source(family, source), 0))
        try:
            sock.connect((server or link.server[family], port))
            sock.send(b"ping")
            return sock.recv(64) == b"ping"
        except OSError:
            return False


def tcp_open(link, family, port, source=0, server=None):
    return _echoes(link, family, socket.SOCK_STREAM, port, source, server, _OPEN_SEC)


def tcp_closed(link, family, port, source=0, server=None):
    return not _echoes(link, family, socket.SOCK_STREAM, port, source, server, _CLOSED_SEC)


def udp_open(link, family, port, source=0, server=None):
    return _echoes(link, family, socket.SOCK_DGRAM, port, source, server, _OPEN_SEC)


def udp_closed(link, family, port, source=0, server=None):
    return not _echoes(link, family, socket.SOCK_DGRAM, port, source, server, _CLOSED_SEC)


def udp_send(link, family, port, payload, source=0, server=None):
    """Sends one datagram, and returns the port that it left from."""
    with link.namespace.socket(_sockaddr_family(family), socket.SOCK_DGRAM) as sock:
        sock.bind((link.source(family, source), 0))
        sock.sendto(payload, (server or link.server[family], port))
        return sock.getsockname()[1]
