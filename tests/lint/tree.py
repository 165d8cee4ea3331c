# SPDX-License-Identifier: MIT
"""What the rules look at, and the list of rules.

A Tree is the project's files as text, either read from a checkout or made up by a self-test. What
only a build can tell (--help texts, the effective configuration, symbols) is asked of `build`,
which a self-test replaces with answers of its own.
"""

import fnmatch
import os
import re
import subprocess

IGNORED = [".git", "build*", "__pycache__", ".pytest_cache", ".cache"]


class Build:
    """Asks the programs of a build directory."""

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        return os.path.join(self.directory, "src", name)

    def output(self, program, *arguments):
        """What a program prints on stdout, or None when it is not there or fails."""
        try:
            done = subprocess.run([self.path(program), *arguments], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=20)
        except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    def undefined_symbols(self, library):
        """(object, symbol) pairs that a static library wants from elsewhere, or None."""
        done = subprocess.run(["nm", "-A", "-u", self.path(library)], capture_output=True,
                              text=True)
        if done.returncode != 0:
            return None
        pairs = []
        for line in done.stdout.splitlines():
            match = re.match(r".*?([\w.-]+\.o):\s+[Uw]\s+(\S+)", line)
            if match:
                pairs.append((match.group(1), match.group(2)))
        return pairs


class Answers:
    """A build for self-tests: made-up answers."""

    def __init__(self, outputs=None, symbols=None):
        self.outputs = outputs or {}
        self.symbols = symbols

    def output(self, program, *arguments):
        return self.outputs.get(" ".join([program, *arguments]))

    def undefined_symbols(self, _library):
        return self.symbols


class Tree:
    """Files by path (with / between its parts), and the build."""

    def __init__(self, files, executables=(), build=None):
        self.files = files
        self.executables = set(executables)
        self.build = build or Answers()

    def paths(self, *patterns):
        """Paths that match one of the patterns, in which * stops at a slash and ** does not."""
        expressions = [re.compile(_expression(pattern)) for pattern in patterns]
        return sorted(path for path in self.files
                      if any(expression.fullmatch(path) for expression in expressions))

    def lines(self, path):
        return self.files[path].splitlines()

    def directories(self, *patterns):
        """Directories that hold files of these patterns themselves."""
        return sorted({os.path.dirname(path) for path in self.paths(*patterns)})


def _expression(pattern):
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    special = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(special.get(part, re.escape(part)) for part in parts)


def read_tree(root, build_directory):
    """The checkout at ROOT as a Tree. Files that are not UTF-8 are not text: they are left out."""
    files, executables = {}, []
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = sorted(name for name in subdirectories
                                   if not any(fnmatch.fnmatch(name, ignored)
                                              for ignored in IGNORED))
        for name in names:
            full = os.path.join(directory, name)
            path = os.path.relpath(full, root)
            if os.path.islink(full) or any(fnmatch.fnmatch(name, i) for i in ("*.pyc", ".git")):
                continue
            try:
                with open(full, encoding="utf-8", newline="") as file:
                    files[path] = file.read()
            except UnicodeDecodeError:
                continue
            if os.access(full, os.X_OK):
                executables.append(path)
    return Tree(files, executables, Build(build_directory))


class Rule:
    """A named check: takes a Tree, yields a sentence for each thing that is wrong."""

    def __init__(self, name, check, bad, good):
        self.name = name
        self.check = check
        self.bad = bad
        self.good = good


RULES = []


def rule(name, bad, good=()):
    """Registers a check with samples: trees that it must object to, and trees that it must not.

    A sample is a Tree, or the files of one.
    """
    def register(check):
        def as_tree(sample):
            return sample if isinstance(sample, Tree) else Tree(sample)
        RULES.append(Rule(name, check, [as_tree(s) for s in bad], [as_tree(s) for s in good]))
        return check
    return register
