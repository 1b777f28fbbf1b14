#!/usr/bin/env python3
"""Rules that the source keeps, checked from the text: who may include whom, what each CMake target
links, which files make system calls on data, and that documents point at things that exist.

Usage: source_rules.py ROOT. Prints every violation; exit status 1 if there is any."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
violations = []


def violation(path, line, text):
    violations.append(f"{path.relative_to(root)}:{line}: {text}")


def lines(path):
    return enumerate(path.read_text(encoding="utf-8").splitlines(), 1)


def sources(folder):
    """Of a folder, and of those in it that are no folder of these rules themselves."""
    return sorted(p for p in (root / folder).rglob("*") if p.suffix in (".c", ".h")
                  and (folder != "server" or (root / "server" / "offline") not in p.parents))


# ---- arrows ----

# What a folder may include of ours, besides itself.
ALLOWED = {
    "proto": [],
    "core": ["proto/batch.h", "proto/bytes.h", "proto/crc32c.h", "proto/histogram.h", "proto/status.h"],
    "client": ["proto/"],
    "config": ["proto/message.h"],
    "server": ["core/engine.h", "core/error.h", "core/io.h", "core/check.h", "core/probe.h", "proto/", "config/"],
    # verify, dump and salvage look at what core writes with core's own code: all of it, and nothing of sockets or daemons.
    "server/offline": ["core/", "proto/batch.h", "proto/bytes.h", "proto/crc32c.h", "proto/status.h"],
}
# Libraries whose headers a folder may include, besides libc and Linux.
LIBRARIES = {
    "proto": [r"isa-l(/|\.h)", r"[a-z]mmintrin\.h", "immintrin.h", "cpuid.h"],
    "core": ["liburing.h", "uthash.h", "zstd.h"],
    "client": ["argp.h", "histedit.h", "ncurses.h"],
    "config": ["ini.h"],
    "server": ["uv.h", r"systemd/", "argp.h"],
    "server/offline": [],
}
THIRD_PARTY = re.compile(
    r"(uv|liburing|uthash|zstd|isa-l|cmocka|argp|ini|jansson|ncurses|xxhash)(/|\.h)|systemd/|histedit|.mmintrin|immintrin|cpuid")

for folder, allowed in ALLOWED.items():
    for path in sources(folder):
        for number, text in lines(path):
            match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', text)
            if not match:
                continue
            kind, name = match.groups()
            if kind == '"':
                own = name.startswith(folder + "/") or "/" not in name
                if not own and not any(name == a or (a.endswith("/") and name.startswith(a)) for a in allowed):
                    violation(path, number, f"{folder} may not include {name}")
            elif THIRD_PARTY.match(name) and not any(re.match(p, name) for p in LIBRARIES[folder]):
                violation(path, number, f"{folder} may not include <{name}>")

# Only server/dispatch* knows both the messages and the engine.
for path in sources("server"):
    text = path.read_text(encoding="utf-8")
    if ('"proto/message.h"' in text and '"core/engine.h"' in text
            and not path.name.startswith(("dispatch", "listing"))):
        violation(path, 1, "only server/dispatch and its listings include proto messages and the engine together")

# ---- what targets link ----

LINKS = {
    "tusk_proto": {"tusk_flags", "PkgConfig::ISAL"},
    "tusk_core": {"tusk_flags", "tusk_proto", "Threads::Threads", "PkgConfig::URING", "PkgConfig::ZSTD"},
    "tusk_config": {"tusk_flags", "tusk_proto", "PkgConfig::INIH"},
    "tusk_client": {"tusk_flags", "tusk_proto"},
    "tusk_shared": {"tusk_flags", "tusk_proto"},
    "tusk_static": {"$<INSTALL_INTERFACE:isal>"},
    "tusk": {"tusk_client", "PkgConfig::LIBEDIT", "PkgConfig::NCURSES",
             "PkgConfig::SMARTCOLS"},
    "tusk_offline": {"tusk_flags", "tusk_core", "tusk_proto", "Threads::Threads"},
    "tusk-store": {"tusk_offline"},
}
for folder in ALLOWED:
    path = root / folder / "CMakeLists.txt"
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"target_link_libraries\(\s*(\S+)([^)]*)\)", text):
        target = match.group(1)
        links = set(match.group(2).split()) - {"PUBLIC", "PRIVATE", "INTERFACE"}
        extra = links - LINKS.get(target, links)
        if extra:
            violation(path, text[:match.start()].count("\n") + 1, f"{target} may not link {sorted(extra)}")

# ---- system calls of core are in its io files ----

CALLS = re.compile(r"(?<![\w.>])(open|openat|openat2|read|pread|preadv2?|write|pwrite|pwritev2?|fsync|fdatasync|fallocate|"
                   r"ftruncate|rename|renameat2?|unlink|unlinkat|mkdir|mkdirat|mmap|munmap|flock|ioctl|sendfile|syscall|"
                   r"clock_gettime|gettimeofday|time|getenv|rand|random|getrandom)\s*\(")
for path in sources("core"):
    if path.name.startswith("io_") or path.suffix == ".h":
        continue
    comment = False
    for number, text in lines(path):
        code = re.sub(r'"(\\.|[^"\\])*"', '""', text)
        if "/*" in code:
            comment = "*/" not in code.split("/*", 1)[1]
            code = code.split("/*", 1)[0]
        elif comment:
            comment = "*/" not in code
            continue
        match = CALLS.search(code)
        if match:
            violation(path, number, f"{match.group(1)}() belongs in core/io_*.c, or comes in as an argument")

# ---- the offline tools change nothing: what they examine is opened by core, to read; only salvage makes a directory, its own ----

MAKES = re.compile(r"(?<![\w.>])(open|openat|creat|write|pwrite|pwritev|rename|renameat2?|unlink|unlinkat|mkdir|remove|truncate|"
                   r"ftruncate|fallocate|flock|chmod|chown)\s*\(")
for path in sources("server/offline"):
    for number, text in lines(path):
        match = MAKES.search(re.sub(r'"(\\.|[^"\\])*"', '""', text.split("/*", 1)[0]))
        if match and path.name != "salvage.c":
            violation(path, number, f"{match.group(1)}() changes something, or might; offline tools only read")

# ---- every file starts by saying what it is; none is two files ----

for folder in ALLOWED:
    for path in sources(folder):
        count = path.read_text(encoding="utf-8").count("\n")
        # The public header is one file, half of it prose: it alone teaches the library.
        if count > (800 if path.name == "tusk.h" else 500):
            violation(path, count, "longer than 500 lines: it has two jobs")

# ---- no line is wider than a screen beside another ----

for folder in ALLOWED:
    for path in sources(folder):
        for number, text in lines(path):
            if len(text) > 100:
                violation(path, number, f"{len(text)} columns; 100 do")

# ---- documents point at what exists ----

for path in sorted(root.rglob("*.md")):
    if "build" in path.relative_to(root).parts[:1]:
        continue
    text = path.read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
    for match in re.finditer(r"\]\(([^)\s]+)\)", text):
        target = match.group(1)
        line = text[:match.start()].count("\n") + 1
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        if name and not (path.parent / name).exists():
            violation(path, line, f"link to {name}, which does not exist")
        if not name and anchor not in headings:
            violation(path, line, f"link to #{anchor}, which is no heading here")
    for match in re.finditer(r"`(?:\.\./)*((?:core|proto|server|client|config|systemd|manual|tests)/[\w./-]*\w)`", text):
        if not (root / match.group(1)).exists():
            violation(path, text[:match.start()].count("\n") + 1, f"names {match.group(1)}, which does not exist")

for text in violations:
    print(text)
print(f"{len(violations)} violations")
sys.exit(1 if violations else 0)
