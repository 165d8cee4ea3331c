# SPDX-License-Identifier: MIT
"""The real nft(8) in a namespace: rulesets, and what their sets hold."""

import dataclasses
import json
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[3] / "man" / "spale-nftables.7.scd"


def example(heading):
    """The first ruleset under HEADING of spale-nftables(7)."""
    section = re.search(rf"^# {re.escape(heading)}\n(.*?)(?=^# [A-Z ]+$|\Z)", PAGE.read_text(), re.M | re.S)
    return re.search(r"^```\n(.*?)^```$", section[1], re.M | re.S)[1]


@dataclasses.dataclass(frozen=True)
class Element:
    """One element: what it is for, as texts, and what is said of it."""
    source: str
    protocol: str
    ports: str
    comment: str = ""
    timeout: int = 0
    expires: int = 0

    @property
    def key(self):
        return self.source, self.protocol, self.ports


def _text(value):
    if isinstance(value, dict) and "range" in value:
        return "-".join(map(str, value["range"]))
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    return str(value)


class Nft:
    def __init__(self, namespace):
        self.namespace = namespace

    def __call__(self, *words, check=True, **options):
        return self.namespace.run("nft", *words, check=check, **options)

    def load(self, text, check=True):
        return self("-f", "-", input=text, check=check)

    def elements(self, name, table="inet filter"):
        """Those of a set, or None: there is no such set."""
        done = self("-j", "list", "set", *table.split(), name, check=False)
        if done.returncode != 0:
            return None
        (found,) = (item["set"] for item in json.loads(done.stdout)["nftables"] if "set" in item)
        elements = []
        for item in found.get("elem", ()):
            item = item.get("elem", item)
            value = item.pop("val", item)
            elements.append(Element(*map(_text, value["concat"]), **{
                name: item[name] for name in ("comment", "timeout", "expires") if name in item}))
        return elements

    def keys(self, name, table="inet filter"):
        """What a set is for, without what is said of it; None: there is no such set."""
        elements = self.elements(name, table)
        return None if elements is None else {element.key for element in elements}

    def has_own_table(self):
        return self("list", "table", "inet", "spale", check=False).returncode == 0

    def flush(self):
        self("flush", "ruleset")
