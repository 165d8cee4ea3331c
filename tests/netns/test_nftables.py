# SPDX-License-Identifier: MIT
"""Grants in the sets of nftables: the real nft(8) beside the daemon, and rules that go by them."""

import re
import time

import pytest

from lib import nft as nftables
from lib import services
from lib.netns import FAMILIES, tcp_closed, tcp_open, udp_open, wait_until
from test_scope import PUBLISHED, inner  # noqa: F401, pylint: disable=unused-import

SETS = {"ipv4": "spale4", "ipv6": "spale6"}
OWN_SETS = {"ipv4": "grants4", "ipv6": "grants6"}
OURS = {"Nftables": {"Mirror": "own"}}
ADMIN = {"Nftables": {"Mirror": "inet filter spale4 spale6"}}
SHORT = {"Idle": "1s", "Grace": "1s"}
USED = {"Idle": "6s", "Grace": "6s"}

PAGE = nftables.example("A HOST WITH NFTABLES")
# The same with intervals, and rules that all kernels take.
HOST = PAGE.replace("flags timeout", "flags interval, timeout") \
    .replace("ip saddr . meta l4proto", "ip saddr . ip protocol") \
    .replace("ip6 saddr . meta l4proto", "ip6 saddr . ip6 nexthdr")
CONTAINERS = nftables.example("A HOST OF CONTAINERS")


def ruleset(flags="interval, timeout", type4="ipv4_addr . inet_proto . inet_service", more=""):
    """Sets without rules."""
    return f"""
table inet filter {{
    set spale4 {{ type {type4}; flags {flags}; {more} }}
    set spale6 {{ type ipv6_addr . inet_proto . inet_service; flags interval, timeout; }}
}}
"""


@pytest.fixture
def nft(lab):
    rules = nftables.Nft(lab.server)
    rules.flush()
    yield rules
    rules.flush()


@pytest.fixture
def daemon(make_daemon, shared_keys, nft):
    """The mirror does not depend on the mode. Made after NFT, so that it ends before that."""
    return make_daemon("tc", shared_keys)


@pytest.fixture
def own_daemon(make_daemon, nft):
    return make_daemon("tc")


def expected(source):
    """The keys of a grant for a source."""
    ports = {("tcp", f"{services.TCP}"), ("tcp", f"{services.BOTH}-{services.ALSO}"),
             ("udp", f"{services.UDP}-{services.BOTH}")}
    return {(source, *rest) for rest in ports}


def granted(lab, family, source=0):
    """Those of a grant for one of the client's addresses."""
    return expected(lab.client.source(family, source))


def single(source):
    """The same in a set without intervals."""
    return {(source, "tcp", str(port)) for port in (services.TCP, services.BOTH, services.ALSO)} \
        | {(source, "udp", str(port)) for port in (services.UDP, services.BOTH)}


def shows(nft, name, keys, table="inet filter", timeout=3.0):
    """Whether a set comes to hold just KEYS."""
    return wait_until(lambda: nft.keys(name, table) == keys, timeout, step=0.05)


# ---- a table of its own ------------------------------------------------------------------------

@pytest.mark.parametrize("family", FAMILIES)
def test_own_table(daemon, lab, nft, family):
    daemon.start(**OURS)
    assert nft.keys(OWN_SETS[family], "inet spale") == set()
    daemon.knock(family=family)
    assert shows(nft, OWN_SETS[family], granted(lab, family), "inet spale")
    for element in nft.elements(OWN_SETS[family], "inet spale"):
        assert element.comment == "spale: alice"
        assert 290 < element.expires <= 305  # a grace of 300 seconds, and the slack
    assert daemon.stop() == 0
    assert not nft.has_own_table()


def test_own_table_names_everybody(daemon, lab, nft):
    daemon.start(**OURS)
    daemon.knock("bob")
    daemon.knock("alice")
    daemon.knock("alice", source=1)
    keys = granted(lab, "ipv4") | granted(lab, "ipv4", 1)
    assert shows(nft, "grants4", keys, "inet spale")
    assert wait_until(lambda: {(e.source, e.comment) for e in nft.elements("grants4", "inet spale")}
                      == {(lab.client.source("ipv4"), "spale: alice, bob"),
                          (lab.client.source("ipv4", 1), "spale: alice")})


@pytest.mark.needs_owned_tables
def test_own_table_is_nobody_elses(daemon, lab, nft):
    """It survives a flush of everything, and nobody can take it away."""
    daemon.start(**OURS)
    daemon.knock()
    assert shows(nft, "grants4", granted(lab, "ipv4"), "inet spale")
    mark = daemon.mark()
    nft.load(HOST)
    nft.flush()
    assert nft.keys("grants4", "inet spale") == granted(lab, "ipv4")
    assert nft.keys("spale4") is None
    assert nft("delete", "table", "inet", "spale", check=False).returncode != 0
    assert nft("flush", "set", "inet", "spale", "grants4", check=False).returncode != 0
    assert "nftables mirror" not in daemon.log(mark)


@pytest.mark.needs_owned_tables
def test_own_table_ends_with_the_daemon(daemon, lab, nft):
    daemon.start(**OURS)
    daemon.knock()
    assert shows(nft, "grants4", granted(lab, "ipv4"), "inet spale")
    daemon.kill()
    assert wait_until(lambda: not nft.has_own_table())


def test_a_table_of_that_name(daemon, lab, nft):
    """It is somebody's who did not ask us, and stays as it is; when it is gone ours is made."""
    nft("add", "table", "inet", "spale")
    daemon.start(**OURS)
    assert daemon.wait_log("nftables mirror lost: there is a table inet spale that spaled did not "
                           "make, and leaves alone\n")
    daemon.knock()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert nft.has_own_table() and nft.keys("grants4", "inet spale") is None
    mark = daemon.mark()
    nft("delete", "table", "inet", "spale")
    assert shows(nft, "grants4", granted(lab, "ipv4"), "inet spale", timeout=1.0)
    assert daemon.wait_log("nftables mirror restored: elements of grants: 3\n", mark)


# ---- the administrator's sets ------------------------------------------------------------------

@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rules, shape", [(PAGE, single), (HOST, expected)],
                         ids=["page", "intervals"])
def test_rules_open_with_the_grant(daemon, lab, nft, family, rules, shape):
    """A firewall that drops by default is open while there is a grant."""
    nft.load(rules)
    daemon.start(Grant=USED)
    daemon.knock(family=family)
    assert tcp_closed(lab.client, family, services.TCP)  # in the firewall
    assert daemon.counters()["granted"] > 0
    assert nft.keys(SETS[family]) == set()
    daemon.write_conf(Grant=USED, **ADMIN)
    daemon.reload()
    assert shows(nft, SETS[family], shape(lab.client.source(family)))
    assert tcp_open(lab.client, family, services.TCP)
    assert udp_open(lab.client, family, services.UDP)
    assert tcp_closed(lab.client, family, services.TCP, source=1)
    assert daemon.wait_log("grant expired", timeout=20)
    assert shows(nft, SETS[family], set(), timeout=1.0)
    assert tcp_closed(lab.client, family, services.TCP)


def test_revocation_closes(own_daemon, lab, nft):
    nft.load(HOST)
    own_daemon.start(**ADMIN)
    own_daemon.knock()
    own_daemon.knock("bob", family="ipv6")
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    assert shows(nft, "spale6", granted(lab, "ipv6"))
    (own_daemon.keys.clients_directory / "alice.pem").unlink()
    own_daemon.reload()
    assert shows(nft, "spale4", set(), timeout=1.0)
    assert nft.keys("spale6") == granted(lab, "ipv6")


def test_rules_stay_open_while_a_grant_is_used(daemon, lab, nft):
    """
    A grant lasts a second after its last packet. Each connection is a new one for the rules, and
    all succeed, though the elements are put again and again.
    """
    nft.load(HOST)
    daemon.start(Grant={"Idle": "2s", "Grace": "2s"}, **ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    end = time.monotonic() + 9
    while time.monotonic() < end:
        assert tcp_open(lab.client, "ipv4", services.TCP)
        time.sleep(0.02)
    assert all(element.expires <= 7 for element in nft.elements("spale4"))
    assert shows(nft, "spale4", set(), timeout=5.0)


def test_a_knock_renews_elements(daemon, lab, nft):
    nft.load(HOST)
    daemon.start(Grant={"Idle": "3s", "Grace": "10s"}, **ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    assert wait_until(lambda: all(e.expires <= 12 for e in nft.elements("spale4")), 5)
    daemon.knock()
    assert wait_until(lambda: all(e.expires >= 14 for e in nft.elements("spale4")), 1)
    assert nft.keys("spale4") == granted(lab, "ipv4")


def test_deadline(daemon, lab, nft):
    nft.load(HOST)
    daemon.start(Grant={"Idle": "60s", "Lifetime": "4s"}, **ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    assert all(element.expires <= 9 for element in nft.elements("spale4"))
    assert shows(nft, "spale4", set(), timeout=6)


def test_no_end(daemon, lab, nft):
    """Not even the set's own timeout."""
    nft.load(ruleset(more="timeout 10s;"))
    daemon.start(Grant={"Idle": "infinity", "Lifetime": "infinity"}, **ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    assert all((e.timeout, e.expires) == (0, 0) for e in nft.elements("spale4"))


# ---- prefixes, and sets without intervals ------------------------------------------------------

def test_prefix_grants(daemon, lab, nft):
    nft.load(HOST)
    daemon.start(Grant={"Prefix4": "24"}, **ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", expected("10.77.0.0/24"))
    assert tcp_open(lab.client, "ipv4", services.TCP, source=1)


def test_prefix_grants_need_intervals(daemon, lab, nft):
    nft.load(ruleset(flags="timeout"))
    daemon.start(Grant={"Prefix4": "24"}, **ADMIN)
    daemon.knock()
    daemon.knock(family="ipv6")
    assert daemon.wait_log(r"nftables cannot show all grants \(1 parts of them missing\): alice has a "
                           r"grant for 10\.77\.0\.0/24, which set spale4 cannot hold: it lacks "
                           r'"flags interval"\n')
    assert shows(nft, "spale6", granted(lab, "ipv6"))
    assert nft.keys("spale4") == set()


def test_without_intervals(daemon, lab, nft):
    nft.load(ruleset(flags="timeout"))
    daemon.start(**ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", single(lab.client.source("ipv4")))


# ---- other people's elements -------------------------------------------------------------------

def test_foreign_elements_stay(daemon, lab, nft):
    foreign = ("192.0.2.1", "tcp", "22")
    nft.load(HOST + "add element inet filter spale4 { 192.0.2.1 . tcp . 22 comment \"mine\" }\n")
    daemon.start(Grant=SHORT, **ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4") | {foreign})
    assert shows(nft, "spale4", {foreign}, timeout=8)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4") | {foreign})
    daemon.stop()
    assert nft.elements("spale4") == [nftables.Element(*foreign, comment="mine")]


@pytest.mark.parametrize("flags", ["interval, timeout", "timeout"])
def test_foreign_element_in_the_way(daemon, lab, nft, flags):
    """It is left as it is; the rest of the grant is shown, and when it goes, all of it."""
    nft.load(ruleset(flags))
    daemon.start(**ADMIN)
    address = lab.client.source("ipv4")
    nft("add", "element", "inet", "filter", "spale4",
        f"{{ {address} . tcp . {services.TCP} timeout 1h }}")
    daemon.knock()
    assert daemon.wait_log("nftables cannot show all grants .*: set spale4 has an element of "
                           "somebody else where this one belongs: alice\n")
    assert wait_until(lambda: len(nft.keys("spale4")) == (3 if "interval" in flags else 5))
    (stays,) = (e for e in nft.elements("spale4") if e.comment == "")
    assert stays.key == (address, "tcp", f"{services.TCP}") and stays.timeout == 3600
    nft("delete", "element", "inet", "filter", "spale4",
        f"{{ {address} . tcp . {services.TCP} }}")
    assert wait_until(lambda: all(e.comment for e in nft.elements("spale4")) and len(
        nft.keys("spale4")) == (3 if "interval" in flags else 5))


# ---- what others do to the ruleset -------------------------------------------------------------

def test_sets_that_come_later(daemon, lab, nft):
    daemon.start(**ADMIN)
    assert daemon.wait_log("nftables mirror lost: there is no table inet filter\n")
    daemon.knock()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    nft.load(HOST)
    assert shows(nft, "spale4", granted(lab, "ipv4"), timeout=1.0)
    assert daemon.wait_log("nftables mirror restored: elements of grants: 3\n")
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_flush_ruleset(daemon, lab, nft):
    nft.load(HOST)
    daemon.start(**ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    nft.flush()
    assert daemon.wait_log("nftables mirror lost: there is no table inet filter\n")
    assert tcp_open(lab.client, "ipv4", services.TCP)
    nft.load(HOST)
    assert shows(nft, "spale4", granted(lab, "ipv4"), timeout=1.0)
    assert daemon.wait_log("nftables mirror restored")


def test_reload_in_one_go(daemon, lab, nft):
    """Flushed and loaded in one transaction: the sets are there, and empty."""
    nft.load(HOST)
    daemon.start(**ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    nft.load("flush ruleset\n" + HOST)
    assert shows(nft, "spale4", granted(lab, "ipv4"), timeout=1.0)
    assert daemon.wait_log("nftables mirror lost: somebody removed elements of grants: 3\n"
                           "nftables mirror restored: they are back\n")
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_reload_by_the_page_takes_nothing(daemon, lab, nft):
    nft.load(PAGE)
    daemon.start(**ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", single(lab.client.source("ipv4")))
    mark = daemon.mark()
    for _ in range(20):
        nft.load(PAGE)
        assert nft.keys("spale4") == single(lab.client.source("ipv4"))
    assert "nftables mirror" not in daemon.log(mark)


@pytest.mark.parametrize("deletion", ["flush set inet filter spale4",
                                      "delete element inet filter spale4 {{ {} . tcp . 7001 }}"])
def test_elements_removed(daemon, lab, nft, deletion):
    nft.load(HOST)
    daemon.start(**ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    nft.load(deletion.format(lab.client.source("ipv4")))
    assert shows(nft, "spale4", granted(lab, "ipv4"), timeout=1.0)
    assert daemon.wait_log("nftables mirror lost: somebody removed elements of grants")


def test_deleted_set_and_changed_type(daemon, lab, nft):
    nft.load(ruleset())
    daemon.start(**ADMIN)
    daemon.knock()
    daemon.knock(family="ipv6")
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    nft("delete", "set", "inet", "filter", "spale4")
    assert daemon.wait_log("nftables mirror lost: there is no set spale4 in table inet filter\n")
    mark = daemon.mark()
    nft("add", "set", "inet", "filter", "spale4", "{ type ipv4_addr; flags timeout; }")
    assert daemon.wait_log(
        r"nftables mirror lost: set spale4 of table inet filter is not of type ipv4_addr \. "
        r"inet_proto \. inet_service\n", mark)
    nft("delete", "set", "inet", "filter", "spale4")
    nft.load(ruleset())
    assert shows(nft, "spale4", granted(lab, "ipv4"), timeout=1.0)
    assert nft.keys("spale6") == granted(lab, "ipv6")
    assert daemon.wait_log("nftables mirror restored", mark)


@pytest.mark.parametrize("text, why", [
    ("table inet filter {}", "there is no set spale4 in table inet filter"),
    (ruleset(type4="ipv6_addr . inet_proto . inet_service"),
     "set spale4 of table inet filter is not of type ipv4_addr . inet_proto . inet_service"),
    (ruleset(flags="interval"), "set spale4 of table inet filter lacks \"flags timeout\", without "
                                "which grants would outlive spaled"),
    (ruleset().replace("set spale4", "map spale4").replace("inet_service; flags", "inet_service : "
                                                           "verdict; flags", 1),
     "set spale4 of table inet filter is a map, not a set"),
    (ruleset().replace("table inet", "table ip"), "there is no table inet filter"),
])
def test_sets_that_do_not_fit(daemon, lab, nft, text, why):
    nft.load(text)
    daemon.start(**ADMIN)
    assert daemon.wait_log(f"nftables mirror lost: {re.escape(why)}\n")
    daemon.knock()
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_typeof_fits(daemon, lab, nft):
    nft.load("""table inet filter {
    set spale4 {
        typeof ip saddr . meta l4proto . th dport
        flags interval,timeout
    }
    set spale6 {
        typeof ip6 saddr . meta l4proto . th dport
        flags timeout,dynamic
    }
}
""")
    daemon.start(**ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    assert "nftables mirror lost" not in daemon.log()


def test_a_full_set(daemon, lab, nft):
    """The kernel refuses; when there is room again it is tried again."""
    nft.load(ruleset(more="size 2;"))
    daemon.start(**ADMIN)
    daemon.knock()
    assert daemon.wait_log("nftables mirror lost: nftables did not take a change of grants: Too many "
                           "open files in system\n")
    assert tcp_open(lab.client, "ipv4", services.TCP)
    nft("delete", "table", "inet", "filter")
    nft.load(ruleset())
    assert shows(nft, "spale4", granted(lab, "ipv4"))


@pytest.mark.alone
def test_reload_storm(daemon, lab, nft):
    """A thousand times everything is flushed and loaded anew while knocks arrive."""
    nft.load(HOST)
    daemon.start(**ADMIN)
    daemon.knock()
    (daemon.directory / "storm.nft").write_text("flush ruleset\n" + HOST)
    storm = lab.server.popen(
        "sh", "-ec", 'i=0; while [ $i -lt 1000 ]; do nft -f "$0"; i=$((i + 1)); done',
        daemon.directory / "storm.nft")
    try:
        knocks = 0
        while storm.poll() is None:
            daemon.knock(source=knocks % 6)
            knocks += 1
            time.sleep(0.1)
        assert storm.wait() == 0 and knocks > 10
    finally:
        storm.kill()
        storm.wait()
    sources = set().union(*(granted(lab, "ipv4", n) for n in range(min(knocks, 6))))
    assert shows(nft, "spale4", sources, timeout=1.0)
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert daemon.log().count("nftables mirror") < 100
    before = daemon.cpu_seconds()
    time.sleep(0.5)
    assert daemon.cpu_seconds() - before < 0.25  # it has come to rest


# ---- restart, reload ---------------------------------------------------------------------------

def test_stop_takes_away(daemon, lab, nft):
    nft.load(HOST)
    daemon.start(**ADMIN)
    daemon.knock()
    assert shows(nft, "spale4", granted(lab, "ipv4"))
    assert daemon.stop() == 0
    assert nft.keys("spale4") == set()


def test_after_a_crash(daemon, lab, nft):
    """What a daemon that was killed has left is known by its comments: and goes with its grants."""
    nft.load(HOST + "add element inet filter spale4 { 192.0.2.1 . tcp . 22 comment \"mine\" }\n")
    daemon.start(**ADMIN)
    daemon.knock()
    foreign = ("192.0.2.1", "tcp", "22")
    assert shows(nft, "spale4", granted(lab, "ipv4") | {foreign})
    daemon.kill()
    assert nft.keys("spale4") == granted(lab, "ipv4") | {foreign}
    daemon.start(first_start=False, **ADMIN)
    assert shows(nft, "spale4", {foreign})


def test_mirror_changes_at_a_reload(daemon, lab, nft):
    nft.load(HOST)
    daemon.start()
    daemon.knock()
    assert not nft.has_own_table()
    for mirror in ("own", "inet filter spale4 spale6", "own", "no"):
        daemon.write_conf(Nftables={"Mirror": mirror})
        daemon.reload()
        assert shows(nft, "spale4", granted(lab, "ipv4") if "inet" in mirror else set())
        assert wait_until(lambda: nft.has_own_table() == (mirror == "own"))
        if mirror == "own":
            assert shows(nft, "grants4", granted(lab, "ipv4"), "inet spale")


# ---- containers --------------------------------------------------------------------------------

@pytest.mark.parametrize("family", FAMILIES)
def test_published_ports(daemon, lab, nft, inner, family):
    """The page's ruleset beside rules as Docker makes them: the port before translation counts."""
    nft.load(f"""
table inet published_rules {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        meta nfproto ipv4 tcp dport {PUBLISHED} dnat ip to 10.79.0.2:{services.FREE_TCP}
        meta nfproto ipv6 tcp dport {PUBLISHED} dnat ip6 to [fd79::2]:{services.FREE_TCP}
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        ct state related,established accept
        oifname "i1" tcp dport {services.FREE_TCP} accept
        iifname "i1" accept
    }}
}}
""")
    assert wait_until(lambda: tcp_open(lab.client, family, PUBLISHED), 6)
    nft.load(CONTAINERS.replace('"eth0"', '"s0"').replace("tcp . 8080", f"tcp . {PUBLISHED}"))
    assert tcp_closed(lab.client, family, PUBLISHED)
    sections = {"Protect": {"Ports": f"{PUBLISHED}/tcp"},
                "Nftables": {"Mirror": "inet published spale4 spale6"}}
    daemon.start(**sections)
    daemon.knock(family=family)
    assert shows(nft, SETS[family], {(lab.client.source(family), "tcp", f"{PUBLISHED}")},
                 "inet published")
    assert tcp_open(lab.client, family, PUBLISHED)
    assert tcp_closed(lab.client, family, PUBLISHED, source=1)
    daemon.stop()  # the gate is open now, and the rules are not
    assert tcp_closed(lab.client, family, PUBLISHED)
    nft("delete", "table", "inet", "published")
    assert tcp_open(lab.client, family, PUBLISHED)
