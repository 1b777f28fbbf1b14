#!/usr/bin/env python3
"""What tests/bench/compare runs when everything is installed and built. Its options are there."""
import argparse
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import check
import measure
import plan as planning
import plots
import report
import servers


SKIPPED = 77  # As ctest is told


def parse():
    parser = argparse.ArgumentParser(prog="compare", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("-o", dest="output", choices=("table", "json", "markdown"), default="table")
    parser.add_argument("--systems")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--sizes")
    parser.add_argument("--kept", type=int)
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/tmp"))
    parser.add_argument("--build", required=True)
    parser.add_argument("--no-install", action="store_true")
    parser.add_argument("--plots")
    parser.add_argument("--save")
    parser.add_argument("--from", dest="source")
    return parser.parse_args()


def plan_of(options):
    plan = planning.smoke() if options.smoke else planning.quick() if options.quick else planning.Plan()
    plan.rounds = options.rounds or plan.rounds
    plan.seconds = options.seconds or plan.seconds
    plan.kept = options.kept or plan.kept
    if options.sizes:
        plan.sizes = tuple(int(size) for size in options.sizes.split(","))
    if options.systems:
        plan.systems = tuple(options.systems.split(","))
        for system in plan.systems:
            if system not in planning.SYSTEMS:
                sys.exit(f"bench: no system is called '{system}'")
    present = []
    for system in plan.systems:
        reason = servers.missing(system, options.build)
        if reason and system == "tusk":
            sys.exit(f"bench: {reason}")
        if reason:
            measure.say(f"SKIPPED: {system}: {reason}")
            if options.smoke and system == "redis":
                sys.exit(SKIPPED)  # Without it no row has its ratio
        else:
            present.append(system)
    plan.systems = tuple(present)
    return plan


def measured(options):
    """What was measured now: {"rows", "failures", "systems"}."""
    plan = plan_of(options)
    directory = tempfile.mkdtemp(prefix="tusk-bench.", dir=options.dir)
    run = measure.Run(plan, options.build, directory, options.save)
    # So that servers are stopped and the directory is removed, whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        measure.say(f"disk of {directory}: {report.file_system(directory)}; "
                    f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        run.run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return run.result()


def main():
    options = parse()
    if options.source:
        result = json.loads(pathlib.Path(options.source).read_text(encoding="utf-8"))
    else:
        result = measured(options)
    rows = report.summary(result["rows"])
    if options.output == "json":
        print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    elif options.output == "markdown":
        report.markdown(rows)
    else:
        report.table(rows, result["rows"], result["failures"])
    folder = options.plots
    if folder is None:
        small = options.quick or options.smoke
        folder = pathlib.Path(options.build) / "tests/bench/plots" if small else pathlib.Path(__file__).parent / "plots"
    plots.draw(rows, pathlib.Path(folder))
    if options.smoke:
        check.check(rows, result)
    if any(failure.startswith("tusk ") for failure in result["failures"]):
        sys.exit(1)


main()
