# SPDX-License-Identifier: MIT
"""A machine that boots with spaled, installed by "meson install" into whatever prefix."""

import pathlib
import re

import machine
from machine import run, show, systemctl

PREFIX = pathlib.Path(show("FragmentPath").partition("/lib/systemd/")[0] or "/usr")


def reached(unit):
    """When, in microseconds of the machine's life."""
    return int(show("ActiveEnterTimestampMonotonic", unit))


def test_protects_from_the_boot_on():
    assert show("ActiveState") == "active"
    assert show("NRestarts") == "0"
    assert "interface attached: interface=card0" in machine.journal()


def test_before_the_network():
    assert 0 < reached("spaled.service") <= reached("network-pre.target")
    assert "network-pre.target" in show("Before").split()
    assert "network-pre.target" in show("Wants").split()


def test_before_the_bus():
    """
    A network that comes up before sysinit.target found it running, and no D-Bus yet.
    Had it closed an ordering cycle, systemd would have left something of that out.
    """
    states = pathlib.Path("/run/early-network").read_text().split()
    assert states == ["active", "inactive"]
    assert reached("spaled.service") < reached("dbus.socket")


def test_everything_is_in_the_prefix():
    text = systemctl("cat", "spaled").stdout
    assert f"ExecStart={PREFIX}/sbin/spaled\n" in text
    for path in ("sbin/spaled", "bin/spale-send", "bin/spale-keygen", "share/man/man8/spaled.8",
                 "share/man/man5/spale.conf.5", "share/doc/spale/examples/spale.conf",
                 "lib/sysusers.d/spale.conf", "lib/tmpfiles.d/spale.conf"):
        assert (PREFIX / path).is_file(), path
    assert sorted(path.name for path in PREFIX.glob("lib/**/spale/bpf/*")) == [
        "spale-tc.bpf.o", "spale-xdp.bpf.o"]


def test_example_is_usable(tmp_path):
    """As it is, and with every line that it comments out."""
    example = (PREFIX / "share/doc/spale/examples/spale.conf").read_text()
    for text in (example, re.sub(r"^#(?=\w+=)", "", example, flags=re.MULTILINE)):
        (tmp_path / "spale.conf").write_text(text)
        done = run("spaled", "-c", tmp_path / "spale.conf", "--show-config")
        assert done.stderr == ""
    assert "Idle=60s" in text


def test_stays_in_rescue_mode():
    """Whoever switches to the rescue target has a network still, and no open ports."""
    dependencies = systemctl("list-dependencies", "--plain", "rescue.target").stdout
    assert "spaled.service" in dependencies
