#!/usr/bin/env python3
"""What the manual shows is what happens: its examples are run, and their output is compared.

  manual_examples.py SOURCE BUILD CC [PAGE...]

The tree is installed into a temporary directory, and each page, and server/OPERATIONS.md, gets a directory and a shell of its
own there, on a terminal as a reader has one, and a fresh daemon, unless its first command is one that starts tuskd. In a
block of literal text

  $ COMMAND      is a command, "> ..." below it are its further lines, and all other lines up to the next command are what
                 it prints, standard error included. It must exit with 0: one that does not ends in "; echo $?"
  COMMAND &      runs on behind what it prints at first
  ...            in a line: anything, but no end of a line; as a line: any lines, or none
  # COMMAND      begins a block that needs root and a loop device; without them the block is skipped, and it is said

and after "With this in _FILE_:" a block is what FILE is to hold. Other blocks are not looked at."""
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty

COMMAND_TIMEOUT_S = 120
END = re.compile(rb"\x1e(\d+)\x1e")
FILE = re.compile(r"With this in [_`]([\w.-]+)[_`]:$")
# The one thing that is not done as it is shown: the program of libtusk(3) connects to where a test may listen.
PATCHES = {"example.c": ('.client = "example"', '.client = "example", .path = "tusk.sock"')}


class Command:
    def __init__(self, line, text, root):
        self.line, self.text, self.root, self.output = line, text, root, []


def unescaped(line):
    """A literal line of scdoc as it is read."""
    return re.sub(r"\\(.)", r"\1", line)


def steps_of(text, scdoc):
    """Commands, and (name, content) of files, in their order."""
    steps, before, block, start = [], "", None, 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.lstrip("\t") if scdoc else raw
        if line.startswith("```"):
            if block is not None:
                steps += steps_of_block(block, start, FILE.search(before.strip()))
                before = ""
            block, start = ([], number + 1) if block is None else (None, 0)
        elif block is not None:
            block.append(unescaped(line) if scdoc else line)
        elif line.strip():
            before = line
    return steps


def steps_of_block(block, start, file):
    if file:
        return [(file.group(1), "\n".join(block) + "\n")]
    if not block or not re.match(r"[$#] \S", block[0]):
        return []
    steps = []
    for number, line in enumerate(block, start):
        if re.match(r"[$#] \S", line):
            steps.append(Command(number, line[2:], block[0][0] == "#"))
        elif line.startswith("> ") or line == ">":
            steps[-1].text += "\n" + line[2:]
        else:
            steps[-1].output.append(line.rstrip())
    return steps


def pattern_of(line):
    return re.compile(".+".join(re.escape(part) for part in line.split("...")))


def matches(wanted, got):
    """Whether the lines of got are as wanted says."""
    if not wanted:
        return not got
    if wanted[0] == "...":
        return any(matches(wanted[1:], got[skipped:]) for skipped in range(len(got) + 1))
    return bool(got) and pattern_of(wanted[0]).fullmatch(got[0]) is not None and matches(wanted[1:], got[1:])


class Shell:
    """A bash whose output is a terminal's and whose commands come one by one."""

    def __init__(self, directory, environment):
        self.out, other = pty.openpty()
        tty.setraw(other)
        self.seen = b""
        self.bash = subprocess.Popen(["bash", "--norc"], cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=other,
                                     stderr=other, start_new_session=True)
        os.close(other)

    def more(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.out], [], [], left)[0]:
            return False
        try:
            self.seen += os.read(self.out, 65536)
        except OSError:
            return False
        return True

    def taken(self, end):
        text, self.seen = self.seen[:end], self.seen[end:]
        return [line.rstrip() for line in text.decode(errors="replace").replace("\r", "\n").splitlines()]

    def run(self, command):
        """(status, lines); status None: it did not end in time."""
        deadline = time.monotonic() + COMMAND_TIMEOUT_S
        self.bash.stdin.write(f"{{ {command.text}\n}} </dev/null\nprintf '\\036%d\\036' $?\n".encode())
        self.bash.stdin.flush()
        while not (end := END.search(self.seen)):
            if not self.more(deadline):
                return None, self.taken(len(self.seen))
        status = int(end.group(1))
        if command.text.endswith("&"):
            self.seen = self.seen[:end.start()] + self.seen[end.end():]
            while not self.seen.endswith(b"\n") or not matches(command.output, self.peeked()):
                if not self.more(deadline):
                    return None, self.taken(len(self.seen))
            return status, self.taken(len(self.seen))
        lines = self.taken(end.start())
        self.seen = self.seen[end.end() - end.start():]
        return status, lines

    def peeked(self):
        return [line.rstrip() for line in self.seen.decode(errors="replace").replace("\r", "\n").splitlines()]

    def end(self):
        """With all that it started."""
        os.killpg(self.bash.pid, signal.SIGKILL)
        self.bash.wait()
        os.close(self.out)


def may_mount(directory):
    """Whether a file system in a file can be mounted here."""
    if os.geteuid() != 0:
        return False
    script = "truncate -s 8M image && mkfs.ext4 -q image && mkdir mounted && mount -o loop image mounted && umount mounted"
    done = subprocess.run(["sh", "-c", script], cwd=directory, capture_output=True, check=False)
    return done.returncode == 0


def judge(command, status, lines):
    """What is wrong with how it ended, or None."""
    if status is None:
        return "did not end, or print what is shown, in time"
    if status != 0:
        return f"exit status {status}"
    return None if matches(command.output, lines) else "printed something else"


def run_page(name, steps, directory, environment):
    """The number of commands that were run, and what is wrong."""
    directory.mkdir()
    shell, ran, skipped, problems = Shell(directory, environment), 0, 0, []
    commands = [step for step in steps if isinstance(step, Command)]
    mounts = any(step.root for step in commands) and may_mount(pathlib.Path(tempfile.mkdtemp(dir=directory)))
    if commands and not re.search(r"\btuskd\b", commands[0].text):
        shell.run(Command(0, "mkfifo ready; tuskd --data-dir $PWD/data >ready 2>log & read -r _ <ready; rm ready", False))
    for step in steps:
        if not isinstance(step, Command):
            before, after = PATCHES.get(step[0], ("", ""))
            (directory / step[0]).write_text(step[1].replace(before, after), encoding="utf-8")
            continue
        if step.root and not mounts:
            skipped += 1
            continue
        ran += 1
        status, lines = shell.run(step)
        wrong = judge(step, status, lines)
        if wrong:
            problems.append("\n".join([f"{name}:{step.line}: {step.text}", f"    {wrong}", "  it shows:",
                                       *(f"    {line}" for line in step.output), "  it prints:",
                                       *(f"    {line}" for line in lines)]))
            break
    if skipped > 0:
        print(f"SKIP: {skipped} commands of {name}: no root, or no loop devices")
    shell.run(Command(0, "mountpoint -q disk && umount -l disk", False))
    shell.end()
    return ran, problems


def documents(source):
    """(name, text, whether it is scdoc)"""
    sys.path.insert(0, str(source / "client/manual"))
    sys.dont_write_bytecode = True
    import page
    for path in sorted((source / "client/manual").glob("*.scd")) + [source / "server/tuskd.8.scd", source / "config/tuskd.conf.5.scd"]:
        yield path.name, page.source_of(path, path.stem), True
    yield "libtusk.3", page.source_of(source / "client/tusk.h", "libtusk.3"), True
    operations = source / "server/OPERATIONS.md"
    if operations.exists():
        yield operations.name, operations.read_text(encoding="utf-8"), False


def main():
    source, build, cc, only = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    top = pathlib.Path(tempfile.mkdtemp(prefix="tusk-manual-"))
    failed = total = pages = 0
    try:
        subprocess.run(["cmake", "--install", build, "--prefix", top / "usr"], check=True, stdout=subprocess.DEVNULL)
        library = next((top / "usr").rglob("libtusk.so")).parent
        (top / "usr/bin/cc").symlink_to(shutil.which(cc))
        environment = {"PATH": f"{top}/usr/bin:{os.environ['PATH']}", "HOME": str(top), "LC_ALL": "C.UTF-8", "TZ": "UTC",
                       "TERM": "dumb", "TUSK_SOCKET": "tusk.sock", "TUSK_TIMEOUT": "100",
                       "PKG_CONFIG_PATH": f"{library}/pkgconfig",
                       "LD_LIBRARY_PATH": str(library)}
        for name, text, scdoc in documents(source):
            steps = steps_of(text, scdoc)
            if not steps or (only and name not in only):
                continue
            ran, problems = run_page(name, steps, top / name, environment)
            total, pages, failed = total + ran, pages + 1, failed + len(problems)
            for problem in problems:
                print(problem)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print(f"{total} commands of {pages} pages, {failed} problems")
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
