# SPDX-License-Identifier: MIT
"""Floods of forged knocks: the kernel keeps them from the daemon."""

import itertools
import os
import random
import threading
import time

import pytest

from lib import knock, packets, services
from lib.netns import tcp_open

DATAGRAMS = 20000


def flood(lab, family, payloads, sources=None):
    """
    Sends a knock-sized datagram for each payload, as fast as it goes: from sources in turn, as many
    as are named, the last one for all the rest. Their checksums are wrong, which the kernel finds
    out only behind us.
    """
    frames = []
    for payload, source in itertools.zip_longest(
            payloads, sources or [lab.client.source(family, 1)]):
        if source:
            head = packets.datagram(lab.client, family, source, services.KNOCK,
                                    bytes(knock.SIZE))[:-knock.SIZE]
        frames.append(head + payload)
    with packets.Wire(lab.client) as wire:
        for frame in frames:
            wire.send(frame)


def forged(front, count):
    """Datagrams of a knock's size with FRONT in front and noise behind."""
    noise = random.Random(7)
    return [front + noise.randbytes(knock.SIZE - len(front)) for _ in range(count)]


def knocks_seen(daemon):
    return daemon.counters()["knock"]


def test_noise_does_not_reach_the_daemon(daemon, lab, family):
    """Nobody's key is in front: no wake-up, nothing counted as a knock, and a knock works."""
    daemon.start()
    payloads = forged(b"", DATAGRAMS)
    spent = daemon.cpu_seconds()
    flooding = threading.Thread(target=flood, args=(lab, family, payloads))
    flooding.start()
    time.sleep(0.1)
    sent_amid = flooding.is_alive()
    mark = daemon.mark()
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP)
    flooding.join()
    assert sent_amid
    assert knocks_seen(daemon) == 1
    assert daemon.cpu_seconds() - spent <= 0.03
    assert "refused" not in daemon.log(mark)


def test_enrolled_key_in_front_from_one_source(daemon, lab, family):
    """Public keys are no secret. The daemon sees no more than the source's bucket lets through."""
    daemon.start()
    alice = knock.raw_public(daemon.keys.private["alice"].public_key())
    payloads = forged(alice, DATAGRAMS)
    begin = time.monotonic()
    flood(lab, family, payloads)
    elapsed = time.monotonic() - begin
    counters = daemon.counters()
    assert 1 <= counters["knock"] <= 10 + 3 * elapsed + 1
    assert counters["knock"] + counters["knock-source-rate"] == DATAGRAMS
    # Another source has a bucket of its own.
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP)
    assert not tcp_open(lab.client, family, services.TCP, source=1)


def test_enrolled_key_in_front_from_everywhere(daemon, lab, family):
    """Each datagram from a source of its own: what all of them share is the total rate."""
    daemon.start(Knock={"TotalRateLimit": "400/s"})
    alice = knock.raw_public(daemon.keys.private["alice"].public_key())
    sources = ([f"10.77.{n // 250 + 10}.{n % 250 + 1}" for n in range(2000)]
               if family == "ipv4" else [f"fd99:{n:x}::1" for n in range(2000)])
    begin = time.monotonic()
    flood(lab, family, forged(alice, len(sources)), sources)
    elapsed = time.monotonic() - begin
    counters = daemon.counters()
    # Half of the total at most is for format 1, and a burst is a second's worth at most.
    assert 1 <= counters["knock"] <= 200 * (elapsed + 1) + 1
    assert counters["knock"] + counters["knock-total-rate"] == len(sources)
    assert daemon.process.poll() is None


def test_ipv6_is_limited_by_64(daemon, lab):
    """Everybody has a whole /64: its addresses share a bucket."""
    daemon.start()
    alice = knock.raw_public(daemon.keys.private["alice"].public_key())
    flood(lab, "ipv6", forged(alice, 500), [f"fd99::{n:x}" for n in range(1, 501)])
    counters = daemon.counters()
    assert counters["knock"] <= 10 + 3 * 2 + 1
    assert counters["knock"] + counters["knock-source-rate"] == 500


@pytest.mark.parametrize("rate, burst", [("1/10s", 1), ("1/10s", 4)])
def test_bucket(daemon, lab, rate, burst):
    daemon.start(Knock={"RateLimit": rate, "RateBurst": burst})
    for _ in range(burst):
        daemon.knock()
    daemon.send(daemon.keys.knock())
    daemon.knock(source=1)
    assert knocks_seen(daemon) == burst + 1
    assert daemon.counters()["knock-source-rate"] == 1


def test_repeated_flood(daemon, lab):
    """The same genuine knock, over and over: one is handed up, whatever the buckets say."""
    daemon.start(Knock={"RateLimit": "100000/s", "RateBurst": "100000"})
    datagram = daemon.knock()
    frame = packets.datagram(lab.client, "ipv4", lab.client.source("ipv4"), services.KNOCK, datagram)
    with packets.Wire(lab.client) as wire:
        for _ in range(5000):
            wire.send(frame)
    counters = daemon.counters()
    assert (counters["knock"], counters["knock-repeated"]) == (1, 5000)


def test_refusals_do_not_flood_the_log(daemon, lab):
    daemon.start(Knock={"RateLimit": "100000/s", "RateBurst": "100000"}, Log={"Level": "info"})
    alice = knock.raw_public(daemon.keys.private["alice"].public_key())
    mark = daemon.mark()
    flood(lab, "ipv4", [alice + os.urandom(65) for _ in range(1000)])
    time.sleep(0.5)
    assert 1 <= daemon.log(mark).count("knock refused") <= 100, daemon.log(mark)[-400:]
