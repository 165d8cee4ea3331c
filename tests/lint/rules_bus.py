# SPDX-License-Identifier: MIT
"""Rules about the D-Bus API: the XML, what is installed beside it, and org.spale1(5) say the same."""

import os
import re
import xml.etree.ElementTree as ElementTree

from tree import rule

NAMES = "include/spale/bus-names.h"
PAGE = "man/org.spale1.5.scd"
POLICY = "polkit/org.spale1.policy"
BUS_POLICY = "dbus/org.spale1.conf"

_CHANGES = "org.freedesktop.DBus.Property.EmitsChangedSignal"
_STANDARD = {"org.freedesktop.DBus." + name
             for name in ("ObjectManager", "Properties", "Introspectable", "Peer")}


class Interface:
    """An interface of the XML: its members, each as a line that says all of it."""

    def __init__(self, element):
        self.name = element.get("name")
        self.methods = [_call(method) for method in element.findall("method")]
        self.properties = [_property(each) for each in element.findall("property")]
        self.signals = [_call(signal) for signal in element.findall("signal")]


def _arguments(arguments):
    return "(" + ", ".join(f"{each.get('type')} {each.get('name')}" for each in arguments) + ")"


def _call(element):
    arguments = element.findall("arg")
    line = element.get("name") + _arguments([a for a in arguments if a.get("direction") != "out"])
    results = [a for a in arguments if a.get("direction") == "out"]
    return line + (" -> " + _arguments(results) if results else "")


def _property(element):
    words = [element.get("type")]
    if "write" in element.get("access"):
        words.append("writable")
    words += [{"const": "constant", "false": "silent"}[each.get("value")]
              for each in element.findall("annotation")
              if each.get("name") == _CHANGES and each.get("value") in ("const", "false")]
    return f"{element.get('name')} ({', '.join(words)})"


def interfaces(tree):
    """The interfaces of the XML by name."""
    found = {}
    for path in tree.paths("dbus/*.xml"):
        for element in ElementTree.fromstring(tree.files[path]).findall("interface"):
            found[element.get("name")] = Interface(element)
    return found


def actions(tree):
    """Of each SPALE_ACTION_... its name on the bus."""
    return dict(re.findall(r'#define\s+(SPALE_ACTION_\w+)\s+"([^"]+)"', tree.files.get(NAMES, "")))


def _errors(tree):
    return set(re.findall(r'"(org\.spale1\.Error\.\w+)"', tree.files.get(NAMES, "")))


def _sections(page, level):
    """The parts of a page below headings of this level, by heading."""
    parts = re.split(r"^#{%d} (.*)$" % level, page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def _terms(text):
    """Lines that an indented explanation follows, without their marks."""
    lines = re.findall(r"^(\*.*)\n\t", text, flags=re.MULTILINE)
    return [re.sub(r"\\(.)|\*", lambda match: match.group(1) or "", line) for line in lines]


def _differences(where, wanted, told):
    """Sentences about what is told too little or too much."""
    for line in sorted(set(wanted) - set(told)):
        yield f"{where}: lacks {line}"
    for line in sorted(set(told) - set(wanted)):
        yield f"{where}: there is no {line}"
    for line in sorted({line for line in told if told.count(line) > 1}):
        yield f"{where}: says {line} twice"


_XML = ('<node><interface name="org.spale1.X"><property name="P" type="t" access="read"/>'
        '<method name="M"><arg name="a_b" type="s" direction="in"/>'
        '<arg name="r" type="u" direction="out"/></method>'
        '<signal name="S"><arg name="x" type="s"/></signal></interface></node>')
_MEMBERS = ("x(5)\n\n# ORG.SPALE1.X\n\n## Methods\n\n*M*(s a\\_b) -> (u r)\n\tDoes.\n\n"
            "## Properties\n\n*P* (t)\n\tIs.\n\n## Signals\n\n*S*(s x)\n\tTells.\n")


def _page(old="", new=""):
    return {"dbus/x.xml": _XML, PAGE: _MEMBERS.replace(old, new) if old else _MEMBERS}


@rule("bus: org.spale1(5) has every member, as the XML has it",
      bad=[{}, {"dbus/x.xml": _XML}, _page("ORG.SPALE1.X", "ORG.SPALE1.Y"), _page("*M*", "*N*"),
           _page("(s a", "(u a"), _page(" -> (u r)", ""), _page("*P* (t)", "*P* (t, silent)"),
           _page("*S*(s x)\n\tTells.\n", ""), _page("\tDoes.", "Does."),
           _page("\tTells.\n", "\tTells.\n\n*S*(s x)\n\tTells.\n")],
      good=[_page()])
def members(tree):
    known = interfaces(tree)
    if not known:
        yield "dbus/ holds no interface"
    sections = _sections(tree.files.get(PAGE, ""), 1)
    told = {heading.lower(): heading for heading in sections if heading.startswith("ORG.SPALE1.")}
    for name, interface in sorted(known.items()):
        heading = told.pop(name.lower(), None)
        parts = _sections(sections.get(heading, ""), 2)
        for part in ("methods", "properties", "signals"):
            yield from _differences(f"{PAGE}, {name}, {part}", getattr(interface, part),
                                    _terms(parts.get(part.capitalize(), "")))
    for heading in sorted(told.values()):
        yield f"{PAGE}: there is no interface {heading}"


_HEADER = '#define SPALE_ACTION_A "org.spale1.a"\n#define E "org.spale1.Error.X"\n'
_LISTS = ("x(5)\n\n# AUTHORISATION\n\n*org.spale1.a*\n\tLooks.\n\n"
          "# ERRORS\n\n*org.spale1.Error.X*\n\tFails.\n")


@rule("bus: org.spale1(5) has every action and error",
      bad=[{}, {NAMES: _HEADER}, {NAMES: _HEADER, PAGE: _LISTS.replace("Error.X", "Error.Y")},
           {NAMES: _HEADER, PAGE: _LISTS.replace("*org.spale1.a*", "*org.spale1.b*")}],
      good=[{NAMES: _HEADER, PAGE: _LISTS}])
def lists(tree):
    if not actions(tree) or not _errors(tree):
        yield f"{NAMES}: no actions or errors that this rule can read"
    sections = _sections(tree.files.get(PAGE, ""), 1)
    for heading, wanted in (("AUTHORISATION", actions(tree).values()), ("ERRORS", _errors(tree))):
        yield from _differences(f"{PAGE}, {heading}", wanted, _terms(sections.get(heading, "")))


def _policy(action, default="auth_admin", active=None, more=""):
    return {NAMES: _HEADER, POLICY: (
        f'<policyconfig><action id="{action}"><message>May it?</message>'
        f"<defaults><allow_any>{default}</allow_any><allow_inactive>{default}</allow_inactive>"
        f"<allow_active>{active or default}</allow_active></defaults>"
        f'<annotate key="org.freedesktop.policykit.owner">unix-user:spale</annotate>{more}'
        "</action></policyconfig>")}


@rule("bus: polkit knows the actions, and lets nobody pass by default",
      bad=[{NAMES: _HEADER}, _policy("org.spale1.b"), _policy("org.spale1.a", "yes"),
           _policy("org.spale1.a", "auth_self"), _policy("org.spale1.a", "auth_admin_keep"),
           _policy("org.spale1.a", active="auth_admin_keep"),
           _policy("org.spale1.a", more='<annotate key="org.freedesktop.policykit.imply">x'
                                        "</annotate>"),
           {NAMES: _HEADER, POLICY: _policy("org.spale1.a")[POLICY].replace(":spale", ":root")},
           {NAMES: _HEADER, POLICY: _policy("org.spale1.a")[POLICY].replace("May it?", "")},
           {NAMES: _HEADER, POLICY: _policy("org.spale1.a")[POLICY].replace("allow_any", "any")}],
      good=[_policy("org.spale1.a")])
def polkit_actions(tree):
    if POLICY not in tree.files:
        yield f"{POLICY} is missing"
        return
    found = ElementTree.fromstring(tree.files[POLICY]).findall("action")
    yield from _differences(POLICY, actions(tree).values(), [each.get("id") for each in found])
    for action in found:
        name = action.get("id")
        # Who may read for some minutes may only read.
        wanted = "auth_admin_keep" if name == "org.spale1.inspect" else "auth_admin"
        for who in ("any", "inactive", "active"):
            default = action.findtext(f"defaults/allow_{who}")
            if default != wanted:
                yield f"{POLICY}: {name}, allow_{who}: {default} where it is {wanted}"
        if not action.findtext("message"):
            yield f"{POLICY}: {name} tells people nothing"
        annotations = {each.get("key"): each.text for each in action.findall("annotate")}
        if annotations != {"org.freedesktop.policykit.owner": "unix-user:spale"}:
            yield f"{POLICY}: {name}: owned by unix-user:spale, and nothing else"


def _conf(*names, rest=""):
    return {"dbus/x.xml": _XML, BUS_POLICY: '<busconfig><policy user="spale"><allow own="org.spale1"/>'
            '</policy><policy context="default">'
            + "".join(f'<allow send_destination="org.spale1" send_interface="{name}"/>'
                      for name in names) + f"{rest}</policy></busconfig>"}


@rule("bus: what may be sent is what the interfaces are",
      bad=[{"dbus/x.xml": _XML}, _conf(*_STANDARD), _conf("org.spale1.X"),
           _conf("org.spale1.X", "org.spale1.Y", *_STANDARD),
           _conf("org.spale1.X", *_STANDARD, rest='<allow send_destination="org.spale1"/>'),
           _conf("org.spale1.X", *_STANDARD, rest='<allow own="org.spale1"/>'),
           _conf("org.spale1.X", *_STANDARD, rest='<allow own_prefix="org.spale1"/>')],
      good=[_conf("org.spale1.X", *_STANDARD)])
def bus_policy(tree):
    if BUS_POLICY not in tree.files:
        yield f"{BUS_POLICY} is missing"
        return
    wanted = {("default", "send_destination=org.spale1", f"send_interface={name}")
              for name in {*interfaces(tree), *_STANDARD}} | {("spale", "own=org.spale1")}
    told = [(policy.get("user") or policy.get("context"),
             *(f"{key}={value}" for key, value in sorted(allow.items())))
            for policy in ElementTree.fromstring(tree.files[BUS_POLICY]).findall("policy")
            for allow in policy.findall("allow")]
    yield from _differences(BUS_POLICY, wanted, told)


@rule("bus: each interface is installed",
      bad=[{"dbus/x.xml": _XML, "dbus/meson.build": "install_data('y.xml')\n"}],
      good=[{"dbus/x.xml": _XML, "dbus/meson.build": "install_data('x.xml')\n"}])
def installed(tree):
    for path in tree.paths("dbus/*.xml"):
        if f"'{os.path.basename(path)}'" not in tree.files.get("dbus/meson.build", ""):
            yield f"{path}: not in dbus/meson.build"


TABLE = "src/bus/actions.c"

# Methods that a reading action guards begin so, and no other does.
_READING = ("List", "Subscribe", "Unsubscribe")

# Their arguments can make them a matter of policy.
_RAISED = {"AddGrant", "Extend"}

_ROW = re.compile(r'\b(CALL|GET|SET)\((\w+), "(\w+)", "([^"]*)"(?:, (\w+))?(?:, \w+)?\)')


def _table(tree):
    """(kind, interface, member, signature, action) of each row of ours."""
    names = dict(re.findall(r'#define\s+(SPALE_BUS_\w+)\s+"([^"]+)"', tree.files.get(NAMES, "")))
    for kind, interface, member, signature, action in _ROW.findall(tree.files.get(TABLE, "")):
        if interface in names:
            yield kind, names[interface], member, signature, action or "INSPECT"


def _wanted(tree):
    """(kind, interface, member, signature) of all that can be called, read or written."""
    for path in tree.paths("dbus/*.xml"):
        for interface in ElementTree.fromstring(tree.files[path]).findall("interface"):
            name = interface.get("name")
            for method in interface.findall("method"):
                yield "CALL", name, method.get("name"), "".join(
                    each.get("type") for each in method.findall("arg") if each.get("direction") == "in")
            for each in interface.findall("property"):
                yield "GET", name, each.get("name"), each.get("type")
                if "write" in each.get("access"):
                    yield "SET", name, each.get("name"), each.get("type")


def _rows(*rows, page=None):
    sample = {"dbus/x.xml": _XML, NAMES: '#define SPALE_BUS_X "org.spale1.X"\n'
              '#define SPALE_ACTION_GRANT "org.spale1.grant"\n'
              '#define SPALE_ACTION_INSPECT "org.spale1.inspect"\n',
              TABLE: "".join(f"\t{row},\n" for row in rows)}
    return {**sample, PAGE: page} if page else sample


_GOOD_CALL = 'CALL(SPALE_BUS_X, "M", "s", GRANT, examine_x)'
_GOOD_GET = 'GET(SPALE_BUS_X, "P", "t")'


@rule("bus: each member has its row in the table of actions",
      bad=[_rows(), _rows(_GOOD_CALL), _rows(_GOOD_GET),
           _rows(_GOOD_CALL.replace('"s"', '"u"'), _GOOD_GET), _rows(_GOOD_CALL, _GOOD_GET, _GOOD_GET),
           _rows(_GOOD_CALL, _GOOD_GET, _GOOD_GET.replace('"P"', '"Q"')),
           _rows(_GOOD_CALL, _GOOD_GET, 'SET(SPALE_BUS_X, "P", "t", GRANT)')],
      good=[_rows(_GOOD_CALL, _GOOD_GET)])
def rows(tree):
    told = [" ".join(row[:4]) for row in _table(tree)]
    yield from _differences(TABLE, [" ".join(row) for row in _wanted(tree)], told)


@rule("bus: what changes something is not guarded as what reads",
      bad=[_rows(_GOOD_CALL.replace("GRANT", "INSPECT")), _rows(_GOOD_CALL.replace("GRANT", "FREE")),
           _rows('CALL(SPALE_BUS_X, "ListM", "s", GRANT, NULL)'),
           _rows('SET(SPALE_BUS_X, "P", "t", INSPECT)'), _rows('CALL(SPALE_BUS_X, "M", "s", OTHER, NULL)'),
           _rows('GET(SPALE_BUS_X, "P", "t", FREE)')],
      good=[_rows(_GOOD_CALL, _GOOD_GET, 'CALL(SPALE_BUS_X, "ListM", "", INSPECT, NULL)')])
def guards(tree):
    known = {name.removeprefix("SPALE_ACTION_") for name in actions(tree)}
    for kind, interface, member, _, action in _table(tree):
        reads = kind == "GET" or (kind == "CALL" and member.startswith(_READING))
        if (action == "INSPECT") != reads or action not in known:
            yield f"{TABLE}: {interface}.{member} ({kind}) is guarded by {action}"


_TOLD = ("x(5)\n\n# AUTHORISATION\n\n*org.spale1.inspect*\n\tReads.\n\n"
         "*org.spale1.grant*\n\t*M*() does.\n\n")


@rule("bus: org.spale1(5) tells which action guards what",
      bad=[_rows(_GOOD_CALL, page=_TOLD.replace("*M*()", "It")),
           _rows(_GOOD_CALL, page=_TOLD.replace("Reads.", "*M*()")),
           _rows(_GOOD_CALL, page=_TOLD.replace("*M*()", "*M*(), *N*()"))],
      good=[_rows(_GOOD_CALL, page=_TOLD)])
def told_guards(tree):
    section = _sections(tree.files.get(PAGE, ""), 1).get("AUTHORISATION", "")
    wanted = {(actions(tree).get(f"SPALE_ACTION_{action}", action), member)
              for kind, _, member, _, action in _table(tree) if kind == "CALL"}
    told = {(name, member)
            for name, text in re.findall(r"^\*([\w.-]+)\*\n((?:\t.*\n)+)", section, flags=re.MULTILINE)
            for member in re.findall(r"\*(\w+)\*\(\)", text)}
    told -= {("org.spale1.manage-policy", member) for member in _RAISED}
    yield from _differences(PAGE, [" ".join(pair) for pair in wanted], [" ".join(pair) for pair in told])
