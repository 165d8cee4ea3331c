# SPDX-License-Identifier: MIT
"""Rules about man pages: they render, and say of the programs all that is so and nothing else."""

import os
import re
import shutil
import subprocess

from tree import Answers, Tree, rule

CONFIG_PAGE = "man/spale.conf.5.scd"


def _programs(tree):
    """(name, page) of each program; the page is None where there is none."""
    for path in tree.paths("src/*.c"):
        name = os.path.basename(path)[:-2]
        pages = tree.paths(f"man/{name}.1.scd", f"man/{name}.8.scd")
        yield name, pages[0] if pages else None


def _plain(page):
    """The source of a page without its marks for bold and underlined text, and escapes."""
    return re.sub(r"\\(.)|[*_]", lambda match: match.group(1) or "", page)


@rule("man: a page for each program",
      bad=[{"src/spaled.c": ""}],
      good=[{"src/spaled.c": "", "man/spaled.8.scd": ""}])
def pages(tree):
    for name, page in _programs(tree):
        if page is None:
            yield f"man/{name}.1.scd (or .8.scd) is missing"


@rule("man: pages are built and installed",
      bad=[{"man/x.1.scd": "", "man/meson.build": "foreach page : ['y.1']\n"}],
      good=[{"man/x.1.scd": "", "man/meson.build": "foreach page : ['x.1']\n"}])
def built(tree):
    listed = tree.files.get("man/meson.build", "")
    for path in tree.paths("man/*.scd"):
        if f"'{os.path.basename(path)[:-4]}'" not in listed:
            yield f"{path}: not in man/meson.build"


@rule("man: pages render without a warning",
      bad=[{"man/x.1.scd": "x(1)\n\n# NAME\n\n*bold\n\nend\n"}, {"man/x.1.scd": "no preamble\n"}],
      good=[{"man/x.1.scd": "x(1)\n\n# NAME\n\nx - does *things*\n"}])
def render(tree):
    for path in tree.paths("man/*.scd"):
        scdoc = subprocess.run(["scdoc"], input=tree.files[path], capture_output=True, text=True)
        if scdoc.returncode != 0 or scdoc.stderr:
            yield f"{path}: {scdoc.stderr.strip() or 'scdoc fails'}"
            continue
        if not shutil.which("groff"):
            continue
        groff = subprocess.run(["groff", "-man", "-t", "-ww", "-z", "-K", "utf8", "-T", "utf8"],
                               input=scdoc.stdout, capture_output=True, text=True)
        if groff.returncode != 0 or groff.stderr:
            yield f"{path}: {groff.stderr.strip().splitlines()[0]}"


@rule("man: pages are finished",
      bad=[{"man/x.1.scd": "x(1)\n\n# NAME\n\nx - to be written\n"},
           {"man/x.1.scd": "x(1)\n\n# SYNOPSIS\n\n*x*\n"}],
      good=[{"man/x.1.scd": "x(1)\n\n# NAME\n\nx - does things\n\n# DESCRIPTION\n\nIt does.\n"}])
def finished(tree):
    for path in tree.paths("man/*.scd"):
        text = tree.files[path]
        if "to be written" in text:
            yield f"{path}: says that it is to be written"
        for section in ("NAME", "DESCRIPTION"):
            if f"\n# {section}\n" not in text:
                yield f"{path}: has no section {section}"


_OPTION = r"(?<![\w-])(?:--[a-z][a-z0-9-]*|-[A-Za-z](?![\w-]))"


def _options(text):
    return set(re.findall(_OPTION, text))


def _page_definitions(page):
    """Options that a page defines: those in lines that begin with a bold option."""
    lines = [line for line in page.splitlines() if re.match(r"\t*\*\\?-", line)]
    return _options(_plain("\n".join(lines)))


def _helps(tree, program):
    """What PROGRAM --help says, with the help of each subcommand that has one of its own."""
    text = tree.build.output(program, "--help")
    if text is None:
        return None
    for word in sorted(_commands(text, program)):
        text += tree.build.output(program, word, "--help") or ""
    return text


_PAGE = "man/spale.conf.5.scd"


def _programs(tree):
    """(name, page) of each program; the page is None where there is none."""
    for path in tree.paths("src/*.c"):
        name = os.path.basename(path)[:-2]
        pages = tree.paths(f"man/{name}.1.scd", f"man/{name}.8.scd")
        yield name, pages[0] if pages else None


def _plain(page):
    """The source of a page without its marks for bold and underlined text, and escapes."""
    return re.sub(r"\\(.)|[*_]", lambda match: match.group(1) or "", page)


@rule("man: a page for each program",
      bad=[{"src/spaled.c": ""}],
      good=[{"src/spaled.c": "", "man/spaled.8.scd": ""}])
def pages(tree):
    for name, page in _programs(tree):
        if page is None:
            yield f"man/{name}.1.scd (or .8.scd) is missing"


@rule("man: pages are built and installed",
      bad=[{"man/x.1.scd": "", "man/meson.build": "foreach page : ['y.1']\n"}],
      good=[{"man/x.1.scd": "", "man/meson.build": "foreach page : ['x.1']\n"}])
def built(tree):
    listed = tree.files.get("man/meson.build", "")
    for path in tree.paths("man/*.scd"):
        if f"'{os.path.basename(path)[:-4]}'" not in listed:
            yield f"{path}: not in man/meson.build"


@rule("man: pages render without a warning",
      bad=[{"man/x.1.scd": "x(1)\n\n# NAME\n\n*bold\n\nend\n"}, {"man/x.1.scd": "no preamble\n"}],
      good=[{"man/x.1.scd": "x(1)\n\n# NAME\n\nx - does *things*\n"}])
def render(tree):
    for path in tree.paths("man/*.scd"):
        scdoc = subprocess.run(["scdoc"], input=tree.files[path], capture_output=True, text=True)
        if scdoc.returncode != 0 or scdoc.stderr:
            yield f"{path}: {scdoc.stderr.strip() or 'scdoc fails'}"
            continue
        if not shutil.which("groff"):
            continue
        groff = subprocess.run(["groff", "-man", "-t", "-ww", "-z", "-K", "utf8", "-T", "utf8"],
                               input=scdoc.stdout, capture_output=True, text=True)
        if groff.returncode != 0 or groff.stderr:
            yield f"{path}: {groff.stderr.strip().splitlines()[0]}"


@rule("man: pages are finished",
      bad=[{"man/x.1.scd": "x(1)\n\n# NAME\n\nx - to be written\n"},
           {"man/x.1.scd": "x(1)\n\n# SYNOPSIS\n\n*x*\n"}],
      good=[{"man/x.1.scd": "x(1)\n\n# NAME\n\nx - does things\n\n# DESCRIPTION\n\nIt does.\n"}])
def finished(tree):
    for path in tree.paths("man/*.scd"):
        text = tree.files[path]
        if "to be written" in text:
            yield f"{path}: says that it is to be written"
        for section in ("NAME", "DESCRIPTION"):
            if f"\n# {section}\n" not in text:
                yield f"{path}: has no section {section}"


_OPTION = r"(?<![\w-])(?:--[a-z][a-z0-9-]*|-[A-Za-z](?![\w-]))"


def _options(text):
    return set(re.findall(_OPTION, text))


def _page_definitions(page):
    """Options that a page defines: those in lines that begin with a bold option."""
    lines = [line for line in page.splitlines() if re.match(r"\t*\*\\?-", line)]
    return _options(_plain("\n".join(lines)))


def _helps(tree, program):
    """What PROGRAM --help says, with the help of each subcommand that has one of its own."""
    text = tree.build.output(program, "--help")
    if text is None:
        return None
    for word in sorted(_commands(text, program)):
        text += tree.build.output(program, word, "--help") or ""
    return text


def _built(outputs, **files):
    return Tree({name.replace("__", "/").replace("_scd", ".scd").replace("_c", ".c"): text
                 for name, text in files.items()}, build=Answers(outputs))


_PAGE = "x(1)\n\n# SYNOPSIS\n\n*x* [*-v*]++\n*x* *go* NAME\n\n# OPTIONS\n\n*-v*, *--loud*\n\tSay.\n"


def _sample(page, text):
    return Tree({"src/x.c": "", "man/x.1.scd": page}, build=Answers({"x --help": text}))


@rule("man: options are those of --help",
      bad=[_sample(_PAGE, "Usage: x [-v] go\n  -v, --loud  say\n  -q  do not\n"),
           _sample(_PAGE + "*--old*\n\tGone.\n", "Usage: x go\n  -v, --loud  say\n"),
           Tree({"src/x.c": "", "man/x.1.scd": _PAGE})],
      good=[_sample(_PAGE, "Usage: x go\n  -v, --loud  say\n")])
def options(tree):
    for name, page in _programs(tree):
        if page is None:
            continue
        text = _helps(tree, name)
        if text is None:
            yield f"{name} --help fails, or {name} is not built"
            continue
        said = _options(text)
        for option in sorted(said - _options(_plain(tree.files[page]))):
            yield f"{page}: says nothing of {name} {option}"
        for option in sorted(_page_definitions(tree.files[page]) - said):
            yield f"{page}: {name} --help knows no {option}"


def _commands(text, program):
    """Subcommands in the usage lines of TEXT: the bare words that follow the program's name."""
    words = set()
    for line in text.splitlines():
        match = re.match(r"\s*(?:[Uu]sage:|or:?)?\s*" + re.escape(program) + r"((?:\s+\S+)+)", line)
        for word in match.group(1).split() if match else []:
            if not re.fullmatch(r"\(?[a-z]+(\|[a-z]+)*\)?", word):
                break
            words.update(word.strip("()").split("|"))
    return words


def _synopsis(page):
    match = re.search(r"\n# SYNOPSIS\n(.*?)(?=\n# )", page + "\n# ", re.DOTALL)
    return _plain(match.group(1)).replace("++", "") if match else ""


@rule("man: subcommands are those of --help",
      bad=[_sample(_PAGE, "Usage: x go\n       x stop\n -v --loud\n"), _sample(_PAGE, "Usage: x\n")],
      good=[_sample(_PAGE, "Usage: x [-v]\n       x go NAME\n"),
            _sample(_PAGE.replace("*go*", "*go*|*come*"), "Usage: x go|come NAME\n")])
def subcommands(tree):
    for name, page in _programs(tree):
        text = tree.build.output(name, "--help")
        if page is None or text is None:
            continue
        said, written = _commands(text, name), _commands(_synopsis(tree.files[page]), name)
        for word in sorted(said - written):
            yield f"{page}: SYNOPSIS lacks {name} {word}"
        for word in sorted(written - said):
            yield f"{page}: {name} --help knows no {word}"


# Lists of names in the sources: X-macro's name -> the header that holds it.
NAMES = {
    "REFUSALS": "src/policy/refusal.h",
    "SPALE_REASONS": "include/spale/bpf-abi.h",
    "JOURNAL_EVENTS": "src/daemon/journal.h",
}


def _names(text, macro):
    match = re.search(r"#define " + macro + r"\(X\)((?:[^\n]*\\\n)*[^\n]*)", text)
    return re.findall(r'X\(\w+, "([^"]*)"', match.group(1)) if match else []


_REFUSALS = '#define REFUSALS(X) \\\n\tX(NONE, "fine", "a") \\\n\tX(OLD, "too-old", "b") \\\n' \
            '\tX(NEW, "too-new", "c")\n'
_LIST = "x(8)\n\n# REFUSALS\n\n*fine*\n\tYes.\n\n*too-old*\n\tNo.\n\n"


@rule("man: lists of names are whole",
      bad=[{"src/policy/refusal.h": _REFUSALS, "man/x.8.scd": _LIST},
           {"src/policy/refusal.h": _REFUSALS,
            "man/x.8.scd": _LIST + "*too-new*\n\tNo.\n\n*too-odd*\n\tNo.\n"},
           {"src/policy/refusal.h": "enum { NONE };\n"}],
      good=[{"src/policy/refusal.h": _REFUSALS, "man/x.8.scd": _LIST + "*too-new*\n\tNo.\n"},
            {"src/policy/refusal.h": _REFUSALS, "man/x.8.scd": "x(8)\n\nIt says *too-old*.\n"}])
def lists(tree):
    for macro, header in NAMES.items():
        if header not in tree.files:
            continue
        names = _names(tree.files[header], macro)
        if not names:
            yield f"{header}: holds no list {macro}(X)"
        for path in tree.paths("man/*.scd"):
            for section in re.split(r"\n#+ ", tree.files[path]):
                terms = re.findall(r"^(?:[|:\]\[-] ?)?\*([^*=\n]+)\*", section, re.MULTILINE)
                terms = [_plain(term) for term in terms]
                if len(set(terms) & set(names)) < 2:
                    continue
                where = f"{path}, {section.splitlines()[0]}"
                for name in names:
                    if name not in terms:
                        yield f"{where}: lacks {name} of {macro}"
                for term in terms:
                    if term not in names:
                        yield f"{where}: {term} is not in {macro}"
