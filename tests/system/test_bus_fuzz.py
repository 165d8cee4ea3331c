# SPDX-License-Identifier: MIT
"""
The sanitized daemon, and calls with values that nobody expects: from somebody who may nothing, and
from somebody who may everything. It has the packaged unit but for what keeps sanitizers from working.
"""

import json
import os
import pathlib
import random
import shutil

import bus
import machine
import pytest
from bus import Caller
from lib import services
from machine import ROOT, active, main_pid, run, systemctl, wait_until

SANITIZED = os.environ.get("SPALE_BUILD_SANITIZED", "")
SECONDS = 600 if os.environ.get("SPALE_LONG") == "1" else 15
DAEMON = "/usr/local/sbin/spaled-sanitized"
REPORTS = pathlib.Path("/var/lib/spale")

# No leaks: the daemon lets nobody look into its memory, LeakSanitizer neither.
UNIT = f"""[Service]
ExecStart=
ExecStart={DAEMON} --first-start --config /etc/spale/spale.conf
Environment=ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:log_path={REPORTS}/report
Environment=UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1:log_path={REPORTS}/report
Restart=no
MemoryDenyWriteExecute=no
NoExecPaths=
ExecPaths=
SystemCallFilter=
LimitNPROC=infinity
WatchdogSec=0
"""


@pytest.fixture(scope="module", autouse=True)
def configured(outside, tmp_path_factory):
    if not SANITIZED:
        pytest.skip("SPALE_BUILD_SANITIZED names no build")
    machine.install_packages()
    machine.configure()
    bus.make_people()
    directory = tmp_path_factory.mktemp("keys")
    for name in ("alice", "bob"):
        machine.new_client(directory, name)
    shutil.copy(ROOT / "tests" / "system" / "fuzz_bus.py", "/usr/local/bin/spale-test-fuzz")
    for path in (ROOT / "dbus").glob("*.xml"):
        shutil.copy(path, "/usr/local/share")
    shutil.copy(f"{SANITIZED}/src/spaled", DAEMON)  # /tmp is another one for the service
    machine.drop_in("sanitized", UNIT)


@pytest.fixture(autouse=True)
def sanitized(configured, outside):
    systemctl("restart", "spaled")
    assert bus.wait_for_name(timeout=60)
    assert os.readlink(f"/proc/{main_pid()}/exe") == DAEMON
    pid = main_pid()
    assert outside.is_kept_from(services.TCP)
    yield
    found = [path.read_text(errors="replace") for path in REPORTS.glob("report.*")]
    assert not found, found[0][:8000]
    assert active() == "active" and main_pid() == pid


def fuzz(user):
    seed = random.randrange(2**32)
    interfaces = sorted(str(path) for path in pathlib.Path("/usr/local/share").glob("*.xml"))
    done = machine.subprocess.run(
        ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "/usr/local/bin/spale-test-fuzz",
         str(SECONDS), str(seed), *interfaces], capture_output=True, text=True, timeout=SECONDS + 120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    came = json.loads(done.stdout.splitlines()[-1])
    print(done.stdout)
    return came


def test_nobody_in_particular(outside):
    came = fuzz("nobodys")
    assert sum(came.values()) > 100
    # Ping and GetMachineId, nothing else.
    assert came.pop("success", 0) < sum(came.values())
    assert outside.is_kept_from(services.TCP)
    assert outside.reaches(services.FREE_TCP)


def test_somebody_who_may_everything(outside):
    came = fuzz("all")
    assert came["success"] > 100 and came["org.spale1.Error.BadArgument"] > 10, came
    # All of it taken back: closed as before.
    owner = Caller("all")
    owner.manager("SetLogOnly", "(ba{sv})", (False, {"permanent": bus.variant("b", True)}))
    for prefix, kept in owner.manager("ListAlwaysAllowed").value[0]:
        options = {"permanent": bus.variant("b", True)} if kept else {}
        assert owner.manager("RemoveAlwaysAllowed", "(sa{sv})", (prefix, options)).error is None
    ports = [("tcp", services.TCP, services.TCP)]
    answer = owner.manager("SetProtectedPorts", "(a(sqq)a{sv})", (ports, {}))
    assert answer.error is None, answer
    assert owner.manager("RevokeAll").error is None
    assert wait_until(lambda: owner.get("GrantCount") == 0, 10, 0.1)
    assert outside.is_kept_from(services.TCP)
    assert run("busctl", "introspect", bus.NAME, bus.MANAGER).returncode == 0
    owner.close()
