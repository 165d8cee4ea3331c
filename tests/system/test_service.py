# SPDX-License-Identifier: MIT
"""The packaged unit: who it runs as, what it may, its keys, reload, watchdog."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import stat
import subprocess

import machine
import pytest
from lib import services
from machine import active, drop_in, drop_in_remove, main_pid, run, show, systemctl, wait_until

UNIT = "/lib/systemd/system/spaled.service"
PROC = pathlib.Path("/proc")
CAPABILITIES = 1 << 39 | 1 << 38 | 1 << 12  # CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN


@pytest.fixture(scope="module", autouse=True)
def configured(outside):
    machine.install_packages()
    machine.configure()


@pytest.fixture(autouse=True)
def alice(configured, tmp_path):
    """
    Each test begins with the service as packaged, just started. This is the key file of a client
    who is new too: the old ones' knocks of these seconds might be those that were accepted before.
    """
    for path in (machine.CONF / "clients").iterdir():
        path.unlink()
    key = machine.new_client(tmp_path, "alice")
    systemctl("restart", "spaled")
    assert active() == "active"
    yield key
    machine.write_configuration()


# ---- the process -----------------------------------------------------------------------------

def test_runs_as_its_user_with_three_capabilities():
    status = machine.status_of(main_pid())
    user = pwd.getpwnam("spale")
    assert set(status["Uid"].split()) == {str(user.pw_uid)} != {"0"}
    assert set(status["Gid"].split()) == {str(user.pw_gid)}
    for kind in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[kind], 16) == CAPABILITIES, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_keeps_its_memory_to_itself():
    limits = (PROC / str(main_pid()) / "limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    # Of a process that may be dumped, this belongs to its user.
    assert (PROC / str(main_pid()) / "environ").stat().st_uid == 0


def test_sees_only_what_it_needs():
    """Its view of the files: it can write to its state, and execute itself and libraries."""
    root = PROC / str(main_pid()) / "root"

    def flags(path):
        return os.statvfs(root / path).f_flag

    for path in ("etc/spale", "usr/bin", "var/lib", "run"):
        assert flags(path) & os.ST_RDONLY, path
        assert flags(path) & os.ST_NOEXEC, path
    assert not flags("var/lib/spale") & os.ST_RDONLY
    assert flags("var/lib/spale") & os.ST_NOEXEC
    assert not flags("usr/sbin/spaled") & os.ST_NOEXEC
    for path in ("root", "boot", "home"):
        status = (root / path).stat()
        assert stat.S_IMODE(status.st_mode) == 0 and status.st_uid == 0, path


def test_exposure_is_low(capsys):
    text = run("systemd-analyze", "security", "--offline=true", UNIT).stdout
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)[1]
    with capsys.disabled():
        print(f"\nsystemd-analyze security: exposure {score}, at most 1.3 is wanted")
    assert float(score) <= 1.3


def test_unit_is_valid():
    done = run("systemd-analyze", "verify", UNIT)
    # It asks man(1) for pages that a minimal system does not keep.
    assert [line for line in (done.stdout + done.stderr).splitlines()
            if "Command 'man " not in line] == []


def test_nothing_stops_it_from_coming_back():
    assert show("Restart") == "always"
    assert show("StartLimitIntervalUSec") == "0"
    assert show("RestartPreventExitStatus") == ""
    assert int(show("FileDescriptorStoreMax")) > 0
    assert show("WatchdogUSec") == "20s"


# ---- protects --------------------------------------------------------------------------------

@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_protects(outside, alice, family):
    assert outside.is_kept_from(services.TCP, family)
    assert outside.reaches(services.FREE_TCP, family)
    assert outside.gets_in(alice, family)
    assert outside.is_kept_from(services.TCP, family, source=1)


def test_status_says_what_there_is(outside, alice):
    assert show("StatusText") == "0 grants, 0 knocks accepted"
    assert outside.gets_in(alice)
    assert wait_until(lambda: show("StatusText") == "1 grant, 1 knock accepted")
    text = systemctl("status", "--no-pager", "spaled").stdout
    assert 'Status: "1 grant, 1 knock accepted"' in text
    assert "knock accepted: client=alice source=10.77.0.2" in text


def test_stop_opens(outside):
    systemctl("stop", "spaled")
    assert outside.reaches(services.TCP)
    assert show("Result") == "success"


def test_log_lines_have_their_priority(outside):
    machine.write_configuration(ports="0")
    assert systemctl("reload", "spaled", check=False).returncode != 0
    run("journalctl", "--sync")
    errors = run("journalctl", "--boot", "--unit", "spaled", "--priority", "err", "--output",
                 "cat", "--no-pager").stdout
    assert "reload failed" in errors and "started" not in errors


# ---- reload ----------------------------------------------------------------------------------

def test_reload(outside):
    pid = main_pid()
    assert outside.reaches(services.ALSO)
    machine.write_configuration(ports=f"{services.TCP}/tcp {services.ALSO}/tcp")
    systemctl("reload", "spaled")
    # No waiting: when the command returns, it is in force.
    assert outside.is_kept_from(services.ALSO)
    assert main_pid() == pid


def test_reload_that_fails_says_so_and_changes_nothing(outside, alice):
    assert outside.gets_in(alice)
    said = machine.Said()
    machine.write_configuration(ports="22/tcpp")
    assert systemctl("reload", "spaled", check=False).returncode != 0
    assert r"spale.conf:3: error: .*22/tcpp" in said
    assert "reload failed, the old configuration stays in force" in said
    assert active() == "active"
    assert show("StatusText").endswith("; the last reload failed, the old configuration is in "
                                       "force")
    assert outside.reaches(services.TCP)
    assert outside.is_kept_from(services.TCP, source=1)

    machine.write_configuration()
    systemctl("reload", "spaled")
    assert show("StatusText") == "1 grant, 1 knock accepted"


def test_reload_that_the_daemon_refuses_fails():
    """The files are fine by themselves; it is the running daemon that cannot change so."""
    machine.write_configuration()
    path = machine.CONF / "spale.conf"
    path.write_text(path.read_text().replace("[Protect]", "[Protect]\nMode=xdp"))
    assert run("spaled", "--check-config").returncode == 0
    assert systemctl("reload", "spaled", check=False).returncode != 0


def test_plain_hangup_reloads(outside):
    said = machine.Said()
    systemctl("kill", "--kill-whom=main", "--signal=HUP", "spaled")
    assert r"reloaded: 1 clients" in said
    assert show("StatusText") == "0 grants, 0 knocks accepted"


def test_reload_asks_nobody_else():
    """A process that is no spaled dies of the signal, which is no success."""
    with subprocess.Popen(["sleep", "60"]) as other:
        done = run("spaled", "--reload", other.pid, check=False)
        assert other.wait() == -signal.SIGHUP
    assert done.returncode == 1
    assert done.stderr == f"process {other.pid} did not reload: No such process\n"


# ---- keys ------------------------------------------------------------------------------------

KEY = machine.CONF / "server.key"
DECRYPTED = pathlib.Path("/run/credentials/spale-key@server.key.service/server.key")


def test_key_is_roots_alone(outside, alice):
    assert stat.S_IMODE(KEY.stat().st_mode) == 0o600 and KEY.stat().st_uid == 0
    assert run("setpriv", "--reuid", "spale", "--regid", "spale", "--clear-groups", "cat", KEY,
               check=False).returncode != 0
    assert outside.gets_in(alice)


def test_clients_are_nobody_elses_business():
    for path in (machine.CONF, machine.CONF / "clients"):
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == 0o750
        assert (status.st_uid, status.st_gid) == (0, pwd.getpwnam("spale").pw_gid)


@pytest.mark.parametrize("place", ["/run/spale/spale.conf.d", "/usr/lib/spale/spale.conf.d"])
def test_drop_ins_alone_are_a_configuration(outside, place):
    """Of a distribution, say, on a machine where the service never ran."""
    conf = machine.CONF / "spale.conf"
    drop_in = pathlib.Path(place) / "10-all.conf"
    drop_in.parent.mkdir(parents=True)
    systemctl("stop", "spaled")
    try:
        shutil.move(conf, drop_in)
        shutil.rmtree(machine.STATE / "replay")
        systemctl("start", "spaled")
        assert show("ConditionResult") == "yes"
        assert outside.is_kept_from(services.TCP)
    finally:
        shutil.move(drop_in, conf)
        shutil.rmtree(drop_in.parent.parent)
        systemctl("restart", "spaled")


def test_missing_key_is_explained():
    kept = KEY.read_bytes()
    KEY.unlink()
    try:
        said = machine.Said()
        # A restart would go on with what it has.
        systemctl("stop", "spaled")
        machine.forget_last_good()
        assert systemctl("start", "spaled", check=False).returncode != 0
        assert r"/etc/spale/server.key: error: does not exist: make a key with 'spale-keygen" in said
    finally:
        KEY.write_bytes(kept)
        KEY.chmod(0o600)
    # It never gave up.
    assert machine.wait_active()


def test_key_can_be_an_encrypted_credential(outside, alice):
    kept = KEY.read_bytes()
    encrypted = machine.CONF / "server.key.cred"
    run("systemd-creds", "encrypt", "--with-key=host", "--name=server.key", KEY, encrypted)
    KEY.unlink()
    drop_in("encrypted", f"[Service]\nLoadCredentialEncrypted=server.key:{encrypted}\n")
    try:
        assert kept not in encrypted.read_bytes()
        systemctl("restart", "spaled")
        assert outside.gets_in(alice)
    finally:
        drop_in_remove("encrypted")
        encrypted.unlink()
        KEY.write_bytes(kept)
        KEY.chmod(0o600)


def test_key_that_cannot_be_decrypted_opens_nothing(outside, alice, tmp_path):
    """It is decrypted by a service of its own, without which spaled starts and protects."""
    kept = KEY.read_bytes()
    bob = machine.new_client(tmp_path, "bob")
    encrypted = machine.CONF / "server.key.cred"
    run("systemd-creds", "encrypt", "--with-key=host", "--name=server.key", KEY, encrypted)
    good = encrypted.read_bytes()
    KEY.unlink()
    drop_in("encrypted", f"[Service]\nLoadCredential=server.key:{DECRYPTED}\n")
    try:
        systemctl("enable", "spale-key@server.key")
        systemctl("restart", "spaled")
        assert outside.gets_in(alice)
        assert DECRYPTED.read_bytes() == kept
        assert stat.S_IMODE(DECRYPTED.stat().st_mode) == 0o400 and DECRYPTED.stat().st_uid == 0

        # As at a boot with another TPM, or without the file.
        systemctl("stop", "spaled", "spale-key@server.key")
        encrypted.write_bytes(good[:-8] + b"AAAAAAA=")
        systemctl("start", "spaled")
        assert show("Result", "spale-key@server.key") == "exit-code"
        assert outside.is_kept_from(services.TCP)
        assert show("StatusText").endswith("; no knock can be taken: no server key can be read")
        outside.knock(bob)
        assert outside.is_kept_from(services.TCP)

        encrypted.write_bytes(good)
        systemctl("restart", "spale-key@server.key", "spaled")
        assert "no knock" not in show("StatusText")
        assert outside.gets_in(bob)
    finally:
        drop_in_remove("encrypted")
        systemctl("disable", "--now", "spale-key@server.key")
        encrypted.unlink()
        KEY.write_bytes(kept)
        KEY.chmod(0o600)


def test_changed_key_needs_a_restart_and_reload_says_so(tmp_path):
    said = machine.Said()
    systemctl("reload", "spaled")
    assert "reloaded" in said and "was changed" not in said.text()
    kept = KEY.read_bytes()
    run("spale-keygen", "server", "--out", tmp_path)
    KEY.write_bytes((tmp_path / "server.key").read_bytes())
    try:
        systemctl("reload", "spaled")
        assert "/etc/spale/server.key: warning: was changed .* restart the service" in said
        said = machine.Said()
        systemctl("restart", "spaled")
        assert "started" in said and "was changed" not in said.text()
    finally:
        KEY.write_bytes(kept)


def test_two_keys_while_one_is_replaced(outside, alice, tmp_path):
    """The new key serves, and a client who still has the old one gets in too."""
    kept = KEY.read_bytes()
    old = machine.CONF / "old.key"
    bob = machine.new_client(tmp_path, "bob")
    KEY.rename(old)
    run("spale-keygen", "server", "--out", tmp_path)
    run("install", "-m", "600", tmp_path / "server.key", KEY)
    machine.write_configuration(extra="ServerKey=server.key old.key\n")
    try:
        said = machine.Said()
        # A restart would go on with what it has.
        systemctl("stop", "spaled")
        machine.forget_last_good()
        assert systemctl("start", "spaled", check=False).returncode != 0
        assert "LoadCredential=old.key:/etc/spale/old.key" in said
        drop_in("old", f"[Service]\nLoadCredential=old.key:{old}\n")
        systemctl("restart", "spaled")
        assert outside.gets_in(alice)
        drop_in_remove("old")
        machine.write_configuration()
        systemctl("stop", "spaled")  # ends the grant
        systemctl("start", "spaled")
        outside.knock(bob)
        assert r"knock refused: .*reason=bad-seal" in said
        assert outside.is_kept_from(services.TCP)
    finally:
        old.unlink()
        KEY.write_bytes(kept)
        KEY.chmod(0o600)


# ---- dying -----------------------------------------------------------------------------------

def revived(pid, timeout=15):
    return wait_until(lambda: main_pid() not in (0, pid) and active() == "active", timeout)


def test_killed_again_and_again(outside):
    for _ in range(7):
        pid = main_pid()
        os.kill(pid, signal.SIGKILL)
        assert revived(pid)
    assert outside.is_kept_from(services.TCP)


def test_watchdog_ends_a_daemon_that_hangs(outside):
    drop_in("watchdog", "[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n")
    try:
        systemctl("restart", "spaled")
        pid = main_pid()
        # It does feed the watchdog, each half of a second.
        for _ in range(5):
            fed = show("WatchdogTimestampMonotonic")
            assert wait_until(lambda: show("WatchdogTimestampMonotonic") != fed)
        assert main_pid() == pid
        said = machine.Said()
        os.kill(pid, signal.SIGSTOP)
        assert revived(pid)
        assert "Watchdog timeout" in said
        assert outside.is_kept_from(services.TCP)
    finally:
        drop_in_remove("watchdog")
