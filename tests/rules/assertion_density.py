#!/usr/bin/env python3
"""How often core checks itself: CHECK() and UNREACHABLE() in the bodies of its functions, headers included.

    assertion_density.py ROOT

Prints each file's share and, last, `core: N checks in M functions, X.XX per function`; exit status 1 below two. A function's
body stands between a "{" and a "}" in the first column, as clang-format has it; comments and strings do not count."""
import pathlib
import re
import sys

LEAST = 2.0
CHECKS = re.compile(r"\b(?:CHECK|UNREACHABLE)\(")
NO_CODE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def count(path):
    """Functions in a file, and checks in them."""
    functions = checks = 0
    inside = False
    previous = ""
    for line in NO_CODE.sub(lambda m: "\n" * m.group().count("\n"), path.read_text(encoding="utf-8")).splitlines():
        if line == "{" and previous.endswith(")"):
            functions += 1
            inside = True
        elif line.startswith("}"):
            inside = False
        elif inside:
            checks += len(CHECKS.findall(line))
        previous = line
    return functions, checks


total_functions = total_checks = 0
for path in sorted(pathlib.Path(sys.argv[1], "core").glob("*.[ch]")):
    functions, checks = count(path)
    if functions > 0:
        print(f"{path.name:24} {checks:4} in {functions:3}  {checks / functions:5.2f}")
    total_functions += functions
    total_checks += checks
share = total_checks / total_functions if total_functions else 0.0
print(f"core: {total_checks} checks in {total_functions} functions, {share:.2f} per function")
if share < LEAST:
    print(f"at least {LEAST:.1f} are asked for: what may be wrong in the new functions, and who would notice?")
    sys.exit(1)
