"""Lines and branches that the unit tests and a short simulation reach, per file, lowest first.

gcc's gcov; an assertion's failing side is no branch anybody should reach, so lines of CHECK and UNREACHABLE count as lines only."""
import collections
import json
import pathlib
import re
import subprocess

import mutator
from scratch import ROOT, BrokenScratch, run_command

FOLDERS = ("core", "proto", "client", "config", "server")
ASSERTIONS = {"CHECK", "UNREACHABLE"}


def assertion_lines(text):
    """Numbers of the lines that an assertion stands on."""
    tokens = mutator.tokens_of(text)
    lines = set()
    for i, token in enumerate(tokens[:-1]):
        if token.text in ASSERTIONS and tokens[i + 1].text == "(":
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
        self.lines = collections.defaultdict(int)     # number: times run
        self.branches = collections.defaultdict(list)  # number: times taken, for each way out
        self.without = assertion_lines((ROOT / name).read_text(encoding="utf-8"))

    def add(self, number, count, branches):
        self.lines[number] += count
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


def build(folder, jobs):
    if not (folder / "build.ninja").exists():
        status, output = run_command(["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DCMAKE_C_COMPILER=gcc",
                                      "-DCMAKE_BUILD_TYPE=Debug", "-DTUSK_COVERAGE=ON"], 300)
        if status != 0:
            raise BrokenScratch("cmake:\n" + output)
    for old in folder.rglob("*.gcda"):
        old.unlink()
    status, output = run_command(["ninja", "-C", str(folder), "-j", str(jobs)], 1800)
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
                    file.add(item["line_number"], item["count"], [b["count"] for b in item["branches"] if not b["throw"]])
    return files


def share(part, whole):
    return 100.0 * part / whole if whole else 100.0


def print_missing(file, say):
    text = (ROOT / file.name).read_text(encoding="utf-8").splitlines()
    for number in sorted(file.lines):
        ways = file.branches.get(number, [])
        if file.lines[number] == 0:
            say(f"  {file.name}:{number}: not reached: {text[number - 1].strip()}")
        elif 0 in ways:
            taken = "".join("+" if count else "-" for count in ways)
            say(f"  {file.name}:{number}: ways out {taken}: {text[number - 1].strip()}")


def run(folder, jobs, seeds, integration, missing, say):
    build(folder, jobs)
    labels = "unit|integration" if integration else "unit"
    status, output = run_command(["ctest", "--test-dir", str(folder), "-L", labels, "-E", "source_rules|installed_tree"], 1800)
    if status != 0:
        say("some tests fail, so that these counts say less:\n" + output[-2000:])
    status, output = run_command([str(folder / "tests" / "sim" / "tusk_simulate"), "--seeds", f"1-{seeds}"], 1800)
    if status != 0:
        say("the simulation fails:\n" + output[-2000:])
    files = read_counts(folder)
    rows = []
    for file in files.values():
        lines, lines_all, branches, branches_all = file.counts()
        if lines_all and not file.name.endswith(".h"):
            rows.append((share(branches, branches_all), share(lines, lines_all), branches, branches_all, lines, lines_all, file))
    rows.sort(key=lambda row: row[:2])
    say("branches      of   lines      of  file")
    for branch, line, _, branches_all, _, lines_all, file in rows:
        say(f"{branch:6.1f} % {branches_all:6d} {line:6.1f} % {lines_all:6d}  {file.name}")
    for folder_name in FOLDERS:
        mine = [row for row in rows if row[6].name.startswith(folder_name + "/")]
        branch = share(sum(r[2] for r in mine), sum(r[3] for r in mine))
        line = share(sum(r[4] for r in mine), sum(r[5] for r in mine))
        say(f"{folder_name}: branches {branch:.1f} %, lines {line:.1f} %")
    for row in rows:
        if any(re.match(pattern.replace("*", ".*") + "$", row[6].name) for pattern in missing):
            print_missing(row[6], say)
    return 0
