"""Where the functions of a C file are, as clang-format leaves them: an opening and a closing brace alone in
the first column. Nothing here understands more of C than that and the list of parameters."""
import dataclasses
import re


class NotUnderstood(Exception):
    pass


@dataclasses.dataclass
class Function:
    name: str
    first: int  # Line of its signature, from 0
    body: int   # Line of its opening brace
    last: int   # Line of its closing brace
    signature: str

    @property
    def static(self):
        return bool(re.match(r"static\b", self.signature))

    @property
    def returns_nothing(self):
        return bool(re.match(r"(?:static |_Noreturn |inline )*void \w+\(", self.signature))

    def parameters(self):
        """The names of its parameters."""
        inside = self.signature[self.signature.index("(") + 1:self.signature.rindex(")")].strip()
        if inside in ("", "void"):
            return []
        names = []
        for part in split_arguments(inside):
            match = re.search(r"\(\*(\w+)\)\(", part) or re.search(r"(\w+)(?:\[[^\]]*\])*$", part)
            if part == "..." or not match:
                raise NotUnderstood(f"{self.name}: parameter \"{part}\"")
            names.append(match.group(1))
        return names

    def renamed(self, name):
        """Its signature under another name, of this file only."""
        text = re.sub(rf"\b{self.name}\(", f"{name}(", self.signature, count=1)
        return text if self.static else "static " + text


def split_arguments(text):
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return parts + [text[start:].strip()]


def functions(lines):
    """The functions of a file's lines, in order. Two of one name (for two systems, say) are two."""
    found = []
    at = 0
    while at < len(lines):
        if lines[at] == "{":
            first = at
            while first > 0 and lines[first - 1].strip() and not re.search(r"([;}]|\*/)$|^#", lines[first - 1]):
                first -= 1
            signature = " ".join(line.strip() for line in lines[first:at])
            match = re.search(r"(\w+)\(", signature)
            if not match or not signature.endswith(")"):
                raise NotUnderstood(f"line {at + 1}: a brace in the first column that begins no function")
            last = lines.index("}", at)
            found.append(Function(match.group(1), first, at, last, signature))
            at = last
        at += 1
    return found


def outside(lines):
    """Everything of a file but its functions."""
    inside = {line for f in functions(lines) for line in range(f.first, f.last + 1)}
    return [text for number, text in enumerate(lines) if number not in inside]
