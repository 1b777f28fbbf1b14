#!/usr/bin/env python3
"""The manual pages say what the programs, and the source, say.

  manuals.py SOURCE TUSK TUSKD

Every command of tusk has a page. The synopsis of a page is the usage line of --help, its options are those of --help with the
same short names and arguments, and a command whose --help has the global options refers to tusk(1), which has them. Exit
statuses are those of the source's tables, variables of the environment those that the source asks for, the counters of
tusk-stat(1) those that a daemon has. Every page has the sections that its kind has, in order, and what it refers to exists."""
import collections
import pathlib
import re
import subprocess
import sys

# "  -f, --file=FILE   ..." of argp and "      --threads N   ..." of ours
OPTION = re.compile(r"^ +(?:(-\w), )?--([a-z][a-z-]+)(?: ?(\[?=\S+|[A-Z]\S*|[a-z]\S*\|\S+))?(?=\s|$)", re.MULTILINE)
# "*-f*, *--file* _file_"
TERM = re.compile(r"^(?:\*(-\w)\*, )?\*--([a-z][a-z-]+)\*(.*)$", re.MULTILINE)
COMMAND = re.compile(r"^  ([a-z]+)  +\S", re.MULTILINE)
# What argp adds to each of the commands, and what every program has.
EVERYWHERE = {"help", "usage", "version"}
REFERENCE = re.compile(r"\*([a-z][\w.-]*)\*\((\d)\)")
SECTIONS = {
    "1": ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"],
    "tusk.1": ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "GLOBAL OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES",
               "SEE ALSO"],
    "3": ["NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"],
    "5": ["NAME", "DESCRIPTION", "SEE ALSO"],
    "tuskd.conf.5": ["NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"],
    "7": ["NAME", "DESCRIPTION", "SEE ALSO"],
    "8": ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"],
}
problems = []


def problem(page, text):
    problems.append(f"{page}: {text}")


# ---- what programs say ----


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


def told_options(text):
    """{long: (short, argument)}, in small letters; those of the global group left out."""
    own = re.split(r"^ Global options:", text, maxsplit=1, flags=re.MULTILINE)[0]
    return {name: (short, argument.lstrip("=").lower()) for short, name, argument in OPTION.findall(own)
            if name not in EVERYWHERE}


# ---- what pages say ----


def unmarked(text):
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[*_]", "", text))


def page_options(page, title="OPTIONS"):
    return {name: (short, unmarked(argument).strip().lstrip("=").lower()) for short, name, argument
            in TERM.findall(section(page, title)) if name not in EVERYWHERE}


def section(page, title):
    match = re.search(rf"^# {re.escape(title)}\n(.*?)(?=^# |\Z)", page, re.MULTILINE | re.DOTALL)
    return match.group(1) if match else ""


def compare_options(name, told, shown):
    for option in sorted(told.keys() | shown.keys()):
        if option not in shown:
            problem(name, f"no word of --{option}")
        elif option not in told:
            problem(name, f"--{option} is no option")
        elif told[option] != shown[option]:
            problem(name, f"--{option} is {told[option]} in --help, and {shown[option]} here")


def compare_usage(name, page, text):
    """The usage line of --help, in small letters, is a line of the synopsis."""
    usage = re.search(r"Usage: (.*)", text).group(1).strip().lower()
    synopsis = [unmarked(line.removesuffix("++")).strip().lower() for line in section(page, "SYNOPSIS").splitlines()]
    if usage not in synopsis:
        problem(name, f"the synopsis has no line \"{usage}\"")


# ---- one by one ----


def check_command(pages, tusk, command):
    """A command, or one that has commands of its own: one page."""
    name = f"tusk-{command}.1"
    page = pages.get(name)
    if page is None:
        problem(name, "there is no such page")
        return 0
    text = tell(tusk, command)
    texts = [tell(tusk, command, below) for below in commands_of(text)] or [text]
    told = {}
    for one in texts:
        told |= told_options(one)
        compare_usage(name, page, one)
    compare_options(name, told, page_options(page))
    if any("Global options:" in one for one in texts) and "The global options of *tusk*(1) hold." not in page:
        problem(name, "it does not refer to the global options of tusk(1)")
    for below in commands_of(text):
        if not re.search(rf"^\*{below}\*$", page, re.MULTILINE):
            problem(name, f"no word of {command} {below}")
        if f"*{command} {below}*" not in pages["tusk.1"]:
            problem("tusk.1", f"no word of {command} {below}")
    return len(told)


def check_tusk(pages, tusk):
    text, count = tell(tusk), 0
    shown = page_options(pages["tusk.1"], "GLOBAL OPTIONS")
    compare_options("tusk.1", told_options(text), shown)
    compare_usage("tusk.1", pages["tusk.1"], text)
    inner = tell(tusk, "append").partition(" Global options:")[2].split("\n\n")[0]
    compare_options("tusk.1 (of a command)", told_options(inner), shown)
    commands = commands_of(text)
    for command in commands:
        if f"*tusk-{command}*(1)" not in pages["tusk.1"]:
            problem("tusk.1", f"no word of {command}")
        count += check_command(pages, tusk, command)
    for name in pages:
        if re.match(r"tusk-.*\.1$", name) and name[5:-2] not in commands:
            problem(name, "there is no such command")
    return len(commands), count + len(shown)


def numbers_of(path, pattern):
    return set(re.findall(pattern, path.read_text(encoding="utf-8")))


def check_exits(source, pages):
    """The tables of tusk(1) and tuskd(8) are those of the source; other pages of tusk name some of tusk's."""
    known = {"tusk.1": numbers_of(source / "client/cli.h", r"CLI_[A-Z]+ = (\d+)"),
             "tuskd.8": numbers_of(source / "server/exit_status.h", r"EXIT_STATUS_[A-Z]+ = (\d+)")}
    for name, page in pages.items():
        shown = set(re.findall(r"^\*(\d+)\*$|\*(\d+)\* ", section(page, "EXIT STATUS"), re.MULTILINE))
        shown = {first or second for first, second in shown}
        shown |= set(re.findall(r"\*(\d+)\*\n", section(page, "EXIT STATUS")))
        if name in known and shown != known[name]:
            problem(name, f"exit statuses {sorted(shown)}, and the source has {sorted(known[name])}")
        elif re.match(r"tusk-.*\.1$", name) and not {"0", "1", "2"} <= shown <= known["tusk.1"]:
            problem(name, f"exit statuses {sorted(shown)}: not all are tusk's, or 0, 1 or 2 is missing")


def check_environment(source, pages):
    """Every variable that the source asks for by name is told, and no other of ours."""
    asks = re.compile(r'"([A-Z]+_[A-Z_]+)"')
    by_systemd = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"}
    tables = {"tusk.1": "client", "tuskd.8": ""}
    for name, folder in tables.items():
        folders = [folder] if folder else ["server", "config"]
        asked = set()
        for one in folders:
            for path in (source / one).glob("*.c"):
                asked |= set(asks.findall(path.read_text(encoding="utf-8")))
        if name == "tuskd.8":
            options = (source / "config/options.def").read_text(encoding="utf-8")
            asked |= by_systemd | set(re.findall(r'"(TUSK_[A-Z_]+)"', options))
        shown = set(re.findall(r"\*([A-Z]+_[A-Z_]+)\*", section(pages[name], "ENVIRONMENT")))
        if asked != shown:
            problem(name, f"variables {sorted(shown)}, and the source asks for {sorted(asked)}")


def check_counters(source, pages):
    counters = set(re.findall(r'fn\(arg, "(\w+)"', (source / "server/stats.c").read_text(encoding="utf-8")))
    counters |= set(re.findall(r'fn\(arg, "(\w+)"', (source / "core/query.c").read_text(encoding="utf-8")))
    counters |= set(re.findall(r'add_stat\(&listing, "(\w+)"', (source / "server/dispatch_query.c").read_text(encoding="utf-8")))
    counters |= set(re.findall(r'fn\(arg, "(\w+)"', (source / "server/users.c").read_text(encoding="utf-8")))
    shown = set(re.findall(r"\*(\w+)\*", section(pages["tusk-stat.1"], "COUNTERS")))
    for counter in sorted(counters ^ shown):
        problem("tusk-stat.1", f"{counter} is {'not told' if counter in counters else 'no counter'}")


def check_form(pages):
    for name, page in pages.items():
        titles = re.findall(r"^# (.*)$", re.sub(r"^\t*```\n.*?^\t*```$", "", page, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
        wanted = SECTIONS.get(name, SECTIONS[name[-1]])
        at = 0
        for title in titles:
            at += at < len(wanted) and title == wanted[at]
        if at < len(wanted):
            problem(name, f"no section {wanted[at]}, or not where it belongs")
        see_also = REFERENCE.findall(section(page, "SEE ALSO"))
        if not see_also or any(f"{word}.{number}" == name for word, number in see_also):
            problem(name, "SEE ALSO is empty, or names the page itself")
        for word, number in REFERENCE.findall(page):
            if re.match(r"(lib)?tusk", word) and f"{word}.{number}" not in pages:
                problem(name, f"{word}({number}) does not exist")


def check_made(source, pages):
    """A page that is made of something else has each word of it as often. What is left out is named here."""
    made = {"tusk-format.5": "core/FORMAT.md", "tusk-protocol.7": "proto/PROTOCOL.md", "libtusk.3": "client/tusk.h"}
    for name, path in made.items():
        text = (source / path).read_text(encoding="utf-8")
        text = re.sub(r"\nContents: (?:.+\n)+|\[([^]]*)\]\([^)]*\)|^```.*$|`?\.*/?(?:core|proto)?/?(?:FORMAT|PROTOCOL)\.md`?", r"\1",
                      text, flags=re.MULTILINE)
        text = re.sub(r"\bTUSK_API\b|^#(?:if|el|en|include|define TUSK_(?:H|API)).*$|^extern \"C\" {$", "", text, flags=re.MULTILINE)
        wanted, shown = (collections.Counter(re.findall(r"[a-z0-9]+", one.lower().replace("\\", ""))) for one in (text, pages[name]))
        for word in sorted(wanted - shown):
            problem(name, f"\"{word}\" is {wanted[word]} times in {path}, and {shown[word]} times here")


def read_pages(source):
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(source / "client/manual"))
    import page
    sources = {path.stem: path for path in (*(source / "client/manual").glob("*.scd"), source / "server/tuskd.8.scd",
                                             source / "server/tusk-metrics.7.scd")}
    sources |= {"tuskd.conf.5": source / "config/tuskd.conf.5.scd", "tusk-format.5": source / "core/FORMAT.md",
                "tusk-protocol.7": source / "proto/PROTOCOL.md", "libtusk.3": source / "client/tusk.h"}
    return {name: page.source_of(path, name) for name, path in sorted(sources.items())}


def main():
    source, tusk, tuskd = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    pages = read_pages(source)
    commands, options = check_tusk(pages, tusk)
    text = tell(tuskd).split("\nOptions for --set")[0]
    compare_options("tuskd.8", told_options(text), page_options(pages["tuskd.8"]))
    compare_usage("tuskd.8", pages["tuskd.8"], text)
    check_exits(source, pages)
    check_environment(source, pages)
    check_counters(source, pages)
    check_form(pages)
    check_made(source, pages)
    for text in problems:
        print(text)
    print(f"{len(pages)} pages, {commands} commands and {options} options of tusk, {len(problems)} problems")
    return 1 if problems or commands < 18 or options < 30 else 0


if __name__ == "__main__":
    sys.exit(main())
