# SPDX-License-Identifier: MIT
"""Who may include what: layers look down only, and each foreign library has one door."""

import os

import ctext
from tree import rule

# Each layer of src/, and what it may include besides itself and <spale/...>: layers or headers.
LAYERS = {
    "util": [],
    "knock": ["util", "policy/refusal.h"],
    "policy": ["util"],
    "keys": ["util", "knock/hpke.h"],
    "enforce": ["util", "policy"],
    "daemon": ["util", "policy", "knock", "keys", "enforce"],
    "client": ["util", "knock", "keys"],
    "bus": ["util", "policy", "keys", "enforce", "daemon"],
    "ctl": ["util", "keys"],
}

# The programs' own files: wiring, each for its own library.
PROGRAMS = {
    "spaled.c": ["util", "policy", "knock", "keys", "enforce", "daemon", "bus"],
    "spale-send.c": ["util", "knock", "keys", "client"],
    "spale-keygen.c": ["util", "knock", "policy", "keys"],
    "spalectl.c": ["util", "ctl"],
}

# Beginning of an include -> where in src/ it may stand (directories or files).
DOORS = {
    "nettle/": ["knock", "util/secret.c"],
    "gnutls/": ["keys"],
    "bpf/": ["enforce"],
    "libmnl/": ["enforce"],
    "libnftnl/": ["enforce"],
    "systemd/sd-bus": ["bus", "ctl"],
    "systemd/sd-login": ["ctl"],
    "systemd/": ["daemon"],
    "json-c/": ["ctl"],
}

# Quoted includes without a directory: made by the build, from bpf/.
GENERATED = {"spale-tc.skel.h": ["enforce"], "spale-xdp.skel.h": ["enforce"]}


def _stands_in(path, places):
    inner = path.removeprefix("src/")
    return any(inner == place or inner.startswith(place + "/") for place in places)


@rule("includes: one door for each foreign library",
      bad=[{"src/policy/config.c": "#include <nettle/hmac.h>\n"},
           {"src/daemon/manager.c": "#include <bpf/libbpf.h>\n"},
           {"src/keys/pem.c": "#include <systemd/sd-bus.h>\n"},
           {"src/util/parse.c": "#  include <gnutls/gnutls.h>\n"},
           {"src/daemon/service.c": '#include "spale-tc.skel.h"\n'}],
      good=[{"src/knock/hpke.c": "#include <nettle/hmac.h>\n",
             "src/util/secret.c": "#include <nettle/memops.h>\n",
             "src/enforce/ebpf.c": '#include <bpf/libbpf.h>\n#include "spale-tc.skel.h"\n',
             "src/daemon/service.c": "#include <systemd/sd-event.h>\n",
             "src/policy/ini.c": "/* #include <bpf/bpf.h> is not for us */\n"}])
def one_door(tree):
    for path in tree.paths("src/**/*.c", "src/**/*.h"):
        for line, _, included in ctext.includes(tree.files[path]):
            doors = GENERATED.get(included)
            for beginning, places in DOORS.items():
                if doors is None and included.startswith(beginning):
                    doors = places
            if doors is not None and not _stands_in(path, doors):
                yield f"{path}:{line}: <{included}> belongs in src/{' or src/'.join(doors)}"


@rule("includes: layers look down only",
      bad=[{"src/util/parse.c": '#include "policy/config.h"\n'},
           {"src/knock/replay.c": '#include "policy/config.h"\n'},
           {"src/policy/decide.c": '#include "knock/hpke.h"\n'},
           {"src/keys/pem.c": '#include "knock/format1.h"\n'},
           {"src/enforce/ebpf.c": '#include "daemon/manager.h"\n'},
           {"src/client/send.c": '#include "policy/config.h"\n'},
           {"src/spale-send.c": '#include "daemon/manager.h"\n'},
           {"src/policy/config.c": '#include "diagnostics.h"\n'},
           {"src/nowhere/x.c": '#include "util/parse.h"\n'}],
      good=[{"src/knock/replay.h": '#include "policy/refusal.h"\n#include "util/secret.h"\n',
             "src/keys/pem.c": '#include "knock/hpke.h"\n',
             "src/daemon/manager.c": '#include "enforce/enforcer.h"\n#include "daemon/state.h"\n',
             "src/enforce/ebpf.c": '#include "spale-xdp.skel.h"\n'}])
def layers(tree):
    for path in tree.paths("src/**/*.c", "src/**/*.h"):
        inner = path.removeprefix("src/")
        layer = os.path.dirname(inner)
        allowed = LAYERS.get(layer) if layer else PROGRAMS.get(inner)
        if allowed is None:
            yield f"{path}: tests/lint/rules_includes.py does not know what this may include"
            continue
        for line, quoted, included in ctext.includes(tree.files[path]):
            if not quoted or included in GENERATED:
                continue
            directory = os.path.dirname(included)
            if not directory:
                yield f'{path}:{line}: "{included}" lacks its directory'
            elif directory != layer and directory not in allowed and included not in allowed:
                yield f'{path}:{line}: "{included}": {layer or inner} may not include that'


@rule("includes: contracts and programs for the kernel stand alone",
      bad=[{"include/spale/wire.h": '#include "util/parse.h"\n'},
           {"include/spale/bpf-abi.h": "#include <stdio.h>\n"},
           {"bpf/parse.bpf.h": '#include "util/address.h"\n'},
           {"bpf/gate.bpf.h": "#include <stdlib.h>\n"}],
      good=[{"include/spale/bpf-abi.h": "#include <linux/types.h>\n",
             "bpf/spale-tc.bpf.c": '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n'
                                   '#include <spale/bpf-abi.h>\n#include "gate.bpf.h"\n'}])
def contracts(tree):
    for path in tree.paths("include/spale/*.h"):
        for line, quoted, included in ctext.includes(tree.files[path]):
            if quoted or not included.startswith(("linux/", "spale/", "stdint.h", "stddef.h")):
                yield f"{path}:{line}: {included}: a contract includes types only"
    for path in tree.paths("bpf/*.c", "bpf/*.h"):
        for line, quoted, included in ctext.includes(tree.files[path]):
            if quoted and not included.endswith(".bpf.h") and not included.startswith("spale/"):
                yield f'{path}:{line}: "{included}" is not a header of bpf/'
            kernel = ("linux/", "bpf/bpf_", "spale/", "asm/", "stdbool.h", "stddef.h", "stdint.h")
            if not quoted and not included.startswith(kernel):
                yield f"{path}:{line}: <{included}> is not for the kernel"


# What a pure function may not call: files, sockets, clocks, the outside, printing.
IMPURE = {
    "open", "open64", "openat", "openat64", "fopen", "fopen64", "read", "write", "close", "stat",
    "socket", "bind", "connect", "sendto", "recvfrom", "ioctl", "poll",
    "clock_gettime", "gettimeofday", "time", "nanosleep",
    "getenv", "secure_getenv", "getpid", "fork", "system", "getrandom", "rand", "random",
    "printf", "__printf_chk", "puts", "putchar", "perror", "syslog", "stderr", "stdout",
}


def _library(*pairs):
    from tree import Answers, Tree
    return Tree({}, build=Answers(symbols=list(pairs)))


@rule("includes: the judge is pure (libspale-core)",
      bad=[_library(("policy_config.c.o", "fopen")), _library(("knock_replay.c.o", "time")),
           _library(("policy_ini.c.o", "stderr"))],
      good=[_library(("policy_ini.c.o", "memchr"), ("policy_x.c.o", "open_memstream"), ("knock_hpke.c.o", "nettle_curve25519_mul"))])
def purity(tree):
    symbols = tree.build.undefined_symbols("libspale-core.a")
    if symbols is None:
        yield "libspale-core.a is not in the build directory: build first"
        return
    for unit, symbol in symbols:
        if symbol in IMPURE:
            yield f"{unit} calls {symbol}(): the core takes values and returns values"
