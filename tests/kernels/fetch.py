# SPDX-License-Identifier: MIT
"""Gets Debian's cloud kernels, and unpacks them without installing anything."""

import dataclasses
import os
import pathlib
import re
import subprocess
import tempfile

NEWEST = "newest"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclasses.dataclass
class Kernel:
    """An unpacked kernel."""
    root: pathlib.Path  # what holds lib/modules
    release: str
    image: pathlib.Path


def _found(directory):
    """The kernel in DIRECTORY, or None."""
    for modules in sorted(directory.glob("lib/modules/*")):
        for image in (directory / "boot" / f"vmlinuz-{modules.name}", modules / "vmlinuz"):
            if image.exists():
                return Kernel(directory, modules.name, image)
    return None


def _run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _mirror():
    """Where this system gets the packages of Debian itself from."""
    for line in _run("apt-get", "indextargets", "--format",
                     "$(REPO_URI) $(LABEL) $(COMPONENT)", "Created-By: Packages").splitlines():
        uri, label, component = line.rsplit(" ", 2)
        if label == "Debian" and component == "main":
            return uri
    raise SystemExit("tests/kernels/run: this system has no source of Debian's packages")


class _Suites:
    """Releases of Debian beside this system's own, with lists of their own."""

    def __init__(self, suites, directory):
        sources = directory / "suites.list"
        sources.write_text("".join(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n"
                                   for suite in suites))
        for name in ("lists/partial", "cache/archives/partial"):
            (directory / name).mkdir(parents=True)
        self._options = [
            "-q", "-o", "APT::Sandbox::User=root", "-o", f"Dir::Etc::SourceList={sources}",
            "-o", "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::State::Lists={directory}/lists",
            "-o", f"Dir::Cache={directory}/cache", "-o", "Dir::State::Status=/dev/null",
            # Old releases are not signed anew.
            "-o", "Acquire::Check-Valid-Until=false"]
        self._run("apt-get", "update")

    def _run(self, command, *arguments):
        return _run(command, *self._options, *arguments)

    def newest(self, version):
        """
        The package with the newest cloud kernel of VERSION ("newest": of any), and those that
        belong to it.
        """
        def rank(name):
            return [int(number) for number in re.findall(r"\d+", name)]

        wanted = r"\d+\.\d+" if version == NEWEST else re.escape(version)
        pattern = re.compile(rf"linux-image-{wanted}\.\d[^ ]*-cloud-amd64(-unsigned)?")
        names = [name for name in self._run("apt-cache", "pkgnames", "linux-image-").split()
                 if pattern.fullmatch(name)]
        # Signed ones, where a release has them.
        names = [name for name in names if not name.endswith("-unsigned")] or names
        if not names:
            raise SystemExit(f"tests/kernels/run: found no cloud kernel ({version}) for amd64")
        image = max(names, key=rank)
        needed = re.findall(r"Depends: (linux-(?:base|binary|modules)-\d\S*)",
                            self._run("apt-cache", "depends", image))
        return [image, *needed]

    def download(self, packages, directory):
        subprocess.run(["apt-get", *self._options, "download", *packages], check=True,
                       cwd=directory, stdout=subprocess.DEVNULL)


def kernel(suites, version, directory):
    """The kernel in DIRECTORY, with what modprobe(8) asks for."""
    found = _get(suites, version, directory)
    if not (found.root / "lib" / "modules" / found.release / "modules.dep").exists():
        _run("depmod", "-b", str(found.root), found.release)
    return found


def _get(suites, version, directory):
    """The kernel in DIRECTORY, which is filled from SUITES if it is empty."""
    have = _found(directory)
    if have:
        return have
    print(f"fetching Linux, {version}, of {' or '.join(suites)}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        source = _Suites(suites, scratch)
        source.download(source.newest(version), scratch)
        for package in scratch.glob("*.deb"):
            _run("dpkg", "-x", str(package), str(directory))
    if not (directory / "lib").exists():
        os.symlink("usr/lib", directory / "lib")
    have = _found(directory)
    if not have:
        raise SystemExit(f"tests/kernels/run: the package of Linux, {version}, holds no kernel")
    return have
