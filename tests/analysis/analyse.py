#!/usr/bin/env python3
"""Static analysis: clang-tidy, gcc -fanalyzer and cppcheck over everything that is shipped, and cppcheck over the tests.

    analyse.py ROOT BUILD [--jobs N] [--only TOOL] [FILE...]

BUILD has a compile_commands.json. Every report is printed; the last line of each tool counts them; exit status 1 if there is
any. A report that is wrong is answered where it is made, with a reason in words: `NOLINT(check): why` (clang-tidy),
`cppcheck-suppress id ; why` and, as gcc has nothing of the kind, `fanalyzer-suppress name: why` on the line or the one before."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

FOLDERS = ("core", "server", "client", "proto", "config")
REPORT = re.compile(r"^(\S+?):(\d+):\d+: (warning|error): (.*) \[([^\]]+)\]$")


def commands(build):
    """Of each file, its first compile command, as a list, without what makes an object file."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        words = shlex.split(entry["command"])[1:]
        kept, skip = [], False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-MF", "-MT"):
                skip = True
            elif word not in ("-c", "-MD", "-Werror") and word != entry["file"]:
                kept.append(word)
        found.setdefault(entry["file"], kept)
    return found


def suppressed(root, name, line, what, marker):
    """Whether the line of a report, or the one before, answers it; an answer without a reason does not count."""
    lines = (root / name).read_text(encoding="utf-8").splitlines()
    near = "\n".join(lines[max(line - 2, 0):line])
    return re.search(marker + " " + re.escape(what) + r": \S+ \S+", near) is not None


def reports_of(root, text, marker=None):
    found = set()
    for text_line in text.splitlines():
        match = REPORT.match(text_line)
        if not match:
            continue
        path, line, _, sentence, check = match.groups()
        name = os.path.relpath(root / path, root)
        if name.startswith(".."):
            continue
        if marker and suppressed(root, name, int(line), check.split("-Wanalyzer-")[-1], marker):
            continue
        found.add((name, int(line), f"{sentence} [{check}]"))
    return found


def run(command, root):
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def clang_tidy(root, build, flags, path):
    # The flags are given, without those that only gcc knows and clang calls an error; and a file that two libraries compile
    # is read once.
    kept = [word for word in flags if not word.startswith(("-flto", "-ffat-lto", "-fno-fat-lto"))]
    code, text = run(["clang-tidy", "--quiet", path, "--", *kept], root)
    found = reports_of(root, text)
    if code != 0 and not found:
        found.add((os.path.relpath(path, root), 0, "clang-tidy failed: " + text.strip()[-300:]))
    return found


def fanalyzer(root, build, flags, path):
    # Small functions inlined, loops as they are written. The object goes nowhere.
    kept = [word for word in flags if not word.startswith("-O") and not word.startswith("-fsanitize")]
    code, text = run(["gcc", *kept, "-O1", "-fanalyzer", "-c", path, "-o", os.devnull], root)
    # The check's name comes behind the weakness's number: [CWE-401] [-Wanalyzer-malloc-leak].
    found = reports_of(root, re.sub(r" \[CWE-\d+\]", "", text), "fanalyzer-suppress")
    if code != 0 and not found:
        found.add((os.path.relpath(path, root), 0, "gcc failed: " + text.strip()[-300:]))
    return found


def cppcheck(root, build, flags, path):
    # In tests only what it calls an error: a list that NULL ends is fine where NULL is a pointer, as it is here.
    is_test = os.path.relpath(path, root).startswith("tests/")
    kinds = [] if is_test else ["--enable=warning,performance,portability"]
    # -I of the tree only: of the system's headers it knows what it needs, and of <uthash.h> what stands in cppcheck.h.
    code, text = run(["cppcheck", "--quiet", *kinds, "--inline-suppr", "--std=c11",
                      "--include=tests/analysis/cppcheck.h", "-D_GNU_SOURCE", '-DTUSK_VERSION="0"', "-I", ".",
                      "--template={file}:{line}:{column}: {severity}: {message} [{id}]",
                      "--template-location=", os.path.relpath(path, root)], root)
    text = re.sub(r"(?m)^(\S+?:\d+:\d+): (?:performance|portability|style): ", r"\1: warning: ", text)
    found = reports_of(root, text)
    if code != 0 and not found:
        found.add((os.path.relpath(path, root), 0, "cppcheck failed: " + text.strip()[-300:]))
    return found


TOOLS = {"clang-tidy": (clang_tidy, FOLDERS), "gcc -fanalyzer": (fanalyzer, FOLDERS), "cppcheck": (cppcheck, FOLDERS + ("tests",))}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("root", type=pathlib.Path)
    arguments.add_argument("build", type=pathlib.Path)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments.add_argument("--only", choices=sorted(TOOLS))
    arguments.add_argument("files", nargs="*", help="only these; none: all")
    given = arguments.parse_intermixed_args()
    root = given.root.resolve()
    compiled = commands(given.build)
    bad = 0
    for name, (tool, folders) in TOOLS.items():
        if given.only not in (None, name):
            continue
        wanted = [path for path in sorted(compiled) if os.path.relpath(path, root).split("/")[0] in folders
                  and (not given.files or os.path.relpath(path, root) in given.files)]
        if not wanted:
            print(f"{name}: no files")
            bad += 1
            continue
        found = set()
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            for part in pool.map(lambda path: tool(root, given.build, compiled[path], path), wanted):
                found |= part
        for path, line, text in sorted(found):
            print(f"{path}:{line}: {text}")
        print(f"{name}: {len(found)} reports in {len(wanted)} files", flush=True)
        bad += len(found)
    sys.exit(1 if bad else 0)


main()
