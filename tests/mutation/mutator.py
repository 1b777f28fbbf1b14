"""Small mechanical changes of C source, found by tokens alone: what a hurried hand could have written instead.

No syntax tree: where tokens could mean two things (a pointer's star, a unary minus) the layout that clang-format keeps tells them
apart, and what does not compile is no mutant. Not changed: preprocessor lines, assertions, and the words of messages."""
import collections
import hashlib
import re

Token = collections.namedtuple("Token", "kind text start end line")
Mutant = collections.namedtuple("Mutant", "id line kind before after start end replacement")

PATTERN = re.compile(r"""
    (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<preprocessor>(?<=\n)[ \t]*\#(?:[^\n\\]|\\.|\\\n)*)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<char>'(?:[^'\\\n]|\\.)*')
  | (?P<number>(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<op><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^<>=!~?:;,.(){}\[\]])
""", re.X | re.S)

RELATIONAL = {"<": ["<="], "<=": ["<"], ">": [">="], ">=": [">"], "==": ["!="], "!=": ["=="]}
LOGICAL = {"&&": ["||"], "||": ["&&"]}
ARITHMETIC = {"+": ["-"], "-": ["+"], "*": ["+"], "/": ["*"], "%": ["/"], "&": ["|"], "|": ["&"], "<<": [">>"], ">>": ["<<"],
              "+=": ["-="], "-=": ["+="], "|=": ["&="], "&=": ["|="], "++": ["--"], "--": ["++"]}
# What they are given is looked at by nobody but a reader, or holds in every run that is right.
PASSED_OVER = {"CHECK", "_Static_assert", "error_set", "error_wrap", "error_errno", "request_fail", "recovery_finding", "snprintf",
               "UNREACHABLE", "sizeof", "read_refuse"}
KEYWORDS = {"if", "while", "for", "switch", "return", "sizeof", "do", "else", "case", "default", "goto", "break", "continue"}


def tokens_of(text):
    tokens = []
    for match in PATTERN.finditer(text):
        if match.lastgroup not in ("comment", "preprocessor"):
            tokens.append(Token(match.lastgroup, match.group(), match.start(), match.end(),
                                text.count("\n", 0, match.start()) + 1))
    return tokens


class Mutator:
    def __init__(self, text):
        self.text = text
        self.tokens = tokens_of(text)
        self.closes = self.match_brackets()
        self.passed_over = self.spans_passed_over()
        self.mutants = []
        self.seen = collections.Counter()

    def match_brackets(self):
        closes, open_ones = {}, []
        for i, token in enumerate(self.tokens):
            if token.text in ("(", "[", "{"):
                open_ones.append(i)
            elif token.text in (")", "]", "}") and open_ones:
                closes[open_ones.pop()] = i
        return closes

    def spans_passed_over(self):
        inside = set()
        for i, token in enumerate(self.tokens[:-1]):
            if token.text in PASSED_OVER and self.tokens[i + 1].text == "(" and i + 1 in self.closes:
                inside.update(range(i, self.closes[i + 1] + 1))
        return inside

    def add(self, kind, first, last, replacement):
        """Replace tokens first..last."""
        start, end = self.tokens[first].start, self.tokens[last].end
        before = self.text[start:end]
        if before == replacement:
            return
        line_start = self.text.rfind("\n", 0, start) + 1
        line_end = self.text.find("\n", start)
        line_text = self.text[line_start:line_end].strip()
        key = (kind, line_text, before, replacement)
        self.seen[key] += 1
        name = hashlib.sha256(repr((key, self.seen[key])).encode()).hexdigest()[:12]
        self.mutants.append(Mutant(name, self.tokens[first].line, kind, re.sub(r"\s+", " ", before),
                                   re.sub(r"\s+", " ", replacement), start, end, replacement))

    def source(self, start, end):
        return self.text[start:end]

    def run(self):
        for i, token in enumerate(self.tokens):
            if i in self.passed_over:
                continue
            self.operators(i, token)
            self.constants(i, token)
            self.conditions(i, token)
            self.returns(i, token)
            self.arguments(i, token)
        self.statements()
        self.mutants.sort(key=lambda m: (m.start, m.end, m.replacement))
        return self.mutants

    def spaced(self, token):
        return self.text[token.start - 1] in " \n" and self.text[token.end] in " \n"

    def operators(self, i, token):
        if token.kind != "op":
            return
        if token.text in RELATIONAL and self.spaced(token):
            kind, choices = "relational", RELATIONAL[token.text]
        elif token.text in LOGICAL:
            kind, choices = "logical", LOGICAL[token.text]
        elif token.text in ARITHMETIC and (self.spaced(token) or token.text in ("++", "--")):
            kind, choices = "arithmetic", ARITHMETIC[token.text]
        else:
            return
        for choice in choices:
            self.add(kind, i, i, choice)

    def constants(self, i, token):
        if token.kind == "name" and token.text in ("true", "false"):
            self.add("constant", i, i, "false" if token.text == "true" else "true")
        if token.kind != "number":
            return
        digits = re.match(r"0[xX][0-9a-fA-F]+|\d+", token.text).group()
        value, suffix = int(digits, 0), token.text[len(digits):]
        if value == 0 and self.tokens[i - 1].text == "{":
            return  # An initializer of zeros
        self.add("constant", i, i, f"{value + 1}{suffix}")
        if value > 0:
            self.add("constant", i, i, f"{value - 1}{suffix}")

    def conditions(self, i, token):
        if token.text not in ("if", "while") or self.tokens[i + 1].text != "(" or i + 1 not in self.closes:
            if token.text != "return":
                return
            first, last = i + 1, i + 1
            while self.tokens[last].text != ";":
                last = self.closes.get(last, last) + 1
            last -= 1
        else:
            first, last = i + 2, self.closes[i + 1] - 1
            if not any(t.text == "error_set" for t in self.tokens[first:last + 1]):
                self.add("negation", first, last, f"!({self.source(self.tokens[first].start, self.tokens[last].end)})")
        self.clauses(first, last)

    def clauses(self, first, last):
        """Leave out one of several conditions."""
        parts, begin, i = [], first, first
        joints = []
        while i <= last:
            if self.tokens[i].text in ("&&", "||"):
                parts.append((begin, i - 1))
                joints.append(self.tokens[i].text)
                begin = i + 1
            if i in self.closes:
                inner = self.closes[i]
                if self.tokens[i].text == "(" and (i == first or self.tokens[i - 1].text in ("(", "!", "&&", "||")):
                    self.clauses(i + 1, inner - 1)
                i = inner
            i += 1
        parts.append((begin, last))
        if not joints:
            return
        for at, (a, b) in enumerate(parts):
            joint = joints[at] if at < len(joints) else joints[-1]
            if a <= b:
                self.add("clause", a, b, "true" if joint == "&&" else "false")

    def returns(self, i, token):
        if token.text != "return" or self.tokens[i + 1].text == ";":
            return
        last = i + 1
        while self.tokens[last].text != ";":
            last = self.closes.get(last, last) + 1
        value = self.source(self.tokens[i + 1].start, self.tokens[last - 1].end)
        if value in ("true", "false") or re.fullmatch(r"-?\d+u?", value):
            return  # A constant: done there
        if re.match(r"error_|disk_fail|file_fail", value):
            self.add("return", i + 1, last - 1, "0")  # An error that is swallowed
        else:
            if value != "NULL":  # That is 0, whatever the compiler makes of it
                self.add("return", i + 1, last - 1, "0")
            self.add("return", i + 1, last - 1, "1")

    def arguments(self, i, token):
        if token.kind != "name" or token.text in KEYWORDS or self.tokens[i + 1].text != "(" or i + 1 not in self.closes:
            return
        close = self.closes[i + 1]
        if i > 0 and (self.tokens[i - 1].kind == "name" and self.tokens[i - 1].text not in KEYWORDS
                      or self.tokens[i - 1].text == "*" and self.tokens[close + 1].text in ("{", ";")):
            return  # A declaration
        parts, begin, at = [], i + 2, i + 2
        while at < close:
            if self.tokens[at].text == ",":
                parts.append((begin, at - 1))
                begin = at + 1
            at = self.closes.get(at, at) + 1
        parts.append((begin, close - 1))
        for (a, b), (c, d) in zip(parts, parts[1:]):
            if a > b or c > d:
                continue
            left = self.source(self.tokens[a].start, self.tokens[b].end)
            right = self.source(self.tokens[c].start, self.tokens[d].end)
            simple = r"[A-Za-z_][\w.>\-]*|\d+u?"
            if re.fullmatch(simple, left) and re.fullmatch(simple, right):
                self.add("swapped arguments", a, d, f"{right}, {left}")

    def statements(self):
        """Calls whose value is unused, assignments, jumps."""
        for i, token in enumerate(self.tokens[:-1]):
            if token.text not in (";", "{", "}", ")", "else", ":"):
                continue
            first = i + 1
            if self.tokens[first].kind != "name" and self.tokens[first].text not in ("(", "*", "++", "--"):
                continue
            if token.text == ")" and not self.ends_condition(i) or self.tokens[first].text in ("if", "for", "while", "switch", "do",
                                                                                              "return", "else", "case", "default"):
                continue
            last = first
            while last < len(self.tokens) and self.tokens[last].text not in (";", "{", "}", ":"):
                last = self.closes.get(last, last) + 1
            if last >= len(self.tokens) or self.tokens[last].text != ";" or first in self.passed_over:
                continue
            body = self.tokens[first:last]
            if body[0].text == "(" and len(body) > 3 and body[1].text == "void" and body[3].text in PASSED_OVER:
                continue
            if self.is_statement(first, last):
                self.add("removed statement", first, last, ";")

    def ends_condition(self, close):
        for at, end in self.closes.items():
            if end == close:
                return self.tokens[at - 1].text in ("if", "while", "for")
        return False

    def is_statement(self, first, last):
        body = self.tokens[first:last]
        if body[0].text in ("break", "continue", "goto"):
            return True
        if body[0].text in ("static", "const", "struct", "enum", "unsigned", "typedef", "extern"):
            return False
        depth_zero, at = [], first
        while at < last:
            depth_zero.append(self.tokens[at])
            at = self.closes.get(at, at) + 1
        kinds = [t for t in depth_zero if t.kind == "op" and re.fullmatch(r"[-+*/%&|^]?=|<<=|>>=|\+\+|--", t.text)]
        names = [t for a, t in enumerate(depth_zero) if t.kind == "name" and a + 1 < len(depth_zero) and depth_zero[a + 1].kind == "name"]
        if names:
            return False  # A declaration: type, then name
        if kinds:
            # "type *name = ..." begins with a name followed by a star and a name.
            return not (len(depth_zero) > 2 and depth_zero[0].kind == "name" and depth_zero[1].text == "*")
        return depth_zero[-1].text == "(" and (body[0].kind == "name" or body[0].text == "(")


def mutants_of(text):
    return Mutator(text).run()


def apply(text, mutant):
    """Lines keep their numbers: assertions hold them, and they are no difference."""
    lines = text.count("\n", mutant.start, mutant.end) - mutant.replacement.count("\n")
    return text[:mutant.start] + mutant.replacement + "\n" * lines + text[mutant.end:]
