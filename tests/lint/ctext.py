# SPDX-License-Identifier: MIT
"""Just enough of C to look at it: comments and strings blanked, braces matched."""

import re

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)


def _spaces(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """TEXT with comments as blanks; every line stays where it is."""
    return _TOKEN.sub(lambda m: _spaces(m.group()) if m.group().startswith("/") else m.group(),
                      text)


def code(text):
    """TEXT with comments and what is in quotes as blanks; every character stays where it is."""
    def blank(match):
        token = match.group()
        if token.startswith("/"):
            return _spaces(token)
        return token[0] + _spaces(token[1:-1]) + token[-1]
    return _TOKEN.sub(blank, text)


def without_directives(text):
    """CODE with preprocessor lines (and their continuations) as blanks."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: _spaces(m.group()), text,
                  flags=re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def matching(text, offset):
    """Offset behind the bracket that closes the one at OFFSET (end of text if none does)."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    opening, closing = text[offset], pairs[text[offset]]
    depth = 0
    for index in range(offset, len(text)):
        if text[index] == opening:
            depth += 1
        elif text[index] == closing:
            depth -= 1
            if depth == 0:
                return index + 1
    return len(text)


def calls(text, names):
    """(line, name, arguments) of each call in C source text of a function named so."""
    plain = code(text)
    for match in re.finditer(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(", plain):
        end = matching(plain, match.end() - 1)
        yield line_of(plain, match.start()), match.group(1), text[match.end():end - 1]


def includes(text):
    """(line, quoted?, path) of each #include."""
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]',
                             without_comments(text), re.MULTILINE):
        yield line_of(text, match.start()), match.group(1) == '"', match.group(2)
