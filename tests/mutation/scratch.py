"""A scratch copy of the tree and its build, in which a wrong version is tried against the tests.

The copy is kept between runs and brought up to date file by file, so that trying one patch costs
the compiler one file and the linker the tests that hold it. The tree itself is never changed."""
import filecmp
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ["proto", "core", "client", "config", "server", "systemd", "tests"]
# -O1 compiles fast and runs the simulation fast. Warnings are no verdict on a wrong version, but pointers of
# another kind are not a version anybody would ship.
FLAGS = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Mutation", "-DTUSK_WERROR=OFF",
         "-DCMAKE_C_FLAGS=-O1 -Werror=incompatible-pointer-types -Werror=int-conversion"]
# They judge the text or what is installed, not what the code does.
NOT_TESTS = {"source_rules", "installed_tree", "man_lint", "man_examples", "assertion_density", "unique_names", "planted_bugs"}
BUILD_TIMEOUT = 1200


class BrokenScratch(Exception):
    """The scratch build itself does not work: no verdict is possible."""


def run_command(command, timeout, cwd=None, env=None):
    """(exit status, output); the status of what had to be killed for its time is "timeout". What it
    started goes with it: a test that is killed must leave no daemon behind."""
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        status = "timeout"
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return status, output.decode("utf-8", "replace")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


class Test:
    """One entry of ctest: a name, a command, and the executable whose change makes it worth running."""

    def __init__(self, name, command, labels, folder):
        self.name = name
        self.folder = folder
        self.command = command
        self.labels = labels
        self.executable = pathlib.Path(command[0])
        self.seconds = 0.0
        self.built = ""

    def run(self, timeout, env=None):
        return run_command(self.command, timeout, cwd=self.folder, env={**os.environ, **(env or {})})


def listed_tests(build):
    """Everything that ctest knows of a build."""
    _, listing = run_command(["ctest", "--test-dir", str(build), "--show-only=json-v1"], 60)
    found = []
    for entry in json.loads(listing)["tests"]:
        properties = {p["name"]: p["value"] for p in entry.get("properties", [])}
        found.append(Test(entry["name"], entry["command"], properties.get("LABELS", []), properties["WORKING_DIRECTORY"]))
    return found


class Scratch:
    def __init__(self, folder, jobs):
        self.tree = pathlib.Path(folder) / "tree"
        self.build = pathlib.Path(folder) / "build"
        self.jobs = jobs
        self.tests = []
        self.simulate = self.build / "tests" / "sim" / "tusk_simulate"
        self.simulate_built = ""

    def update(self):
        """Make the copy equal to the tree."""
        wanted = set()
        for path in sorted(ROOT.glob("*")) + [p for f in FOLDERS for p in sorted((ROOT / f).rglob("*"))]:
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(ROOT)
                wanted.add(name)
                self.restore(name)
        if self.tree.exists():
            for path in self.tree.rglob("*"):
                if path.is_file() and path.relative_to(self.tree) not in wanted:
                    path.unlink()

    def restore(self, name):
        source, copy = ROOT / name, self.tree / name
        if not copy.exists() or not filecmp.cmp(source, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            shutil.copymode(source, copy)

    def ninja(self, targets, timeout=BUILD_TIMEOUT):
        return run_command(["ninja", "-C", str(self.build), "-j", str(self.jobs), *targets], timeout)

    def prepare(self, labels):
        """Build the tree as it is and see that its tests pass: only then a failure means anything."""
        self.update()
        status, output = run_command(["cmake", "-S", str(self.tree), "-B", str(self.build), *FLAGS], 300)
        if status != 0:
            raise BrokenScratch("cmake:\n" + output)
        status, output = self.ninja([])
        if status != 0:
            raise BrokenScratch("the tree does not build:\n" + output[-4000:])
        self.tests = [t for t in listed_tests(self.build) if t.name not in NOT_TESTS and set(t.labels) & set(labels)]
        for test in self.tests:
            start = time.monotonic()
            status, output = test.run(300)
            test.seconds = time.monotonic() - start
            if status not in (0, 77):
                raise BrokenScratch(f"{test.name} fails without any change ({status}):\n{output[-4000:]}")
            test.built = digest(test.executable)
        # Fast ones first: the sooner one fails, the sooner the next wrong version is tried.
        self.tests.sort(key=lambda test: test.seconds)
        self.simulate_built = digest(self.simulate)

    def failing_test(self, tests):
        """The first of the tests that fails, with how; None if all pass. Those whose executable is byte for byte
        what it was without the change are not run: they cannot tell."""
        for test in tests:
            if digest(test.executable) == test.built and "integration" not in test.labels:
                continue
            status, output = test.run(20 + 10 * test.seconds)
            if status not in (0, 77):
                return test.name, describe_failure(status, output)
        return None

    def failing_seed(self, last, simulate_timeout=600):
        """(seed, how) of the first world that fails among 1..last, or None."""
        if digest(self.simulate) == self.simulate_built:
            return None
        status, output = run_command([str(self.simulate), "--seeds", f"1-{last}", "--no-shrink"], simulate_timeout)
        if status == 0:
            return None
        match = re.search(r"FAILED seed (\d+)", output)
        seed = int(match.group(1)) if match else 0
        return seed, describe_failure(status, output)


def describe_failure(status, output):
    """One line: the failed test's name and the first thing that looks like a reason."""
    if status == "timeout":
        return "hangs"
    match = re.search(r"\[  FAILED  \] (\w+)", output)
    reason = re.search(r"BROKEN PROMISE: .*|tusk: bug: .*? does not hold|^daemon: .*", output, re.M)
    parts = []
    if match:
        parts.append(match.group(1))
    if reason:
        parts.append(reason.group(0).replace("BROKEN PROMISE: ", "").replace("tusk: bug: ", "CHECK ")[:90])
    if not parts:
        parts.append(f"status {status}")
    return ": ".join(parts)
