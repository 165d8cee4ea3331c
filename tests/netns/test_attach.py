# SPDX-License-Identifier: MIT
"""Interfaces: what is attached, what is refused, and what is left behind."""

import contextlib
import fcntl
import json
import os
import pathlib
import select
import struct
import sys
import time

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from lib import services
from lib.foreign import ForeignProgram
from lib.netns import has, tcp_closed, tcp_open, wait_until

CONFIGURATION_UNUSABLE = 78


def hooks(lab):
    """What hangs on the server's interfaces, as the tools show it."""
    shown = []
    for device in lab.SERVER_DEVICES:
        shown.append(lab.server.run("ip", "-d", "link", "show", device).stdout)
        shown.append(lab.server.run("tc", "qdisc", "show", "dev", device).stdout)
        shown.append(lab.server.run("tc", "filter", "show", "dev", device, "ingress",
                                    check=False).stdout)
    return shown


PROG_ARRAY = "3"


def programs(daemon):
    """Ids of the programs that the daemon holds, by links or by what a filter finds them in."""
    found = set()
    for info in pathlib.Path(f"/proc/{daemon.process.pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            fields = dict(line.split(None, 1) for line in info.read_text().splitlines())
            if "prog_id:" in fields:
                found.add(fields["prog_id:"])
            if fields.get("map_type:") == PROG_ARRAY:
                found |= programs_in(fields["map_id:"])
    return found


def programs_in(array):
    """Ids of the programs in an array of programs: each a number of four bytes, least first."""
    shown = os.popen(f"PATH=$PATH:/usr/sbin bpftool -j map dump id {array}").read()
    ids = [int.from_bytes(bytes(int(byte, 16) for byte in row["value"]), sys.byteorder)
           for row in json.loads(shown) if isinstance(row["value"], list)]
    return set(map(str, ids)) - {"0"}


def loaded(program):
    return os.system(f"PATH=$PATH:/usr/sbin bpftool prog show id {program} >/dev/null 2>&1") == 0


def test_sigterm_leaves_nothing(daemon, lab, family):
    before = hooks(lab)
    daemon.start()
    held = programs(daemon)
    assert held and all(map(loaded, held))
    daemon.knock(family=family)
    assert tcp_closed(lab.client, family, services.TCP, source=1)
    assert daemon.stop() == 0
    assert hooks(lab) == before
    assert wait_until(lambda: not any(map(loaded, held)))
    assert tcp_open(lab.client, family, services.TCP, source=1)
    assert "stopped" in daemon.log()


def test_kill_by_hand_takes_the_programs_along(daemon, lab, mode, family):
    """
    As documented: only the service's descriptor store (or a pin) keeps the gate. Where there are no
    links for TC, an empty filter stays, until the next spaled.
    """
    before = hooks(lab)
    daemon.start()
    held = programs(daemon)
    assert held and all(map(loaded, held))
    assert tcp_closed(lab.client, family, services.TCP)
    daemon.kill()
    assert wait_until(lambda: not any(map(loaded, held)))
    assert tcp_open(lab.client, family, services.TCP)
    if mode == "tc" and not has("needs_tcx"):
        assert "spale_tc" in "".join(hooks(lab))
        daemon.start()
        assert tcp_closed(lab.client, family, services.TCP)
        assert daemon.stop() == 0
        assert "spale_tc" not in "".join(hooks(lab))
        for device in lab.SERVER_DEVICES:
            lab.server.run("tc", "qdisc", "del", "dev", device, "clsact")
    assert hooks(lab) == before


def test_sigint_is_sigterm(daemon, lab):
    daemon.start()
    daemon.process.send_signal(2)
    assert daemon.process.wait(10) == 0
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_foreign_clsact_and_filter_stay(daemon, lab):
    lab.server.run("tc", "qdisc", "add", "dev", "s0", "clsact")
    try:
        lab.server.run("tc", "filter", "add", "dev", "s0", "ingress", "prio", "7", "protocol", "ip",
                       "u32", "match", "u32", "0", "0", "flowid", "1:1")
        before = hooks(lab)
        daemon.start()
        assert tcp_closed(lab.client, "ipv4", services.TCP)
        daemon.knock()
        assert tcp_open(lab.client, "ipv4", services.TCP)
        assert daemon.stop() == 0
        assert hooks(lab) == before
        assert "u32" in "".join(before)
    finally:
        lab.server.run("tc", "qdisc", "del", "dev", "s0", "clsact")


def test_second_daemon_is_refused(daemon, make_daemon, lab, mode, shared_keys, tmp_path):
    daemon.start()
    (tmp_path / "second").mkdir()
    second = make_daemon(mode, shared_keys, tmp_path / "second")
    second.write_conf()
    status, log = second.fails()
    assert status == 1, log
    assert "s0" in log
    assert tcp_closed(lab.client, "ipv4", services.TCP)  # the first is unharmed
    daemon.knock()
    assert tcp_open(lab.client, "ipv4", services.TCP)


@pytest.mark.needs_xdp
def test_foreign_xdp_program_is_named(make_daemon, lab, shared_keys):
    daemon = make_daemon("xdp", shared_keys)
    daemon.write_conf()
    with contextlib.closing(ForeignProgram(lab.server, "s1", "xdp")):
        status, log = daemon.fails()
        assert status == 1, log
        assert "s1" in log and "somebody_else" in log
        assert "somebody_else" in "".join(hooks(lab))
    # All or nothing: what was attached to s0 before s1 failed is gone.
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert "xdp" not in hooks(lab)[0]


@pytest.mark.needs_tcx
def test_foreign_tc_program_runs_behind_ours(make_daemon, lab, shared_keys):
    """Ours is at the head: somebody who passes everything opens nothing."""
    daemon = make_daemon("tc", shared_keys)
    with contextlib.closing(ForeignProgram(lab.server, "s0", "tcx")):
        daemon.start()
        assert tcp_closed(lab.client, "ipv4", services.TCP)
        daemon.knock()
        assert tcp_open(lab.client, "ipv4", services.TCP)


@pytest.mark.needs_tcx
def test_foreign_tc_program_comes_before_ours(make_daemon, lab, shared_keys, family):
    """While we run: it is noticed, told, and ours is first again; grants are as they were."""
    daemon = make_daemon("tc", shared_keys)
    daemon.start()
    daemon.knock(family=family)
    mark = daemon.mark()
    with contextlib.closing(ForeignProgram(lab.server, "s0", "tcx", first=True)):
        assert tcp_open(lab.client, family, services.TCP, source=1)
        assert daemon.wait_log("interface lost: interface=s0 .*came before it", mark, timeout=10)
        assert daemon.wait_log("interface attached: interface=s0", mark), daemon.log(mark)
        assert tcp_closed(lab.client, family, services.TCP, source=1)
        assert tcp_open(lab.client, family, services.TCP)
        assert len(daemon.links()) == 2
        # Somebody who insists finds us at it again.
        with contextlib.closing(ForeignProgram(lab.server, "s0", "tcx", first=True)):
            assert daemon.wait_log("(?s)(interface lost: interface=s0 .*){2}", mark, timeout=10)
            assert daemon.wait_log("(?s)(interface attached: interface=s0.*){2}", mark, timeout=10)
            assert tcp_closed(lab.client, family, services.TCP, source=1)
        assert tcp_closed(lab.client, family, services.TCP, source=1)
    assert daemon.stop() == 0
    assert tcp_open(lab.client, family, services.TCP, source=1)


def test_interface_that_does_not_exist(daemon, lab):
    daemon.write_conf(Protect={"Interfaces": "s0 nosuch0"})
    status, log = daemon.fails()
    assert status == 1, log
    assert "nosuch0" in log
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_several_interfaces_and_patterns(daemon, lab, family):
    daemon.start(Protect={"Interfaces": "s[0-9]"})
    assert tcp_closed(lab.client, family, services.TCP)
    assert tcp_closed(lab.attacker, family, services.TCP)
    assert daemon.stop() == 0
    daemon.start(Protect={"Interfaces": "s1"})
    assert tcp_open(lab.client, family, services.TCP)
    assert tcp_closed(lab.attacker, family, services.TCP)


def test_interface_that_goes(make_daemon, lab, mode, shared_keys):
    """A protected interface that is deleted is said, and the others stay protected."""
    lab.server.ip("link add gone0 type veth peer name gone1", "link set gone0 up",
                  "link set gone1 up")
    try:
        daemon = make_daemon(mode, shared_keys)
        daemon.start(Protect={"Interfaces": "s0 gone0"})
        mark = daemon.mark()
    finally:
        lab.server.ip("link del gone0")
    time.sleep(0.3)
    assert daemon.process.poll() is None, daemon.log(mark)
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    daemon.knock()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert daemon.stop() == 0


# ---- devices without Ethernet headers -------------------------------------------------------

class Tun:
    """A tun device in the server's namespace whose other end is this process."""

    DEVICE = "tun7"
    LOCAL = {"ipv4": "10.79.0.1", "ipv6": "fd79::1"}
    PEER = {"ipv4": "10.79.0.2", "ipv6": "fd79::2"}
    _TUNSETIFF, _IFF_TUN = 0x400454ca, 0x0001
    _TYPES = {"ipv4": 0x0800, "ipv6": 0x86dd}
    _TAG, _INFORMATION = 0x8100, 4  # a packet has its type before it

    def __init__(self, lab):
        with lab.server.enter():
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            fcntl.ioctl(self._fd, self._TUNSETIFF,
                        struct.pack("16sH22x", self.DEVICE.encode(), self._IFF_TUN))
        lab.server.ip(f"addr add {self.LOCAL['ipv4']}/24 dev {self.DEVICE}",
                      f"addr add {self.LOCAL['ipv6']}/64 dev {self.DEVICE} nodad",
                      f"link set {self.DEVICE} up")

    def close(self):
        os.close(self._fd)

    def send(self, family, packet, tags=0):
        """TAGS: so many of priority, of no VLAN."""
        ip = IP if family == "ipv4" else IPv6
        types = [self._TAG] * tags + [self._TYPES[family]]
        header = struct.pack(">HH", 0, types[0]) + \
            b"".join(struct.pack(">HH", 0, inner) for inner in types[1:])
        os.write(self._fd,
                 header + bytes(ip(src=self.PEER[family], dst=self.LOCAL[family]) / packet))

    def closed(self, family, port, source_port, tags=0):
        return not self.answered(family, port, source_port, 0.2, tags)

    def answered(self, family, port, source_port, timeout=2.0, tags=0):
        """Whether a SYN to PORT is answered by a SYN-ACK."""
        self.send(family, TCP(sport=source_port, dport=port, flags="S", seq=7), tags)
        end = time.monotonic() + timeout
        while select.select([self._fd], [], [], max(end - time.monotonic(), 0))[0]:
            packet = os.read(self._fd, 65536)[self._INFORMATION:]
            parsed = IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)
            if TCP in parsed and parsed[TCP].dport == source_port and parsed[TCP].flags == "SA":
                return True
        return False


@pytest.fixture
def tun(lab):
    with contextlib.closing(Tun(lab)) as tun:
        yield tun


def test_tun_device_in_tc(make_daemon, tun, shared_keys, family):
    # A device that is new may not be ready at once.
    assert wait_until(lambda: tun.answered(family, services.TCP, 30000, 0.3), 5)
    daemon = make_daemon("tc", shared_keys)
    daemon.start(Protect={"Interfaces": tun.DEVICE})
    assert tun.closed(family, services.TCP, 30001)
    assert tun.answered(family, services.FREE_TCP, 30002)
    mark = daemon.mark()
    tun.send(family, UDP(sport=40000, dport=services.KNOCK) / Raw(daemon.keys.knock()))
    assert daemon.wait_log("knock accepted", mark), daemon.log(mark)
    assert tun.answered(family, services.TCP, 30003)


def test_tags_on_a_tun_device(make_daemon, tun, shared_keys, family):
    """The far end of a tunnel may say what a packet is (as in GRE); the kernel peels tags there, too."""
    assert wait_until(lambda: tun.answered(family, services.TCP, 31000, 0.3), 5)
    for tags in range(1, 5):
        assert tun.answered(family, services.TCP, 31000 + tags, tags=tags)
    daemon = make_daemon("tc", shared_keys)
    daemon.start(Protect={"Interfaces": tun.DEVICE})
    for tags in range(1, 5):
        assert tun.closed(family, services.TCP, 31010 + tags, tags=tags)
    mark = daemon.mark()
    tun.send(family, UDP(sport=40000, dport=services.KNOCK) / Raw(daemon.keys.knock()), tags=2)
    assert daemon.wait_log("knock accepted", mark), daemon.log(mark)
    for tags in range(1, 5):
        check = tun.answered if tags <= 2 else tun.closed
        assert check(family, services.TCP, 31020 + tags, tags=tags)


@pytest.mark.needs_xdp
def test_tun_device_in_xdp_is_refused(make_daemon, tun, lab, shared_keys):
    daemon = make_daemon("xdp", shared_keys)
    daemon.write_conf(Protect={"Interfaces": f"s0 {tun.DEVICE}"})
    status, log = daemon.fails()
    assert status == 1, log
    assert tun.DEVICE in log and "xdp" in log.lower()
    assert "tc" in log.lower()  # what to do about it
    assert tcp_open(lab.client, "ipv4", services.TCP)


# ---- privileges -----------------------------------------------------------------------------

CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF = 12, 38, 39
OURS = 1 << CAP_NET_ADMIN | 1 << CAP_PERFMON | 1 << CAP_BPF


def status_of(daemon):
    text = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.mark.parametrize("user", ["nobody", "nobody:nogroup", "65534:65534", "65534"])
def test_drop_privileges(own_daemon, lab, user):
    daemon = own_daemon
    daemon.start("--drop-privs", user)
    status = status_of(daemon)
    assert set(status["Uid"].split()) == {"65534"}
    assert set(status["Gid"].split()) == {"65534"}
    assert status["Groups"].split() in ([], ["65534"])
    for capabilities in ("CapEff", "CapPrm"):
        assert int(status[capabilities], 16) == OURS, (capabilities, status[capabilities])
    assert int(status["CapInh"], 16) & ~OURS == 0
    assert status["NoNewPrivs"].strip() == "1"
    daemon.knock()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    before = daemon.mark()
    daemon.process.send_signal(1)
    assert daemon.wait_log(r"reloaded|reload failed", before), daemon.log()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    daemon.knock("bob", source=1)
    assert daemon.stop() == 0
    assert tcp_open(lab.client, "ipv4", services.TCP, source=2)


@pytest.mark.parametrize("user", ["nosuchuser", "nobody:nosuchgroup", "-1", ""])
def test_drop_privileges_to_nobody_known(daemon, lab, user):
    daemon.write_conf()
    status, log = daemon.fails("--drop-privs", user)
    assert status != 0
    assert "--drop-privs" in log and user.rpartition(":")[2] in log
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_keys_are_not_dumped(daemon):
    """Memory with keys in it is for nobody else, even of the same user."""
    daemon.start()
    owner = pathlib.Path(f"/proc/{daemon.process.pid}/mem").stat()
    limits = pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert owner.st_uid == 0
    assert core.split()[4:6] == ["0", "0"]


def test_start_leaves_no_gap_on_failure(daemon, lab):
    """A daemon that can't start says so, and attaches nothing."""
    daemon.write_conf(Knock={"ServerKey": "/nonexistent/server.key"})
    status, log = daemon.fails()
    assert status in (1, CONFIGURATION_UNUSABLE)
    assert "/nonexistent/server.key" in log
    assert tcp_open(lab.client, "ipv4", services.TCP)
