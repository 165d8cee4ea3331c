# SPDX-License-Identifier: MIT
"""What the tests of the D-Bus API share: callers of every kind, polkit, and the XML."""

import collections
import contextlib
import json
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree

import machine
from gi.repository import GLib
from machine import ROOT, run, systemctl, wait_until

sys.path.insert(0, str(ROOT / "tests" / "lint"))
from rules_bus import Interface  # noqa: E402

NAME = "org.spale1"
MANAGER = "/org/spale1"
POLKIT = "org.freedesktop.PolicyKit1"
AUTHORITY = "/org/freedesktop/PolicyKit1/Authority"
PROPERTIES = "org.freedesktop.DBus.Properties"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
ASK = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
LIMITS = "org.freedesktop.DBus.Error.LimitsExceeded"
RULES = pathlib.Path("/etc/polkit-1/rules.d")
ACTIONS = ["inspect", "grant", "revoke", "manage-clients", "manage-policy"]
INFINITY = 2**64 - 1

_CALLER = pathlib.Path("/usr/local/bin/spale-test-caller")

Answer = collections.namedtuple("Answer", "error text value")


def variant(kind, value):
    return GLib.Variant(kind, value)


class Gone(Exception):
    """The process ended, or said nothing in time."""


class Caller:
    """A connection of some user's. THROUGH: the command to run it by, such as ssh."""

    def __init__(self, user="root", through=None):
        if not _CALLER.exists():
            shutil.copy(ROOT / "tests" / "system" / "caller.py", _CALLER)
            _CALLER.chmod(0o755)
        if through is None:
            through = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        argv = [*through, _CALLER]
        self._process = subprocess.Popen([str(a) for a in argv], text=True, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)
        self._uid = int(run("id", "-u", user).stdout)
        self._order = 0
        self._answers, self.signals, self.asked = {}, [], queue.Queue()
        self.closed, self.cancelled = False, []
        self._changed = threading.Condition()
        self.name = json.loads(self._process.stdout.readline())["name"]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for line in self._process.stdout:
            said = json.loads(line)
            with self._changed:
                if "id" in said:
                    self._answers[said.pop("id")] = said
                elif "signal" in said:
                    self.signals.append(said["signal"])
                elif "asked" in said:
                    self.asked.put(said["asked"])
                elif "cancelled" in said:
                    self.cancelled.append(said["cancelled"])
                self.closed = self.closed or "closed" in said
                self._changed.notify_all()
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _tell(self, **order):
        self._order += 1
        self._process.stdin.write(json.dumps({"id": self._order, **order}) + "\n")
        self._process.stdin.flush()
        return self._order

    def begin(self, path, interface, member, body=None, to=NAME, **options):
        """Calls, and returns what answer() takes."""
        text = body.print_(True) if body is not None else None
        return self._tell(do="call", to=to, path=path, interface=interface, member=member,
                          body=text, **options)

    def answer(self, order, timeout=90):
        with self._changed:
            if not self._changed.wait_for(lambda: order in self._answers, timeout):
                raise Gone("no answer")
            said = self._answers.pop(order)
        value = GLib.Variant.parse(None, said["body"], None, None).unpack() if said["body"] else None
        return Answer(said["error"], said["text"], value)

    def call(self, *call, **options):
        return self.answer(self.begin(*call, **options))

    def manager(self, member, kind="()", values=(), **options):
        return self.call(MANAGER, "org.spale1.Manager", member, variant(kind, values), **options)

    def get(self, name, path=MANAGER, interface="org.spale1.Manager"):
        """A property's value."""
        answer = self.call(path, PROPERTIES, "Get", variant("(ss)", (interface, name)))
        assert answer.error is None, answer
        return answer.value[0]

    def match(self, rule):
        return self.answer(self._tell(do="match", rule=rule))

    def become_agent(self):
        answer = self.answer(self._tell(do="agent"))
        assert answer.error is None, answer

    def question(self, timeout=10):
        """What polkit has the agent ask the person."""
        return self.asked.get(timeout=timeout)

    def dismiss(self, question):
        self.answer(self._tell(do="dismiss", cookie=question["cookie"]))

    def agree(self, question, root):
        """The person proves to be an administrator: root says so, as polkit's helper would."""
        answer = self.prove(question, root)
        assert answer.error is None, answer
        self.answer(self._tell(do="agreed", cookie=question["cookie"]))

    def prove(self, question, root):
        """Only what the helper does."""
        boss = ("unix-user", {"uid": variant("u", int(run("id", "-u", "boss").stdout))})
        return root.call(AUTHORITY, f"{POLKIT}.Authority", "AuthenticationAgentResponse2",
                         variant("(us(sa{sv}))", (self._uid, question["cookie"], boss)), to=POLKIT)

    def stop(self):
        """The process hangs, until resume()."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def heard(self, member, timeout=5):
        """Signals of this name so far, waiting for the first."""
        wait_until(lambda: any(each["member"] == member for each in self.signals), timeout)
        return [each for each in self.signals if each["member"] == member]

    def vanish(self):
        """The process is no more, without a word."""
        self._process.kill()
        self._process.wait()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(20)
        self._thread.join(20)
        self._process.stdout.close()


# ---- people, and what polkit lets them do -----------------------------------------------------

def make_people():
    """
    boss is an administrator, nobodys is anybody, porter belongs to spale-operators, all may do
    everything, and may-ACTION just that.
    """
    run("groupadd", "--system", "spale-operators")
    for name in ("boss", "nobodys", "porter", "all", *(f"may-{each}" for each in ACTIONS)):
        run("useradd", "--create-home", name)
    run("chpasswd", input="boss:open sesame\n")
    run("usermod", "--append", "--groups", "sudo", "boss")
    run("usermod", "--append", "--groups", "spale-operators", "porter")
    example = pathlib.Path("/usr/share/doc/spale/examples/spale-operators.rules")
    run("install", "-m", "644", example, RULES / "50-spale-operators.rules")
    (RULES / "10-test.rules").write_text("""
polkit.addRule(function (action, subject) {
    if (action.id.indexOf("org.spale1.") == 0 &&
        (subject.user == "all" || "org.spale1." + subject.user.substring(4) == action.id))
        return polkit.Result.YES;
});
""")
    restart_polkit()


def restart_polkit():
    # However often that was.
    systemctl("reset-failed", "polkit", check=False)
    systemctl("restart", "polkit")


def may(user, action):
    """Whether these rules let a user pass, wherever from."""
    user = user.split()[0]
    if user == "porter":
        return action in ("inspect", "grant", "revoke")
    return user == "all" or user == f"may-{action}"


def passed(answer):
    """Whether polkit agreed, whatever came of it."""
    assert answer.error != "none", answer.text
    return answer.error not in (DENIED, ASK, LIMITS)


# ---- the XML, and calls made from it ----------------------------------------------------------

_CHANGES = "org.freedesktop.DBus.Property.EmitsChangedSignal"

XML = {}
for _path in sorted((ROOT / "dbus").glob("*.xml")):
    for _element in ElementTree.parse(_path).getroot().findall("interface"):
        XML[_element.get("name")] = _element


def described(element):
    """An interface as lines that can be compared, without what the order is."""
    interface = Interface(element)
    return {"methods": sorted(interface.methods), "properties": sorted(interface.properties),
            "signals": sorted(interface.signals)}


def annotations(element):
    """What is said about the members of an interface, but for what is so anyway."""
    return {(member.get("name"), each.get("name"), each.get("value"))
            for member in element for each in member.findall("annotation")
            if (each.get("name"), each.get("value")) != (_CHANGES, "true")}


def members():
    """(kind, interface, name) of all that can be called, read or written."""
    for name, element in XML.items():
        for method in element.findall("method"):
            yield "call", name, method.get("name")
        for prop in element.findall("property"):
            yield "get", name, prop.get("name")
            if "write" in prop.get("access"):
                yield "set", name, prop.get("name")


# Public keys of nobody: their private ones are not known to anybody.
KEYS = {"carol": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
        "dora": "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="}

# By an argument's name in the XML: what can be done, and would be seen.
_LIKELY = {
    "source": "198.51.100.77", "prefix": "198.51.100.0/24", "name": "carol",
    "public_key": KEYS["dora"], "ports": [("tcp", machine.services.TCP, machine.services.TCP)],
    "log_only": True, "seconds": 600, "limit": 10, "offset": 0, "settings": {},
    "options": {}, "filter": {},
}


def likely_call(caller, kind, interface, name, paths, **options):
    """Calls a member on an object that there is, with arguments that it can take."""
    path = paths[interface]
    if kind == "get":
        body = variant("(ss)", (interface, name))
        return caller.call(path, PROPERTIES, "Get", body, **options)
    if kind == "set":
        prop = XML[interface].find(f"property[@name='{name}']")
        value = variant(prop.get("type"), {"b": True}[prop.get("type")])
        body = variant("(ssv)", (interface, name, value))
        return caller.call(path, PROPERTIES, "Set", body, **options)
    arguments = [each for each in XML[interface].find(f"method[@name='{name}']").findall("arg")
                 if each.get("direction") == "in"]
    values = tuple("dora" if name == "EnrollClient" and each.get("name") == "name"
                   else _LIKELY[each.get("name")] for each in arguments)
    body = variant("(" + "".join(each.get("type") for each in arguments) + ")", values)
    return caller.call(path, interface, name, body, **options)


def something_to_change(owner):
    """
    A grant, a client, a trial, a prefix that is always allowed: what calls can be tried on. Returns
    an object for each interface. Only what is tried here is expected to fail: there may be a trial.
    """
    # One by one: what all are told bars the knocks of this half minute.
    for row in owner.manager("ListGrants", "(a{sv}uu)", ({}, 0, 1000)).value[1]:
        owner.call(row[0], "org.spale1.Grant", "Revoke")
    for member, kind, values in (
            ("RemoveClient", "(s)", ("carol",)),
            ("RemoveClient", "(s)", ("dora",)),
            ("SetProtectedPorts", "(a(sqq)a{sv})", (_LIKELY["ports"], {})),
            ("SetLogOnly", "(ba{sv})", (True, {})), ("Trial", "(t)", (3000,))):
        owner.manager(member, kind, values)
    owner.manager("AddAlwaysAllowed", "(sa{sv})", (_LIKELY["prefix"], {}))
    client = owner.manager("EnrollClient", "(ssa{sv})", ("carol", KEYS["carol"], {}))
    grant = owner.manager("AddGrant", "(sa(sqq)a{sv})", (_LIKELY["source"], _LIKELY["ports"], {}))
    assert client.error is None and grant.error is None, (client, grant)
    return {"org.spale1.Manager": MANAGER, "org.spale1.Grant": grant.value[0],
            "org.spale1.Client": client.value[0],
            "org.spale1.Interface": f"{MANAGER}/interface/eth0"}


# What changes by itself.
_RESTLESS = {"LastSeen", "IdleUntil", "GraceUntil", "State", "Packets", "Counters", "WouldDrop",
             "KnocksRefused", "KnocksAccepted", "LastKnock", "LastSource", "Accepted", "Refused"}


def state(reader):
    """All that can be changed: objects and their properties, lists, what is kept on disk."""
    objects = reader.call(MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                          variant("()", ()))
    own = reader.call(MANAGER, PROPERTIES, "GetAll", variant("(s)", ("org.spale1.Manager",)))
    allowed = reader.manager("ListAlwaysAllowed")
    listed = reader.manager("ListGrants", "(a{sv}uu)", ({}, 0, 1000))
    for answer in (objects, own, allowed, listed):
        assert answer.error is None, answer
    tree = {MANAGER: {"org.spale1.Manager": own.value[0]}, **objects.value[0]}
    calm = {path: {interface: {name: value for name, value in each.items() if name not in _RESTLESS}
                   for interface, each in interfaces.items()}
            for path, interfaces in tree.items()}
    files = {path: path.read_bytes() for path in sorted(machine.STATE.rglob("*"))
             if path.is_file() and "replay" not in path.parts}
    return calm, allowed.value, listed.value[0], files


def wait_for_name(present=True, timeout=15):
    def has():
        done = run("busctl", "--system", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus",
                   "NameHasOwner", "s", NAME, check=False)
        return done.stdout.strip() == f"b {'true' if present else 'false'}"
    return wait_until(has, timeout, 0.1)


def pause(seconds):
    """Long enough for what must not come."""
    time.sleep(seconds)
