# SPDX-License-Identifier: MIT
"""What is in force, and where it comes from: files, drop-ins, options, and files of spale 0.3.

Through the real `spaled --show-config` and `--check-config`.
"""

import pathlib
import re
import subprocess

import pytest

from lib.daemon import SPALED

USABLE, UNUSABLE = 0, 78

NEEDED = "[Protect]\nInterfaces=s0\nPorts=22/tcp\n[Knock]\nPorts=62201\n"

# As spale 0.3 has it: flat, with comments behind values and settings of clients.
LEGACY = """\
# Interface / mode / knock port
IFACE=eth0
MODE=tc                   # tc|xdp
LISTEN_PORT=55555         # SPA UDP port
LISTEN_ADDR=0.0.0.0
LISTEN_ADDR6=::

# Protected destination ports
PROTECTED_PORTS=22,443,8443

IDLE_SEC=60
GRACE_SEC=-1
SPA_RL_RATE=3
SPA_RL_BURST=3
SERVER_KEY=server.key
CLIENTS_DIR=clients     # *.pem public keys; basename is client ID

# Always-allowed sources
ALWAYS_ALLOW=192.168.1.10,10.0.0.0/8,203.0.113.0/24,2001:db8::/32

LOG_ONLY=0
LOG_LEVEL=debug
LOG_USE_SYSLOG=1
ALICE_IDLE_SEC=120
ALICE_GRACE_SEC=60
ALICE_PORTS=22,8443           # subset of PROTECTED_PORTS
"""


class Shown:
    """What --show-config prints: values by section and key, each with its origin."""

    def __init__(self, text):
        self.items = {}
        section, last = None, None
        for line in text.splitlines():
            if line.startswith("["):
                section = line[1:-1]
            elif line.startswith("# "):
                self.items[last][-1][1] = line[2:]
            elif line:
                key, _, value = line.partition("=")
                last = (section, key)
                self.items.setdefault(last, []).append([value, None])

    def __call__(self, section, key):
        return [tuple(item) for item in self.items[section, key]]


def show(directory, *options):
    done = subprocess.run([SPALED, "--show-config", "-c", directory / "spale.conf", *options],
                          text=True, capture_output=True, check=False, timeout=10)
    assert done.returncode == USABLE, done.stderr
    assert "error: " not in done.stderr
    return Shown(done.stdout.replace(f"{directory}/", ""))


def said(directory, *options):
    """Exit status and messages of --show-config, for what is not usable or is worth a word."""
    done = subprocess.run([SPALED, "--show-config", "-c", directory / "spale.conf", *options],
                          text=True, capture_output=True, check=False, timeout=10)
    return done.returncode, done.stderr.replace(f"{directory}/", "").splitlines()


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "spale.conf").write_text(NEEDED)
    (tmp_path / "spale.conf.d").mkdir()
    return tmp_path


def add_keys(directory):
    """A server key, and the clients alice and bob."""
    (directory / "clients").mkdir()
    for name in ("server", "alice", "bob"):
        key = directory / f"{name}.key"
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", key], check=True)
        key.chmod(0o600)
        if name != "server":
            subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out",
                            directory / "clients" / f"{name}.pem"], check=True)


def test_every_key_is_shown(directory):
    shown = show(directory)
    defaults = {
        ("Protect", "Mode"): "tc", ("Protect", "Scope"): "local",
        ("Protect", "KeepEstablished"): "yes", ("Protect", "AlwaysAllow"): "",
        ("Protect", "LogOnly"): "no", ("Protect", "LogDenied"): "1/10s",
        ("Knock", "Addresses"): "any", ("Knock", "Formats"): "1",
        ("Knock", "RateLimit"): "3/s", ("Knock", "RateBurst"): "10",
        ("Knock", "TotalRateLimit"): "2000/s", ("Knock", "ServerKey"): "server.key",
        ("Knock", "ClientsDirectory"): "clients", ("Grant", "Idle"): "60s",
        ("Grant", "Grace"): "300s", ("Grant", "Lifetime"): "12h", ("Grant", "Prefix4"): "32",
        ("Grant", "Prefix6"): "128", ("Grant", "RequireSourceMatch"): "auto",
        ("Grant", "RequireDestinationMatch"): "no", ("Nftables", "Mirror"): "no",
        ("Log", "Level"): "info",
        ("Attach", "Pin"): "no", ("Attach", "PinDirectory"): "/sys/fs/bpf/spale",
        ("Attach", "External"): "no",
    }
    said_here = {
        ("Protect", "Interfaces"): ("s0", "spale.conf:2"),
        ("Protect", "Ports"): ("22/tcp", "spale.conf:3"),
        ("Knock", "Ports"): ("62201", "spale.conf:5"),
    }
    expected = {key: [[value, "default"]] for key, value in defaults.items()}
    expected |= {key: [list(value)] for key, value in said_here.items()}
    assert shown.items == expected


def test_long_line(directory):
    """An AlwaysAllow= of more than 5,000 bytes comes out as it went in."""
    prefixes = " ".join(f"10.{n // 256}.{n % 256}.0/24" for n in range(400))
    assert len(prefixes) > 5000
    with open(directory / "spale.conf", "a", encoding="ascii") as file:
        file.write(f"[Protect]\nAlwaysAllow={prefixes}\n")
    assert show(directory)("Protect", "AlwaysAllow") == [(prefixes, "spale.conf:7")]


def test_drop_ins(directory):
    drop_ins = directory / "spale.conf.d"
    (drop_ins / "20.conf").write_text("[Protect]\nMode=xdp\nPorts=80/tcp\n")
    (drop_ins / "10.conf").write_text("[Protect]\nMode=tc\nPorts=443/tcp\n")
    (drop_ins / "30.txt").write_text("[Protect]\nMode=nonsense\n")
    (drop_ins / "40.conf").symlink_to("/dev/null")
    shown = show(directory)
    assert shown("Protect", "Mode") == [("xdp", "spale.conf.d/20.conf:2")]
    assert shown("Protect", "Ports") == [("22/tcp", "spale.conf:3"),
                                         ("443/tcp", "spale.conf.d/10.conf:3"),
                                         ("80/tcp", "spale.conf.d/20.conf:3")]


def test_drop_in_that_is_wrong(directory):
    (directory / "spale.conf.d" / "x.conf").write_text("[Grant]\n\nPrefix4=8\n")
    assert said(directory) == (UNUSABLE, [
        'spale.conf.d/x.conf:3: error: [Grant] Prefix4= cannot take "8"; it takes a prefix length '
        'from 16 to 32'])


def test_order_of_the_directories(tmp_path):
    """/etc beats /run beats /usr/lib by name; what is left goes by name. In a view of our own."""
    usage = subprocess.run([SPALED, "--help"], text=True, capture_output=True, check=True).stdout
    etc = pathlib.Path(re.search(r"\((/\S+)/spale\.conf\)", usage)[1])
    places = {"etc": etc, "run": pathlib.Path("/run/spale"), "lib": pathlib.Path("/usr/lib/spale")}
    files = {
        "etc": {"b.conf": "Ports=2/tcp"},
        "run": {"b.conf": "Ports=3/tcp", "a.conf": "Ports=4/tcp"},
        "lib": {"b.conf": "Ports=5/tcp", "a.conf": "Ports=6/tcp", "c.conf": "Ports=7/tcp"},
    }
    script = ["set -e", f"mount -t tmpfs tmpfs {tmp_path}"]
    for name, place in places.items():
        base = place.parent
        script += [f"mkdir -p {base} {tmp_path}/{name} {tmp_path}/{name}.work",
                   f"mount -t overlay -o lowerdir={base},upperdir={tmp_path}/{name},"
                   f"workdir={tmp_path}/{name}.work overlay {base}",
                   f"rm -rf {place}", f"mkdir -p {place}/spale.conf.d"]
        script += [f"printf '[Protect]\\n{text}\\n' > {place}/spale.conf.d/{file}"
                   for file, text in files[name].items()]
    script += [f"printf '{NEEDED}' > {etc}/spale.conf", f"exec {SPALED} --show-config"]
    done = subprocess.run(["unshare", "--mount", "sh", "-c", "\n".join(script)], text=True,
                          capture_output=True, check=False, timeout=20)
    assert done.returncode == USABLE, done.stderr
    assert Shown(done.stdout)("Protect", "Ports") == [
        ("22/tcp", f"{etc}/spale.conf:3"),
        ("4/tcp", "/run/spale/spale.conf.d/a.conf:2"),
        ("2/tcp", f"{etc}/spale.conf.d/b.conf:2"),
        ("7/tcp", "/usr/lib/spale/spale.conf.d/c.conf:2")]


def test_options_beat_files(directory):
    (directory / "spale.conf.d" / "x.conf").write_text("[Grant]\nIdle=5\n[Protect]\nLogOnly=no\n")
    shown = show(directory, "-i", "eth7", "-i", "eth8", "-t", "-1", "-g", "2min", "-m", "xdp", "-n",
                 "-S", "1000", "--server-key", "/a.key", "--clients", "/people")
    assert shown("Protect", "Interfaces") == [("eth7 eth8", "option -i")]
    assert shown("Protect", "Mode") == [("xdp", "option -m")]
    assert shown("Protect", "LogOnly") == [("yes", "option -n")]
    assert shown("Protect", "Ports") == [("22/tcp", "spale.conf:3")]
    assert shown("Knock", "Ports") == [("1000", "option -S")]
    assert shown("Knock", "ServerKey") == [("/a.key", "option --server-key")]
    assert shown("Knock", "ClientsDirectory") == [("/people", "option --clients")]
    assert shown("Grant", "Idle") == [("-1", "option -t")]
    assert shown("Grant", "Grace") == [("2min", "option -g")]


@pytest.mark.parametrize("option, value, message", [
    ("-m", "tcx", '[Protect] Mode= cannot take "tcx"; it takes tc or xdp'),
    ("-S", "62201/tcp", '[Knock] Ports= cannot take "62201/tcp": a knock is one UDP datagram; it '
     "takes UDP ports such as 62201 or 62201/udp"),
    ("-t", "never", '[Grant] Idle= cannot take "never"; it takes a duration such as 90 (seconds), '
     "5min, 1h 30min or infinity, from 1 second"),
    ("-i", "eth/0", '[Protect] Interfaces= cannot take "eth/0"; it takes names of interfaces, or '
     "patterns of glob(7)"),
])
def test_option_that_is_wrong(directory, option, value, message):
    assert said(directory, option, value) == (UNUSABLE, [f"option {option}: error: {message}"])


def test_emptied_and_later_lines(directory):
    (directory / "spale.conf.d" / "x.conf").write_text(
        "[Protect]\nPorts=\nPorts=80/tcp\nMode=xdp\nMode=\n")
    shown = show(directory)
    assert shown("Protect", "Ports") == [("80/tcp", "spale.conf.d/x.conf:3")]
    assert shown("Protect", "Mode") == [("tc", "default")]


@pytest.mark.parametrize("text, line", [
    (b"\xef\xbb\xbf" + NEEDED.encode(), "spale.conf: warning: the file begins with a byte order "
     "mark, which is left out; save it as UTF-8 without one"),
    (NEEDED.encode() + b"[Plugin]\nPin=yes\n",
     "spale.conf:7: warning: unknown section [Plugin]: Pin= has no effect"),
    (NEEDED.encode() + b"IFACE=eth0\n", "spale.conf:6: warning: unknown key IFACE= in [Knock]; keys "
     "of spale 0.3 stand before the first section"),
    (b"Interfaces=eth0\n" + NEEDED.encode(),
     "spale.conf:1: warning: unknown key Interfaces= before the first section"),
    (NEEDED.replace("22/tcp", "1-2000/tcp").encode(), "warning: [Protect] Ports= has 2000 ports and "
     "one grant opens 1024 at most: each client needs Ports= of its own"),
], ids=["byte-order-mark", "section", "legacy-in-section", "before-sections", "many-ports"])
def test_warnings(directory, text, line):
    (directory / "spale.conf").write_bytes(text)
    assert said(directory) == (USABLE, [line])


def test_carriage_returns(directory):
    (directory / "spale.conf").write_bytes(NEEDED.replace("\n", "\r\n").encode())
    assert said(directory) == (USABLE, [])
    assert show(directory)("Protect", "Interfaces") == [("s0", "spale.conf:2")]


@pytest.mark.parametrize("text, line", [
    (b"[Grant]\n= 5\n", 'spale.conf:7: error: there is no key in front of "="'),
    (b"[]\n", 'spale.conf:6: error: a section needs a name between "[" and "]"'),
    (b"[Grant] # times\n", 'spale.conf:6: error: "# times" stands behind the section [Grant], where '
     "nothing may"),
    (b"Ports=,\n", 'spale.conf:6: error: [Knock] Ports= cannot take ","; it takes UDP ports such as '
     "62201 or 62201/udp"),
    (b"[Grant]\nIdle=60s # a minute\n", 'spale.conf:7: error: [Grant] Idle= cannot take '
     '"60s # a minute"; it takes a duration such as 90 (seconds), 5min, 1h 30min or infinity, from '
     "1 second"),
    (b"[Grant]\nRequireDestinationMatch=yes\n", "spale.conf:7: error: [Grant] "
     'RequireDestinationMatch= cannot take "yes": a knock of format 1, the only one of this version, '
     "does not state it; it takes no"),
], ids=["no-key", "no-section", "behind-section", "comma", "comment", "destination"])
def test_errors(directory, text, line):
    (directory / "spale.conf").write_bytes(NEEDED.encode() + text)
    assert said(directory) == (UNUSABLE, [line])


def test_legacy(directory):
    (directory / "spale.conf").write_text(LEGACY)
    add_keys(directory)
    done = subprocess.run([SPALED, "--check-config", "-c", directory / "spale.conf"], text=True,
                          capture_output=True, check=False, timeout=10)
    assert (done.returncode, done.stdout) == (USABLE, "configuration is usable\n"), done.stderr

    shown = show(directory)
    assert shown("Protect", "Interfaces") == [("eth0", "spale.conf:2")]
    assert shown("Protect", "Mode") == [("tc", "spale.conf:3")]
    assert shown("Protect", "Ports") == [("22,443,8443", "spale.conf:9")]
    assert shown("Protect", "AlwaysAllow") == [
        ("192.168.1.10,10.0.0.0/8,203.0.113.0/24,2001:db8::/32", "spale.conf:19")]
    assert shown("Protect", "LogOnly") == [("0", "spale.conf:21")]
    assert shown("Knock", "Ports") == [("55555", "spale.conf:4")]
    assert shown("Knock", "Addresses")[0][0] == "any"
    assert shown("Knock", "RateLimit") == [("3", "spale.conf:13")]
    assert shown("Knock", "RateBurst") == [("3", "spale.conf:14")]
    assert shown("Knock", "ServerKey") == [("server.key", "spale.conf:15")]
    assert shown("Knock", "ClientsDirectory") == [("clients", "spale.conf:16")]
    assert shown("Grant", "Idle") == [("60", "spale.conf:11")]
    assert shown("Grant", "Grace") == [("-1", "spale.conf:12")]
    assert shown("Grant", "Lifetime") == [
        ("infinity", "default of a configuration of spale 0.3")]
    assert shown("Log", "Level") == [("debug", "spale.conf:22")]
    assert shown(None, "ALICE_IDLE_SEC") == [("120", "spale.conf:24")]
    assert shown(None, "ALICE_GRACE_SEC") == [("60", "spale.conf:25")]
    assert shown(None, "ALICE_PORTS") == [("22,8443", "spale.conf:26")]


def test_legacy_is_noted(directory):
    (directory / "spale.conf").write_text(LEGACY)
    new = {2: "IFACE [Protect] Interfaces", 3: "MODE [Protect] Mode", 4: "LISTEN_PORT [Knock] Ports",
           5: "LISTEN_ADDR [Knock] Addresses", 6: "LISTEN_ADDR6 [Knock] Addresses",
           9: "PROTECTED_PORTS [Protect] Ports", 11: "IDLE_SEC [Grant] Idle",
           12: "GRACE_SEC [Grant] Grace", 13: "SPA_RL_RATE [Knock] RateLimit",
           14: "SPA_RL_BURST [Knock] RateBurst", 15: "SERVER_KEY [Knock] ServerKey",
           16: "CLIENTS_DIR [Knock] ClientsDirectory", 19: "ALWAYS_ALLOW [Protect] AlwaysAllow",
           21: "LOG_ONLY [Protect] LogOnly", 22: "LOG_LEVEL [Log] Level"}
    clients = {24: "ALICE_IDLE_SEC Idle", 25: "ALICE_GRACE_SEC Grace", 26: "ALICE_PORTS Ports"}
    expected = {number: "{}= is a key of spale 0.3; its name is now {}=".format(*text.split(" ", 1))
                for number, text in new.items()}
    expected[23] = ("LOG_USE_SYSLOG= is a key of spale 0.3 and has no effect: messages go to "
                    "standard error, which systemd hands to the journal")
    expected |= {number: "{}= is a key of spale 0.3; its name is now {}= in [Client] of the client's "
                 "own .conf file".format(*text.split()) for number, text in clients.items()}
    assert said(directory) == (USABLE, [
        *(f"spale.conf:{number}: notice: {text}" for number, text in sorted(expected.items())),
        "warning: [Grant] Lifetime= is not set and infinity, as in spale 0.3, so a spoofed packet "
        "now and then keeps a grant for ever; set it, to 12h for example"])


def test_shown_is_read_the_same(directory):
    """What is shown is a configuration, and gives what it came from."""
    (directory / "spale.conf").write_text(LEGACY)
    first = subprocess.run([SPALED, "--show-config", "-c", directory / "spale.conf"], text=True,
                           capture_output=True, check=True, timeout=10).stdout
    (directory / "spale.conf").write_text(first)
    second = subprocess.run([SPALED, "--show-config", "-c", directory / "spale.conf"], text=True,
                            capture_output=True, check=True, timeout=10).stdout

    def values(text):
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    assert values(first) == values(second)
