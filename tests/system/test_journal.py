# SPDX-License-Identifier: MIT
"""What a real journald gets: each event as an entry with id, fields and explanation."""

import json
import re

import machine
import pytest
from lib import knock as lib_knock, netns, services
from machine import CONF, run, systemctl, wait_until

IDS = dict(re.findall(r'#define SPALE_MESSAGE_(\w+)\s+"(\w+)"',
                      (machine.ROOT / "include/spale/message-ids.h").read_text()))
FIELDS = set(re.findall(r'#define SPALE_FIELD_\w+\s+"(\w+)"',
                        (machine.ROOT / "include/spale/message-ids.h").read_text()))
NAMES = {number: name for name, number in IDS.items()}
PRIORITY = {"info": "6", "warning": "4", "error": "3"}


def entries(event=None, cursor=None):
    """Entries of the service, as dictionaries: of one event, behind a cursor."""
    run("journalctl", "--sync")
    # Chosen here: systemd 252 skips one more after a cursor that a filter does not let through.
    after = ["--after-cursor", cursor] if cursor else []
    text = run("journalctl", "--boot", "--unit", "spaled", "--output", "json", "--no-pager",
               *after).stdout
    # What systemd says about the unit is not ours.
    return [entry for entry in map(json.loads, text.splitlines())
            if entry.get("SYSLOG_IDENTIFIER") == "spaled" and
            (event is None or entry.get("MESSAGE_ID") == IDS[event])]


class Since:
    """What has come since this was made."""

    def __init__(self):
        self.cursor = entries()[-1]["__CURSOR"]

    def one(self, event, priority="info", **fields):
        """The only entry of EVENT, with exactly these fields. Any: there, whatever it holds."""
        assert wait_until(lambda: entries(event, self.cursor), 5), machine.journal()[-3000:]
        found = entries(event, self.cursor)
        assert len(found) == 1, found
        entry = found[0]
        assert entry["PRIORITY"] == PRIORITY[priority]
        assert entry["_SYSTEMD_UNIT"] == "spaled.service"
        got = {key.removeprefix("SPALE_").lower(): value for key, value in entry.items()
               if key in FIELDS}
        assert set(got) == set(fields)
        assert {key: got[key] for key, value in fields.items() if value is not any} == {
            key: value for key, value in fields.items() if value is not any}
        for value in got.values():
            assert value in entry["MESSAGE"]
        return entry


@pytest.fixture(scope="module", autouse=True)
def configured(outside):
    machine.install_packages()
    machine.configure()


@pytest.fixture(autouse=True)
def alice(configured, tmp_path):
    """The service was just started; the key file of a client who is new too."""
    for path in (CONF / "clients").iterdir():
        path.unlink()
    key = machine.new_client(tmp_path, "alice")
    systemctl("restart", "spaled")
    yield key
    machine.write_configuration()


@pytest.fixture
def since(alice):
    return Since()


PORTS = f"{services.TCP}/tcp"


def test_start_and_stop(since):
    systemctl("stop", "spaled")
    since.one("STOPPED", detail=any)
    systemctl("start", "spaled")
    since.one("STARTED", ports=PORTS, detail=any)
    since.one("INTERFACE_ATTACHED", interface="eth0", detail=any)


def test_knocks_and_grants(outside, alice, since):
    source = outside.source("ipv4")
    assert outside.gets_in(alice)
    since.one("KNOCK_ACCEPTED", client="alice", source=source, ports=PORTS, until=any,
              interface="eth0")
    added = since.one("GRANT_ADDED", client="alice", source=source, ports=PORTS, grant=any,
                      until=any)

    since = Since()
    outside.knock(alice)
    extended = since.one("GRANT_EXTENDED", client="alice", source=source, ports=PORTS, grant=any,
                         until=any)
    assert extended["SPALE_GRANT"] == added["SPALE_GRANT"]

    since = Since()
    (CONF / "clients" / "alice.conf").write_text("[Client]\nAllowedSources=192.0.2.0/24\n")
    systemctl("reload", "spaled")
    since.one("RELOADED", detail=any)
    since.one("GRANT_REVOKED", client="alice", source=source, ports=PORTS, reason="source",
              grant=added["SPALE_GRANT"], detail=any)
    # Not later than the revocation; in the next time step it would be for the source.
    outside.knock(alice)
    refused = since.one("KNOCK_REFUSED", "warning", client="alice", source=source, reason=any,
                        interface="eth0", detail=any)
    assert refused["SPALE_REASON"] in ("floor", "source")


def test_denied_attempts(outside, since):
    # Of who was told lately: a restart keeps that, and a slow knock of another test may have been.
    systemctl("stop", "spaled")
    systemctl("start", "spaled")
    assert outside.is_kept_from(services.TCP)
    since.one("ACCESS_DENIED", source=outside.source("ipv4"), ports=PORTS, reason="denied",
              interface="eth0", detail="1 packet")


def test_expiry(outside, alice, since):
    machine.write_configuration(extra="[Grant]\nIdle=1s\nGrace=0\n")
    systemctl("reload", "spaled")
    assert outside.gets_in(alice)
    assert wait_until(lambda: entries("GRANT_EXPIRED", since.cursor), 6)
    since.one("GRANT_EXPIRED", client="alice", source=outside.source("ipv4"), ports=PORTS,
              grant=any)


def fail2ban(log, *options):
    """What the installed filter finds in LOG: the addresses, and how many lines it left."""
    done = run("fail2ban-regex", "--raw", "--out", "ip", *options, log,
               "/etc/fail2ban/filter.d/spale.conf")
    return done.stdout.split()


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_fail2ban_finds_who_tries(outside, family):
    """fail2ban reads the journal itself, and picks the lines by the filter's journalmatch."""
    source = outside.source(family, 1)
    before = fail2ban("systemd-journal").count(source)
    assert outside.is_kept_from(services.TCP, family, source=1)
    assert wait_until(lambda: fail2ban("systemd-journal").count(source) > before, 5)


def test_fail2ban_finds_forged_knocks_only(outside, alice, tmp_path):
    """A knock in alice's name without her key counts, one from where she may not knock does not."""
    since = Since()
    bundle = alice.read_text()
    server, client = bundle.split("-----BEGIN PRIVATE KEY-----")
    key = lib_knock.load_private(("-----BEGIN PRIVATE KEY-----" + client).encode())
    datagram = bytearray(lib_knock.make(key, lib_knock.load_public(server.encode())))
    datagram[-1] ^= 1
    netns.udp_send(outside, "ipv4", machine.KNOCK, bytes(datagram))
    since.one("KNOCK_REFUSED", "warning", client="alice", source=any, reason="bad-seal",
              interface="eth0", detail=any)
    (CONF / "clients" / "alice.conf").write_text("[Client]\nAllowedSources=192.0.2.0/24\n")
    systemctl("reload", "spaled")
    outside.knock(alice)
    assert wait_until(lambda: len(entries("KNOCK_REFUSED", since.cursor)) == 2, 5)

    lines = [entry["MESSAGE"] for entry in entries(cursor=since.cursor)]
    log = tmp_path / "log"
    log.write_text("".join(f"Jan 01 00:00:00 box spaled[1]: {line}\n" for line in lines))
    assert fail2ban(log) == [outside.source("ipv4")]


def test_interface_comes_and_goes():
    machine.write_configuration()
    conf = CONF / "spale.conf"
    conf.write_text(conf.read_text().replace("Interfaces=eth0", "Interfaces=eth0 more*"))
    systemctl("reload", "spaled")
    since = Since()
    run("ip", "link", "add", "more0", "type", "veth", "peer", "name", "cable0")
    since.one("INTERFACE_ATTACHED", interface="more0", detail="tc")
    since = Since()
    run("ip", "link", "set", "more0", "name", "more1")
    since.one("INTERFACE_LOST", "warning", interface="more0", detail="it is called more1 now")
    since.one("INTERFACE_ATTACHED", interface="more1", detail="tc, it was called more0")
    since = Since()
    run("ip", "link", "del", "more1")
    since.one("INTERFACE_LOST", "warning", interface="more1",
              detail="it was removed or taken elsewhere")
    run("ip", "link", "add", "more2", "type", "veth", "peer", "name", "cable0")
    since.one("INTERFACE_ATTACHED", interface="more2", detail="tc")
    since = Since()
    machine.write_configuration()
    systemctl("reload", "spaled")
    since.one("INTERFACE_LOST", "warning", interface="more2", detail="it is not covered now")
    run("ip", "link", "del", "more2")


def test_clients_and_policy(since, tmp_path):
    """By an administrator, who is named."""
    def ctl(*argv):
        return run("spalectl", "--no-pager", *argv)

    assert wait_until(lambda: run("busctl", "status", "org.spale1", check=False).returncode == 0)
    ctl("client", "add", "bob", "--out", tmp_path / "bob.key")
    since.one("CLIENT_ENROLLED", client="bob", caller=any)
    ctl("client", "disable", "bob")
    since.one("CLIENT_CHANGED", client="bob", caller=any, detail="disabled")
    ctl("client", "remove", "bob")
    since.one("CLIENT_REMOVED", client="bob", caller=any, detail="disabled")
    ctl("allow", "192.0.2.7")
    since.one("POLICY_CHANGED", reason="allowed", source="192.0.2.7", caller=any,
              detail="until reload or restart")


SETS = """
table inet filter {
    set who4 { type ipv4_addr . inet_proto . inet_service; flags timeout; }
    set who6 { type ipv6_addr . inet_proto . inet_service; flags timeout; }
}
"""


def test_nftables_sets_that_come_later(since):
    machine.write_configuration(extra="[Nftables]\nMirror=inet filter who4 who6\n")
    systemctl("reload", "spaled")
    since.one("NFTABLES_LOST", "warning", detail=any)
    run("nft", "-f", "-", input=SETS)
    since.one("NFTABLES_RESTORED", detail=any)
    run("nft", "delete", "table", "inet", "filter")


@pytest.mark.parametrize("lost", ["spale.conf", "server.key"])
def test_last_good(since, lost):
    """A configuration that was, if there are keys to go with it, takes knocks; without it says so."""
    systemctl("stop", "spaled")
    path = CONF / lost
    kept = path.read_bytes()
    path.write_text("nonsense\n")
    without = "no knock can be taken"
    try:
        systemctl("start", "spaled")
        fields = {"detail": any} if lost == "server.key" else {}
        said = since.one("LAST_GOOD", "error", **fields)["MESSAGE"]
        assert (without in said) == (without in machine.show("StatusText")) == bool(fields)
    finally:
        path.write_bytes(kept)


def test_log_only_is_seen_in_the_status():
    machine.write_configuration()
    conf = CONF / "spale.conf"
    conf.write_text(conf.read_text().replace("[Protect]", "[Protect]\nLogOnly=yes"))
    systemctl("reload", "spaled")
    assert machine.show("StatusText").endswith("; log-only: nothing is dropped")


def test_what_is_unusable(since):
    bad = CONF / "clients" / "mallory.pem"
    bad.write_text("no key\n")
    systemctl("reload", "spaled")
    bad.unlink()
    since.one("CLIENT_REFUSED", "warning", client="mallory", detail=any)

    (CONF / "spale.conf").write_text("[Protect]\nPorts=nonsense\n")
    assert systemctl("reload", "spaled", check=False).returncode != 0
    since.one("RELOAD_FAILED", "error", detail=any)


def test_many_unusable_clients(since):
    """The journal gets some of them and a number, who checks the configuration all."""
    said = machine.Said()
    bad = [CONF / "clients" / f"mallory{number}.pem" for number in range(33)]
    for path in bad:
        path.write_text("no key\n")
    systemctl("reload", "spaled")
    checked = run("spaled", "--check-config", check=False).stderr
    for path in bad:
        path.unlink()
    assert f"{len(bad) - 20} more reasons to refuse clients" in said
    # That they changed may have been noticed as well.
    assert len(entries("CLIENT_REFUSED", since.cursor)) in (20, 40)
    assert all(f"{path}: error:" in checked for path in bad)


JOURNALD = [f"systemd-journald{suffix}" for suffix in (".service", ".socket", "-dev-log.socket",
                                                       "-audit.socket")]


def test_started_without_journald(outside, alice, since):
    """What happens once it is there is told to it, and what happened before is on nobody's record."""
    systemctl("stop", *JOURNALD)
    try:
        systemctl("restart", "spaled")
        pid = machine.main_pid()
    finally:
        systemctl("start", *reversed(JOURNALD))
    assert entries("STARTED", since.cursor) == []
    assert outside.gets_in(alice)
    since.one("KNOCK_ACCEPTED", client="alice", source=any, ports=PORTS, until=any,
              interface="eth0")
    assert machine.main_pid() == pid


def test_last_words_are_the_units(since):
    """A process that ends at once is known by its unit all the same."""
    (CONF / "spale.conf").write_text("[Protect]\nPorts=nonsense\n")
    systemctl("restart", "spaled", check=False)
    assert wait_until(lambda: any("nonsense" in entry["MESSAGE"] and entry["PRIORITY"] == "3"
                                  for entry in entries(cursor=since.cursor)), 5)


def test_every_entry_is_explained():
    """Runs last: the catalog has a text for all that was said, with every field filled in."""
    said = {NAMES[entry["MESSAGE_ID"]] for entry in entries() if "MESSAGE_ID" in entry}
    assert said == set(IDS)
    for event in said:
        text = run("journalctl", "--boot", "--catalog", "--no-pager", f"MESSAGE_ID={IDS[event]}",
                   "SYSLOG_IDENTIFIER=spaled").stdout
        assert "Subject: " in text and "Defined-By: spale" in text, event
        # A field that an entry lacks stands there by its name.
        assert not re.search("@|SPALE_", re.sub(r".*spaled\[\d+\]: .*", "", text)), text
