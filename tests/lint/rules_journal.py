# SPDX-License-Identifier: MIT
"""Events of the journal: ids, catalog, fields and causes belong together."""

import re

import ctext
from tree import rule

IDS = "include/spale/message-ids.h"
EVENTS = "src/daemon/journal.h"
SPEAKER = "src/daemon/journal.c"
CATALOG = "src/catalog/spale.catalog"


def _ids(tree):
    """(name, id) pairs of the header."""
    return re.findall(r'^#define SPALE_MESSAGE_(\w+)\s+"([^"]*)"', tree.files.get(IDS, ""), re.M)


def _events(tree):
    """Names of events."""
    match = re.search(r"#define JOURNAL_EVENTS\(X\)((?:[^\n]*\\\n)*[^\n]*)",
                      tree.files.get(EVENTS, ""))
    return re.findall(r"\bX\((\w+),", match.group(1)) if match else []


def _entries(tree):
    """(id, headers, body) of each entry of the catalog."""
    parts = re.split(r"^-- *(.*)$", tree.files.get(CATALOG, ""), flags=re.M)[1:]
    for number, text in zip(parts[::2], parts[1::2]):
        headers, _, body = text.strip("\n").partition("\n\n")
        yield number.strip(), dict(re.findall(r"^([\w-]+): (.+)$", headers, re.M)), body.strip()


def _sample(ids='#define SPALE_MESSAGE_GONE "' + "a1" * 16 + '"\n', events='X(GONE, "gone", INFO)',
            catalog="-- " + "a1" * 16 + "\nSubject: Gone\nDefined-By: spale\n\nIt went.\n",
            cause="void f(void)\n{\n\tjournal_event(JOURNAL_GONE, &fields);\n}\n"):
    return {IDS: ids, EVENTS: f"#define JOURNAL_EVENTS(X) \\\n\t{events}\n", CATALOG: catalog,
            "src/daemon/manager.c": cause}


_TWO = _sample()[IDS] + '#define SPALE_MESSAGE_CAME "' + "b2" * 16 + '"\n'


@rule("journal: each event has an id and a cause",
      bad=[{},
           _sample(ids=""),
           _sample(ids=_TWO),
           _sample(ids=_TWO.replace("b2", "a1"), events='X(GONE, "gone", INFO) X(CAME, "c", INFO)'),
           _sample(ids=_sample()[IDS].replace("a1a1", "a1")),
           _sample(ids=_sample()[IDS].replace("a1", "A1")),
           _sample(events='X(GONE, "gone", INFO) X(CAME, "came", INFO)'),
           _sample(cause=""),
           _sample(cause="/* JOURNAL_GONE */\n")],
      good=[_sample()])
def ids(tree):
    known = dict(_ids(tree))
    events = _events(tree)
    if not events:
        yield f"{EVENTS}: holds no list JOURNAL_EVENTS(X)"
    for name, number in known.items():
        if not re.fullmatch(r"[0-9a-f]{32}", number):
            yield f"{IDS}: SPALE_MESSAGE_{name} is not 32 small hexadecimal digits"
        if name not in events:
            yield f"{IDS}: SPALE_MESSAGE_{name} is of no event in {EVENTS}"
        if list(known.values()).count(number) > 1:
            yield f"{IDS}: SPALE_MESSAGE_{name} has another one's id"
    said = "".join(ctext.code(tree.files[path]) for path in tree.paths("src/**/*.c"))
    for name in events:
        if name not in known:
            yield f"{IDS}: lacks SPALE_MESSAGE_{name}"
        if not re.search(rf"\bJOURNAL_{name}\b", said):
            yield f"{EVENTS}: nothing in src says JOURNAL_{name}"


@rule("journal: the catalog explains each event",
      bad=[_sample(catalog=""),
           _sample(catalog=_sample()[CATALOG].replace("a1a1", "a1a2")),
           _sample(catalog=_sample()[CATALOG] + "\n" + _sample()[CATALOG]),
           _sample(catalog=_sample()[CATALOG].replace("Subject", "Title")),
           _sample(catalog=_sample()[CATALOG].replace("Defined-By: spale\n", "")),
           _sample(catalog=_sample()[CATALOG].replace("It went.", ""))],
      good=[_sample()])
def catalog(tree):
    names = {number: name for name, number in _ids(tree)}
    entries = list(_entries(tree))
    for number, headers, body in entries:
        if number not in names:
            yield f"{CATALOG}: {number} is not in {IDS}"
        if "Subject" not in headers or headers.get("Defined-By") != "spale":
            yield f"{CATALOG}: {number} needs Subject: and Defined-By: spale"
        if not body:
            yield f"{CATALOG}: {number} explains nothing"
    explained = [number for number, _, _ in entries]
    for number, name in names.items():
        if explained.count(number) != 1:
            yield f"{CATALOG}: has {explained.count(number)} entries for {name}, not one"


# Not fields: variables of the environment that the programs read.
ENVIRONMENT = {"SPALE_PAGER"}

_FIELD = '#define SPALE_FIELD_WHO "SPALE_WHO" /* so */\n'
_ROW = 'static const char *name = SPALE_FIELD_WHO;\n'


@rule("journal: fields are used and known",
      bad=[{IDS: ""},
           {IDS: _FIELD},
           {IDS: _FIELD, SPEAKER: "/* SPALE_FIELD_WHO */\n"},
           {IDS: _FIELD.replace('"SPALE_WHO"', '"WHO"'), SPEAKER: _ROW},
           {IDS: _FIELD, SPEAKER: _ROW, CATALOG: "-- a\nSubject: @SPALE_WHOM@ left\n"},
           {IDS: _FIELD, SPEAKER: _ROW, "man/x.8.scd": "see _SPALE\\_WHOM_\n"}],
      good=[{IDS: _FIELD, SPEAKER: _ROW, CATALOG: "-- a\nSubject: @SPALE_WHO@ left\n",
             "man/x.8.scd": "see _SPALE\\_WHO_\n"}])
def fields(tree):
    known = dict(re.findall(r'^#define SPALE_FIELD_(\w+)\s+"(\w+)"', tree.files.get(IDS, ""), re.M))
    if not known:
        yield f"{IDS}: holds no field"
    speaker = ctext.code(tree.files.get(SPEAKER, ""))
    for name, field in known.items():
        if field != "SPALE_" + name:
            yield f"{IDS}: SPALE_FIELD_{name} is called {field}"
        if not re.search(rf"\bSPALE_FIELD_{name}\b", speaker):
            yield f"{SPEAKER}: does not use SPALE_FIELD_{name}"
    for field in re.findall(r"@(\w+)@", tree.files.get(CATALOG, "")):
        if field not in known.values():
            yield f"{CATALOG}: @{field}@ is no field of {IDS}"
    for path in tree.paths("man/*.scd"):
        page = tree.files[path].replace("\\_", "_")
        for field in set(re.findall(r"\bSPALE_[A-Z]+\b|(?<=_)SPALE_[A-Z]+(?=_)", page)):
            if field not in known.values() and field not in ENVIRONMENT:
                yield f"{path}: {field} is no field of {IDS}"
