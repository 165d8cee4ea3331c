# SPDX-License-Identifier: MIT
"""A BPF file system of the test's own, and programs that other loaders put on interfaces."""

import contextlib
import os
import pathlib
import subprocess

from lib.daemon import BUILD

TC_OBJECT = BUILD / "bpf" / "spale-tc.bpf.o"
XDP_OBJECT = BUILD / "bpf" / "spale-xdp.bpf.o"


class Bpffs:
    """Mounted on PATH until close(), for root alone as systemd has it."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir()
        subprocess.run(["mount", "-t", "bpf", "-o", "mode=0700", "bpf", self.path], check=True)

    def close(self):
        subprocess.run(["umount", self.path], check=True)


class Ip:
    """ip link set … xdp."""

    def __init__(self, namespace, bpffs):
        self._namespace = namespace
        self._environment = os.environ | {"TC_BPF_MNT": str(bpffs.path)}
        self.pins = bpffs.path / "tc" / "globals"

    def load(self, device):
        self._namespace.run("ip", "link", "set", "dev", device, "xdp", "obj", XDP_OBJECT,
                            "sec", "xdp.frags", env=self._environment)

    def unload(self, device):
        self._namespace.run("ip", "link", "set", "dev", device, "xdp", "off", check=False)


class Tc:
    """tc filter add … bpf."""

    def __init__(self, namespace, bpffs):
        self._namespace = namespace
        self._environment = os.environ | {"TC_BPF_MNT": str(bpffs.path)}
        self.pins = bpffs.path / "tc" / "globals"

    def load(self, device):
        self._namespace.run("tc", "qdisc", "add", "dev", device, "clsact")
        self._namespace.run("tc", "filter", "add", "dev", device, "ingress", "bpf",
                            "direct-action", "obj", TC_OBJECT, "sec", "tc",
                            env=self._environment)

    def unload(self, device):
        self._namespace.run("tc", "qdisc", "del", "dev", device, "clsact", check=False)


class XdpLoader:
    """xdp-loader of xdp-tools, with a /run of its own: a lock file there lets one run at a time."""

    def __init__(self, namespace, bpffs):
        self._namespace = namespace
        self.pins = bpffs.path / "spale"

    def load(self, device):
        self._run("load", "-p", self.pins, device, XDP_OBJECT)

    def unload(self, device):
        self._run("unload", "-a", device, check=False)

    def _run(self, *argv, **options):
        self._namespace.run("unshare", "--mount", "sh", "-ec",
                            'mount -t tmpfs run /run; exec xdp-loader "$@"', "sh", *argv, **options)


LOADERS = {"ip": Ip, "tc": Tc, "xdp-loader": XdpLoader}


@contextlib.contextmanager
def loaded(kind, namespace, bpffs, devices):
    """The installed objects on DEVICES, as LOADERS[KIND] attaches them."""
    loader = LOADERS[kind](namespace, bpffs)
    try:
        for device in devices:
            loader.load(device)
        yield loader
    finally:
        for device in devices:
            loader.unload(device)
