#!/usr/bin/env python3
"""One copy of the sources that holds every planted bug, each asleep until the environment names it.

  plant.py write FOLDER     write the planted copies of what patches touch, and what they need, to FOLDER
  plant.py check            only see that every patch applies, and to the functions it names, and that none is missing
  plant.py refresh [COMMIT]  write the patches anew, as they apply now: after code around them has changed; those that do not
                            apply are merged with the sources, as they were at that commit when it still applied

Of a function that patches change, the copy holds the function as it is, every wrong version of it under a name of its
own, and at the top of the function as it is the way to them:

    static int sync_it__planted_02_retry(struct file *file)
    { ... the wrong version ... }

    static int sync_it(struct file *file)
    { if (tusk_planted_bug == 17) { return sync_it__planted_02_retry(file); }
    ...

So a patch may change the inside of functions and nothing else: whatever else it would change is changed for all."""
import argparse
import difflib
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import c_functions
import patches
from patches import ROOT, BadPatch

RULES = 35
LESSONS = 13
NOT_PLANTED = {("rule", 35)}  # README.md says why


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines()


def changed_functions(before, after, name):
    """[(function, its lines in the wrong version, index among the file's functions)] of one file, before and after a patch."""
    if c_functions.outside(before) != c_functions.outside(after):
        raise BadPatch(f"{name}: it changes something of its file that is not inside a function")
    old, new = c_functions.functions(before), c_functions.functions(after)
    if [f.signature for f in old] != [f.signature for f in new]:
        raise BadPatch(f"{name}: it adds, removes or redeclares a function")
    return [(index, b, after[b.body:b.last + 1]) for index, (a, b) in enumerate(zip(old, new))
            if before[a.body:a.last + 1] != after[b.body:b.last + 1]]


def wrong_version(patch):
    """{file: its lines in the wrong version}"""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        for name in patch.files:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
        patch.apply(tree)
        return {name: lines_of(tree / name) for name in patch.files}


def plants_of(patch):
    """{file: [(index of a function, the wrong version's Function, its body)]}"""
    plants = {name: changed_functions(lines_of(ROOT / name), after, patch.name) for name, after in wrong_version(patch).items()}
    found = {function.name for plants_here in plants.values() for _, function, _ in plants_here}
    if found != patch.where:
        raise BadPatch(f"{patch.name}: it changes {', '.join(sorted(found)) or 'nothing'}, "
                       f"and says that it changes {', '.join(sorted(patch.where))}")
    return plants


def dispatch(function, number, planted_name):
    call = f"{planted_name}({', '.join(function.parameters())});"
    if function.returns_nothing:
        return f"if (tusk_planted_bug == {number}) {{ {call} return; }}"
    return f"if (tusk_planted_bug == {number}) {{ return {call} }}"


def planted_source(name, wrong):
    """The text of a planted copy. wrong: [(number, slug, index of a function, the wrong version's Function, its body)]"""
    lines = lines_of(ROOT / name)
    out = ["/* Made by tests/mutation/plant.py: this file holds bugs. */", "extern int tusk_planted_bug;",
           f'#line 1 "{ROOT / name}"']
    at = 0
    for index, function in enumerate(c_functions.functions(lines)):
        here = [entry for entry in wrong if entry[2] == index]
        if not here:
            continue
        out += lines[at:function.first] + [function.signature + ";"]
        ways = []
        for number, slug, _, version, body in here:
            planted_name = f"{function.name}__planted_{slug}"
            out += [function.renamed(planted_name)]
            out += [f'#line {version.body + 1} "{ROOT / name}"'] + body
            ways.append(dispatch(function, number, planted_name))
        out += [f'#line {function.first + 1} "{ROOT / name}"'] + lines[function.first:function.body]
        # One line, so that those below keep their numbers.
        out += ["{ " + " ".join(ways)]
        at = function.body + 1
    return "\n".join(out + lines[at:]) + "\n"


def write_if_changed(path, text):
    """What is as it was keeps its time, and what is made of it is not made again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def planted_files(found):
    """{file: text} of all patches together."""
    wrong = {}
    for number, patch in enumerate(found, 1):
        for name, plants in plants_of(patch).items():
            wrong.setdefault(name, []).extend((number, patch.slug, *plant) for plant in plants)
    return {name: planted_source(name, entries) for name, entries in sorted(wrong.items())}


def write(folder, found):
    files = planted_files(found)
    for name, text in files.items():
        write_if_changed(folder / name, text)
    write_if_changed(folder / "planted_names.h", "".join(f'X({n}, "{p.name}")\n' for n, p in enumerate(found, 1)))
    # For CMake: what to compile instead of which.
    write_if_changed(folder / "sources.txt", "".join(f"{name}\n" for name in files))


def carried(patch, commit):
    """As wrong_version(), of a patch of the sources at that commit: what has changed since is merged in."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        for name in patch.files:
            then = subprocess.run(["git", "-C", str(ROOT), "show", f"{commit}:{name}"], capture_output=True, check=True).stdout
            for path in (tree / name, tree / f"{name}.then"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(then)
        patch.apply(tree)
        merged = {}
        for name in patch.files:
            done = subprocess.run(["git", "merge-file", "-p", str(ROOT / name), str(tree / f"{name}.then"), str(tree / name)],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                raise BadPatch(f"{patch.name}: what it changes in {name} has changed since {commit}: write it by hand")
            merged[name] = done.stdout.splitlines()
        return merged


def rewrite(patch, wrong):
    text = f"Breaks {patch.breaks}: {patch.how}\nIn {', '.join(sorted(patch.where))}\n"
    for name, after in wrong.items():
        difference = difflib.unified_diff(lines_of(ROOT / name), after, f"a/{name}", f"b/{name}", lineterm="")
        text += "".join(line + "\n" for line in difference)
    write_if_changed(patch.path, text)


def refresh(found, commit):
    """False: some must be written by hand."""
    problems = []
    for patch in found:
        try:
            try:
                plants_of(patch)  # Only what is where it says it is
                rewrite(patch, wrong_version(patch))
            except BadPatch:
                if not commit:
                    raise
                rewrite(patch, carried(patch, commit))
                plants_of(patches.Patch(patch.path))
        except BadPatch as problem:
            problems.append(problem)
            print(f"plant: {problem}", file=sys.stderr)
    return not problems


def check(found):
    """Every rule and every lesson of README.md has a planted bug, or a reason there why not."""
    have = {("rule", n) for p in found for n in p.rules} | {("lesson", n) for p in found for n in p.lessons}
    want = {("rule", n) for n in range(1, RULES + 1)} | {("lesson", n) for n in range(1, LESSONS + 1)}
    missing = sorted(want - have - NOT_PLANTED)
    if missing or have - want:
        raise BadPatch("no planted bug breaks " + ", ".join(f"{what} {n}" for what, n in missing) + "; unknown: "
                       + ", ".join(f"{what} {n}" for what, n in sorted(have - want)))
    print(f"{len(found)} planted bugs in {len(planted_files(found))} files")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("write")
    command.add_argument("folder", type=pathlib.Path)
    commands.add_parser("check")
    command = commands.add_parser("refresh")
    command.add_argument("commit", nargs="?", default="")
    args = parser.parse_args()
    try:
        found = patches.patches()
        if args.command == "write":
            write(args.folder, found)
        elif args.command == "refresh":
            return 0 if refresh(found, args.commit) else 1
        else:
            check(found)
    except (BadPatch, c_functions.NotUnderstood) as problem:
        print(f"plant: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
