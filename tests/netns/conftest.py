# SPDX-License-Identifier: MIT
"""Fixtures: the network, the services, what Linux answers without spale, and spaled."""

import contextlib
import signal
import sys

import pytest

from lib import client, netns, packets
from lib.daemon import Keys, Spaled
from lib.services import Services

sys.dont_write_bytecode = True


def pytest_addoption(parser):
    parser.addoption("--alone", choices=("yes", "no"),
                     help="only tests that need the machine for themselves, or only those that do not")


def pytest_configure(config):
    _end_in_order()
    config.addinivalue_line("markers", "alone: needs the machine for itself, as floods and the like do")
    for need in netns.NEEDS:
        config.addinivalue_line("markers", f"{need}: left out, and said, where the kernel has none")


def pytest_collection_modifyitems(config, items):
    """What this kernel cannot do is left out, not skipped: a skipped test is one that could run."""
    for need in netns.NEEDS:
        left_out = [item for item in items if item.get_closest_marker(need)]
        if not left_out or netns.has(need):
            continue
        _deselect(config, items, left_out)
        if config.option.alone != "no":  # says it once, and not from a process that nobody hears
            print(f"left out, for this kernel lacks what {need} names: {len(left_out)} tests")
    if config.option.alone:
        _deselect(config, items, [item for item in items if config.option.alone
                                  != ("yes" if item.get_closest_marker("alone") else "no")])


def _deselect(config, items, without):
    chosen = set(items) - set(without)
    items[:] = [item for item in items if item in chosen]
    config.hook.pytest_deselected(items=without)


def _end_in_order():
    """A terminated run takes its namespaces and daemons with it."""
    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


@pytest.fixture(scope="session")
def lab():
    netns.remove_stale()
    with contextlib.closing(netns.Lab()) as lab:
        with contextlib.closing(Services(lab.server)):
            yield lab


@pytest.fixture(scope="session")
def unguarded(lab):
    """The disguises that a Linux server answers when no spale guards it, for each family."""
    return {family: packets.answered(lab.client, family, quiet=1.0)
            for family in netns.FAMILIES}


@pytest.fixture(params=["tc", pytest.param("xdp", marks=pytest.mark.needs_xdp)])
def mode(request):
    return request.param


@pytest.fixture(params=netns.FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="session")
def shared_keys(tmp_path_factory):
    """Keys of tests that change nothing about them."""
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def make_daemon(lab, tmp_path):
    """Makes daemons, and sees to it that none outlives the test."""
    made = []

    def make(mode, keys=None, directory=tmp_path):
        made.append(Spaled(lab, directory, mode, keys))
        return made[-1]

    yield make
    for daemon in made:
        daemon.stop()


@pytest.fixture
def daemon(make_daemon, mode, shared_keys):
    """Configured, not started: tests say how. Its keys are shared: for tests that only use them."""
    return make_daemon(mode, shared_keys)


@pytest.fixture
def own_daemon(make_daemon, mode):
    """The same with keys of its own, for tests that add, change or remove clients."""
    return make_daemon(mode)


@pytest.fixture(scope="session")
def net(tmp_path_factory):
    """The network of the tests that need no daemon, only spale-send."""
    netns.remove_stale()
    with contextlib.closing(client.Net(tmp_path_factory.mktemp("etc"))) as network:
        yield network


@pytest.fixture
def user(net, tmp_path):
    """Somebody in it with a home directory, a key, and spale-send."""
    return client.User(net, tmp_path)
