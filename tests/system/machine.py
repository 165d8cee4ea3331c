# SPDX-License-Identifier: MIT
"""What the tests share: systemd, the journal, the installed spale, and a host outside."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "netns"))

from lib import netns, services  # noqa: E402

BUILD = pathlib.Path(os.environ["SPALE_BUILD"])
PACKAGES = pathlib.Path(os.environ["SPALE_PACKAGES"])
CONF = pathlib.Path("/etc/spale")
STATE = pathlib.Path("/var/lib/spale")
DROP_INS = pathlib.Path("/run/systemd/system/spaled.service.d")
KNOCK = services.KNOCK

wait_until = netns.wait_until


def run(*argv, check=True, **options):
    """Runs a command; its output is text. What a failed one said is shown."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=300,
                          check=False, **options)
    assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def systemctl(*argv, check=True):
    return run("systemctl", *argv, check=check)


def show(name, unit="spaled.service"):
    """A property of a unit."""
    return systemctl("show", "--value", "--property", name, unit).stdout.strip()


def active():
    return show("ActiveState")


def main_pid():
    return int(show("MainPID"))


def journal(*options):
    """What the service, and systemd about it, said in this boot."""
    run("journalctl", "--sync")
    return run("journalctl", "--boot", "--unit", "spaled", "--output", "short-precise",
               "--no-pager", "--quiet", *options).stdout


class Said:
    """What the journal has got since this was made."""

    def __init__(self):
        run("journalctl", "--sync")
        line = run("journalctl", "--lines", "0", "--show-cursor", "--quiet").stdout
        self._cursor = re.search(r"cursor: (\S+)", line)[1]

    def text(self):
        return journal("--after-cursor", self._cursor)

    def __contains__(self, pattern):
        return wait_until(lambda: re.search(pattern, self.text()), 5, 0.1)


def drop_in(name, text):
    """Adds lines to the unit, until drop_in_remove()."""
    DROP_INS.mkdir(parents=True, exist_ok=True)
    (DROP_INS / f"{name}.conf").write_text(text)
    systemctl("daemon-reload")


def drop_in_remove(name):
    (DROP_INS / f"{name}.conf").unlink()
    systemctl("daemon-reload")


def install_packages():
    run("dpkg", "--install", *(path for path in PACKAGES.glob("*.deb")
                               if "-dbgsym_" not in path.name))


def newer_packages(directory):
    """The same packages with a higher version, whose preinst says what it finds running."""
    for path in PACKAGES.glob("*.deb"):
        if "-dbgsym_" in path.name:
            continue
        tree = directory / path.stem
        run("dpkg-deb", "--raw-extract", path, tree)
        control = tree / "DEBIAN" / "control"
        control.write_text(re.sub(r"(?m)^Version: (.*)$", r"Version: \1+more",
                                  control.read_text()).replace(
            "spale-client (= ", "spale-client (>= "))
        if path.name.startswith("spale_"):
            preinst = tree / "DEBIAN" / "preinst"
            preinst.write_text("#!/bin/sh\nsystemctl is-active spaled >/run/at-preinst\n"
                               "systemctl show --value --property MainPID spaled >>/run/at-preinst\n")
            preinst.chmod(0o755)
        run("dpkg-deb", "--root-owner-group", "--build", tree, directory / path.name)
    return sorted(directory.glob("*.deb"))


class _Here:
    """The box's own network, with what lib.services needs of a namespace."""

    @staticmethod
    def socket(family, kind, protocol=0):
        return socket.socket(family, kind, protocol)


class Outside:
    """A host at the other end of eth0's cable, and services here for it to try."""

    def __init__(self):
        self.namespace = netns.Namespace("outside")
        run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0",
            "netns", "outside")
        self.sources = {"ipv4": ["10.77.0.2", "10.77.0.3"], "ipv6": ["fd77::2", "fd77::3"]}
        self.server = {"ipv4": "10.77.0.1", "ipv6": "fd77::1"}
        for family, length in (("ipv4", 24), ("ipv6", 64)):
            # Nothing is sent from the second one unless it is bound to.
            nodad = ["nodad"] if family == "ipv6" else []
            other = ["preferred_lft", "0"] if family == "ipv6" else []
            run("ip", "addr", "add", f"{self.server[family]}/{length}", "dev", "eth0", *nodad)
            for address, options in zip(self.sources[family], ([], other)):
                self.namespace.run("ip", "addr", "add", f"{address}/{length}", "dev", "far0",
                                   *nodad, *options)
        run("ip", "link", "set", "eth0", "up")
        self.namespace.run("ip", "link", "set", "far0", "up")
        self.services = services.Services(_Here())

    def source(self, family, index=0):
        return self.sources[family][index]

    def reaches(self, port, family="ipv4", source=0):
        """Whether a TCP connection from outside to this port is served."""
        return netns.tcp_open(self, family, port, source)

    def is_kept_from(self, port, family="ipv4", source=0):
        """Whether none is."""
        return netns.tcp_closed(self, family, port, source)

    def knock(self, key, family="ipv4"):
        self.namespace.run("spale-send", "--host", self.server[family], "--port", KNOCK,
                           "--key", key)

    def gets_in(self, key, family="ipv4"):
        """Whether a knock with this key opens the protected port."""
        self.knock(key, family)
        return wait_until(lambda: not self.is_kept_from(services.TCP, family))

    def close(self):
        self.services.close()
        run("ip", "link", "del", "eth0")
        self.namespace.delete()


def write_configuration(ports=f"{services.TCP}/tcp", extra=""):
    (CONF / "spale.conf").write_text(
        f"[Protect]\nInterfaces=eth0\nPorts={ports}\n[Knock]\nPorts={KNOCK}\n{extra}")


def new_client(directory, name):
    """Enrols a client. Returns its key file."""
    run("spale-keygen", "client", "--name", name, "--install", cwd=directory)
    return directory / f"{name}.key"


def first_start():
    """No test waits for what might have been accepted before the first start."""
    spaled = shutil.which("spaled")
    drop_in("first-start", f"[Service]\nExecStart=\nExecStart={spaled} --first-start\n")


def configure():
    """A key for the server, and a configuration."""
    run("spale-keygen", "server", "--install")
    write_configuration()
    first_start()


def forget_last_good():
    """Leaves nothing that a start with an unusable configuration could go back to."""
    (STATE / "last-good.conf").unlink(missing_ok=True)


def install_binary(path):
    """Puts another spaled into the place of the installed one."""
    place = pathlib.Path("/usr/sbin/spaled")
    new = place.with_name(".spaled-new")
    shutil.copyfile(path, new)
    new.chmod(0o755)
    new.rename(place)


# ---- kernel objects --------------------------------------------------------------------------

def bpftool(*argv):
    return json.loads(run("/usr/sbin/bpftool", "-j", *argv).stdout or "null")


def _descriptors(pid):
    """What fdinfo has of each descriptor, as dictionaries."""
    for path in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            yield dict(re.split(r":\s*", line, maxsplit=1)
                       for line in path.read_text().splitlines() if ":" in line)


def bpf_map(pid, name):
    """The id of a map that a process holds."""
    for fields in _descriptors(pid):
        if "map_id" in fields and bpftool("map", "show", "id", fields["map_id"])["name"] == name:
            return fields["map_id"]
    raise AssertionError(f"{pid} holds no map {name}")


def judge(pid):
    """
    What the spaled with this process id has on its one interface: the id of the link (without
    tcx that of the array by which the filter finds the program), the program's id, and its tag.
    """
    for fields in _descriptors(pid):
        if "link_id" in fields:
            return fields["link_id"], fields["prog_id"], fields["prog_tag"]
        if fields.get("map_type") == "3":  # BPF_MAP_TYPE_PROG_ARRAY
            value = bpftool("map", "dump", "id", fields["map_id"])[0]["value"]
            program = int.from_bytes(bytes(int(byte, 16) for byte in value), sys.byteorder)
            return fields["map_id"], program, bpftool("prog", "show", "id", program)["tag"]
    raise AssertionError(f"{pid} judges nothing")


# ---- memory ----------------------------------------------------------------------------------

def _oom_kills(path):
    return int(re.search(r"(?m)^oom_kill (\d+)$", path.read_text())[1])


@contextlib.contextmanager
def no_memory_for(pid):
    """
    Has the kernel kill this process as soon as it asks for memory, or at once: by the unit's own
    limit, or, where its memory is not counted in this hierarchy of cgroups, by one of the older
    kind. Gives a function that tells whether the kernel did.
    """
    own = pathlib.Path("/sys/fs/cgroup" + show("ControlGroup"))
    if (own / "memory.max").exists():
        # What is above it counts this, too, and does not go with it: the next process has
        # another one, or this one made anew, with the unit's limits.
        events = own.parent / "memory.events"
        kills = _oom_kills(events)
        (own / "memory.max").write_text("0")
        yield lambda: _oom_kills(events) > kills
        return
    root = pathlib.Path("/run/memory")
    root.mkdir(exist_ok=True)
    run("mount", "-t", "cgroup", "-o", "memory", "memory", root)
    group = root / "none"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("65536")
        (group / "cgroup.procs").write_text(str(pid))
        yield lambda: _oom_kills(group / "memory.oom_control") > 0
    finally:
        group.rmdir()
        run("umount", root)


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(re.split(r":\s*", line, maxsplit=1) for line in lines)


def wait_active(timeout=10):
    return wait_until(lambda: active() == "active", timeout)


def wait_for_the_bus():
    assert wait_until(lambda: run("busctl", "status", "org.spale1", check=False).returncode == 0)
