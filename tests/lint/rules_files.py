# SPDX-License-Identifier: MIT
"""Rules about files as such: where they are, what they begin with, how long they are."""

import os
import re
import subprocess

from tree import Tree, rule

CODE = ["**/*.c", "**/*.h", "**/*.py", "**/*.sh", "**/meson.build", "meson_options.txt"]

TOP_LEVEL = {"meson.build", "meson_options.txt", "NEWS.md", "src", "bpf", "dbus", "polkit", "man",
             "include", "tests", "LICENSE", "README.md"}


def scripts(tree):
    """Files without a suffix that tell so: by a #! line or the executable bit."""
    return sorted(path for path in tree.files
                  if "." not in os.path.basename(path)
                  and (tree.files[path].startswith("#!") or path in tree.executables))


def shell_scripts(tree):
    by_name = set(tree.paths("**/*.sh"))
    by_line = {path for path, text in tree.files.items()
               if re.match(r"#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b", text)}
    return sorted(by_name | by_line)


@rule("files: the top level is the drawing of the architecture",
      bad=[{"Makefile": ""}, {"doc/x.md": ""}],
      good=[{"meson.build": "", "src/x.c": "", ".ci/run": "", ".editorconfig": ""}])
def top_level(tree):
    for name in sorted({path.split("/")[0] for path in tree.files}):
        if name not in TOP_LEVEL and not name.startswith("."):
            yield f"{name}: not one of the names that the top level holds"


@rule("files: each begins with its licence",
      bad=[{"src/x.c": "int x;\n"},
           {"src/x.c": "\n\n/* SPDX-License-Identifier: MIT */\n"},
           {"src/x.h": "/* SPDX-License-Identifier: GPL-2.0-only */\n"},
           {"bpf/x.bpf.c": "/* SPDX-License-Identifier: MIT */\n"},
           {"tests/bpf/x.bpf.c": "/* SPDX-License-Identifier: MIT */\n"},
           {"tests/run": "#!/bin/sh\necho\n"},
           {"src/meson.build": "x = 1\n"}],
      good=[{"src/x.c": "/* SPDX-License-Identifier: MIT */\n",
             "bpf/x.bpf.h": "/* SPDX-License-Identifier: GPL-2.0-only */\n",
             "include/spale/bpf-abi.h": "/* SPDX-License-Identifier: GPL-2.0-only OR MIT */\n",
             "bpf/meson.build": "# SPDX-License-Identifier: MIT\n",
             "tests/run": "#!/bin/sh\n# SPDX-License-Identifier: MIT\n",
             "README.md": "# spale\n"}])
def licence(tree):
    for path in sorted({*tree.paths(*CODE), *scripts(tree), *shell_scripts(tree)} - {"LICENSE"}):
        lines = tree.lines(path)
        if lines and lines[0].startswith("#!"):
            lines = lines[1:]
        match = re.match(r"(?:/\*|//|#) SPDX-License-Identifier: ([\w. -]+?)(?: \*/)?$",
                         lines[0] if lines else "")
        if path == "include/spale/bpf-abi.h":
            wanted = "GPL-2.0-only OR MIT"
        elif path.endswith(".bpf.c") or re.match(r"bpf/.*\.[ch]$", path):
            wanted = "GPL-2.0-only"
        else:
            wanted = "MIT"
        if not match:
            yield f"{path}: does not begin with an SPDX line"
        elif match.group(1) != wanted:
            yield f"{path}: {match.group(1)} where it is {wanted}"


@rule("files: at most 600 lines",
      bad=[{"src/x.c": "\n" * 601}],
      good=[{"src/x.c": "\n" * 600, "src/x.txt": "\n" * 1000}])
def length(tree):
    for path in sorted({*tree.paths("**/*.c", "**/*.h", "**/*.py", "**/*.sh"), *scripts(tree)}
                       - {"LICENSE", "bpf/LICENSE"}):
        count = len(tree.lines(path))
        if count > 600:
            yield f"{path}: {count} lines"


@rule("files: names in kebab case",
      bad=[{"src/util/two_words.c": ""}, {"src/Util/x.h": ""}, {"tests/unit/testX.c": ""}],
      good=[{"src/util/two-words.c": "", "bpf/ctx-skb.bpf.h": ""}])
def kebab(tree):
    for path in tree.paths("src/**/*", "bpf/**/*", "include/**/*", "tests/**/*.c", "tests/**/*.h"):
        if path.endswith((".c", ".h")) and not re.fullmatch(r"[a-z0-9./-]+", path):
            yield f"{path}: lower case, with hyphens"


@rule("files: text without trailing blanks, with a final newline",
      bad=[{"src/x.c": "int x; \n"}, {"src/x.c": "int x;"}, {"src/x.c": "int x;\r\n"}],
      good=[{"src/x.c": "int x;\n", "src/empty.c": "", "tests/fuzz/corpus/ini/crlf": "a\r\n"}])
def blanks(tree):
    for path in sorted({*tree.paths(*CODE, "**/*.md", "**/*.scd"), *scripts(tree)}):
        text = tree.files[path]
        if path.startswith("tests/fuzz/corpus/") or path.endswith("LICENSE"):
            continue
        if text and not text.endswith("\n"):
            yield f"{path}: no newline at the end"
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield f"{path}:{number}: blanks at the end of the line"


@rule("files: each directory with code has a README of at most a page",
      bad=[{"src/util/x.c": ""}, {"src/util/x.c": "", "src/util/README.md": "x\n" * 61},
           {"tests/netns/lib/x.py": ""}, {"src/util/x.c": "", "src/util/README.md": ""}],
      good=[{"src/util/x.c": "", "src/util/README.md": "# util\n",
             "tests/netns/lib/x.py": "", "tests/netns/README.md": "# netns\n",
             "tests/fuzz/corpus/pem/a": "x"}])
def readmes(tree):
    code = ["**/*.c", "**/*.h", "**/*.py", "**/*.sh"]
    for directory in tree.directories(*code):
        # What a test suite keeps in a directory below its own, its README says.
        readme = os.path.join(re.sub(r"^(tests/[^/]+)/.*", r"\1", directory), "README.md")
        lines = tree.lines(readme) if readme in tree.files else []
        if not lines:
            yield f"{directory}: no README.md"
        elif len(lines) > 60:
            yield f"{readme}: {len(lines)} lines, a page has 60"


# Put together from parts, so that this file does not hold what it forbids.
FORBIDDEN = {
    "a path of one machine": re.compile(
        r"(?<![\w.])/wo" r"rk/|/tmp/spa" r"le-|/tmp/br" r"ief|/ro" r"ot/\w"),
    "a registry's host name": re.compile(
        r"registry\.np" r"mjs|deb\.deb" r"ian\.org|security\.deb" r"ian\.org|pypi\.o" r"rg"
        r"|files\.pythonho" r"sted|proxy\.gol" r"ang\.org|crates\.i" r"o\b"),
    "an unfinished place": re.compile(
        r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b|\bnot imple" r"mented\b|\bfor n" r"ow\b"),
    "a number of somebody's list": re.compile(r"\b(?:issue|milestone|ticket) #?\d", re.I),
}


@rule("files: nothing that only its makers understand",
      bad=[{"src/x.c": "/* see /wo" "rk/main */\n"}, {"tests/run": "curl https://pypi.o" "rg/x\n"},
           {"README.md": "This is for n" "ow.\n"}, {"src/x.c": "/* TO" "DO: later */\n"},
           {"src/x.c": "/* Issue " "12 wants this. */\n"}],
      good=[{"src/x.c": "/* the work / the rest; methods to do */\n"}])
def forbidden(tree):
    for path in sorted(tree.files):
        if path.startswith("tests/fuzz/corpus/") or path.endswith("LICENSE"):
            continue
        for number, line in enumerate(tree.files[path].split("\n"), 1):
            for what, expression in FORBIDDEN.items():
                match = expression.search(line)
                if match:
                    yield f"{path}:{number}: {what}: {match.group()}"


@rule("scripts: the shell can read them",
      bad=[{"tests/run": "#!/bin/bash\nif true; then\n"}],
      good=[{"tests/run": "#!/bin/bash\nif true; then :; fi\n", "tests/x.py": "if True then\n"}])
def shell_syntax(tree):
    for path in shell_scripts(tree):
        done = subprocess.run(["bash", "-n"], input=tree.files[path], capture_output=True,
                              text=True)
        if done.returncode != 0:
            yield f"{path}: {done.stderr.strip()}"


@rule("scripts: python can read them",
      bad=[{"tests/x.py": "if True then\n"}, {"tests/run": "#!/usr/bin/python3\n)\n"}],
      good=[{"tests/x.py": "pass\n"}])
def python_syntax(tree):
    for path in sorted(tree.files):
        text = tree.files[path]
        if not path.endswith(".py") and not re.match(r"#!\s*/usr/bin/(env )?python3", text):
            continue
        try:
            compile(text, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            yield f"{path}:{error.lineno}: {error.msg}"


@rule("scripts: what is started has its run bit",
      bad=[Tree({"tests/unit/run": "#!/bin/sh\n"})],
      good=[Tree({"tests/unit/run": "#!/bin/sh\n"}, executables=["tests/unit/run"]),
            Tree({"tests/x.sh": "echo sourced\n"})])
def run_bit(tree):
    for path in sorted(tree.files):
        if tree.files[path].startswith("#!") and path not in tree.executables:
            yield f"{path}: begins with #! but is not executable"


@rule("scripts: CI runs what a person runs",
      bad=[Tree({".ci/run": "#!/bin/sh\nninja test\n"}),
           Tree({".ci/run": "#!/bin/sh\n# tests/run\n"}), Tree({})],
      good=[Tree({".ci/run": "#!/bin/sh\nexec tests/run\n"})])
def ci(tree):
    lines = tree.lines(".ci/run") if ".ci/run" in tree.files else []
    if not any("tests/run" in line for line in lines if not line.lstrip().startswith("#")):
        yield ".ci/run does not call tests/run"


@rule("tests: each suite can be run",
      bad=[Tree({"tests/unit/test-x.c": ""}), Tree({"tests/netns/x.py": ""})],
      good=[Tree({"tests/unit/test-x.c": "", "tests/unit/run": "#!/bin/sh\n"}),
            Tree({"tests/bench/x.c": "", "tests/bench/datapath": "#!/bin/sh\n"})])
def suites(tree):
    for directory in sorted({path.split("/")[1] for path in tree.paths("tests/*/**/*", "tests/*/*")
                             if path.endswith((".c", ".py"))} - {"bench"}):
        if f"tests/{directory}/run" not in tree.files:
            yield f"tests/{directory} has no run"


CONTROL = "src/packaging/debian/control"


@rule("packages: what is needed to build is installed for it, and named once",
      bad=[{CONTROL: "Build-Depends:\n clang (>= 1:14),\n systemd-dev | systemd (<< 253),\n\n",
            "tests/install-packages.sh": "build=(clang systemd)\n"},
           {CONTROL: "Build-Depends:\n clang,\n",
            "tests/install-packages.sh": "build=(clang)\n",
            "README.md": "    sudo apt install build-essential clang\n"}],
      good=[{CONTROL: "Build-Depends:\n debhelper-compat (= 13),\n clang (>= 1:14),\n\nX: y\n",
             "tests/install-packages.sh": "build=(clang)\n",
             "README.md": "    sudo apt build-dep ./src/packaging\n"}])
def build_packages(tree):
    field = re.search(r"^Build-Depends:((?:.*\n)(?: .*\n?)*)", tree.files.get(CONTROL, ""), re.M)
    packages = re.findall(r"(?:^ |\| )([a-z0-9.+-]+)", field[1] if field else "", re.M)
    installed = re.findall(r"[\w.+-]+", tree.files.get("tests/install-packages.sh", ""))
    for package in packages:
        # Of debhelper the packages' own build needs names that it only provides.
        if not package.startswith(("debhelper", "dh-")) and package not in installed:
            yield f"tests/install-packages.sh: {package}, which {CONTROL} names, is missing"
    for number, line in enumerate(tree.lines("README.md") if "README.md" in tree.files else [], 1):
        if re.search(r"apt(-get)? install .*\bbuild-essential\b", line):
            yield f"README.md:{number}: a list of its own of what {CONTROL} has"
