"""The bug museum: one patch for every rule that reliability is built on, each a wrong version that somebody has shipped.

A patch that no test notices is a rule nobody guards."""
import pathlib
import re
import subprocess
import time

from scratch import ROOT

FOLDER = ROOT / "tests" / "mutation" / "museum"
FUZZ = 3  # Lines of context that may have changed around it


class Patch:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        text = path.read_text(encoding="utf-8")
        match = re.match(r"Breaks rule ([\d, ]+): (.*)", text)
        if not match:
            raise SystemExit(f"{path.name}: its first line must be \"Breaks rule N: how\"")
        self.rules, self.how = match.groups()
        self.files = [pathlib.Path(name) for name in re.findall(r"^\+\+\+ b/(\S+)", text, re.M)]

    def apply(self, tree):
        """"" or why it does not apply."""
        done = subprocess.run(["patch", "-p1", f"--fuzz={FUZZ}", "--no-backup-if-mismatch", "--forward", "-r", "-",
                               "-i", str(self.path)], cwd=tree, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout + done.stderr


def patches(names):
    found = [Patch(path) for path in sorted(FOLDER.glob("*.patch"))]
    return [p for p in found if not names or any(p.name.startswith(n) for n in names)]


def try_patch(scratch, patch, seeds, seeds_too):
    """(verdict, caught by, how, seeds needed). Verdicts: caught, SURVIVES, BROKEN. seeds_too: simulate also what a test has caught."""
    problem = patch.apply(scratch.tree)
    try:
        if problem:
            return "BROKEN", "", "does not apply any more: " + problem.splitlines()[-1], ""
        status, output = scratch.ninja([])
        if status != 0:
            lines = [line for line in output.splitlines() if "error" in line]
            return "BROKEN", "", "does not build: " + (lines[0] if lines else str(status)), ""
        unit = [t for t in scratch.tests if "integration" not in t.labels]
        found = scratch.failing_test(unit)
        if found and not seeds_too:
            return "caught", found[0], found[1], ""
        seed = scratch.failing_seed(seeds)
        if found:
            return "caught", found[0], found[1], str(seed[0] or "?") if seed else f">{seeds}"
        if seed:
            return "caught", "tusk_simulate", seed[1], str(seed[0] or "?")
        touches_server = any(name.parts[0] in ("server", "client", "config") for name in patch.files)
        found = scratch.failing_test([t for t in scratch.tests if "integration" in t.labels]) if touches_server else None
        if found:
            return "caught", found[0], found[1], ""
        return "SURVIVES", "", patch.how, f">{seeds}"
    finally:
        for name in patch.files:
            scratch.restore(name)


def run(scratch, names, seeds, seeds_too, say):
    """Try all patches. Returns the rows of the table."""
    rows = []
    for patch in patches(names):
        start = time.monotonic()
        verdict, by, how, needed = try_patch(scratch, patch, seeds, seeds_too)
        rows.append((patch.name, patch.rules, verdict, by, needed, how))
        say(f"{verdict:8} {patch.name:42} {by:20} {needed:>6} {time.monotonic() - start:5.0f}s  {how}")
    return rows
