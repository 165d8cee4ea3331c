# SPDX-License-Identifier: MIT
"""
A virtual machine with another kernel and this system's own files: they are its root, read through
virtiofs, and what it writes goes into its memory. Commands run as root there.
"""

import contextlib
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
import time

# What the first program needs to reach the root.
ROOT_MODULES = ("virtio_pci", "virtiofs", "overlay")
MEMORY = 3072  # MiB
# Inodes that it may remember, 10000 of which are the kernel's own. Each file among the rest takes a
# descriptor of virtiofsd's, which may have as few as 20000 of them: where none is left, programs there
# fail with errors that nobody understands (EBADF from close, say).
INODES = 25000
ACCELERATOR = os.environ.get("SPALE_ACCELERATOR", "tcg")

# The first program: it makes the root, and goes there.
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module"; done
share=$(sed 's/.* share=\([^ ]*\).*/\1/' /proc/cmdline)
mount -t virtiofs root /host && mount -t tmpfs tmpfs /over || poweroff -f
mkdir /over/upper /over/work /over/root
mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work overlay /over/root ||
    poweroff -f
cd /over/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --move /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p dev/pts dev/shm run/machine
mount --bind "/host$share" run/machine
while read -r directory; do
    mkdir -p ".$directory"
    mount --bind "/host$directory" ".$directory"
done <"/host$share/directories"
exec switch_root . /bin/sh /run/machine/begin
"""

# The second one, with the system's own programs.
BEGIN = r"""
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
. /run/machine/environment
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# As systemd has it: a test takes the memory of one unit away.
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir -p "/lib/modules/$(uname -r)"
mount --bind "$modules" "/lib/modules/$(uname -r)"
# What the suites use, and nothing loads by itself.
modprobe -qa tun veth sch_ingress cls_bpf cls_u32 bridge macvlan vxlan 8021q bonding dummy
ip link set lo up
hostname machine
while sleep 1; do
    [ "$(cut -f 1 /proc/sys/fs/inode-nr)" -lt "$inodes" ] || echo 2 >/proc/sys/vm/drop_caches
done &
# Tests make grants that are some seconds old, and time begins with the machine.
read -r seconds _ </proc/uptime
[ "${seconds%.*}" -ge 20 ] || sleep $((20 - ${seconds%.*}))
cd "$directory"
sh /run/machine/command >/run/machine/log 2>&1 </dev/null
echo $? >/run/machine/status
sync
exec busybox poweroff -f
"""


def _need(program, *places):
    for place in (shutil.which(program), *places):
        if place and os.access(place, os.X_OK):
            return place
    raise SystemExit(f"tests/kernels/run: needs {program}: tests/install-packages.sh kernels")


def _make_initramfs(kernel, path):
    """An archive of busybox, the modules that reach the root, and INIT."""
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        for name in ("bin", "modules", "proc", "dev", "host", "over"):
            (root / name).mkdir()
        shutil.copy(_need("busybox"), root / "bin" / "busybox")
        (root / "init").write_text(INIT)
        (root / "init").chmod(0o755)
        files = []
        for module in ROOT_MODULES:
            shown = subprocess.run(
                ["modprobe", "-d", kernel.root, "-S", kernel.release, "--show-depends", module],
                check=True, capture_output=True, text=True).stdout
            for line in shown.splitlines():
                words = line.split()
                if words[0] == "insmod" and words[1] not in files:
                    files.append(words[1])
        for number, file in enumerate(files):
            _unpack(file, root / "modules" / f"{number:03}.ko")
        with open(path, "wb") as archive:
            subprocess.run("find . | cpio -o -H newc --quiet | gzip -1", shell=True, check=True,
                           cwd=root, stdout=archive)


def _unpack(file, to):
    tool = {".xz": "xz", ".zst": "zstd", ".gz": "gzip"}.get(pathlib.Path(file).suffix)
    with open(to, "wb") as out:
        subprocess.run([tool, "-dc", file] if tool else ["cat", file], check=True, stdout=out)


@contextlib.contextmanager
def _root_server(socket):
    """Serves this system's files, and waits until it does."""
    server = _need("virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
    # The one of qemu 7 and the one of its own know other options.
    arguments = ["-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot"] \
        if "qemu" in server else ["--shared-dir=/", "--cache=always", "--sandbox=chroot"]
    process = subprocess.Popen([server, f"--socket-path={socket}", *arguments],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if socket.exists() or process.poll() is not None:
                break
            time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.wait()


def _machine_command(kernel, share, initramfs):
    # What protects the kernel's own memory costs time and is nobody's test here. Not all of it is
    # off: without any mitigation the verifier of newer kernels is one that no user has. An emulated
    # cmpxchg16b ruins the flags register now and then (qemu 7.2), and Linux 6.12 with it.
    return [
        _need("qemu-system-x86_64"), "-nodefaults", "-no-user-config", "-display", "none",
        "-no-reboot", "-machine", f"q35,accel={ACCELERATOR}", "-cpu", "max,-cx16",
        "-smp", "1", "-m", str(MEMORY),
        "-object", f"memory-backend-memfd,id=memory,size={MEMORY}M,share=on",
        "-numa", "node,memdev=memory",
        "-chardev", f"socket,id=root,path={share}/socket",
        "-device", "vhost-user-fs-pci,chardev=root,tag=root",
        "-kernel", str(kernel.image), "-initrd", str(initramfs),
        "-serial", f"file:{share}/console",
        "-append", "console=ttyS0 quiet panic=-1 pti=off spectre_v2=off retbleed=off "
        f"no_timer_check share={share} end"]


def run(kernel, command, environment, directories, log, timeout):
    """
    Runs COMMAND under KERNEL, with DIRECTORIES (which its own /tmp may hide) as they are here. Its
    output goes to LOG. Returns its status; 124: it took longer than TIMEOUT seconds; 125: the
    machine failed, and LOG holds what it said.
    """
    with tempfile.TemporaryDirectory(prefix="machine-") as share:
        share = pathlib.Path(share)
        initramfs = share / "initramfs"
        _make_initramfs(kernel, initramfs)
        (share / "directories").write_text("".join(f"{path}\n" for path in (*directories, kernel.root)))
        (share / "environment").write_text("".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()) +
            f"modules={shlex.quote(str(kernel.root / 'lib/modules' / kernel.release))}\n"
            f"directory={shlex.quote(os.getcwd())}\ninodes={INODES}\n")
        (share / "command").write_text(shlex.join(command) + "\n")
        (share / "begin").write_text(BEGIN)
        (share / "log").touch()
        late = False
        with _root_server(share / "socket"):
            try:
                subprocess.run(_machine_command(kernel, share, initramfs), timeout=timeout,
                               stdin=subprocess.DEVNULL, check=False)
            except subprocess.TimeoutExpired:
                late = True
        shutil.copy(share / "log", log)
        if (share / "status").exists():
            return int((share / "status").read_text())
        with open(log, "ab") as file:
            file.write((share / "console").read_bytes() if (share / "console").exists() else b"")
        return 124 if late else 125


def run_here(command, environment, log, timeout):
    """The same without a machine."""
    with open(log, "wb") as file:
        try:
            return subprocess.run(command, env=os.environ | environment, stdout=file, stderr=file,
                                  stdin=subprocess.DEVNULL, timeout=timeout,
                                  check=False).returncode
        except subprocess.TimeoutExpired:
            return 124
