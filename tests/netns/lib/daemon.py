# SPDX-License-Identifier: MIT
"""The real spaled, started by hand in the server's namespace."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from lib import knock, netns, services

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("SPALE_BUILD", ROOT / "build"))
SPALED = BUILD / "src" / "spaled"
SPALE_SEND = BUILD / "src" / "spale-send"
SPALE_KEYGEN = BUILD / "src" / "spale-keygen"

_ABI = (ROOT / "include" / "spale" / "bpf-abi.h").read_text()
REASONS = re.findall(r'X\([A-Z0-9_]+, "([a-z-]+)", (?:PASS|DROP|TAKE)\)', _ABI)
assert REASONS[0] == "unprotected" and "denied" in REASONS


class Keys:
    """A server's key and those of some clients, made by openssl, as files."""

    def __init__(self, directory, clients=("alice", "bob")):
        self.directory = pathlib.Path(directory)
        self.server_path = self.directory / "server.key"
        self.generate(self.server_path)
        self.server = knock.load_private(self.server_path.read_bytes()).public_key()
        self.clients_directory = self.directory / "clients"
        self.clients_directory.mkdir()
        self.private = {}
        for name in clients:
            self.add(name)

    @staticmethod
    def generate(path):
        """A private key in PATH."""
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", path], check=True)
        path.chmod(0o600)

    @staticmethod
    def _public(path):
        return subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], check=True,
                              capture_output=True).stdout

    def add(self, name, enrol=True):
        """Makes a client: enrolled, with a bundle for spale-send."""
        path = self.directory / f"{name}.key"
        self.generate(path)
        public = self._public(path)
        if enrol:
            (self.clients_directory / f"{name}.pem").write_bytes(public)
        self.private[name] = knock.load_private(path.read_bytes())
        self.bundle(name).write_bytes(self._public(self.server_path) + path.read_bytes())
        self.bundle(name).chmod(0o600)

    def bundle(self, name):
        return self.directory / f"{name}.bundle"

    def conf(self, name, **settings):
        """Writes NAME.conf."""
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self.clients_directory / f"{name}.conf").write_text("[Client]\n" + lines)

    def knock(self, name="alice", **options):
        return knock.make(self.private[name], self.server, **options)


class Spaled:
    """One spaled with its configuration, keys, state and log, in a directory of its own."""

    def __init__(self, lab, directory, mode, keys=None):
        self.lab = lab
        self.mode = mode
        self.directory = pathlib.Path(directory)
        self.keys = keys or Keys(self.directory)
        self.conf_path = self.directory / "spale.conf"
        self.state = self.directory / "state"
        self.log_path = self.directory / "log"
        self.process = None
        self.settings = {
            "Protect": {"Interfaces": "s0 s1", "Mode": mode, "Ports": services.PROTECTED},
            "Knock": {"Ports": f"{services.KNOCK} {services.SHARED}",
                      "ServerKey": self.keys.server_path,
                      "ClientsDirectory": self.keys.clients_directory},
            "Grant": {"Idle": "60", "Grace": "300"},
            "Log": {"Level": "debug"},
        }

    # ---- running it ---------------------------------------------------------------------

    def write_conf(self, **sections):
        """Writes the configuration: the usual one, with what SECTIONS say instead."""
        settings = {name: dict(keys) for name, keys in self.settings.items()}
        for name, keys in sections.items():
            settings.setdefault(name, {}).update(keys)
        self.conf_path.write_text("".join(
            f"[{name}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items() if v is not None)
            for name, keys in settings.items()))

    def launch(self, *options, first_start=True, program=()):
        """Starts the process, and does not wait for it."""
        argv = [*program, SPALED, "-c", self.conf_path, "--state-directory", self.state]
        if first_start:
            argv.append("--first-start")
        with open(self.log_path, "ab") as log:
            self.process = self.lab.server.popen(*argv, *options, stdin=subprocess.DEVNULL,
                                                 stdout=log, stderr=log)

    def start(self, *options, first_start=True, program=(), **sections):
        if sections or not self.conf_path.exists():
            self.write_conf(**sections)
        mark = self.mark()
        self.launch(*options, first_start=first_start, program=program)
        assert self.wait_log(r"(?m)^(<\d>)?started\b", mark, timeout=20), self.log()
        return self

    def fails(self, *options, timeout=10, first_start=True):
        """Starts it where it must not start: its exit status and what it said."""
        mark = self.mark()
        self.launch(*options, first_start=first_start)
        try:
            status = self.process.wait(timeout)
        finally:
            self.kill()
        return status, self.log(mark)

    def reload(self, expect=r"\breloaded\b"):
        mark = self.mark()
        self.process.send_signal(signal.SIGHUP)
        assert self.wait_log(expect, mark), self.log(mark)

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(10)
        finally:
            self.kill()

    def kill(self):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait(10)

    # ---- what it says -------------------------------------------------------------------

    def mark(self):
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def log(self, mark=0):
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[mark:].decode(errors="replace")

    def wait_log(self, pattern, mark=0, timeout=3.0):
        """The first match of PATTERN in what was logged since MARK, or None."""
        end = time.monotonic() + timeout * netns.PATIENCE
        while True:
            match = re.search(pattern, self.log(mark))
            if match or time.monotonic() >= end:
                return match
            if self.process.poll() is not None:
                time.sleep(0.05)  # its last words
                return re.search(pattern, self.log(mark))
            time.sleep(0.01)

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def counters(self, kind="packets"):
        """Packets (or "would_drop") by reason, over all interfaces, from the kernel's map."""
        totals = dict.fromkeys(REASONS, 0)
        for row in _bpftool("map", "dump", "id", self._map("counters")):
            for cpu in row["formatted"]["values"]:
                for reason, packets in zip(REASONS, cpu["value"][kind]):
                    totals[reason] += int(packets)
        return totals

    def asks(self):
        """Whether any interface asks whom a frame is for."""
        return any(row["formatted"]["value"]
                   for row in _bpftool("map", "dump", "id", self._map("asking")))

    def _held(self, kind):
        """Ids of what it holds of one kind, as fdinfo calls it."""
        for info in pathlib.Path(f"/proc/{self.process.pid}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                match = re.search(rf"^{kind}_id:\s*(\d+)", info.read_text(), re.M)
                if match:
                    yield match[1]

    def links(self):
        """Ids of the links that it holds."""
        return list(self._held("link"))

    def _map(self, name):
        for number in self._held("map"):
            if _bpftool("map", "show", "id", number).get("name") == name:
                return number
        raise AssertionError(f"spaled holds no map {name}")

    # ---- knocking -----------------------------------------------------------------------

    def send(self, datagram, link=None, family="ipv4", source=0, port=services.KNOCK, server=None):
        netns.udp_send(link or self.lab.client, family, port, datagram, source, server)

    def knock(self, client="alice", link=None, family="ipv4", source=0, port=services.KNOCK,
              datagram=None, server=None):
        """Knocks and waits until it is accepted. Returns the datagram."""
        datagram = datagram or self.keys.knock(client)
        mark = self.mark()
        self.send(datagram, link, family, source, port, server)
        assert self.wait_log(r"knock accepted", mark), \
            f"not accepted: {self.log(mark)!r} {self.counters()}"
        return datagram

    def refused(self, datagram, reason, **where):
        """Knocks and waits until it is refused for REASON."""
        mark = self.mark()
        self.send(datagram, **where)
        assert self.wait_log(rf"knock refused:.*\breason=\"?{reason}\b", mark), \
            f"not refused: {self.log(mark)!r} {self.counters()}"

    def spale_send(self, *options, client="alice", link=None, family="ipv4", port=services.KNOCK,
                   check=True):
        link = link or self.lab.client
        return link.namespace.run(
            SPALE_SEND, "--host", link.server[family], "--port", port,
            "--key", self.keys.bundle(client), *options, check=check)


def _bpftool(*argv):
    out = subprocess.run(["bpftool", "-j", *map(str, argv)], check=True, capture_output=True,
                         env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin"})
    return json.loads(out.stdout)
