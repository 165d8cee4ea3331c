# SPDX-License-Identifier: MIT
"""Floods of forged knocks: the kernel keeps them from the daemon."""

import itertools
import random
import threading
import time

import pytest

from lib import knock, packets, services
from lib.netns import PATIENCE, tcp_closed, tcp_open

pytestmark = pytest.mark.alone

DATAGRAMS = 20000


def frames_of(lab, family, payloads, sources=None):
    """
    A knock-sized datagram for each payload: from sources in turn, as many as are named, the last
    one for all the rest. Their checksums are wrong, which the kernel finds out only behind us.
    """
    frames = []
    for payload, source in itertools.zip_longest(
            payloads, sources or [lab.client.source(family, 1)]):
        if source:
            head = packets.datagram(lab.client, family, source, services.KNOCK,
                                    bytes(knock.SIZE))[:-knock.SIZE]
        frames.append(head + payload)
    return frames


def flood(lab, frames):
    """Sends them as fast as it goes."""
    with packets.Wire(lab.client) as wire:
        for frame in frames:
            wire.send(frame)


class Flood(threading.Thread):
    """Sends frames again and again until it is stopped, but all of them once at least."""

    def __init__(self, lab, frames):
        super().__init__()
        self._lab, self._frames = lab, frames
        self._stopped = threading.Event()

    def run(self):
        while not self._stopped.is_set():
            flood(self._lab, self._frames)

    def __enter__(self):
        self.start()
        time.sleep(0.05)
        return self

    def __exit__(self, *_exc):
        self._stopped.set()
        self.join()


def forged(front, count):
    """Datagrams of a knock's size with FRONT in front and noise behind."""
    noise = random.Random(7)
    return [front + noise.randbytes(knock.SIZE - len(front)) for _ in range(count)]


def knocks_seen(daemon):
    return daemon.counters()["knock"]


def test_noise_does_not_reach_the_daemon(daemon, lab, family):
    """Nobody's key is in front: no wake-up, nothing counted as a knock, and a knock works."""
    daemon.start()
    frames = frames_of(lab, family, forged(b"", DATAGRAMS))
    # What a knock costs here, alone: where processors are emulated, more than the usual bound.
    before = daemon.cpu_seconds()
    daemon.knock("bob", family=family, source=1)
    bound = max(0.03 * PATIENCE, 3 * (daemon.cpu_seconds() - before))
    mark = daemon.mark()
    spent = daemon.cpu_seconds()
    with Flood(lab, frames):
        daemon.knock(family=family)
        assert tcp_open(lab.client, family, services.TCP)
    assert knocks_seen(daemon) == 2
    assert daemon.cpu_seconds() - spent <= bound
    assert "refused" not in daemon.log(mark)


def test_enrolled_key_in_front_from_one_source(daemon, lab, family):
    """Public keys are no secret. The daemon sees no more than the source's bucket lets through."""
    daemon.start()
    alice = knock.raw_public(daemon.keys.private["alice"].public_key())
    frames = frames_of(lab, family, forged(alice, DATAGRAMS))
    begin = time.monotonic()
    flood(lab, frames)
    elapsed = time.monotonic() - begin
    counters = daemon.counters()
    assert 1 <= counters["knock"] <= 10 + 3 * elapsed + 1
    assert counters["knock"] + counters["knock-source-rate"] == DATAGRAMS
    # Another source has a bucket of its own (IPv6: another /64).
    daemon.knock("bob", family=family, link=lab.attacker)
    assert tcp_open(lab.attacker, family, services.TCP)
    assert tcp_closed(lab.client, family, services.TCP, source=1)


def test_enrolled_key_in_front_from_everywhere(daemon, lab, family):
    """Each datagram from a source of its own: what all of them share is the total rate."""
    daemon.start(Knock={"TotalRateLimit": "400/s"})
    alice = knock.raw_public(daemon.keys.private["alice"].public_key())
    sources = ([f"10.77.{n // 250 + 10}.{n % 250 + 1}" for n in range(2000)]
               if family == "ipv4" else [f"fd99:{n:x}::1" for n in range(2000)])
    frames = frames_of(lab, family, forged(alice, len(sources)), sources)
    begin = time.monotonic()
    flood(lab, frames)
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
    flood(lab, frames_of(lab, "ipv6", forged(alice, 500),
                         [f"fd99::{n:x}" for n in range(1, 501)]))
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
    flood(lab, frames_of(lab, "ipv4", forged(alice, 1000)))
    time.sleep(0.5)
    assert 1 <= daemon.log(mark).count("knock refused") <= 100, daemon.log(mark)[-400:]
