#!/usr/bin/env python3
"""A manual page from its source.

  page.py SOURCE PAGE VERSION [SCDOC]   PAGE is such as tusk-format.5; without SCDOC, what would be given to scdoc

SOURCE is scdoc (.scd), a specification in Markdown (.md) or the header of the library (.h). What scdoc makes is tidied until
`mandoc -T lint` has nothing to say: paragraphs that begin right behind a heading or in front of a macro are dropped, and text
is broken at 80 bytes."""
import pathlib
import re
import subprocess
import sys

import header
import markdown

SEE_ALSO = {
    "tusk-format(5)": "*tusk-dump*(1), *tusk-verify*(1), *tusk-protocol*(7), *tuskd*(8)",
    "tusk-protocol(7)": "*libtusk*(3), *tusk-format*(5), *tuskd*(8)",
}


def source_of(path, page):
    """The page as scdoc takes it."""
    text = path.read_text(encoding="utf-8")
    name = re.sub(r"^(.*)\.(\d)$", r"\1(\2)", page)
    if path.suffix == ".md":
        return markdown.page(text, name, SEE_ALSO[name])
    if path.suffix == ".h":
        return header.page(text)
    return text


def broken(line):
    """A line of text in pieces of at most 80 bytes. A piece must not begin like a request."""
    pieces = []
    while len(line.encode()) > 80:
        at = line.rfind(" ", 1, 80 - (len(line[:80].encode()) - len(line[:80])))
        at = line.find(" ", 1) if at < 1 else at
        if at < 1:
            break
        pieces.append(line[:at])
        line = line[at + 1:]
        line = rf"\&{line}" if line[:1] in (".", "'") else line
    return [*pieces, line]


def placed(out, line):
    """Put a request behind the others: a paragraph only where one begins that would not anyway."""
    last = out[-1] if out else ""
    if line == ".P" and last.startswith((".SH", ".SS", ".P", ".TH", ".RS")):
        return
    apart = last == ".P" and line.startswith((".SH", ".SS", ".RE", ".TS"))
    if apart:
        out.pop()
    out.append(line)
    if apart and line == ".RE":
        out.append(".P")


def tidied(roff):
    out, filled = [], True
    for line in roff.splitlines():
        filled = (filled or line == ".fi") and line != ".nf"
        if line.startswith("."):
            placed(out, line)
        elif not filled or line.startswith("\\h"):
            out.append(line)
        elif line:
            out += broken(line)
    return "\n".join(out[:-1] if out[-1] == ".P" else out) + "\n"


def main():
    source, page, version = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    text = source_of(source, page)
    if len(sys.argv) < 5:
        sys.stdout.write(text)
        return 0
    first, rest = text.split("\n", 1)
    done = subprocess.run([sys.argv[4]], input=f'{first} "tusk {version}"\n{rest}'.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{source}: {done.stderr.decode().strip()}")
    sys.stdout.write(tidied(done.stdout.decode()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
