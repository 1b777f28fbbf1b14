"""client/tusk.h as libtusk(3): the header teaches the library, and the page is its words in its order.

What the header looks like is what is relied on: a comment at the left margin belongs to the declarations right behind it,
a blank line ends them, and a comment "---- Title ----" begins a section."""
import re

import markdown

FUNCTION = re.compile(r"^TUSK_API [^;(]*?\b(tusk_\w+)\(", re.MULTILINE)
# What is for the compiler alone: the guard, what is included, C++, and what makes a name visible.
MACHINERY = re.compile(r"^#if(?:def|n?def)? [^\n]*(?:__cplusplus|__GNUC__)[^\n]*\n.*?^#endif\n|"
                       r"^#(?:ifndef|define) TUSK_H\n|^#include [^\n]*\n|^#endif\n", re.MULTILINE | re.DOTALL)
# Prose on the way: names of functions are bold, a code at the start of a line begins that line.
CALL = re.compile(r"\b(tusk(?:_\w+)+)\(\)")
CODE_LINE = re.compile(r"E[A-Z]+(, E[A-Z]+)*: ")


def functions(text):
    return FUNCTION.findall(text)


def words(comment):
    """The lines of a comment without its marks."""
    lines = comment.strip().removeprefix("/*").removesuffix("*/").splitlines()
    return [re.sub(r"^ \* ?", "", line).rstrip() if number > 0 else line.strip() for number, line in enumerate(lines)]


def prose(lines):
    """Lines of a comment to scdoc. A code that begins a line keeps its line; functions are set off."""
    text = []
    for line in lines:
        line = CALL.sub(r"`\1`()", line)
        if CODE_LINE.match(line.strip()) and text and text[-1].strip():
            text.append("")
        text.append(line.rstrip())
    return markdown.body(text)


def items(text):
    """("comment", lines), ("code", lines) and ("end", []) for a blank line, in the header's order."""
    lines, at = text.splitlines(), 0
    while at < len(lines):
        if lines[at].startswith("/*"):
            end = at
            while "*/" not in lines[end]:
                end += 1
            yield "comment", words("\n".join(lines[at:end + 1]))
            at = end + 1
        elif not lines[at].strip():
            yield "end", []
            at += 1
        else:
            end, depth = at, 0
            while end < len(lines) and (depth > 0 or (lines[end].strip() and not lines[end].startswith("/*"))):
                depth += lines[end].count("{") - lines[end].count("}")
                end += 1
            yield "code", lines[at:end]
            at = end


def declarations(lines):
    """Without what makes them visible; lines that go on below stay below."""
    out, cut = [], 0
    for line in lines:
        if line.startswith("TUSK_API "):
            line, cut = line.removeprefix("TUSK_API "), len("TUSK_API ")
        elif not line.startswith(" " * 12):
            cut = 0
        out.append(line[cut:] if line.startswith(" ") else line)
    return out


def sections(text):
    """All behind the comment at the top."""
    out, comment = [], []
    for kind, lines in items(text):
        if kind == "comment" and lines[0].startswith("---- "):
            out += prose(comment) + [f"# {lines[0].strip('- ').upper()}", ""] + prose(lines[1:])
            comment = []
        elif kind == "comment":
            out += prose(comment)
            comment = lines
        elif kind == "end":
            out += prose(comment)
            comment = []
        else:
            code = declarations(lines)
            out += markdown.literal(code) + prose(comment)
            comment = []
    return out + prose(comment)


def page(text):
    top, rest = text.split("*/", 1)
    head = words(top)
    name, summary = head[0].split(": ", 1)
    inside = [number for number, line in enumerate(head) if line.startswith("    ")]
    program = [line[4:] for line in head[inside[0]:inside[-1] + 1]]
    description = head[1:inside[0]] + head[inside[-1] + 1:]
    return "\n".join([
        "LIBTUSK(3)", "", "# NAME", "", f"{name} - {summary.rstrip('.')}", "", "# SYNOPSIS", "",
        *markdown.literal(["#include <tusk.h>", "", "cc ... $(pkg-config --cflags --libs tusk)"]),
        "# DESCRIPTION", "", *prose(description), *sections(MACHINERY.sub("", rest)),
        "# ENVIRONMENT", "", "None. The library reads no variable, *TUSK_SOCKET* included.", "",
        "# FILES", "", "/run/tusk/tuskd.sock", "\tThe daemon's socket, where the options name none.", "",
        "# EXAMPLES", "", "With this in _example.c_:", "", *markdown.literal(program), "",
        *markdown.literal(["$ cc -o example example.c $(pkg-config --cflags --libs tusk)", "$ ./example", "0: hello"]),
        "# SEE ALSO", "", "*tusk*(1), *tusk-protocol*(7), *tuskd*(8)", ""])
