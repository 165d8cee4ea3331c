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
            if not re.fullmatch(r"\(?[a-z]+(-[a-z]+)*(\|[a-z]+)*\)?", word):
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
    return re.findall(r'X\((?!NONE,)\w+, "([^"]*)"', match.group(1)) if match else []


_REFUSALS = '#define REFUSALS(X) \\\n\tX(NONE, "none", "n") \\\n\tX(FINE, "fine", "a") \\\n\tX(OLD, "too-old", "b") \\\n' \
            '\tX(NEW, "too-new", "c")\n'
_LIST = "x(8)\n\n# REFUSALS\n\n*fine*\n\tYes.\n\n*too-old*\n\tNo.\n\n"


# A line that begins an item of a list or table, and the names it is about.
_TERM_LINE = re.compile(r"^(?:[|:\]\[]+ *(?:[<-] *)?)?(\*[^*\n]+\*(?:, \*[^*\n]+\*)*)[ .]*$", re.MULTILINE)


def _terms(section):
    """The bold terms that the items of a section define."""
    terms = []
    for line in _TERM_LINE.findall(section):
        terms += [_plain(term) for term in re.findall(r"\*([^*]+)\*", line)]
    return terms


@rule("man: lists of names are whole",
      bad=[{"src/policy/refusal.h": _REFUSALS, "man/x.8.scd": _LIST},
           {"src/policy/refusal.h": _REFUSALS,
            "man/x.8.scd": _LIST + "*too-new*\n\tNo.\n\n*too-odd*\n\tNo.\n"},
           {"src/policy/refusal.h": _REFUSALS,
            "man/x.8.scd": "x(8)\n\n# REFUSALS\n\n[[ *fine*\n:< yes\n|  *too-old*\n:  no\n"},
           {"src/policy/refusal.h": "enum { NONE };\n"}],
      good=[{"src/policy/refusal.h": _REFUSALS, "man/x.8.scd": _LIST + "*too-new*\n\tNo.\n"},
            {"src/policy/refusal.h": _REFUSALS,
             "man/x.8.scd": "x(8)\n\n# REFUSALS\n\n*fine*, *too-old*, *too-new*\n\tSo.\n"},
            {"src/policy/refusal.h": _REFUSALS, "man/x.8.scd": "x(8)\n\nIt says *too-old*.\n"}])
def lists(tree):
    known = {macro: _names(tree.files[header], macro) for macro, header in NAMES.items()
             if header in tree.files}
    for macro, names in known.items():
        if not names:
            yield f"{NAMES[macro]}: holds no list {macro}(X)"
    every = {name for names in known.values() for name in names}
    for path in tree.paths("man/*.scd"):
        for section in re.split(r"\n#+ ", tree.files[path]):
            terms = _terms(section)
            where = f"{path}, {section.splitlines()[0]}"
            held = [macro for macro, names in known.items() if len(set(terms) & set(names)) > 1]
            for macro in held:
                for name in known[macro]:
                    if name not in terms:
                        yield f"{where}: lacks {name} of {macro}"
            for term in terms if held else []:
                if term not in every:
                    yield f"{where}: the sources know no {term}"


# A row of the grammar: section, key, and behind them perhaps its names in spale 0.3.
_ROW = re.compile(r'\{\s*"(\w+)",\s*"(\w+)",\s*&((?:[^{}]|\{[^{}]*\})*)\}')


def _grammar(tree):
    """(section, key) -> names in spale 0.3, from the tables of the readers."""
    rows = {}
    for path in tree.paths("src/policy/*.c"):
        for section, key, rest in _ROW.findall(tree.files[path]):
            legacy = re.search(r"\.legacy = \{([^}]*)\}", rest)
            names = re.findall(r'"(\w+)"', legacy.group(1)) if legacy else []
            rows.setdefault((section, key), []).extend(names)
    return rows


def _config_page(page):
    """(section, key) -> names in spale 0.3, from spale.conf(5)."""
    rows, section = {}, ""
    for line in page.splitlines():
        if line.startswith("# "):
            heading = re.match(r"# (?:\[(\w+)\] SECTION|(CLIENT)S)$", line)
            section = (heading.group(1) or heading.group(2)).capitalize() if heading else ""
        keys = re.match(r"((?:\*\w+=\*(?:, )?)+)(.*)", line)
        for key in re.findall(r"\*(\w+)=\*", keys.group(1)) if keys and section else []:
            rows.setdefault((section, key), []).extend(
                re.findall(r"[A-Z0-9_]{3,}", _plain(keys.group(2))))
    return rows


def _config(table, page):
    return {"src/policy/keys.c": table, CONFIG_PAGE: page}


_TABLE = '{"Grant", "Idle", &duration, "x", .legacy = {"IDLE_SEC"}},\n{"Grant", "Grace", &duration},\n'
_KEYS = "# [GRANT] SECTION\n\n*Idle=* (*IDLE\\_SEC*)\n\tTime.\n\n"


@rule("man: keys of the configuration are those of the grammar",
      bad=[_config(_TABLE, _KEYS), _config("", _KEYS), _config("", ""),
           _config(_TABLE, _KEYS + "*Grace=*\n\tTime.\n\n*Pace=*\n\tTime.\n"),
           _config(_TABLE, _KEYS.replace("IDLE\\_", "") + "*Grace=*\n\tTime.\n"),
           _config(_TABLE, _KEYS + "*Grace=* (*GRACE\\_SEC*)\n\tTime.\n"),
           _config(_TABLE, _KEYS.replace("GRANT", "LOG") + "*Grace=*\n\tTime.\n")],
      good=[_config(_TABLE, _KEYS + "*Grace=*\n\tTime.\n")])
def keys(tree):
    known, said = _grammar(tree), _config_page(tree.files.get(CONFIG_PAGE, ""))
    if not known:
        yield "src/policy holds no row of the grammar that this rule can read"
    for section, key in sorted(known.keys() - said.keys()):
        yield f"{CONFIG_PAGE}: lacks [{section}] {key}="
    for section, key in sorted(said.keys() - known.keys()):
        yield f"{CONFIG_PAGE}: [{section}] {key}= is not in the grammar"
    page = _plain(tree.files.get(CONFIG_PAGE, ""))
    for row in sorted(known.keys() & said.keys()):
        for name in known[row]:
            if name not in page:
                yield f"{CONFIG_PAGE}: lacks {name}, which was [{row[0]}] {row[1]}="
        for name in sorted(set(said[row]) - set(known[row])):
            yield f"{CONFIG_PAGE}: [{row[0]}] {row[1]}= was never {name}"
