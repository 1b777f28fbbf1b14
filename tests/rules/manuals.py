#!/usr/bin/env python3
"""The manual pages and --help name the same commands and options.

  manuals.py SOURCE TUSK TUSKD

Every command and every long option that a --help tells stands in the page, and the page names no option that no --help
does."""
import pathlib
import re
import subprocess
import sys

OPTION = re.compile(r"--[a-z][a-z-]+")
COMMAND = re.compile(r"^  ([a-z]+)  +\S", re.MULTILINE)
# What argp adds to each of the commands, or what belongs to the one program and is named in passing by the other.
EVERYWHERE = {"--usage", "--help", "--version"}


def tell(program, *words):
    done = subprocess.run([program, *words, "--help"], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join((program, *words))} --help: exit status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def commands_of(text):
    """Below "Commands:", or of a command that has some of its own."""
    _, marked, below = text.partition("Commands:\n")
    if marked:
        return COMMAND.findall(below.split("\n\n")[0])
    return COMMAND.findall(text) if "COMMAND ..." in text else []


def page_of(path):
    return path.read_text(encoding="utf-8").replace("\\", "").replace("*", "")


def compare(page, name, options, commands):
    problems = [f"{name}: no word of {option}" for option in sorted(options - set(OPTION.findall(page)))]
    problems += [f"{name}: no word of the command {command}" for command in commands
                 if not re.search(rf"\b{command}\b", page)]
    problems += [f"{name}: {option} is no option" for option in sorted(set(OPTION.findall(page)) - options - EVERYWHERE)]
    return problems


def main():
    source, tusk, tuskd = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    problems = compare(page_of(source / "server/tuskd.8.scd"), "tuskd(8)",
                       set(OPTION.findall(tell(tuskd).split("\nOptions for --set")[0])), [])
    options, commands = set(OPTION.findall(tell(tusk))), []
    for command in commands_of(tell(tusk)):
        text = tell(tusk, command)
        commands.append(command)
        options |= set(OPTION.findall(text))
        for below in commands_of(text):
            commands.append(f"{command} {below}")
            options |= set(OPTION.findall(tell(tusk, command, below)))
    problems += compare(page_of(source / "client/tusk.1.scd"), "tusk(1)", options - {"--usage"}, commands)
    for problem in problems:
        print(problem)
    print(f"{len(options)} options and {len(commands)} commands of tusk, {len(problems)} problems")
    return 1 if problems or len(commands) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
