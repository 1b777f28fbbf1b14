#!/usr/bin/env python3
"""The probes (USDT) of the daemon are those that are documented, and those that the scripts for bpftrace use.

  probes.py SOURCE TUSKD

TUSKD has the notes that core/probe.h leaves, server/OPERATIONS.md has a table of probes with their arguments, and
server/bpftrace/*.bt use both. Every probe of one is a probe of the others, no script takes an argument that its probe does not
have, and the names of requests in a script are those of the protocol. Where bpftrace is installed it compiles each script
against TUSKD, and attaches nothing. A daemon without probes is skipped (77)."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

NOTE = re.compile(r"Provider: (\S+)\n\s+Name: (\S+)\n.*\n\s+Arguments:(.*)")
ROW = re.compile(r"^\| `(\w+)` \| (.*) \| .* \|$", re.MULTILINE)
PROBE = re.compile(r"usdt:([^\s:]+):(\w+):(\w+)")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
REQUEST = re.compile(r'@type\[(\d+)\] = "(\w+)"')
PATH = "/usr/bin/tuskd"
problems = []


def problem(where, text):
    problems.append(f"{where}: {text}")


def probes_of(program):
    """{name: count of arguments}, from the notes of the file."""
    done = subprocess.run(["readelf", "--notes", "--wide", program], capture_output=True, text=True, check=True)
    found = {}
    for provider, name, arguments in NOTE.findall(done.stdout):
        if provider != "tuskd":
            problem(program, f"provider {provider}, which is not ours")
        count = len(arguments.split())
        if found.setdefault(name, count) != count:
            problem(program, f"{name} has {count} arguments in one place and {found[name]} in another")
    return found


def count_of(arguments):
    """How many a row of the table lists; what stands in parentheses explains one."""
    while "(" in arguments:
        arguments = re.sub(r"\([^()]*\)", "", arguments)
    return len(arguments.split(", "))


def check_document(path, probes):
    text = path.read_text(encoding="utf-8").partition("\n## Probes\n")[2].partition("\n## ")[0]
    told = {name: count_of(arguments) for name, arguments in ROW.findall(text)}
    for name in sorted(told.keys() | probes.keys()):
        if told.get(name) != probes.get(name):
            problem(path.name, f"{name}: {told.get(name)} arguments here, {probes.get(name)} in the daemon")


def clauses(text):
    """(probes, filter and body) of each clause of a script."""
    for clause in re.split(r"(?m)^}$", text):
        yield PROBE.findall(clause), clause


def check_script(path, probes):
    text = path.read_text(encoding="utf-8")
    if not re.search(r"^ \* Usage: " + re.escape(path.name) + r"\b", text, re.MULTILINE):
        problem(path.name, "its comment does not say how to use it")
    used = set()
    for named, body in clauses(COMMENT.sub("", text)):
        taken = [int(number) for number in re.findall(r"\barg(\d+)\b", body)]
        if taken and not named:
            problem(path.name, f"arg{max(taken)} without a probe")
        for program, provider, name in named:
            used.add(name)
            if program != PATH or provider != "tuskd":
                problem(path.name, f"usdt:{program}:{provider} is not usdt:{PATH}:tuskd")
            if name not in probes:
                problem(path.name, f"the daemon has no probe {name}")
            elif taken and max(taken) >= probes[name]:
                problem(path.name, f"{name} has no arg{max(taken)}")
    return used


def check_requests(path, source):
    """Numbers and names as the daemon has them."""
    header = (source / "proto/message_numbers.h").read_text(encoding="utf-8")
    types = {int(number): name.lower() for name, number in re.findall(r"^    MESSAGE_(\w+) = (\d+),$",
                                                                      header.partition("enum message_type {")[2].partition("}")[0],
                                                                      re.MULTILINE)}
    named = {int(number): name for number, name in REQUEST.findall(path.read_text(encoding="utf-8"))}
    if named and named != types:
        problem(path.name, f"other types than the protocol: {sorted(set(named.items()) ^ set(types.items()))}")


def compile_script(path, program):
    """False: bpftrace cannot say, here."""
    with tempfile.NamedTemporaryFile("w", suffix=".bt") as copy:
        copy.write(path.read_text(encoding="utf-8").replace(PATH, program))
        copy.flush()
        done = subprocess.run(["bpftrace", "-d", copy.name], capture_output=True, text=True, timeout=120, check=False)
    if "RLIMIT_MEMLOCK" in done.stderr or "root" in done.stderr:
        return False
    if done.returncode != 0 or "ERROR" in done.stderr:
        problem(path.name, f"bpftrace says: {done.stderr.strip()}")
    return True


def main():
    source, program = pathlib.Path(sys.argv[1]), str(pathlib.Path(sys.argv[2]).resolve())
    if shutil.which("readelf") is None:
        print("SKIPPED: readelf is not installed")
        sys.exit(77)
    probes = probes_of(program)
    if not probes:
        print("SKIPPED: this daemon was built without probes (sys/sdt.h, TUSK_PROBES)")
        sys.exit(77)
    check_document(source / "server/OPERATIONS.md", probes)
    scripts = sorted((source / "server/bpftrace").glob("*.bt"))
    if not scripts:
        problem("server/bpftrace", "no script")
    used, compiled = set(), shutil.which("bpftrace") is not None
    for script in scripts:
        used |= check_script(script, probes)
        check_requests(script, source)
        compiled = compiled and compile_script(script, program)
    print("\n".join(problems))
    print(f"{len(probes)} probes, {len(used)} used by {len(scripts)} scripts"
          f"{', which bpftrace compiles' if compiled else ''}; {len(problems)} problems")
    sys.exit(1 if problems else 0)


main()
