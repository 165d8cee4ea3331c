# SPDX-License-Identifier: MIT
"""
Dialogs, and what goes wrong while one is open: persons, agents, callers and polkit itself that fail.
Who is asked nothing, and who is told nothing.
"""

import os
import signal

import bus
import machine
import pytest
from bus import MANAGER, Caller, variant
from lib import services
from machine import run, systemctl, wait_until

PORTS = [("tcp", services.TCP, services.TCP)]
ADD = (MANAGER, "org.spale1.Manager", "AddGrant",
       variant("(sa(sqq)a{sv})", ("203.0.113.5", PORTS, {})))


@pytest.fixture(scope="module")
def root(outside):
    machine.install_packages()
    machine.configure()
    bus.make_people()
    systemctl("restart", "spaled")
    assert bus.wait_for_name()
    caller = Caller("root")
    yield caller
    caller.close()


@pytest.fixture(scope="module", name="all_")
def _all(root):
    caller = Caller("all")
    yield caller
    caller.close()


@pytest.fixture
def paths(all_):
    pid = machine.main_pid()
    yield bus.something_to_change(all_)
    assert machine.main_pid() == pid, "the daemon is not the same any more"


@pytest.fixture
def caller(request, paths):
    """A fresh connection of nobodys, with an agent."""
    each = Caller("nobodys")
    each.become_agent()
    yield each
    each.close()


def sources(all_):
    return {row[2] for row in all_.manager("ListGrants", "(a{sv}uu)", ({}, 0, 1000)).value[1]}


# ---- dialogs ----------------------------------------------------------------------------------

def test_inspect_is_asked_once_and_the_others_each_time(root, caller, paths):
    def asked(*call):
        order = caller.begin(*call, interactive=True)
        try:
            question = caller.question(timeout=2)
        except bus.queue.Empty:
            question = None
        if question:
            caller.agree(question, root)
        assert caller.answer(order).error is None
        return question["action"] if question else None

    look = (MANAGER, "org.spale1.Manager", "ListAlwaysAllowed")
    assert [asked(*look), asked(*look)] == ["org.spale1.inspect", None]
    assert [asked(*ADD), asked(*ADD)] == ["org.spale1.grant"] * 2


def test_dialogs_say_what_is_being_done(caller, paths):
    for body, words in (
            (ADD, ["203.0.113.5", str(services.TCP)]),
            ((MANAGER, "org.spale1.Manager", "RevokeClient", variant("(s)", ("carol",))), ["carol"]),
            ((MANAGER, "org.spale1.Manager", "RevokeAll"), [])):
        call = caller.begin(*body, interactive=True)
        question = caller.question()
        assert "$(" not in question["message"], question
        for word in words:
            assert word in question["message"], question
        caller.dismiss(question)
        assert not bus.passed(caller.answer(call))


# ---- what goes wrong meanwhile ----------------------------------------------------------------

def test_dismissed(all_, caller, paths):
    before = bus.state(all_)
    for interface, path in paths.items():
        call = caller.begin(path, bus.PROPERTIES, "GetAll", variant("(s)", (interface,)), interactive=True)
        caller.dismiss(caller.question())
        assert not bus.passed(caller.answer(call))
    call = caller.begin(*ADD, interactive=True)
    caller.dismiss(caller.question())
    assert caller.answer(call).error == bus.DENIED
    assert bus.state(all_) == before


def test_not_interactive_is_not_asked(caller, paths):
    assert caller.call(*ADD).error == bus.ASK
    assert caller.asked.empty()


@pytest.mark.parametrize("agrees", [False, True])
def test_caller_vanishes_while_the_dialog_is_open(root, all_, paths, agrees):
    """And the person agrees to what nobody wants any more, or the agent has gone as well."""
    before = bus.state(all_)
    lost = Caller("nobodys")
    lost.become_agent()
    lost.begin(MANAGER, "org.spale1.Manager", "RevokeAll", interactive=True)
    question = lost.question()
    lost.vanish()
    if agrees:
        lost.prove(question, root)
    bus.pause(0.5)
    assert bus.state(all_) == before


def test_grant_ends_while_the_dialog_is_open(root, all_, caller, paths):
    call = caller.begin(paths["org.spale1.Grant"], "org.spale1.Grant", "Extend", variant("(t)", (60,)),
                        interactive=True)
    question = caller.question()
    assert all_.call(paths["org.spale1.Grant"], "org.spale1.Grant", "Revoke").error is None
    before = bus.state(all_)
    caller.agree(question, root)
    assert caller.answer(call).error == "org.spale1.Error.NoSuchGrant"
    assert bus.state(all_) == before


def test_polkit_killed_while_the_dialog_is_open(all_, caller, paths):
    before = bus.state(all_)
    call = caller.begin(MANAGER, "org.spale1.Manager", "RevokeAll", interactive=True)
    caller.question()
    systemctl("kill", "--signal=KILL", "polkit")
    assert not bus.passed(caller.answer(call, timeout=20))
    bus.restart_polkit()
    assert bus.state(all_) == before


@pytest.fixture
def no_polkit(all_, paths):
    assert all_.manager("SetLogOnly", "(ba{sv})", (False, {})).error is None
    systemctl("mask", "--runtime", "--now", "polkit")
    yield
    systemctl("unmask", "--runtime", "polkit")
    bus.restart_polkit()


def test_without_polkit_nobody_may_anything(root, all_, no_polkit, outside):
    """Not even root. And what does not need a bus goes on."""
    for each in (root, all_):
        for call in ((MANAGER, "org.spale1.Manager", "RevokeAll"),
                     (MANAGER, bus.PROPERTIES, "GetAll", variant("(s)", ("org.spale1.Manager",)))):
            assert not bus.passed(each.call(*call, timeout=80))
    assert outside.is_kept_from(services.TCP)


def test_polkit_that_is_silent_denies(all_, paths):
    """polkitd hangs; the daemon does not."""
    before = bus.state(all_)
    pid = int(bus.machine.show("MainPID", "polkit"))
    os.kill(pid, signal.SIGSTOP)
    try:
        call = all_.begin(MANAGER, "org.spale1.Manager", "RevokeAll")
        bus.pause(0.5)
        ping = all_.call(MANAGER, "org.freedesktop.DBus.Peer", "Ping", timeout=5)
        assert ping.error is None
        assert not bus.passed(all_.answer(call, timeout=60))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert bus.state(all_) == before


def enrolled(all_, directory, name):
    """A client of this name, who may knock."""
    key = machine.new_client(directory, name)
    path = f"{MANAGER}/client/{name}"
    assert wait_until(lambda: all_.call(path, bus.PROPERTIES, "GetAll", variant(
        "(s)", ("org.spale1.Client",))).error is None, 10, 0.2)
    all_.manager("SetLogOnly", "(ba{sv})", (False, {}))
    return key


def test_a_thousand_calls_at_once(all_, paths, outside, tmp_path):
    """Of who may and who may not; every one gets an answer, and a knock does not wait for them."""
    key = enrolled(all_, tmp_path, "hurried")
    before = bus.state(all_)
    poor = [Caller("nobodys") for _ in range(4)]
    calls = []
    for number in range(1000):
        each = poor[number % 4]
        calls.append((each, each.begin(*(ADD if number % 2 else (MANAGER, bus.PROPERTIES, "GetAll", variant(
            "(s)", ("org.spale1.Manager",)))))))
    assert outside.gets_in(key)
    for each, call in calls:
        assert not bus.passed(each.answer(call))
    all_.manager("RevokeGrant", "(sa(sqq))", (outside.source("ipv4"), []))
    assert bus.state(all_) == before
    calls = [all_.begin(MANAGER, bus.PROPERTIES, "Get", variant("(ss)", ("org.spale1.Manager", "GrantCount")))
             for _ in range(1000)]
    errors = {all_.answer(call).error for call in calls}
    assert errors <= {None, "org.spale1.Error.LimitReached", "org.freedesktop.DBus.Error.LimitsExceeded"}
    assert None in errors
    for each in poor:
        each.close()
    (machine.CONF / "clients" / "hurried.pem").unlink()


# ---- signals ----------------------------------------------------------------------------------

RULE = "type='signal',sender='org.spale1'"


def test_signals_are_for_subscribers_alone(root, all_, paths, outside):
    """Whatever somebody else listens to."""
    stranger, reader = Caller("nobodys"), Caller("may-inspect")
    for each in (stranger, reader):
        for rule in (RULE, "type='signal'", f"path_namespace='{MANAGER}'"):
            assert each.match(rule).error is None
    assert stranger.match(RULE + ",eavesdrop='true'").error in (None, bus.DENIED)
    monitor = stranger.call("/org/freedesktop/DBus", "org.freedesktop.DBus.Monitoring", "BecomeMonitor",
                            variant("(asu)", ([], 0)), to="org.freedesktop.DBus")
    assert monitor.error is not None
    assert not bus.passed(stranger.manager("Subscribe"))

    def stir():
        path = all_.call(*ADD).value[0]
        outside.is_kept_from(services.ALSO)
        all_.call(path, "org.spale1.Grant", "Extend", variant("(t)", (100,)))
        all_.call(path, "org.spale1.Grant", "Revoke")
        client = all_.manager("EnrollClient", "(ssa{sv})", ("dora", bus.KEYS["dora"], {})).value[0]
        all_.call(client, "org.spale1.Client", "Disable")
        all_.manager("RemoveClient", "(s)", ("dora",))
        all_.manager("Reload")

    def ours(each):
        return {one["member"] for one in each.signals if "spale1" in one["path"]}

    stir()
    bus.pause(0.3)
    assert ours(stranger) == set() and ours(reader) == set()

    assert reader.manager("Subscribe").error is None
    stir()
    wanted = {"GrantAdded", "GrantRemoved", "Reloaded", "InterfacesAdded", "InterfacesRemoved",
              "PropertiesChanged"}
    assert wait_until(lambda: wanted <= ours(reader), 5), ours(reader)
    assert {each["to"] for each in reader.signals if "spale1" in each["path"]} == {reader.name}
    added = reader.heard("GrantAdded")[0]
    assert "203.0.113.5" in added["body"]

    assert reader.manager("Unsubscribe").error is None
    count = len(reader.signals)
    stir()
    bus.pause(0.3)
    assert not [each for each in reader.signals[count:] if "spale1" in each["path"]]
    assert ours(stranger) == set()
    for each in (stranger, reader):
        each.close()


def test_knocks_are_signalled(all_, paths, outside, tmp_path):
    key = enrolled(all_, tmp_path, "eva")
    assert all_.manager("Subscribe").error is None
    try:
        assert outside.gets_in(key)
        for name in ("KnockAccepted", "GrantAdded"):
            body = all_.heard(name)[-1]["body"]
            assert "eva" in body and outside.source("ipv4") in body
        # Which bars what is sent in the same time step.
        assert all_.manager("RevokeClient", "(s)", ("eva",)).value == (1,)
        assert wait_until(lambda: any("eva" in each["body"] for each in all_.heard("GrantRemoved")), 10)
        outside.knock(key)
        body = all_.heard("KnockRefused")[-1]["body"]
        assert "eva" in body and outside.source("ipv4") in body and "floor" in body
        # One of ten seconds is told.
        assert wait_until(lambda: outside.is_kept_from(services.TCP) and all_.heard("AccessDenied", 0.2), 20)
        assert outside.source("ipv4") in all_.heard("AccessDenied")[-1]["body"]
    finally:
        all_.manager("Unsubscribe")
        (machine.CONF / "clients" / "eva.pem").unlink()


def test_subscribers_that_vanish_are_forgotten(all_, paths):
    for _ in range(20):
        each = Caller("may-inspect")
        assert each.manager("Subscribe").error is None
        each.vanish()
    path = all_.call(*ADD).value[0]
    assert all_.call(path, "org.spale1.Grant", "Revoke").error is None


def test_subscribers_that_do_not_read(all_, paths):
    """The bus drops or queues what nobody takes; the daemon goes on."""
    slow = Caller("may-inspect")
    assert slow.manager("Subscribe").error is None
    slow.stop()
    try:
        for _ in range(300):
            path = all_.call(*ADD).value[0]
            assert all_.call(path, "org.spale1.Grant", "Revoke").error is None
    finally:
        slow.resume()
        slow.close()
