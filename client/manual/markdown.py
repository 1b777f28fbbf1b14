"""The Markdown of proto/PROTOCOL.md and core/FORMAT.md as scdoc takes it, so that the specification is the manual page.

Not all of Markdown: headings, paragraphs, lists of one level, tables, fenced and indented code, and of marks inside a line
`code`, **bold**, *emphasis* and [links](to). What these pages do not use is not known here."""
import re

# A link or a path in backticks that names the source of a page becomes the page.
PAGES = {
    "../proto/PROTOCOL.md": "*tusk-protocol*(7)",
    "../core/FORMAT.md": "*tusk-format*(5)",
    "FORMAT.md": "*tusk-format*(5)",
    "PROTOCOL.md": "*tusk-protocol*(7)",
}
MARK = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|(?<![\w*])\*(\w[^*]*?)\*(?![\w*])|\[([^]]+)\]\(([^)]+)\)")


def plain(text):
    """Everything that scdoc takes for a mark stands for itself."""
    return re.sub(r"([\\*_`\[\]|#<>~])", r"\\\1", text)


def inline(text):
    out, at = [], 0
    for match in MARK.finditer(text):
        code, bold, emphasis, link, _ = match.groups()
        out.append(plain(text[at:match.start()]))
        at = match.end()
        if code is not None:
            out.append(PAGES.get(code) or f"*{plain(code)}*")
        elif bold is not None:
            out.append(f"*{plain(bold)}*")
        elif emphasis is not None:
            out.append(f"_{plain(emphasis)}_")
        else:
            out.append(PAGES.get(link) or plain(link))
    out.append(plain(text[at:]))
    # Two pluses at the end of a line, and a dot or dash at the start of one, mean something, too.
    return re.sub(r"^([.\-])(?= )", r"\\\1", "".join(out))


def literal(lines):
    while lines and not lines[-1].strip():
        lines.pop()
    return ["```", *(line.replace("\\", "\\\\") for line in lines), "```", ""]


def table(rows):
    """Cells of each row; the second row of a Markdown table only says that the first is its head."""
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    widest = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    out = []
    for number, row in enumerate(cells[:1] + cells[2:]):
        for column, cell in enumerate(row):
            text = f"*{plain(cell)}*" if number == 0 and cell else inline(cell)
            begin = ":" if column > 0 else "[" if number == 0 else "|"
            # A column of sentences takes what width there is.
            align = "<" if widest[column] > 40 else "["
            out.append(f"{begin}{align} {text}" if text else f"{begin}{align}")
    return [*out, ""]


def take_while(lines, at, keep):
    end = at
    while end < len(lines) and keep(lines[end]):
        end += 1
    return lines[at:end], end


def paragraph_line(line):
    return bool(line.strip()) and not re.match(r"(#|```|\||- )", line)


def bullets(lines, at):
    """A list: its items, each on one line, until a line that neither begins an item nor is indented."""
    taken, at = take_while(lines, at, lambda line: line.startswith(("- ", "  ")) and line.strip())
    items = []
    for line in taken:
        if line.startswith("- "):
            items.append(line[2:])
        else:
            items[-1] += " " + line.strip()
    return [*(f"- {inline(item)}" for item in items), ""], at


def body(lines, heading="#"):
    """Lines of Markdown to lines of scdoc. heading: what a heading of level two becomes."""
    out, at = [], 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            code, end = take_while(lines, at + 1, lambda text: not text.startswith("```"))
            out += literal(code)
            at = end + 1
        elif line.startswith("    "):
            code, at = take_while(lines, at, lambda text: text.startswith("    ") or not text.strip())
            out += literal([text[4:] for text in code])
        elif re.match(r"#{2,3} ", line):
            level, text = line.split(" ", 1)
            text = text.replace("`", "")
            out += [f"{heading} {plain(text.upper())}" if level == "##" else f"{heading}# {plain(text)}", ""]
            at += 1
        elif line.startswith("|"):
            rows, at = take_while(lines, at, lambda text: text.startswith("|"))
            out += table(rows)
        elif line.startswith("- "):
            items, at = bullets(lines, at)
            out += items
        elif line.strip():
            text, at = take_while(lines, at, paragraph_line)
            out += [inline(" ".join(part.strip() for part in text)), ""]
        else:
            at += 1
    return out


def page(text, name, see_also):
    """The page `name`, "tusk-format(5)", of a specification."""
    lines = text.splitlines()
    title = lines[0].removeprefix("# ")
    # A table of contents points into the document; a page is searched.
    paragraphs = re.sub(r"\nContents: (?:.+\n)+", "\n", "\n".join(lines[1:]))
    word = name.split("(")[0]
    return "\n".join([name.upper(), "", "# NAME", "", f"{word} - {title[0].lower()}{title[1:]}", "", "# DESCRIPTION", "",
                      *body(paragraphs.splitlines()), "# SEE ALSO", "", see_also, ""])
