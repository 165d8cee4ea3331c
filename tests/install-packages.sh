#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Installs the Debian packages that are missing for what is named: build, test, demo, bench, kernels,
# releases. Touches nothing when all are there.
set -euo pipefail

build=(bpftool clang gcc libbpf-dev libc6-dev libgnutls28-dev libjson-c-dev libmnl-dev libnftnl-dev libsystemd-dev
    linux-libc-dev meson nettle-dev ninja-build pkgconf scdoc systemd)
# Where systemd.pc has a package of its own.
[ "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" = bookworm ] || build+=(systemd-dev)
demo=(curl iproute2 python3 tcpdump)
bench=(iproute2 libcmocka-dev openssl python3 python3-cryptography python3-pytest python3-scapy)
kernels=(busybox-static cpio debian-archive-keyring kmod qemu-system-x86 xz-utils zstd)
test=("${bench[@]}" clang-format dbus debhelper dpkg-dev fail2ban firewalld fish gir1.2-glib-2.0 git
    groff-base less libclang-rt-dev libglib2.0-bin libpam-systemd lintian netcat-openbsd nftables
    openssh-client openssh-server polkitd procps python3-gi python3-pytest-xdist python3-systemd strace
    sudo systemd-container systemd-sysv tmux xdp-tools zsh)

usage() {
    echo "usage: tests/install-packages.sh build|test|demo|bench|kernels|releases…" >&2
    exit 2
}

[ $# -gt 0 ] || usage
wanted=()
for what; do
    case $what in
    build) wanted+=("${build[@]}") ;;
    kernels) wanted+=("${kernels[@]}") ;;
    releases) wanted+=(debian-archive-keyring debootstrap) ;;
    test) wanted+=("${test[@]}") ;;
    demo) wanted+=("${demo[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    *) usage ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "tests/install-packages.sh: not a Debian system; install what these hold by hand, and run" \
        "without installing: ${wanted[*]}" >&2
    exit 1
fi

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null || true)
    grep -qx installed <<<"$status" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "tests/install-packages.sh: needs root to install: ${missing[*]}" >&2
    exit 1
fi
echo "installing: ${missing[*]}"
# A firewall, or a door, that is there because it was installed is not what anybody asked for: tests
# have their own.
mask() {
    local unit
    for unit; do
        [ -e "/etc/systemd/system/$unit" ] || ln -s /dev/null "/etc/systemd/system/$unit"
    done
}
case " ${missing[*]} " in *" firewalld "*) mask firewalld.service ;; esac
case " ${missing[*]} " in *" openssh-server "*) mask ssh.service ssh.socket ;; esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
