"""Mutation testing: a seeded sample of all mutants of some files, or all of them.

Every mutant is compiled; one that gives the same machine code is no change at all, one that does not compile is none either. The
others meet unit tests, those first that killed the mutants nearest to them, then simulated worlds. Only the mutant's object and
the tests that are run are made anew, in a folder of each worker, so that several mutants are tried at a time.

What is known is kept in the scratch folder, one line a mutant, so that a run goes on where the last one stopped. The sample is in
an order that the seed draws, so that the part of it that has been tried is a sample, too."""
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time

import mutator
from scratch import ROOT, BrokenScratch, describe_failure, digest, run_command

# Which tests to try first, until neighbours have been killed. The rest follows, whatever this says; it only saves time.
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

EXHAUSTIVE = ["exhaust_memory", "exhaust_limits"]
LAST = ["tusk_simulate", *EXHAUSTIVE]
NEIGHBOURS = 3      # Tests that killed the nearest mutants, tried first
CPU_SECONDS = 20    # What a test may use at least, and ten times what it took; the other limits are for what sleeps or grows
WALL_SECONDS = 600
MEMORY_KIB = 4 << 20
NO_LINK = "does not link"


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

    def nearest_killers(self, line):
        """Names of the tests that killed what stands next to this line."""
        killed = [entry for entry in self.known.values() if entry["verdict"] == "killed"]
        killed.sort(key=lambda entry: abs(entry["line"] - line))
        names = list(dict.fromkeys(entry["by"].split(":")[0] for entry in killed))
        return names[:NEIGHBOURS]


class File:
    """A file whose mutants are tried: what it is without a change."""

    def __init__(self, scratch, name, results):
        path = pathlib.PurePosixPath(name)
        self.name = name
        self.text = (scratch.tree / name).read_text(encoding="utf-8")
        self.results = results
        self.archive = f"{path.parts[0]}/libtusk_{path.parts[0]}.a"
        self.member = f"{path.relative_to(path.parts[0])}.o"
        made = f" {path.parts[0]}/CMakeFiles/tusk_{path.parts[0]}.dir/{self.member} "
        self.command = next((entry["command"] for entry in scratch.compile_commands if made in entry["command"]), None)
        if self.command is None:
            raise BrokenScratch(f"{name} is in no library of its folder")
        self.mutants = mutator.mutants_of(self.text)
        self.likely = next((tests for prefix, tests in LIKELY if name.startswith(prefix)), [])
        self.symbols = symbols_of(scratch.build / self.archive, self.member)


def symbols_of(archive, member):
    """Global names that an archive's member defines."""
    done = subprocess.run(["nm", "--defined-only", "--extern-only", str(archive)], capture_output=True, text=True)
    names, inside = set(), False
    for line in done.stdout.splitlines():
        if line.endswith(":"):
            inside = line[:-1] == member
        elif inside and len(line.split()) == 3:
            names.add(line.split()[2])
    return names


class Program:
    """An executable that meets mutants, and how it is linked."""

    def __init__(self, scratch, name, executable, arguments, seconds):
        self.name = name
        self.executable = str(executable.relative_to(scratch.build))
        self.arguments = arguments
        self.cpu_seconds = CPU_SECONDS + int(10 * seconds)
        status, output = run_command(["ninja", "-C", str(scratch.build), "-t", "commands", self.executable], 60)
        if status != 0:
            raise BrokenScratch(f"how is {name} linked?\n{output}")
        lines = output.splitlines()
        # What is made of an archive on the way (tests that rename its symbols), and the link itself.
        self.commands = [line for line in lines if "objcopy" in line] + lines[-1:]
        done = subprocess.run(["nm", "--defined-only", str(executable)], capture_output=True, text=True)
        self.symbols = {line.split()[-1] for line in done.stdout.splitlines()}

    def holds(self, file):
        return any(file.archive in command for command in self.commands) and bool(self.symbols & file.symbols)


def run_limited(command, cpu_seconds, cwd):
    """(exit status, output). What uses more processor time than it may, or sleeps for ever, is a "timeout"; how busy the machine
    is does not matter."""
    limits = f"ulimit -c 0; ulimit -v {MEMORY_KIB}; ulimit -t {cpu_seconds}; exec \"$@\""
    status, output = run_command(["sh", "-c", limits, "sh", *command], WALL_SECONDS, cwd)
    return "timeout" if status in (-signal.SIGXCPU, -signal.SIGKILL) else status, output


class Worker:
    """A folder in which one mutant at a time is made and tried."""

    def __init__(self, scratch, folder):
        self.scratch = scratch
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        self.unchanged = {}
        for path in ("core", "proto", "run"):
            (folder / path).mkdir(parents=True)
        for path in (scratch.build / "core").glob("*.a"):
            shutil.copy(path, folder / "core")
        for path in (scratch.build / "proto").glob("*.a"):
            shutil.copy(path, folder / "proto")

    def compile(self, file, text, optimize=""):
        """The object's digest; None: it does not compile. The source stands at the same place each time, because assertions
        name it."""
        source = self.folder / file.name
        target = self.folder / file.member
        source.write_text(text, encoding="utf-8")
        command = shlex.split(file.command)
        command[command.index("-o") + 1] = str(target)
        command[command.index("-c") + 1] = str(source)
        if optimize:
            command.insert(1, optimize)
            command = [optimize if part == "-O1" else part for part in command]
        status, _ = run_command(command, 120, cwd=self.scratch.build)
        return digest(target) if status == 0 else None

    def is_equal(self, file, text, optimize=""):
        """Whether both versions give the same machine code; None: this one does not compile."""
        key = (file.name, optimize)
        if key not in self.unchanged:
            self.unchanged[key] = self.compile(file, file.text, optimize)
        changed = self.compile(file, text, optimize)
        return None if changed is None else changed == self.unchanged[key]

    def archive(self, file):
        shutil.copy(self.scratch.build / file.archive, self.folder / file.archive)
        status, output = run_command(["ar", "r", str(self.folder / file.archive), str(self.folder / file.member)], 60)
        if status != 0:
            raise BrokenScratch("ar: " + output)

    def restore(self, file):
        shutil.copy(self.scratch.build / file.archive, self.folder / file.archive)

    def link(self, program):
        """The executable; None: it does not link."""
        made = str(self.folder / "run" / pathlib.Path(program.executable).name)
        for command in program.commands:
            for archive in ("core/libtusk_core.a", "proto/libtusk_proto.a"):
                command = re.sub(rf"(?<=[\s/]){re.escape(archive)}(?=\s|$)", "@@" + archive, command)
            command = re.sub(r"\S*@@", f"{self.folder}/", command)
            command = re.sub(r"\S*/libtusk_core_(\w+)\.a", rf"{self.folder}/core/libtusk_core_\1.a", command)
            command = re.sub(rf"-o {re.escape(program.executable)}(?=\s)", f"-o {made}", command)
            status, _ = run_command(["sh", "-c", command], 120, cwd=self.scratch.build)
            if status != 0:
                return None
        return made

    def meet(self, program):
        """None, or how it fails."""
        executable = self.link(program)
        if executable is None:
            return NO_LINK
        status, output = run_limited([executable, *program.arguments], program.cpu_seconds, self.folder / "run")
        os.unlink(executable)
        return None if status in (0, 77) else describe_failure(status, output)

    def try_mutant(self, file, mutant, programs):
        """(verdict, by whom or why)."""
        text = mutator.apply(file.text, mutant)
        equal = self.is_equal(file, text)
        if equal is None:
            return "does not compile", ""
        if equal:
            return "equal code", ""
        self.archive(file)
        try:
            for program in programs:
                how = self.meet(program)
                if how == NO_LINK:
                    return "does not compile", ""
                if how:
                    return "killed", f"{program.name}: {how}"
        finally:
            self.restore(file)
        # A better compiler may see what the first did not.
        if any(self.is_equal(file, text, optimize) for optimize in ("-O2", "-O3")):
            return "equal code", ""
        return "survived", ""


class Run:
    def __init__(self, scratch, names, seeds):
        scratch.prepare(["unit"])
        scratch.compile_commands = json.loads((scratch.build / "compile_commands.json").read_text(encoding="utf-8"))
        self.scratch = scratch
        folder = scratch.build.parent / "mutants"
        self.files = [File(scratch, name, Results(folder, name)) for name in names]
        self.tests = [Program(scratch, t.name, t.executable, t.command[1:], t.seconds) for t in scratch.tests
                      if t.executable.is_relative_to(scratch.build)]
        # The last to be asked, because they take longest: worlds, and whole spaces of faults that unit tests have by example.
        self.last = [Program(scratch, "tusk_simulate", scratch.simulate, ["--seeds", f"1-{seeds}", "--no-shrink"], 0.2 * seeds)]
        for name in EXHAUSTIVE:
            executable = scratch.build / "tests" / "exhaustive" / name
            self.last.append(Program(scratch, name, executable, ["--part", "1/1"], 10))
        self.lock = threading.Lock()

    def programs_for(self, file, mutant):
        first = file.results.nearest_killers(mutant.line) + file.likely
        order = {name: at for at, name in reversed(list(enumerate(first)))}
        tests = sorted(self.tests, key=lambda test: order.get(test.name, len(first)))
        return [program for program in tests + self.last if program.holds(file)]

    def try_one(self, workers, file, mutant, say):
        worker = workers.pop()
        try:
            with self.lock:
                programs = self.programs_for(file, mutant)
            verdict, by = worker.try_mutant(file, mutant, programs)
        finally:
            workers.append(worker)
        with self.lock:
            file.results.add(mutant, verdict, by)
            if verdict == "survived":
                say(f"  survived: {file.name}:{mutant.line}: {mutant.kind}: {mutant.before} -> {mutant.after}")
        return verdict

    def drawn(self, seed):
        """All mutants, in the seed's order; a mutant's place depends on nothing but itself."""
        def place(pair):
            return hashlib.sha256(f"{seed} {pair[0].name} {pair[1].id}".encode()).digest()
        return sorted(((file, mutant) for file in self.files for mutant in file.mutants), key=place)

    def sample(self, seed, count, seconds, again, jobs, say):
        """Try mutants until `count` of them could be judged (0: all). Returns those that were drawn."""
        deadline = time.monotonic() + seconds if seconds else float("inf")
        workers = [Worker(self.scratch, self.scratch.build.parent / f"worker-{n}") for n in range(jobs)]
        left = collections.deque(self.drawn(seed))
        taken, judged, running = [], 0, {}
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            while running or left and (not count or judged < count) and time.monotonic() < deadline:
                while left and len(running) < jobs and (not count or judged + len(running) < count) and time.monotonic() < deadline:
                    file, mutant = left.popleft()
                    taken.append((file, mutant))
                    known = file.results.known.get(mutant.id)
                    if known and not (again and known["verdict"] == "survived"):
                        judged += known["verdict"] in ("killed", "survived")
                    else:
                        running[pool.submit(self.try_one, workers, file, mutant, say)] = mutant
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    judged += future.result() in ("killed", "survived")
                    del running[future]
        return taken


def report(taken, say):
    counts = collections.Counter()
    for name in sorted({file.name for file, _ in taken}):
        mine = [file.results.known[mutant.id] for file, mutant in taken if file.name == name]
        tried = collections.Counter(entry["verdict"] for entry in mine)
        judged = tried["killed"] + tried["survived"]
        share_killed = 100.0 * tried["killed"] / judged if judged else 100.0
        say(f"{name}: {tried['killed']} of {judged} killed, {share_killed:.1f} %; {tried['equal code']} equal, "
            f"{tried['does not compile']} not compiling")
        for entry in mine:
            if entry["verdict"] == "survived":
                say(f"  {name}:{entry['line']}: {entry['kind']}: {entry['before']} -> {entry['after']}")
        counts.update(tried)
        killers = [entry["by"].split(":")[0] for entry in mine if entry["verdict"] == "killed"]
        counts.update("by " + ("unit tests" if name not in LAST else name) for name in killers)
    judged = counts["killed"] + counts["survived"]
    share_killed = 100.0 * counts["killed"] / judged if judged else 100.0
    by = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if name.startswith("by "))
    say(f"all: {counts['killed']} of {judged} killed, {share_killed:.1f} % ({by}); "
        f"{counts['equal code']} equal, {counts['does not compile']} not compiling")
    return counts


def run(scratch, names, seed, count, seconds, seeds, again, jobs, say):
    now = Run(scratch, names, seeds)
    counts = report(now.sample(seed, count, seconds, again, jobs, say), say)
    counts["seeds"] = seeds
    return counts
