# SPDX-License-Identifier: MIT
"""Who gets which answer on the bus: every member, every kind of person, a real polkitd."""

import re
import xml.etree.ElementTree as ElementTree

import bus
import logins
import machine
import pytest
from bus import ACTIONS, DENIED, MANAGER, PROPERTIES, Caller, likely_call, variant
from machine import run, systemctl

# What guards each method, and each property that can be written. All reads: inspect.
TABLE = {
    "org.spale1.Manager": {
        "AddGrant": "grant", "RevokeGrant": "revoke", "RevokeClient": "revoke",
        "RevokeAll": "revoke", "ListGrants": "inspect", "ListAlwaysAllowed": "inspect",
        "AddAlwaysAllowed": "manage-policy", "RemoveAlwaysAllowed": "manage-policy",
        "SetProtectedPorts": "manage-policy", "SetLogOnly": "manage-policy",
        "Trial": "manage-policy", "Confirm": "manage-policy", "EnrollClient": "manage-clients",
        "RemoveClient": "manage-clients", "ListRateLimited": "inspect", "Reload": "manage-policy",
        "Subscribe": "inspect", "Unsubscribe": "inspect", "LogOnly": "manage-policy",
    },
    "org.spale1.Grant": {"Revoke": "revoke", "Extend": "grant"},
    "org.spale1.Client": {"Enable": "manage-clients", "Disable": "revoke",
                          "Remove": "manage-clients", "Set": "manage-clients"},
}
PEOPLE = ["nobodys", "boss", "porter", *(f"may-{each}" for each in ACTIONS)]
REMOTE = [f"{name} over ssh" for name in ("nobodys", "boss", "porter", "root")]


def guard(kind, interface, name):
    return "inspect" if kind == "get" else TABLE[interface][name]


@pytest.fixture(scope="module")
def everybody(outside):
    machine.install_packages()
    machine.configure()
    bus.make_people()
    systemctl("restart", "spaled")
    assert bus.wait_for_name()
    callers = {name: Caller(name) for name in ("root", "all", *PEOPLE)}
    logins.start_sshd()
    for name in REMOTE:
        user = name.split()[0]
        logins.let_in(user)
        callers[name] = Caller(user, through=logins.over_ssh(outside, user))
    yield callers
    for each in callers.values():
        each.close()


@pytest.fixture(name="all_")
def _all(everybody):
    return everybody["all"]


@pytest.fixture
def paths(all_):
    return bus.something_to_change(all_)


def test_every_member_is_in_the_table():
    known = {(interface, name) for kind, interface, name in bus.members() if kind != "get"}
    assert known == {(interface, name) for interface in TABLE for name in TABLE[interface]}


@pytest.mark.parametrize("kind, interface, name", bus.members())
def test_works_for_who_may(all_, paths, kind, interface, name):
    answer = likely_call(all_, kind, interface, name, paths)
    assert answer.error is None, answer
    if kind == "set":
        assert all_.get(name, paths[interface], interface) is True
    if kind == "call":
        results = [each.get("type") for each in
                   bus.XML[interface].find(f"method[@name='{name}']").findall("arg")
                   if each.get("direction") == "out"]
        assert variant(f"({''.join(results)})", answer.value).unpack() == answer.value


def test_who_came_over_ssh_is_remote(everybody, outside):
    for name in REMOTE:
        (session,) = logins.sessions(Name=name.split()[0])
        assert (session["Remote"], session["RemoteHost"]) == ("yes", outside.source("ipv4"))


@pytest.mark.parametrize("user", PEOPLE + REMOTE[:-1])
def test_denied_changes_nothing(everybody, paths, user):
    """All at once that this person may not do, and then a look at everything."""
    before = bus.state(everybody["all"])
    tried = 0
    for kind, interface, name in bus.members():
        if not bus.may(user, guard(kind, interface, name)):
            answer = likely_call(everybody[user], kind, interface, name, paths)
            assert not bus.passed(answer), (kind, interface, name, answer)
            assert answer.value is None
            tried += 1
    assert tried > 5
    assert bus.state(everybody["all"]) == before


@pytest.mark.parametrize("user", ["porter", *(f"may-{each}" for each in ACTIONS), "root", *REMOTE[-2:]])
def test_passes_with_the_action_of_the_table(everybody, user):
    """And with no other: the test above."""
    tried = 0
    for kind, interface, name in bus.members():
        if user.startswith("root") or bus.may(user, guard(kind, interface, name)):
            paths = bus.something_to_change(everybody["all"]) if kind != "get" or not tried else paths
            answer = likely_call(everybody[user], kind, interface, name, paths)
            assert bus.passed(answer), (kind, interface, name, answer)
            tried += 1
    assert tried > 1


# ---- what depends on the arguments -----------------------------------------------------------

PORTS = [("tcp", machine.services.TCP, machine.services.TCP)]


@pytest.mark.parametrize("source, options", [
    ("203.0.113.0/24", {}),
    ("2001:db8::/64", {}),
    ("203.0.113.7", {"lifetime": variant("t", 13 * 3600)}),
    ("203.0.113.7", {"lifetime": variant("t", bus.INFINITY)}),
    ("203.0.113.7", {"permanent": variant("b", True)}),
])
def test_grants_beyond_what_clients_get_are_policy(everybody, source, options):
    call = ("AddGrant", "(sa(sqq)a{sv})", (source, PORTS, options))
    everybody["all"].manager("RevokeAll")
    before = bus.state(everybody["all"])
    for user in ("porter", "may-grant"):
        assert not bus.passed(everybody[user].manager(*call))
    assert bus.state(everybody["all"]) == before
    assert everybody["may-manage-policy"].manager(*call).error is None
    assert everybody["all"].manager(*call).error is None
    everybody["all"].manager("RevokeAll")


def test_long_extensions_are_policy(everybody, paths):
    def extend(user, seconds):
        return everybody[user].call(paths["org.spale1.Grant"], "org.spale1.Grant", "Extend",
                                    variant("(t)", (seconds,)))
    before = bus.state(everybody["all"])
    for seconds in (13 * 3600, 10**9, bus.INFINITY):
        assert not bus.passed(extend("porter", seconds))
    assert bus.state(everybody["all"]) == before
    assert extend("porter", 3600).error is None
    assert extend("all", 13 * 3600).error is None


# ---- what an answer tells ---------------------------------------------------------------------

def test_errors_tell_nothing(everybody, paths):
    """Who may not look gets the same words for what there is and what there is not."""
    there = paths
    not_there = {"org.spale1.Manager": f"{MANAGER}/nothing", "org.spale1.Grant": f"{MANAGER}/grant/99999",
                 "org.spale1.Client": f"{MANAGER}/client/nobody",
                 "org.spale1.Interface": f"{MANAGER}/interface/none0"}
    nobody = everybody["nobodys"]
    for kind, interface, name in bus.members():
        one = likely_call(nobody, kind, interface, name, there)
        other = likely_call(nobody, kind, interface, name, not_there)
        assert one == other, (kind, interface, name)
    for interface, path in there.items():
        for of, member, body in (
                (PROPERTIES, "GetAll", variant("(s)", (interface,))),
                ("org.freedesktop.DBus.Introspectable", "Introspect", variant("()", ())),
                ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", variant("()", ()))):
            one = nobody.call(path, of, member, body)
            assert not bus.passed(one)
            assert one == nobody.call(not_there[interface], of, member, body)
    for name in ("carol", "nobody"):
        assert (nobody.manager("RevokeClient", "(s)", (name,))
                == nobody.manager("RevokeClient", "(s)", ("x",)))


@pytest.mark.parametrize("path, error", [("grant/99999", "NoSuchGrant"), ("client/nobody", "NoSuchClient"),
                                         ("client/_xx", "NoSuchClient"),
                                         ("interface/none0", "NoSuchInterface")])
def test_what_is_not_there_has_a_name(all_, path, error):
    """Whatever is called, also what objects of this kind have not."""
    for interface, member in (("org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
                              ("org.freedesktop.DBus.Introspectable", "Introspect"),
                              ("org.spale1.Grant", "Revoke"), ("org.spale1.Client", "Disable")):
        answer = all_.call(f"{MANAGER}/{path}", interface, member)
        assert answer.error == f"org.spale1.Error.{error}", (interface, member, answer)
    answer = all_.call(f"{MANAGER}/{path}", PROPERTIES, "Get", variant("(ss)", ("org.spale1.Grant", "Client")))
    assert answer.error == f"org.spale1.Error.{error}"


def test_parents_of_objects_tell_nothing(everybody, paths):
    for path in ("/", "/org", MANAGER, *(f"{MANAGER}/{each}" for each in ("grant", "client", "interface"))):
        answer = everybody["nobodys"].call(path, "org.freedesktop.DBus.Introspectable", "Introspect")
        assert not bus.passed(answer), path


def test_ids_are_not_used_again(all_):
    """Not while the daemon runs."""
    numbers = []
    for _ in range(4):
        path = all_.manager("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9", PORTS, {})).value[0]
        numbers.append(int(path.rpartition("/")[2]))
        all_.manager("RevokeAll")
        assert all_.call(path, "org.spale1.Grant", "Revoke").error == "org.spale1.Error.NoSuchGrant"
    assert numbers == sorted(set(numbers))


# ---- wrong calls ------------------------------------------------------------------------------

def test_unknown_options_are_errors(all_, paths):
    one = variant("b", True)
    before = bus.state(all_)
    for member, kind, values in (
            ("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9", PORTS, {"until": one})),
            ("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9", PORTS, {"lifetime": one})),
            ("ListGrants", "(a{sv}uu)", ({"name": one}, 0, 10)),
            ("ListGrants", "(a{sv}uu)", ({"client": one}, 0, 10)),
            ("AddAlwaysAllowed", "(sa{sv})", ("203.0.113.9", {"for-ever": one})),
            ("SetProtectedPorts", "(a(sqq)a{sv})", (PORTS, {"permanent": variant("s", "yes")})),
            ("SetLogOnly", "(ba{sv})", (False, {"Permanent": one})),
            ("EnrollClient", "(ssa{sv})", ("dora", bus.KEYS["dora"], {"Nmae": one}))):
        answer = all_.manager(member, kind, values)
        assert answer.error == "org.spale1.Error.BadArgument", (member, values, answer)
    answer = all_.call(paths["org.spale1.Client"], "org.spale1.Client", "Set",
                       variant("(a{sv})", ({"Enabled": one},)))
    assert answer.error == "org.spale1.Error.BadArgument"
    assert bus.state(all_) == before


@pytest.mark.parametrize("member, kind, values, error", [
    ("AddGrant", "(sa(sqq)a{sv})", ("", PORTS, {}), "BadAddress"),
    ("AddGrant", "(sa(sqq)a{sv})", ("host.example", PORTS, {}), "BadAddress"),
    ("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9/33", PORTS, {}), "BadAddress"),
    ("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9", [("tcp", 0, 0)], {}), "BadPort"),
    ("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9", [("tcp", 9, 8)], {}), "BadPort"),
    ("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9", [("tpc", 9, 9)], {}), "BadPort"),
    ("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9", [("tcp", 9, 9)], {}), "NotProtected"),
    # Quoted by an error up to where a character is not at its end.
    ("AddGrant", "(sa(sqq)a{sv})", ("203.0.113.9", [("0" + "ä" * 40, 9, 9)], {}), "BadPort"),
    ("EnrollClient", "(ssa{sv})", ("0" + "ä" * 60, bus.KEYS["dora"], {}), "BadArgument"),
    ("EnrollClient", "(ssa{sv})", ("dora", bus.KEYS["dora"], {"0" + "ä" * 60: variant("b", True)}), "BadArgument"),
    ("RevokeClient", "(s)", ("nobody",), "NoSuchClient"),
    ("RemoveClient", "(s)", ("nobody",), "NoSuchClient"),
    ("EnrollClient", "(ssa{sv})", ("carol", bus.KEYS["dora"], {}), "ClientExists"),
    ("EnrollClient", "(ssa{sv})", ("dora", bus.KEYS["carol"], {}), "KeyExists"),
    ("EnrollClient", "(ssa{sv})", ("dora", "AAAA", {}), "BadKey"),
    ("EnrollClient", "(ssa{sv})", ("dora", "A" * 43 + "=", {}), "BadKey"),
])
def test_errors_are_named(all_, paths, member, kind, values, error):
    before = bus.state(all_)
    assert all_.manager(member, kind, values).error == f"org.spale1.Error.{error}"
    assert bus.state(all_) == before


@pytest.mark.parametrize("user", ["all", "nobodys"])
def test_arguments_of_wrong_types(everybody, paths, user):
    before = bus.state(everybody["all"])
    wrong = [variant("()", ()), variant("(s)", ("x",)), variant("(u)", (1,)), variant("(v)", (variant("s", ""),)),
             variant("(a{sv}a{sv})", ({}, {})), variant("(ayay)", (b"", b"x")), variant("(ssss)", ("",) * 4)]
    for interface, element in bus.XML.items():
        for method in element.findall("method"):
            signature = "".join(each.get("type") for each in method.findall("arg")
                                if each.get("direction") == "in")
            for body in wrong:
                if body.get_type_string() != f"({signature})":
                    answer = everybody[user].call(paths[interface], interface, method.get("name"), body)
                    assert answer.error is not None, (method.get("name"), body)
    for interface, name, value in (("org.spale1.Manager", "LogOnly", variant("s", "yes")),
                                   ("org.spale1.Manager", "GrantCount", variant("u", 0)),
                                   ("org.spale1.Grant", "Deadline", variant("t", 0)),
                                   ("org.spale1.Nothing", "LogOnly", variant("b", True))):
        answer = everybody[user].call(paths.get(interface, MANAGER), PROPERTIES, "Set",
                                      variant("(ssv)", (interface, name, value)))
        assert answer.error is not None
    assert bus.state(everybody["all"]) == before


# ---- the XML ----------------------------------------------------------------------------------

def test_introspection_is_the_xml(all_, paths):
    """Types, directions, names and annotations of everything that the daemon says it has."""
    for interface, path in paths.items():
        answer = all_.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")
        assert answer.error is None, answer
        said = {each.get("name"): each
                for each in ElementTree.fromstring(answer.value[0]).findall("interface")}
        ours = {name for name in said if name.startswith("org.spale1.")}
        assert ours == {interface}
        assert bus.described(said[interface]) == bus.described(bus.XML[interface])
        assert bus.annotations(said[interface]) == bus.annotations(bus.XML[interface])
        assert {PROPERTIES, "org.freedesktop.DBus.Peer"} <= said.keys()


def test_properties_have_the_types_of_the_xml(all_, paths):
    for interface, path in paths.items():
        answer = all_.call(path, PROPERTIES, "GetAll", variant("(s)", (interface,)))
        assert answer.value[0].keys() == {each.get("name")
                                          for each in bus.XML[interface].findall("property")}
        for prop in bus.XML[interface].findall("property"):
            line = run("busctl", "get-property", bus.NAME, path, interface, prop.get("name")).stdout
            assert line.split(" ")[0].strip() == prop.get("type")


def test_busctl_shows_it(paths):
    text = run("busctl", "introspect", bus.NAME, MANAGER).stdout
    assert re.search(r"^\.AddGrant +method +sa\(sqq\)a\{sv\} +o", text, re.MULTILINE)
    tree = run("busctl", "tree", "--list", bus.NAME).stdout.split()
    assert set(paths.values()) <= set(tree)


def test_nobody_starts_it_by_asking(everybody):
    """Somebody stopped it, and it stays stopped."""
    systemctl("stop", "spaled")
    try:
        answer = everybody["root"].manager("ListAlwaysAllowed")
        assert answer.error == "org.freedesktop.DBus.Error.ServiceUnknown"
        assert machine.active() == "inactive"
    finally:
        systemctl("start", "spaled")
        assert bus.wait_for_name()


def test_nobody_else_takes_the_name(everybody):
    systemctl("stop", "spaled")
    try:
        for user in ("root", "nobodys"):
            answer = everybody[user].call("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                                          variant("(su)", (bus.NAME, 0)), to="org.freedesktop.DBus")
            assert answer.error == DENIED
    finally:
        systemctl("start", "spaled")
        assert bus.wait_for_name()
