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
