# SPDX-License-Identifier: MIT
"""Rules about C: what is not called, how switches end, what is documented, how it is laid out."""

import os
import re
import subprocess

import ctext
from tree import rule

C_FILES = ["**/*.c", "**/*.h"]

NUMBERS = ["atoi", "atol", "atoll", "atof", "strtol", "strtoul", "strtoll", "strtoull",
           "strtoimax", "strtoumax", "strtod", "strtof", "sscanf", "fscanf", "scanf"]

NEVER = ["strcpy", "strcat", "strncat", "sprintf", "vsprintf", "gets", "system", "popen",
         "alloca", "strtok", "tmpnam", "mktemp", "rand", "random", "drand48"]


@rule("code: digits become numbers in util/ only",
      bad=[{"src/policy/config.c": "int f(void)\n{\n\treturn atoi(x);\n}\n"},
           {"src/spaled.c": "x = strtoul (s, NULL, 10);\n"},
           {"bpf/x.bpf.c": "sscanf(a, b);\n"}],
      good=[{"src/util/parse.c": "x = strtoul(s, NULL, 10);\n",
             "src/policy/x.c": '/* atoi(x) would do */ say("atoi()"); my_atoi(x);\n'}])
def numbers(tree):
    for path in tree.paths("src/**/*.c", "src/**/*.h", "bpf/*.c", "bpf/*.h"):
        if not path.startswith("src/util/"):
            for line, name, _ in ctext.calls(tree.files[path], NUMBERS):
                yield f"{path}:{line}: {name}(): util/parse.h reads numbers"


@rule("code: no function that cannot be used safely",
      bad=[{"src/util/x.c": "strcpy(a, b);\n"}, {"src/daemon/x.c": "system(line);\n"}],
      good=[{"src/util/x.c": "snprintf(a, sizeof(a), b); x->system(1); file_system(2);\n"}])
def unsafe(tree):
    for path in tree.paths("src/**/*.c", "src/**/*.h"):
        for line, name, _ in ctext.calls(tree.files[path], NEVER):
            yield f"{path}:{line}: {name}()"


# Call -> what its arguments must hold.
CLOSE_ON_EXEC = {
    "open": r"O_CLOEXEC|O_PATH_CLOEXEC", "openat": r"O_CLOEXEC", "socket": r"SOCK_CLOEXEC",
    "accept": r"(?!)", "accept4": r"SOCK_CLOEXEC", "socketpair": r"SOCK_CLOEXEC",
    "pipe": r"(?!)", "pipe2": r"O_CLOEXEC", "dup": r"(?!)", "dup2": r"(?!)",
    "epoll_create": r"(?!)", "epoll_create1": r"EPOLL_CLOEXEC", "eventfd": r"EFD_CLOEXEC",
    "signalfd": r"SFD_CLOEXEC", "timerfd_create": r"TFD_CLOEXEC", "inotify_init": r"(?!)",
    "inotify_init1": r"IN_CLOEXEC", "fopen": r'"[rwa+]*e[rwae+]*"', "memfd_create": r"MFD_CLOEXEC",
    "mkstemp": r"(?!)", "mkostemp": r"O_CLOEXEC",
}


@rule("code: descriptors are born close-on-exec",
      bad=[{"src/util/file.c": "fd = open(path, O_RDONLY);\n"},
           {"src/util/file.c": 'f = fopen(path, "r");\n'},
           {"src/client/send.c": "fd = socket(AF_INET, SOCK_DGRAM, 0);\n"}],
      good=[{"src/util/file.c": 'fd = openat(d, p,\n\tO_RDONLY | O_CLOEXEC); fopen(p, "re");\n'}])
def close_on_exec(tree):
    for path in tree.paths("src/**/*.c", "src/**/*.h"):
        for line, name, arguments in ctext.calls(tree.files[path], CLOSE_ON_EXEC):
            if not re.search(CLOSE_ON_EXEC[name], arguments):
                yield f"{path}:{line}: {name}() without close-on-exec"


def _own_constants(tree):
    """Names of the enumerators that the project defines, and beginnings of generated ones."""
    names, beginnings = set(), set()
    for path in tree.paths("src/**/*.c", "src/**/*.h", "include/**/*.h", "bpf/*.h", "bpf/*.c"):
        text = ctext.code(tree.files[path])
        for match in re.finditer(r"\benum\b[^;{}()]*\{", text):
            body = text[match.end():ctext.matching(text, match.end() - 1)]
            names.update(re.findall(r"(?:^|[,\n])\s*([A-Z]\w*)", body))
        beginnings.update(re.findall(r"#define\s+\w+\([^)]*\)\s+([A-Z][A-Z0-9_]*_)##", text))
    return names, beginnings


def _labels(text, start, end):
    """(offset, label) of the case and default labels of one switch, those inside left out."""
    inner = re.compile(r"\bswitch\s*\(|\bcase\b([^:?]*(?:\?[^:]*:[^:]*)*):|\bdefault\s*:")
    offset = start
    while True:
        match = inner.search(text, offset, end)
        if not match:
            return
        if match.group().startswith("switch"):
            brace = text.find("{", ctext.matching(text, match.end() - 1))
            offset = ctext.matching(text, brace) if brace >= 0 else end
            continue
        yield match.start(), (match.group(1) or "default").strip()
        offset = match.end()


@rule("code: a switch over our own enum names every case",
      bad=[{"src/x/a.h": "enum E {\n\tE_A,\n\tE_B,\n};\n",
            "src/x/a.c": "switch (e) {\ncase E_A:\n\tbreak;\ndefault:\n\tbreak;\n}\n"},
           {"include/spale/b.h": "enum r {\n#define R_ENUM(n) R_##n,\nX(R_ENUM)\n};\n",
            "bpf/a.bpf.c": "switch (e) { case R_A: break; default: break; }\n"},
           {"src/x/a.c": "enum { A1, A2 };\nswitch (c) { case 1: switch (e) {\n"
                         "case A1: break; default: break; } }\n"}],
      good=[{"src/x/a.h": "enum E {\n\tE_A,\n};\n",
             "src/x/a.c": "switch (c) {\ncase 'x':\n\tswitch (e) { case E_A: break; }\n"
                          "\tbreak;\ncase AF_INET:\n\tbreak;\ndefault:\n\tbreak;\n}\n"}])
def no_default(tree):
    names, beginnings = _own_constants(tree)
    for path in tree.paths("src/**/*.c", "src/**/*.h", "bpf/*.c", "bpf/*.h"):
        text = ctext.code(tree.files[path])
        for match in re.finditer(r"\bswitch\s*\(", text):
            brace = text.find("{", ctext.matching(text, match.end() - 1))
            if brace < 0:
                continue
            labels = list(_labels(text, brace + 1, ctext.matching(text, brace)))
            own = any(label in names or label.startswith(tuple(beginnings))
                      for _, label in labels)
            for offset, label in labels:
                if own and label == "default":
                    yield f"{path}:{ctext.line_of(text, offset)}: default: hides a missing case"


# Functions whose names say all there is to say, by the project's conventions.
PLAIN = re.compile(r"\w+_(new|free|done|init|copy|equal|compare|contains|format|count|get)p?$")


def _prototypes(text):
    """(line, name) of each function that a header declares."""
    plain = ctext.without_directives(ctext.code(text))
    offset = depth = 0
    for match in re.finditer(r"[{};]", plain):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth -= 1
            offset = match.end()
        elif depth == 0:
            statement = plain[offset:match.start()]
            found = re.match(r"\s*((?:[A-Za-z_][\w\s*]*?[\s*])(\w+)\s*)\(", statement)
            if found and not re.match(r"\s*(typedef|static|struct\s+\w+\s*\{)", statement):
                begin = offset + len(statement) - len(statement.lstrip())
                yield ctext.line_of(plain, begin), found.group(2)
            offset = match.end()


@rule("code: public functions say what they are for",
      bad=[{"src/x/a.h": "#pragma once\n\nint a_frob(int x);\n"},
           {"src/x/a.h": "/* A thing. */\nint a_one(void);\n\nint a_two(char *s,\n\t  int n);\n"}],
      good=[{"src/x/a.h": "/* Frobs. */\nint a_frob(int x);\nint a_unfrob(int x);\n\n"
                          "void a_free(A *a);\nDEFINE_CLEANUP(A, a_free)\n\n"
                          "static inline int b(void)\n{\n\treturn 1;\n}\n"}])
def documented(tree):
    for path in tree.paths("src/*/*.h", "include/**/*.h"):
        lines = tree.lines(path)
        for number, name in _prototypes(tree.files[path]):
            first = number - 1
            while first > 0 and lines[first - 1].strip():
                first -= 1
            if not PLAIN.match(name) and not any("*/" in line for line in lines[first:number]):
                yield f"{path}:{number}: {name}() has no comment"


@rule("code: headers begin with what they are for",
      bad=[{"src/x/a.h": "/* SPDX-License-Identifier: MIT */\n#pragma once\n"}],
      good=[{"src/x/a.h": "/* SPDX-License-Identifier: MIT */\n/*\n * Things.\n */\n"}])
def introduced(tree):
    for path in tree.paths("src/*/*.h", "include/**/*.h", "bpf/*.h", "tests/**/*.h"):
        lines = tree.lines(path)
        if len(lines) < 2 or not lines[1].startswith("/*"):
            yield f"{path}: the second line does not begin a comment that says what it is for"


@rule("code: clang-format has nothing to change",
      bad=[{".clang-format": "BasedOnStyle: LLVM\n", "src/x.c": "int  x ;\n"}],
      good=[{".clang-format": "BasedOnStyle: LLVM\n", "src/x.c": "int x;\n"}])
def layout(tree):
    style = tree.files.get(".clang-format", "")
    for path in tree.paths(*C_FILES):
        done = subprocess.run(
            ["clang-format", "--style=" + _inline_style(style), "--assume-filename=" + path],
            input=tree.files[path], capture_output=True, text=True)
        if done.returncode != 0:
            yield f"{path}: {done.stderr.strip()}"
        elif done.stdout != tree.files[path]:
            before, after = tree.lines(path), done.stdout.splitlines()
            number = next((n for n, (a, b) in enumerate(zip(before, after), 1) if a != b),
                          min(len(before), len(after)) + 1)
            yield f"{path}:{number}: clang-format -i {path}"


def _inline_style(text):
    """A .clang-format as the one-line form that --style= takes."""
    items = []
    for line in text.splitlines():
        if line and not line.startswith(("#", "---", "...")):
            items.append(line.strip())
    return "{" + ", ".join(items) + "}"


@rule("code: unit tests are called after modules",
      bad=[{"tests/unit/test-gone.c": "", "src/util/x.c": ""},
           {"tests/unit/test-xy.c": "", "src/util/x.c": ""}],
      good=[{"tests/unit/test-x.c": "", "tests/unit/test-x-limits.c": "", "src/util/x.c": ""}])
def unit_tests(tree):
    stems = {os.path.basename(path)[:-2] for path in tree.paths("src/**/*.c", "src/*/*.h")}
    for path in tree.paths("tests/unit/test-*.c"):
        name = os.path.basename(path)[len("test-"):-2]
        if not any(name == stem or name.startswith(stem + "-") for stem in stems):
            yield f"{path}: tests no src/…/{name}.c, nor a part of a module"
