#!/usr/bin/env python3
"""Count the instructions of the engine's hot paths, and compare with what is checked in.

Usage: instructions.py PROGRAM SOURCE COMPILER BUILD_TYPE [--update]

PROGRAM is bench_instructions, SOURCE the tree it was built from, COMPILER its name and version. The
counts are those of functions of core/ and proto/, apart for the checksum, so that neither hides the
other. They are the same on every machine, but not with every compiler: with another one than that of
instructions.txt, or without valgrind, this is skipped (77)."""
import pathlib
import platform
import subprocess
import sys
import tempfile

TOLERANCE = 0.03
COUNTS = pathlib.Path(__file__).with_name("instructions.txt")
CHECKSUM = "crc32c_portable"
EXPLAIN = f"""
A path takes more than {TOLERANCE:.0%} more, or less, than {COUNTS.name} says. To see where:
  valgrind --tool=callgrind --collect-atstart=no --toggle-collect='measured*' PROGRAM PATH
  callgrind_annotate callgrind.out.PID
If the change is meant, say in the commit why, and put the new counts into the same commit:
  cmake --build --preset release --target instructions-update"""


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def valgrind_version():
    try:
        done = subprocess.run(["valgrind", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        skip("valgrind is not installed")
    return done.stdout.strip()


def functions(lines):
    """Of callgrind's output: (file of the function, function, its own instructions)."""
    file = function = ""
    inclusive = False
    names = {}

    def name_of(text):
        # "(3) name" defines 3, "(3)" means it.
        number, _, name = text.partition(" ")
        if name:
            names[kind, number] = name
        return names.get((kind, number), text)

    for line in lines:
        key, equals, value = line.strip().partition("=")
        if equals and key in ("fl", "fi", "fe", "cfi", "cfl"):
            kind = "file"
            name = name_of(value)
            file = name if key == "fl" else file
        elif equals and key in ("fn", "cfn"):
            kind = "function"
            name = name_of(value)
            function = name if key == "fn" else function
        elif equals and key == "calls":
            inclusive = True  # The next line is the callee's
        elif line[:1] in "0123456789+-*" and not equals and line.strip():
            if not inclusive:
                yield file, function, int(line.split()[1])
            inclusive = False


def count(program, source, path):
    """(instructions of core and proto without the checksum, those of the checksum)."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        subprocess.run(["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=measured*",
                        f"--callgrind-out-file={out}", program, path], check=True, stderr=subprocess.DEVNULL)
        engine = checksum = 0
        for file, function, instructions in functions(out.read_text().splitlines()):
            if function == CHECKSUM:
                checksum += instructions
            elif file.endswith("proto/crc32c.c"):
                sys.exit(f"{function}() depends on the processor: wrap its caller in instructions.c")
            elif any(f"{source}/{folder}/" in file or file.startswith(f"{folder}/") for folder in ("core", "proto")):
                engine += instructions
    if engine == 0:
        sys.exit(f"nothing was counted of {path}: does the source lie in {source}?")
    return engine, checksum


def read_counts():
    """(what they were counted with, {(path, part): count})."""
    made, counts = "", {}
    if not COUNTS.exists():
        return made, counts
    for line in COUNTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# Made with "):
            made = line.removeprefix("# Made with ")
        elif line and not line.startswith("#"):
            path, part, value = line.split()
            counts[path, part] = int(value)
    return made, counts


def write_counts(made, counts):
    lines = ["# Instructions of the engine's hot paths: bench_instructions under callgrind, see instructions.py.",
             "# Counted by a test; changed by: cmake --build --preset release --target instructions-update",
             f"# Made with {made}"]
    lines += [f"{path:<24} {part:<9} {value:>12}" for (path, part), value in counts.items()]
    COUNTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def compare(old, new):
    """Print every count; true when none changed too much."""
    good = True
    print(f"{'path':<24} {'part':<9} {'was':>12} {'is':>12} change")
    for key in sorted(set(old) | set(new)):
        was, now = old.get(key), new.get(key)
        if was is None or now is None:
            change, bad = "not counted before" if was is None else "not counted any more", True
        else:
            share = (now - was) / max(was, 1)
            change, bad = f"{share:+.2%}", abs(share) > TOLERANCE
        good = good and not bad
        print(f"{key[0]:<24} {key[1]:<9} {was or 0:>12} {now or 0:>12} {change}{'  <--' if bad else ''}")
    return good


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    program, source, compiler, build_type = sys.argv[1:5]
    made = f"{compiler}, {build_type}, {platform.machine()}, {valgrind_version()}"
    before, old = read_counts()
    update = "--update" in sys.argv[5:]
    if not update and made != before:
        skip(f"the counts were made with {before}; this is {made}")
    paths = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    new = {}
    for path in paths:
        new[path, "engine"], new[path, "checksum"] = count(program, source, path)
    good = compare(old, new)
    if update:
        write_counts(made, new)
    elif not good:
        print(EXPLAIN)
        sys.exit(1)


main()
