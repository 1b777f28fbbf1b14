"""The bug museum: every wrong version of museum/, against all tests, in one build (plant.py).

For each bug: the tests of modules (the one that caught it last time first, then the fast ones), simulated worlds and
scenes up to the first that fails, and, if nobody noticed, the tests of the daemon and the long ones. Whoever
failed is run once more with the bug asleep: only a test that then passes has caught it."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import threading
import time

import patches
from scratch import FOLDERS, NOT_TESTS, ROOT, BrokenScratch, describe_failure, listed_tests, run_command

PUBLISHED = ROOT / "tests" / "mutation" / "caught.md"
PUBLISHED_HEAD = """# Who catches which planted bug

Written by `run.py museum --publish`. *Caught by*: the first test that failed. *Worlds*, *scenes*: how many of the simulation, of
the engine and of the server, from seed 1 on, until one fails; -: the bug is not in what runs there.

| planted bug | breaks | caught by | how | worlds | scenes |
|---|---|---|---|---|---|
"""
BUILD_TIMEOUT = 3600
SIMULATION_TIMEOUT = 300


def tree_digest():
    """What results are results of."""
    total = hashlib.sha256()
    for path in sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*")):
        if path.suffix in (".c", ".h", ".def", ".patch", ".sh", ".py", ".txt", ".cmake") and path.is_file():
            total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


class Museum:
    def __init__(self, build, jobs, seeds, say):
        self.build = pathlib.Path(build)
        self.jobs = jobs
        self.seeds = seeds            # Simulated for every bug
        self.seeds_most = 20 * seeds  # For one that nobody else has noticed
        self.say = say
        self.results = self.build / "museum.jsonl"
        self.last = self.build / "museum-last.jsonl"
        self.tree = tree_digest()
        self.lock = threading.Lock()
        self.tests = []

    # ---- the build ----

    def prepare(self):
        """Build it, and see that its tests pass while all bugs sleep: only then a failure means anything."""
        self.make(["cmake", "-S", str(ROOT), "-B", str(self.build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                   "-DTUSK_PLANTED_BUGS=ON"])
        self.make(["ninja", "-C", str(self.build), "-j", str(self.jobs)])
        self.tests = [t for t in listed_tests(self.build) if t.name not in NOT_TESTS | {"simulation_A", "simulation_B", "simulation_server"}
                      and set(t.labels) & {"unit", "integration", "sim", "fuzz"}]
        quick = [t for t in self.tests if set(t.labels) & {"unit", "integration"}]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            for test, (status, output) in zip(quick, pool.map(self.timed, quick)):
                if status in (0, 77):
                    continue
                if "unit" in test.labels:
                    raise BrokenScratch(f"{test.name} fails while all planted bugs sleep ({status}):\n{output[-4000:]}")
                # A daemon on a machine that is too busy for its deadlines: no judge today.
                self.say(f"{test.name} is not asked: it fails while all planted bugs sleep: {describe_failure(status, output)}")
                self.tests.remove(test)
        self.tests.sort(key=lambda test: test.seconds)

    def make(self, command):
        status, output = run_command(command, BUILD_TIMEOUT)
        if status != 0:
            raise BrokenScratch(f"{command[0]}:\n{output[-4000:]}")

    @staticmethod
    def timed(test):
        start = time.monotonic()
        result = test.run(300)
        test.seconds = time.monotonic() - start
        return result

    # ---- one bug ----

    def caught(self, test, name):
        """How the test notices the bug, or None. A test that cannot pass at this moment anyhow notices nothing."""
        limit = 30 + 10 * (test.seconds or 60)
        status, output = test.run(limit, {"TUSK_PLANTED": name})
        if status in (0, 77) or test.run(limit)[0] not in (0, 77):
            return None
        return describe_failure(status, output)

    def first_seed(self, program, name, seeds):
        """(how many runs of a simulation it took, how), or (None, "")."""
        command = [str(self.build / "tests" / "sim" / program), "--seeds", f"1-{seeds}", "--no-shrink", "--jobs", "1"]
        status, output = run_command(command, SIMULATION_TIMEOUT, env={**os.environ, "TUSK_PLANTED": name})
        if status == 0:
            return None, ""
        match = re.search(r"FAILED seed (\d+)", output)
        return match.group(1) if match else "?", describe_failure(status, output)

    def by_tests(self, name, tests):
        """(the first of the tests that notices, how), or ("", "")."""
        for test in tests:
            how = self.caught(test, name)
            if how:
                return test.name, how
        return "", ""

    def by_simulation(self, patch, seeds):
        """What it took, of both simulations, and who noticed, as by_tests()."""
        in_core = any(name.parts[0] in ("core", "proto") for name in patch.files)
        in_server = in_core or any(name.parts[0] == "server" for name in patch.files)
        took, found = [], ("", "")
        for program, here in (("tusk_simulate", in_core), ("tusk_simulate_server", in_server)):
            seed, how = self.first_seed(program, patch.name, seeds) if here else ("-", "")
            took.append(seed or f">{seeds}")
            if how and not found[0]:
                found = program, how
        return took, found

    def try_bug(self, patch, hint):
        start = time.monotonic()
        hinted = [t for t in self.tests if t.name == hint]
        unit = [t for t in self.tests if "unit" in t.labels and t not in hinted]
        found = self.by_tests(patch.name, hinted + unit)
        took, simulated = self.by_simulation(patch, self.seeds)
        if not (found[0] or simulated[0]):
            integration = [t for t in self.tests if "integration" in t.labels and t not in hinted]
            found = self.by_tests(patch.name, integration)
        if not (found[0] or simulated[0]):
            took, simulated = self.by_simulation(patch, self.seeds_most)
        if not (found[0] or simulated[0]):
            long = [t for t in self.tests if not {"unit", "integration"} & set(t.labels) and t not in hinted]
            found = self.by_tests(patch.name, long)
        by, how = found if found[0] else simulated
        return {"tree": self.tree, "name": patch.name, "breaks": patch.breaks, "by": by, "how": how or patch.how,
                "worlds": took[0], "scenes": took[1], "seconds": round(time.monotonic() - start, 1)}

    # ---- all of them ----

    def known(self):
        """What an interrupted run has found already, of this tree."""
        rows = [json.loads(line) for line in self.results.read_text().splitlines()] if self.results.exists() else []
        return {row["name"]: row for row in rows if row["tree"] == self.tree}

    def hints(self):
        """{bug: the test that caught it last time}, here or where the published results were made."""
        hints = {}
        if PUBLISHED.exists():
            hints = dict(re.findall(r"^\| (\S+) \| [^|]+ \| (\S+) \|", PUBLISHED.read_text(encoding="utf-8"), re.M))
        for path in (self.last, self.results):
            if path.exists():
                hints |= {row["name"]: row["by"] for row in map(json.loads, path.read_text().splitlines())}
        return hints

    def note(self, row):
        with self.lock:
            with self.results.open("a") as out:
                out.write(json.dumps(row) + "\n")
            self.say(f"{'caught' if row['by'] else 'SURVIVES':8} {row['breaks']:20} {row['name']:50} {row['by']:24} "
                     f"worlds {row['worlds']:>5} scenes {row['scenes']:>5} {row['seconds']:5.0f}s  {row['how']}")

    def run(self, names):
        """The rows of all bugs asked for, in order."""
        found = patches.patches(names)
        rows = self.known()
        hints = self.hints()
        todo = [p for p in found if p.name not in rows]
        if len(todo) < len(found):
            self.say(f"{len(found) - len(todo)} are known from the run that was interrupted")
        pool = concurrent.futures.ThreadPoolExecutor(self.jobs)
        try:
            waiting = [pool.submit(self.try_bug, p, hints.get(p.name, "")) for p in todo]
            for done in concurrent.futures.as_completed(waiting):
                row = done.result()
                rows[row["name"]] = row
                self.note(row)
        finally:
            pool.shutdown(cancel_futures=True)
        if not names:
            os.replace(self.results, self.last)  # It is complete: the next run begins anew
        return [rows[p.name] for p in found]


def publish(rows):
    text = PUBLISHED_HEAD + "".join(
        f"| {r['name']} | {r['breaks']} | {r['by'] or 'nobody'} | {r['how'].replace('|', '/')} | {r['worlds']} | {r['scenes']} |\n" for r in rows)
    PUBLISHED.write_text(text, encoding="utf-8")
