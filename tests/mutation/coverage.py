"""Branches that the tests reach, per file, lowest first; fails below what is asked of them.

gcc's gcov. Not counted as a branch: an assertion's failing side, which nobody should reach (lines of CHECK and UNREACHABLE), and what
is inside the hash table's macros, which is not ours.

The files of EVERY have all of their branches reached, but for those that uncovered.md names one by one: file, function, the text of the
line, how many of its ways out are not taken, and why. A row that names no line any more, or another number, fails like a branch
that is missing: so the list stays true."""
import collections
import fnmatch
import json
import pathlib
import re
import subprocess

import mutator
from scratch import ROOT, BrokenScratch, run_command

FOLDERS = ("core", "proto", "client", "config", "server")
# Every branch; of the rest of their folders, together, so many in a hundred. It has to rise, never to fall.
EVERY = ["proto/batch.*", "core/format*", "core/read_block.c", "core/journal*", "core/cursor.c", "core/flusher.*", "core/syncs.h",
         "core/recovery*"]
REST = {"core": 95.0, "proto": 95.0}
EXCEPTIONS = ROOT / "tests" / "mutation" / "uncovered.md"
PASSED_OVER = {"CHECK", "UNREACHABLE", "HASH_FIND", "HASH_ADD", "HASH_ADD_KEYPTR", "HASH_DEL", "HASH_DELETE", "HASH_ITER", "HASH_CLEAR"}
# Every allocation fails, and some of the faults of the disk, where unit tests have examples of both.
MORE_TESTS = [("exhaust_memory", "1/1"), ("exhaust_faults", "1/30"), ("exhaust_damage", "1/295"), ("exhaust_limits", "1/7")]


def lines_passed_over(text):
    """Numbers of the lines that an assertion or a macro of the hash table stands on."""
    tokens = mutator.tokens_of(text)
    lines = set()
    for i, token in enumerate(tokens[:-1]):
        if token.text in PASSED_OVER and tokens[i + 1].text == "(":
            depth, at = 0, i + 1
            while True:
                depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
                if depth == 0:
                    break
                at += 1
            lines.update(range(token.line, tokens[at].line + 1))
    return lines


class File:
    def __init__(self, name):
        self.name = name
        self.text = (ROOT / name).read_text(encoding="utf-8").splitlines()
        self.lines = collections.defaultdict(int)      # number: times run
        self.branches = collections.defaultdict(list)  # number: times taken, for each way out
        self.functions = {}                            # number: name
        self.without = lines_passed_over("\n".join(self.text) + "\n")

    def add(self, number, count, function, branches):
        self.lines[number] += count
        self.functions[number] = function
        if number in self.without or not branches:
            return
        known = self.branches[number]
        # One source in several libraries: the ways out are the same, in the same order.
        if len(known) == len(branches):
            self.branches[number] = [a + b for a, b in zip(known, branches)]
        elif not known:
            self.branches[number] = branches

    def counts(self):
        ways = [count for counts in self.branches.values() for count in counts]
        return (sum(1 for c in self.lines.values() if c), len(self.lines), sum(1 for c in ways if c), len(ways))

    def missing(self):
        """{line number: ways out that are not taken}"""
        return {number: ways.count(0) for number, ways in sorted(self.branches.items()) if 0 in ways}


class Excuse:
    """A row of uncovered.md: | `file` `function` | `text of the line` | ways out not taken | why |"""

    ROW = re.compile(r"\| `(?P<file>(?:core|proto)/[\w.]+)` `(?P<function>\w+)` \| `(?P<text>.+?)` \| (?P<ways>\d+) \| (?P<why>.+?) \|$")

    def __init__(self, match, row):
        self.file, self.function, self.text = match["file"], match["function"], match["text"].replace("\\|", "|")
        self.ways, self.row = int(match["ways"]), row

    def lines(self, file):
        return [n for n, function in file.functions.items() if function == self.function and self.text in file.text[n - 1]
                and n in file.branches]


def read_exceptions(say):
    """(rows, how many rows could not be read)."""
    rows, bad = [], 0
    for number, line in enumerate(EXCEPTIONS.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("| `"):
            continue
        match = Excuse.ROW.match(line)
        if match:
            rows.append(Excuse(match, number))
        else:
            say(f"uncovered.md:{number}: not a row: {line}")
            bad += 1
    return rows, bad


def build(folder, jobs):
    if not (folder / "build.ninja").exists():
        status, output = run_command(["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DCMAKE_C_COMPILER=gcc",
                                      "-DCMAKE_BUILD_TYPE=Debug", "-DTUSK_COVERAGE=ON"], 300)
        if status != 0:
            raise BrokenScratch("cmake:\n" + output)
    for old in folder.rglob("*.gcda"):
        old.unlink()
    status, output = run_command(["ninja", "-C", str(folder), "-j", str(jobs)], 3600)
    if status != 0:
        raise BrokenScratch("the coverage build fails:\n" + output[-4000:])


def read_counts(folder):
    files = {}
    for notes in sorted(folder.rglob("*.gcno")):
        relative = notes.relative_to(folder)
        if relative.parts[0] not in FOLDERS:
            continue
        done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", str(notes)], cwd=folder,
                              capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if not line.startswith("{"):
                continue
            data = json.loads(line)
            for entry in data["files"]:
                path = pathlib.Path(data["current_working_directory"], entry["file"]).resolve()
                if not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] not in FOLDERS:
                    continue
                name = str(path.relative_to(ROOT))
                file = files.setdefault(name, File(name))
                for item in entry["lines"]:
                    file.add(item["line_number"], item["count"], item.get("function_name", ""),
                             [b["count"] for b in item["branches"] if not b["throw"]])
    return files


def share(part, whole):
    return 100.0 * part / whole if whole else 100.0


def is_every(name):
    return any(fnmatch.fnmatch(name, pattern) for pattern in EVERY)


def print_missing(file, say):
    for number in sorted(file.lines):
        ways = file.branches.get(number, [])
        if file.lines[number] == 0:
            say(f"  {file.name}:{number}: not reached: {file.text[number - 1].strip()}")
        elif 0 in ways:
            taken = "".join("+" if count else "-" for count in ways)
            say(f"  {file.name}:{number}: ways out {taken}: {file.text[number - 1].strip()}")


def judge(files, say):
    """How many things are not as they must be. Every one is told."""
    exceptions, bad = read_exceptions(say)
    excused = collections.Counter()  # (file, line): ways out
    for row in exceptions:
        file = files.get(row.file)
        lines = row.lines(file) if file else []
        found = sum(file.missing().get(number, 0) for number in lines)
        if found != row.ways:
            say(f"uncovered.md:{row.row}: {row.file} {row.function}: {row.ways} ways out are said not to be taken, {found} are: `{row.text}`")
            bad += 1
        for number in lines:
            excused[row.file, number] += 1
            if excused[row.file, number] > 1:
                say(f"uncovered.md:{row.row}: {row.file}:{number} is named twice")
                bad += 1
    for file in files.values():
        for number, ways in file.missing().items() if is_every(file.name) else ():
            if (file.name, number) not in excused:
                say(f"{file.name}:{number}: {ways} ways out are not taken, and uncovered.md does not say why: "
                    f"{file.functions[number]}: {file.text[number - 1].strip()}")
                bad += 1
    for folder, least in REST.items():
        mine = [f for f in files.values() if f.name.startswith(folder + "/") and not is_every(f.name)]
        counts = [f.counts() for f in mine]
        named = sum(ways for f in mine for number, ways in f.missing().items() if (f.name, number) in excused)
        taken, ways = sum(c[2] for c in counts), sum(c[3] for c in counts)
        reached = share(taken, ways - named)
        say(f"{folder}, the rest: {taken} of {ways} branches, {share(taken, ways):.1f} %; {named} are named in uncovered.md, "
            f"{reached:.1f} % of the others; {least:.0f} % are asked for")
        bad += reached < least
    return bad


def run(folder, jobs, seeds, integration, missing, say):
    build(folder, jobs)
    labels = "unit|integration" if integration else "unit"
    runs = [["ctest", "--test-dir", str(folder), "-j", str(jobs), "-L", labels, "-E", "source_rules|installed_tree"],
            [str(folder / "tests" / "sim" / "tusk_simulate"), "--seeds", f"1-{seeds}"]]
    runs += [[str(folder / "tests" / "exhaustive" / name), "--part", part] for name, part in MORE_TESTS]
    for command in runs:
        status, output = run_command(command, 3600)
        if status != 0:
            say(f"{pathlib.Path(command[0]).name} fails, so that these counts say less:\n" + output[-2000:])
    return show(folder, missing, say)


def show(folder, missing, say):
    files = read_counts(folder)
    rows = []
    for file in files.values():
        lines, lines_all, branches, branches_all = file.counts()
        if lines_all and not file.name.endswith(".h"):
            rows.append((share(branches, branches_all), share(lines, lines_all), branches, branches_all, lines, lines_all, file))
    rows.sort(key=lambda row: row[:2])
    say("branches      of   lines      of  file")
    for branch, line, _, branches_all, _, lines_all, file in rows:
        say(f"{branch:6.1f} % {branches_all:6d} {line:6.1f} % {lines_all:6d}  {file.name}{' *' if is_every(file.name) else ''}")
    for folder_name in FOLDERS:
        mine = [row for row in rows if row[6].name.startswith(folder_name + "/")]
        branch = share(sum(r[2] for r in mine), sum(r[3] for r in mine))
        line = share(sum(r[4] for r in mine), sum(r[5] for r in mine))
        say(f"{folder_name}: branches {branch:.1f} %, lines {line:.1f} %")
    for row in rows:
        if any(fnmatch.fnmatch(row[6].name, pattern) for pattern in missing):
            print_missing(row[6], say)
    say("Of files with a star every branch is asked for, but for those that uncovered.md names.")
    bad = judge(files, say)
    say(f"{bad} shortcomings" if bad else "as it must be")
    return 1 if bad else 0
