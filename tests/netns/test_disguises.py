# SPDX-License-Identifier: MIT
"""
Attacks: a conversation's first packet in every dress of lib/packets.py.

Without a grant none is answered. With a grant exactly those are that a Linux server without spale
answers, but for those that spale never lets through. Each is sent as TCP and UDP, in frames that the
kernel holds in one piece and in frames of which it holds all but the Ethernet header elsewhere.
"""

import pytest

from lib import netns, packets
from lib.daemon import Spaled

# All of them share what takes long to find out, and so one process.
pytestmark = pytest.mark.xdist_group("disguises")

ROWS = [pytest.param(disguise, id=f"{disguise.family}-{disguise.name}")
        for disguise in packets.DISGUISES]

# What the suite would be worth nothing without: these reach a service when nobody guards it.
KNOWN_TO_WORK = {
    "ipv4": {"plain", "priority-tag", "qinq", "three-tags", "option-nop", "options-of-40-bytes",
             "fragments", "fragments-tiny-first", "fragments-reversed"},
    "ipv6": {"plain", "priority-tag", "qinq", "three-tags", "hop-by-hop", "destination-options",
             "routing-type-0", "atomic-fragment", "8-headers", "9-headers", "fragments",
             "fragments-with-options-inside"},
}


class Results:
    """What was answered in each state: state -> family -> {(name, protocol, layout)}."""

    def __init__(self, lab, unguarded, daemon):
        self.unguarded = unguarded
        daemon.start(Grant={"Idle": "infinity"})
        self.closed = self._probe(lab)
        for family in netns.FAMILIES:
            daemon.knock(family=family)
        self.granted = self._probe(lab, expected=self.let_through())
        self.stranger = self._probe(lab, source=1)
        self.reasons = daemon.counters()
        daemon.write_conf(Protect={"LogOnly": "yes"})
        daemon.reload()
        self.log_only = self._probe(lab, source=1, expected=unguarded)

    def let_through(self):
        """What a grant lets through: all that Linux answers, but for what spale always drops."""
        always = {(row.family, row.name) for row in packets.DISGUISES if row.drop}
        return {family: {kind for kind in kinds if (family, kind[0]) not in always}
                for family, kinds in self.unguarded.items()}

    @staticmethod
    def _probe(lab, source=0, expected=None):
        return {family: packets.answered(lab.client, family, lab.client.source(family, source),
                                         expected[family] if expected else ())
                for family in netns.FAMILIES}


@pytest.fixture(scope="module", params=["tc", pytest.param("xdp", marks=pytest.mark.needs_xdp)])
def results(request, lab, unguarded, shared_keys, tmp_path_factory):
    daemon = Spaled(lab, tmp_path_factory.mktemp("disguises"), request.param, shared_keys)
    try:
        yield Results(lab, unguarded, daemon)
    finally:
        daemon.stop()


def of(disguise, answered):
    return {(protocol, layout) for name, protocol, layout in answered[disguise.family]
            if name == disguise.name}


@pytest.mark.parametrize("family", netns.FAMILIES)
def test_the_disguises_work(unguarded, family):
    both = {name for name in KNOWN_TO_WORK[family]
            if {(name, *kind) for kind in packets.KINDS} <= unguarded[family]}
    assert both == KNOWN_TO_WORK[family]
    assert len({name for name, *_ in unguarded[family]}) >= 25


@pytest.mark.parametrize("disguise", ROWS)
def test_closed(results, disguise):
    assert of(disguise, results.closed) == set()


@pytest.mark.parametrize("disguise", ROWS)
def test_closed_beside_a_grant(results, disguise):
    """Somebody else has a grant."""
    assert of(disguise, results.stranger) == set()


@pytest.mark.parametrize("disguise", ROWS)
def test_granted(results, disguise):
    assert of(disguise, results.granted) == of(disguise, results.let_through())


@pytest.mark.parametrize("disguise", ROWS)
def test_log_only(results, disguise):
    """Nothing at all is dropped, not even what can't be read."""
    assert of(disguise, results.log_only) == of(disguise, results.unguarded)


def test_reasons(results):
    for reason in ("bad-header", "truncated", "vlan-depth", "header-depth", "mapped-source",
                   "fragment", "denied", "granted"):
        assert results.reasons[reason] > 0, (reason, results.reasons)
