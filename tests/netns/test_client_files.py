# SPDX-License-Identifier: MIT
"""Clients' files take effect by themselves, after a second of quiet."""

import os
import shutil
import stat
import time

import pytest

from lib import services
from lib.netns import tcp_closed, tcp_open, wait_until


@pytest.fixture
def daemon(make_daemon):
    """What is watched does not depend on how packets are judged: one mode."""
    return make_daemon("tc").start()


def new_key(daemon, name):
    """A client whose public key nobody has enrolled yet, as text."""
    daemon.keys.add(name)
    path = daemon.keys.clients_directory / f"{name}.pem"
    text = path.read_bytes()
    path.unlink()
    return text


def test_added_client_may_knock(daemon, lab, family):
    mark = daemon.mark()
    daemon.keys.add("carol")
    assert daemon.wait_log("client enrolled: client=carol", mark), daemon.log(mark)
    daemon.knock("carol", family=family)
    assert tcp_open(lab.client, family, services.TCP)


def test_removed_client_is_cut(daemon, lab, family):
    daemon.knock("alice", family=family)
    daemon.knock("bob", family=family, source=1)
    mark = daemon.mark()
    (daemon.keys.clients_directory / "alice.pem").unlink()
    assert daemon.wait_log("client removed: client=alice", mark)
    assert daemon.wait_log("grant revoked: client=alice", mark)
    assert tcp_closed(lab.client, family, services.TCP)
    assert tcp_open(lab.client, family, services.TCP, source=1)
    assert "reloaded" not in daemon.log(mark)


def test_disabled_client_is_cut(daemon, lab):
    daemon.knock("alice")
    mark = daemon.mark()
    daemon.keys.conf("alice", Enabled="no")
    assert daemon.wait_log(r"client changed: client=alice \(disabled\)", mark)
    assert daemon.wait_log("grant revoked: client=alice", mark)
    assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_replaced_key_is_cut(daemon, lab):
    daemon.knock("alice")
    mark = daemon.mark()
    daemon.keys.add("alice")
    assert daemon.wait_log("grant revoked: client=alice", mark)
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    daemon.knock("alice")
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_one_bad_file_leaves_the_others(daemon):
    mark = daemon.mark()
    (daemon.keys.clients_directory / "mallory.pem").write_text("no key\n")
    daemon.keys.add("carol")
    assert daemon.wait_log(r"client refused: client=mallory \(.*/mallory.pem: ", mark)
    assert daemon.wait_log("client enrolled: client=carol", mark)
    daemon.knock("alice")


@pytest.mark.parametrize("kind, why", [
    ("socket", "is not a regular file"), ("link", "is a link to nowhere"),
    ("bundle", "holds a private key, which is its owner's alone")])
def test_what_is_no_public_key(daemon, kind, why):
    path = daemon.keys.clients_directory / "carol.pem"
    mark = daemon.mark()
    if kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o644)
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes((daemon.keys.clients_directory / "alice.pem").read_bytes() +
                         b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n")
    assert daemon.wait_log(rf"client refused: client=carol \(.*/carol.pem: {why}", mark)
    daemon.knock("alice")


def test_file_that_is_still_written(daemon):
    """What is read is not half of a file whose writer takes his time."""
    key = new_key(daemon, "carol")
    mark = daemon.mark()
    moments = [time.monotonic()]
    with open(daemon.keys.clients_directory / "carol.pem", "wb", buffering=0) as file:
        for byte in key:
            file.write(bytes([byte]))
            moments.append(time.monotonic())
            time.sleep(0.02)
    assert daemon.wait_log("client enrolled: client=carol", mark)
    # A machine that stands still for a second makes a second of quiet.
    longest = max(after - before for before, after in zip(moments, moments[1:]))
    assert longest > 0.9 or "client refused" not in daemon.log(mark)


def test_files_are_a_pair(daemon, lab):
    """A client is enrolled with its settings or not at all, whichever file is there first."""
    key = new_key(daemon, "carol")
    mark = daemon.mark()
    (daemon.keys.clients_directory / "carol.pem").write_bytes(key)
    daemon.keys.conf("carol", Ports="7004/tcp")
    assert daemon.wait_log("client enrolled: client=carol", mark)
    assert "client changed" not in daemon.log(mark)
    daemon.knock("carol")
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert tcp_open(lab.client, "ipv4", services.ALSO)


def test_vanished_settings_stay_until_reload(daemon, lab):
    daemon.keys.conf("alice", Enabled="no")
    daemon.reload()
    mark = daemon.mark()
    conf = daemon.keys.clients_directory / "alice.conf"
    conf.unlink()
    assert daemon.wait_log(r"alice.conf: warning: has vanished", mark)
    daemon.send(daemon.keys.knock("alice"))
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    # Nor does another change bring them back.
    mark = daemon.mark()
    daemon.keys.add("carol")
    assert daemon.wait_log("client enrolled: client=carol", mark)
    assert "client changed" not in daemon.log(mark)
    daemon.reload()
    assert daemon.wait_log("client changed: client=alice", mark)
    daemon.knock("alice")


def test_vanished_settings_go_with_the_key(daemon):
    daemon.keys.conf("alice", Enabled="no")
    daemon.reload()
    pem = daemon.keys.clients_directory / "alice.pem"
    key = pem.read_bytes()
    mark = daemon.mark()
    (daemon.keys.clients_directory / "alice.conf").unlink()
    pem.unlink()
    assert daemon.wait_log("client removed: client=alice", mark)
    pem.write_bytes(key)
    assert daemon.wait_log(r"client enrolled: client=alice\n", mark)
    daemon.knock("alice")


def test_directory_comes_and_goes(daemon, lab):
    """While it is away nothing changes; what is in it when it comes back counts."""
    directory = daemon.keys.clients_directory
    daemon.knock("alice")
    mark = daemon.mark()
    directory.rename(directory.with_name("elsewhere"))
    assert daemon.wait_log("cannot be watched for changed clients", mark)
    assert tcp_open(lab.client, "ipv4", services.TCP)
    shutil.copytree(directory.with_name("elsewhere"), directory)
    (directory / "alice.pem").unlink()
    assert daemon.wait_log("watched for changed clients again", mark)
    assert daemon.wait_log("client removed: client=alice", mark, timeout=6)
    assert wait_until(lambda: tcp_closed(lab.client, "ipv4", services.TCP))
    # It is the new one that is watched now.
    mark = daemon.mark()
    (directory.with_name("elsewhere") / "bob.pem").unlink()
    daemon.keys.add("carol")
    assert daemon.wait_log("client enrolled: client=carol", mark)
    assert "client=bob" not in daemon.log(mark)


@pytest.mark.alone
def test_many_changes_at_once(daemon):
    """More than the kernel's queue takes, or as many as there are: the last state counts."""
    directory = daemon.keys.clients_directory
    key = new_key(daemon, "carol")
    mark = daemon.mark()
    for _ in range(20000):
        (directory / "carol.pem.new").write_bytes(key)
        (directory / "carol.pem.new").rename(directory / "carol.pem")
    assert daemon.wait_log("client enrolled: client=carol", mark, timeout=15)
    assert wait_until(lambda: daemon.process.poll() is None)
    daemon.knock("carol")
