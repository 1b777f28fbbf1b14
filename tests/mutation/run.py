#!/usr/bin/env python3
"""Do the tests notice? Wrong versions of the program, tried against them one at a time.

  run.py museum [NAME...]          the bugs of museum/, one for each rule
  run.py mutate FILE...            small mechanical changes of these files
  run.py coverage                  lines and branches that unit tests and a short simulation reach

See README.md."""
import argparse
import datetime
import pathlib
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import coverage
import museum
import mutate
from scratch import ROOT, BrokenScratch, Scratch

LEDGER = ROOT / "tests" / "LEDGER.md"
# As it is when a run begins: that is what it tries.
COMMIT = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
                        capture_output=True, text=True).stdout.strip() or "unknown"
LEDGER_HEAD = """# What long campaigns have run

One line per campaign, or per part of one that was interrupted, appended by the campaign itself. Violations are counted in chunks of runs
that ended with one; what each was is in the commit that mended it.

| date | commit | campaign | seeds, and runs or executions | violations |
|---|---|---|---|---|
"""


def say(text):
    print(text, flush=True)


def note_in_ledger(campaign, runs, violations):
    if not LEDGER.exists():
        LEDGER.write_text(LEDGER_HEAD, encoding="utf-8")
    with LEDGER.open("a", encoding="utf-8") as out:
        out.write(f"| {datetime.date.today()} | {COMMIT} | {campaign} | {runs} | {violations} |\n")


def run_museum(args):
    start = time.monotonic()
    hall = museum.Museum(args.build, args.jobs, args.seeds, say)
    hall.prepare()
    say(f"built, and its tests pass, after {time.monotonic() - start:.0f} s")
    rows = hall.run(args.names)
    missed = [row for row in rows if not row["by"]]
    if args.publish:
        museum.publish(rows)
    if args.ledger:
        note_in_ledger("bug museum", f"{len(rows)} planted bugs, {args.seeds} worlds and scenes each, "
                       f"{time.monotonic() - start:.0f} s", len(missed))
    for row in missed:
        say(f"SURVIVES: {row['name']}: {row['how']}")
    say(f"{time.monotonic() - start:.0f} s")
    say(f"{len(rows) - len(missed)} of {len(rows)} planted bugs caught")
    return 1 if missed or not rows else 0


def run_mutate(args):
    scratch = Scratch(args.scratch, args.jobs)
    counts = mutate.run(scratch, args.files, args.seed, args.count, args.seconds, args.seeds, args.again, args.jobs, say)
    if args.ledger:
        note_in_ledger("mutation of " + ", ".join(args.files),
                       f"{counts['killed'] + counts['survived']} mutants drawn by seed {args.seed}, {counts['seeds']} worlds each",
                       counts["survived"])
    return 0


def run_coverage(args):
    if args.show:
        return coverage.show(pathlib.Path(args.build), args.missing, say)
    return coverage.run(pathlib.Path(args.build), args.jobs, args.seeds, args.integration, args.missing, say)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", default=str(ROOT / "build" / "mutation"), help="folder of the copy and its build")
    parser.add_argument("--jobs", type=int, default=2, help="compilers at a time, and mutants; planted bugs are tried one at a time")
    parser.add_argument("--ledger", action="store_true", help="append the outcome to tests/LEDGER.md")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("museum", help="try the planted bugs")
    command.add_argument("names", nargs="*", help="beginnings of patch names; none: all")
    command.add_argument("--build", default=str(ROOT / "build" / "planted"), help="folder of its build")
    command.add_argument("--seeds", type=int, default=100, help="worlds and scenes to simulate; 20 times as many of a bug that nobody else notices")
    command.add_argument("--publish", action="store_true", help="write who caught what to caught.md")
    command.set_defaults(run=run_museum)
    command = commands.add_parser("mutate", help="mutate files")
    command.add_argument("files", nargs="+", help="from the root, as core/cursor.c")
    command.add_argument("--count", type=int, default=0, help="draw until so many could be judged; 0: all of them")
    command.add_argument("--seed", type=int, default=1, help="of the draw")
    command.add_argument("--seconds", type=int, default=0, help="stop after this time; run again to go on")
    command.add_argument("--seeds", type=int, default=100, help="worlds to simulate for who survives the unit tests")
    command.add_argument("--again", action="store_true", help="try survivors of earlier runs again")
    command.set_defaults(run=run_mutate)
    command = commands.add_parser("coverage", help="print coverage per file")
    command.add_argument("--build", default=str(ROOT / "build" / "coverage"), help="a build with TUSK_COVERAGE")
    command.add_argument("--seeds", type=int, default=300, help="worlds to simulate")
    command.add_argument("--integration", action="store_true", help="run the tests of the daemon, too")
    command.add_argument("--show", action="store_true", help="run nothing: only print what the last run has counted")
    command.add_argument("--missing", nargs="*", default=[], help="files, as \"core/recovery*.c\": print what is not reached")
    command.set_defaults(run=run_coverage)
    args = parser.parse_args()
    # Whoever ends this ends it in order: the copy is put right, and what runs is not left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    try:
        return args.run(args)
    except BrokenScratch as problem:
        say(f"no verdict: {problem}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
