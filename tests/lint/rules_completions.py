# SPDX-License-Identifier: MIT
"""Rules about completions: for every program and shell, and of what the programs say of themselves."""

import os
import re
import shutil
import subprocess
import tempfile

from rules_docs import _commands, _helps, _options
from tree import Answers, Tree, rule

# Shell -> the completion of a program, and how an option stands there.
SHELLS = {
    "bash": ("src/completions/bash/{}", r"(?<![\w-])(--[a-z][a-z0-9-]*)"),
    "zsh": ("src/completions/zsh/_{}", r"(?<![\w-])(--[a-z][a-z0-9-]*)"),
    "fish": ("src/completions/fish/{}.fish", r"(?m)^complete .*? -l ([a-z][a-z0-9-]*)"),
}

# Lines that hold verbs: verbs='…', local -a list_verbs=(…), set -l client_verbs …
_VERBS = re.compile(r"(?<!\$)\b(?:[a-z]+_)?verbs(?:='([^']*)'|=\(([^)]*)\)| ([a-z -]+)$)", re.MULTILINE)


def _programs(tree):
    return [os.path.basename(path)[:-2] for path in tree.paths("src/*.c")]


def _sample(bash="verbs='go'\n--loud", zsh="verbs=(go)\n'--loud[say]'",
            fish="set -l verbs go\ncomplete -c x -l loud\n"):
    return Tree({"src/x.c": "", "src/completions/bash/x": bash, "src/completions/zsh/_x": zsh,
                 "src/completions/fish/x.fish": fish},
                build=Answers({"x --help": "Usage: x go [OPTION]\n  --loud  say\n"}))


def _said(tree, name):
    """Options and verbs that the helps of a program name."""
    text = _helps(tree, name)
    if text is None:
        return None
    options = {option for option in _options(text) if option.startswith("--")}
    return options, _commands(tree.build.output(name, "--help"), name)


@rule("completions: one for each program and shell",
      bad=[{"src/x.c": "", "src/completions/bash/x": "", "src/completions/zsh/_x": ""}],
      good=[{"src/x.c": "", "src/completions/bash/x": "", "src/completions/zsh/_x": "",
             "src/completions/fish/x.fish": ""}])
def complete(tree):
    for name in _programs(tree):
        for path, _ in SHELLS.values():
            if path.format(name) not in tree.files:
                yield f"{path.format(name)} is missing"


@rule("completions: options and verbs are those of --help",
      bad=[_sample(bash="verbs='go'\n"), _sample(zsh="verbs=(go)\n'--loud[say]' '--old'"),
           _sample(fish="set -l verbs go gone\ncomplete -c x -l loud\n"),
           _sample(bash="verbs=''\n--loud")],
      good=[_sample()])
def names(tree):
    for name in _programs(tree):
        said = _said(tree, name)
        if said is None:
            yield f"{name} --help fails, or {name} is not built"
            continue
        for path, pattern in SHELLS.values():
            path = path.format(name)
            text = tree.files.get(path, "")
            options = {"--" + option.removeprefix("--") for option in re.findall(pattern, text)}
            verbs = {word for groups in _VERBS.findall(text) for word in "".join(groups).split()}
            for missing in sorted(said[0] - options) + sorted(said[1] - verbs):
                yield f"{path}: lacks {missing}"
            for unknown in sorted(options - said[0]) + sorted(verbs - said[1]):
                yield f"{path}: {name} --help knows no {unknown}"


@rule("completions: the shells can read them",
      bad=[{"src/completions/bash/x": "case\n"}, {"src/completions/zsh/_x": "if\n"},
           {"src/completions/fish/x.fish": "end\n"}],
      good=[{"src/completions/bash/x": "true\n", "src/completions/zsh/_x": "true\n",
             "src/completions/fish/x.fish": "true\n"}])
def readable(tree):
    for shell in SHELLS:
        if not shutil.which(shell):
            yield f"{shell} is not installed"
            continue
        for path in tree.paths(f"src/completions/{shell}/*"):
            with tempfile.NamedTemporaryFile("w", suffix=os.path.basename(path)) as f:
                f.write(tree.files[path])
                f.flush()
                done = subprocess.run([shell, "-n", f.name], capture_output=True, text=True,
                                      env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
            if done.returncode != 0 or done.stderr:
                yield f"{path}: {(done.stderr or shell + ' cannot read it').strip().splitlines()[0]}"
