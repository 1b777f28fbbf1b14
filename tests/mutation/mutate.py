"""Mutation testing of one file at a time.

Every mutant is compiled; one that gives the same machine code is no change at all, one that does not compile is none either. The
others meet the tests that are most likely to notice, then all tests whose executable changed, then simulated
worlds. What is known is kept in the scratch folder, one line a mutant, so that a run goes on where the last one
stopped."""
import collections
import hashlib
import json
import pathlib
import time

import mutator
from scratch import ROOT, BrokenScratch, digest

# Which tests to try first. The rest follows, whatever this says; it only saves time.
LIKELY = [
    ("core/recovery_table", ["recovery_table_test", "recovery_rows_test"]),
    ("core/recovery", ["recovery_forged_test", "recovery_rows_test", "recovery_refusal_test", "edge_recovery_test",
                       "manifest_forged_test", "recovery_redo_test"]),
    ("core/format_block", ["format_page_test", "golden_test"]),
    ("core/format_manifest", ["format_page_test", "golden_test"]),
    ("core/format", ["format_test"]),
    ("core/cursor", ["command_test"]),
    ("core/command", ["command_test", "space_test"]),
    ("core/journal_scan", ["journal_scan_test", "recovery_rows_test"]),
    ("core/journal", ["journal_test", "flusher_test"]),
    ("core/flusher", ["flusher_test"]),
    ("proto/batch", ["batch_test", "batch_verify_test"]),
    ("proto/crc32c", ["crc32c_test"]),
    ("proto/frame", ["frame_test"]),
    ("proto/message", ["message_test", "message_refusal_test", "message_layout_test", "protocol_examples_test"]),
    ("proto/status", ["status_test"]),
]


def likely_tests(scratch, name):
    names = next((tests for prefix, tests in LIKELY if name.startswith(prefix)), [])
    return [test for wanted in names for test in scratch.tests if test.name == wanted]


class Results:
    """What is known of a file's mutants, by their names, which outlive changes elsewhere in the file. A verdict stays
    until its mutant is tried again (--again), or the folder is removed."""

    def __init__(self, folder, name):
        self.path = folder / (name.replace("/", "_") + ".jsonl")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.known = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self.known[entry["id"]] = entry

    def add(self, mutant, verdict, by):
        entry = {"id": mutant.id, "line": mutant.line, "kind": mutant.kind, "before": mutant.before, "after": mutant.after,
                 "verdict": verdict, "by": by}
        self.known[mutant.id] = entry
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")


def object_of(name):
    path = pathlib.PurePosixPath(name)
    folder = path.parts[0]
    return f"{folder}/CMakeFiles/tusk_{folder}.dir/{path.relative_to(folder)}.o"


def try_mutant(scratch, name, text, mutant, unchanged, seeds):
    """(verdict, by whom or why)."""
    (scratch.tree / name).write_text(mutator.apply(text, mutant), encoding="utf-8")
    target = object_of(name)
    status, output = scratch.ninja([target])
    if status != 0:
        return "does not compile", ""
    if digest(scratch.build / target) == unchanged:
        return "equal code", ""
    likely = likely_tests(scratch, name)
    if likely:
        status, output = scratch.ninja([str(t.executable.relative_to(scratch.build)) for t in likely])
        if status != 0:
            return "does not compile", ""
        found = scratch.failing_test(likely)
        if found:
            return "killed", f"{found[0]}: {found[1]}"
    status, output = scratch.ninja([])
    if status != 0:
        return "does not compile", ""
    found = scratch.failing_test([t for t in scratch.tests if t not in likely])
    if found:
        return "killed", f"{found[0]}: {found[1]}"
    seed = scratch.failing_seed(seeds)
    if seed:
        return "killed", f"tusk_simulate, seed {seed[0]}: {seed[1]}"
    return "survived", ""


def in_share(mutant, share):
    """Spread over the whole file by the mutant's own name, so that a share stays the same when the file changes."""
    return int(hashlib.sha256(mutant.id.encode()).hexdigest(), 16) % share[1] == share[0] - 1


def mutate_file(scratch, name, share, deadline, seeds, again, counts, say):
    text = (ROOT / name).read_text(encoding="utf-8")
    results = Results(scratch.build.parent / "mutants", name)
    unchanged = digest(scratch.build / object_of(name))
    if not unchanged:
        raise BrokenScratch(f"{name} is in no library of its folder")
    mutants = [m for m in mutator.mutants_of(text) if in_share(m, share)]
    tried = collections.Counter()
    survivors = []
    try:
        for mutant in mutants:
            known = results.known.get(mutant.id)
            if known is None or again and known["verdict"] == "survived":
                if deadline and time.monotonic() > deadline:
                    tried["not tried yet"] += 1
                    continue
                verdict, by = try_mutant(scratch, name, text, mutant, unchanged, seeds)
                results.add(mutant, verdict, by)
                if verdict == "survived":
                    say(f"  survived: {name}:{mutant.line}: {mutant.kind}: {mutant.before} -> {mutant.after}")
            else:
                verdict = known["verdict"]
            tried[verdict] += 1
            if verdict == "survived":
                survivors.append(mutant)
    finally:
        scratch.restore(pathlib.Path(name))
    judged = tried["killed"] + tried["survived"]
    share_killed = 100.0 * tried["killed"] / judged if judged else 100.0
    say(f"{name}: {len(mutants)} mutants, {share_killed:.1f} % of {judged} killed; "
        + ", ".join(f"{count} {verdict}" for verdict, count in sorted(tried.items())))
    for mutant in survivors:
        say(f"  {name}:{mutant.line}: {mutant.kind}: {mutant.before} -> {mutant.after}")
    counts.update(tried)


def run(scratch, files, share, seconds, seeds, again, say):
    deadline = time.monotonic() + seconds if seconds else 0
    scratch.prepare(["unit"])
    counts = collections.Counter()
    for name in files:
        mutate_file(scratch, name, share, deadline, seeds, again, counts, say)
        scratch.ninja([])
    counts["seeds"] = seeds
    judged = counts["killed"] + counts["survived"]
    say(f"all: {judged} judged, {counts['survived']} survived; {counts['equal code']} equal, "
        f"{counts['does not compile']} not compiling, {counts['not tried yet']} not tried yet")
    return counts
