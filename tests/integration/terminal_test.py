#!/usr/bin/env python3
"""What is made for a terminal, on one: each program runs on a pseudo terminal, whose screen is kept as a terminal would.

  terminal_test.py TUSKD TUSK

Nothing here waits for time: a test waits until the screen, or the process, is as it should be, for at most two minutes."""
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

PATIENCE_S = 120
SEQUENCE = re.compile(rb"\x1b(?:\[([?>]?)([\d;]*)([@-~])|[()][AB012]|[78=>M]|\]([^\x07]*)\x07)")
tuskd, tusk = (str(pathlib.Path(word).resolve()) for word in sys.argv[1:3])
failures = []


class Screen:
    """As much of a terminal as ncurses asks of TERM=xterm."""

    def __init__(self, lines, columns):
        self.resize(lines, columns)

    def resize(self, lines, columns):
        self.lines, self.columns, self.line, self.column = lines, columns, 0, 0
        self.region = (0, lines - 1)
        self.cells = [[" "] * columns for _ in range(lines)]
        self.left, self.last = b"", " "
        self.modes, self.colored = set(), False

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def stay(self):
        """What is written for a screen that was larger a moment ago stays on this one, as on any terminal."""
        self.line, self.column = min(self.line, self.lines - 1), min(self.column, self.columns - 1)

    def scroll(self):
        first, last = self.region
        if self.line == last:
            del self.cells[first]
            self.cells.insert(last, [" "] * self.columns)
        else:
            self.line = min(self.line + 1, self.lines - 1)

    def put(self, character):
        if self.column == self.columns:
            self.column = 0
            self.scroll()
        self.cells[self.line][self.column] = character
        self.column += 1
        self.last = character

    def take(self, data):
        data, at = self.left + data, 0
        self.left = b""
        while at < len(data):
            byte = data[at:at + 1]
            if byte == b"\x1b":
                match = SEQUENCE.match(data, at)
                if match is None:
                    self.left = data[at:]
                    return
                at = match.end()
                if match.group(3):
                    self.control(match.group(1), match.group(2), match.group(3))
                continue
            if byte[0] < 0x20:
                self.plain(byte)
                at += 1
                continue
            size = 1 if byte[0] < 0x80 else 2 if byte[0] < 0xe0 else 3 if byte[0] < 0xf0 else 4
            if at + size > len(data):
                self.left = data[at:]
                return
            self.put(data[at:at + size].decode(errors="replace"))
            at += size

    def plain(self, byte):
        if byte == b"\r":
            self.column = 0
        elif byte == b"\n":
            self.scroll()
        elif byte == b"\b":
            self.column = max(0, self.column - 1)
        elif byte == b"\t":
            self.column = min(self.columns - 1, self.column // 8 * 8 + 8)

    def control(self, mark, words, letter):
        numbers = [int(word) for word in words.split(b";") if word]
        count = numbers[0] if numbers else 1
        row, at = self.cells[self.line], min(self.column, self.columns - 1)
        if letter in b"hl":
            if mark == b"?":
                (self.modes.add if letter == b"h" else self.modes.discard)(count)
        elif letter == b"m":
            self.colored |= any(30 <= number <= 37 or 90 <= number <= 97 for number in numbers)
        elif letter in b"Hf":
            self.line, self.column = (numbers[0] if numbers else 1) - 1, (numbers[1] if len(numbers) > 1 else 1) - 1
            self.stay()
        elif letter in b"ABCD":
            self.line = min(max(self.line + {b"A": -count, b"B": count}.get(letter, 0), 0), self.lines - 1)
            self.column = min(max(at + {b"C": count, b"D": -count}.get(letter, 0), 0), self.columns - 1)
        elif letter == b"G":
            self.column = count - 1
            self.stay()
        elif letter == b"d":
            self.line = count - 1
            self.stay()
        elif letter == b"J":
            first = 0 if numbers and numbers[0] == 2 else self.line + 1
            self.cells[first:] = [[" "] * self.columns for _ in range(self.lines - first)]
            if first > 0:
                row[at:] = [" "] * (self.columns - at)
        elif letter == b"K":
            begin, end = {0: (at, self.columns), 1: (0, at + 1), 2: (0, self.columns)}[numbers[0] if numbers else 0]
            row[begin:end] = [" "] * (end - begin)
        elif letter == b"X":
            row[at:at + count] = [" "] * len(row[at:at + count])
        elif letter == b"P":
            row[at:] = (row[at + count:] + [" "] * count)[:self.columns - at]
        elif letter == b"@":
            row[at:] = ([" "] * count + row[at:])[:self.columns - at]
        elif letter == b"b":
            for _ in range(count):
                self.put(self.last)
        elif letter == b"r":
            self.region = (0, self.lines - 1)
            if len(numbers) == 2 and numbers[0] < numbers[1] <= self.lines:
                self.region = (numbers[0] - 1, numbers[1] - 1)
            self.line = self.column = 0
        elif letter in b"LMST":
            self.shift(letter, count)

    def shift(self, letter, count):
        first, last = self.region
        first = self.line if letter in b"LM" else first
        for _ in range(count):
            if letter in b"LT":
                self.cells.insert(first, [" "] * self.columns)
                del self.cells[last + 1]
            else:
                self.cells.insert(last + 1, [" "] * self.columns)
                del self.cells[first]


class Terminal:
    """A program on a pseudo terminal of its own."""

    def __init__(self, *words, lines=24, columns=100, term="xterm", **environment):
        self.screen = Screen(lines, columns)
        self.words = words
        self.all = b""
        self.status = None
        environment = os.environ | {"TERM": term, "LC_ALL": "C.UTF-8"} | environment
        self.master, self.slave = pty.openpty()
        self.size(lines, columns)
        self.before = termios.tcgetattr(self.slave)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(words, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment,
                                        preexec_fn=own_terminal)

    def size(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, lines, columns):
        self.screen.resize(lines, columns)
        self.size(lines, columns)

    def send(self, keys):
        os.write(self.master, keys)

    def more(self, seconds):
        while select.select([self.master], [], [], seconds)[0]:
            data = os.read(self.master, 65536)
            self.all += data
            self.screen.take(data)
            seconds = 0

    def until(self, what, seen):
        """Until seen(text of the screen)."""
        end = time.monotonic() + PATIENCE_S
        while not seen(self.screen.text()):
            if time.monotonic() > end or (self.process.poll() is not None and not select.select([self.master], [], [], 0)[0]):
                fail(f"{' '.join(self.words[1:])}: {what}: exit {self.process.poll()}, the screen is:\n{self.screen.text()}")
                return False
            self.more(0.05)
        return True

    def ended(self, status=None):
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            self.more(0.05)
        self.more(0)
        if self.process.poll() is None:
            self.process.kill()
        if self.process.wait() != status and status is not None:
            fail(f"{' '.join(self.words[1:])}: exit status {self.process.returncode}, not {status}:\n{self.screen.text()}")
        if termios.tcgetattr(self.slave) != self.before:
            fail(f"{' '.join(self.words[1:])}: the terminal's settings are not what they were")
        if 1049 in self.screen.modes:
            fail(f"{' '.join(self.words[1:])}: the terminal was not given back")
        os.close(self.master)
        os.close(self.slave)


def fail(text):
    failures.append(text)
    print("FAIL:", text)


class Daemon:
    def __init__(self, directory):
        self.directory = directory
        self.start()

    def start(self):
        self.process = subprocess.Popen([tuskd, "--data-dir", self.directory + "/data", "--socket", os.environ["TUSK_SOCKET"]],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.process.stdout.readline()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def run(*words, text=""):
    subprocess.run([tusk, *words], input=text, capture_output=True, text=True, timeout=PATIENCE_S, check=True)


def order(text, *names):
    """Whether lines begin with these names, one below the other."""
    found = [re.search(rf"^{name} ", text, re.MULTILINE) for name in names]
    return all(found) and sorted(match.start() for match in found) == [match.start() for match in found]


# ---- top ----


def top_shows_topics_by_rate_and_cursors_by_lag():
    top = Terminal(tusk, "top", "-d", "0.05")
    top.until("both tables", lambda text: "TOPIC" in text and "LAG*" in text and "zürich" in text)
    # What is appended to goes to the top, for as long as it is.
    end = time.monotonic() + PATIENCE_S
    while not order(top.screen.text(), "zürich", "aachen") and time.monotonic() < end:
        run("append", "-q", "zürich", "x")
        top.more(0.05)
    if not order(top.screen.text(), "zürich", "aachen"):
        fail(f"the busy topic is not the first:\n{top.screen.text()}")
    top.send(b"t")
    top.until("topics by name", lambda text: order(text, "aachen", "zürich") and "ENTRIES/S*" not in text)
    top.send(b"b")
    top.until("topics by size", lambda text: order(text, "large", "aachen", "zürich") and "BYTES*" in text)
    top.until("cursors by lag", lambda text: order(text, "zürich +slow", "aachen +fast"))
    top.send(b"c")
    top.until("cursors by name", lambda text: order(text, "aachen +fast", "zürich +slow") and "LAG*" not in text)
    top.send(b"l")
    top.until("cursors by lag", lambda text: order(text, "zürich +slow", "aachen +fast") and "LAG*" in text)
    top.send(b"q")
    top.ended(0)


def top_helps_and_follows_the_terminals_size():
    top = Terminal(tusk, "top", "--delay=3600")
    top.until("the screen", lambda text: text.splitlines()[-1].startswith("q end") and len(text.splitlines()) == 24)
    top.send(b"?")
    top.until("help", lambda text: "tusk top - keys" in text and "cursors by lag" in text)
    top.send(b" ")
    top.until("no help", lambda text: "tusk top - keys" not in text and "zürich" in text)
    top.resize(10, 70)
    top.until("ten lines", lambda text: len(text.splitlines()) == 10 and text.splitlines()[-1].startswith("q end"))
    top.resize(5, 30)
    top.until("too small", lambda text: text.strip().startswith("This terminal is too small"))
    top.resize(40, 120)
    top.until("forty lines", lambda text: len(text.splitlines()) == 40 and "zürich" in text)
    top.send(b"q")
    top.ended(0)


def top_gives_the_terminal_back_however_it_ends(daemon):
    for number in (signal.SIGINT, signal.SIGTERM):
        top = Terminal(tusk, "top", "-d", "3600")
        top.until("the screen", lambda text: "zürich" in text)
        top.process.send_signal(number)
        top.ended(130)
    top = Terminal(tusk, "top", "-d", "3600")
    top.until("the screen", lambda text: "zürich" in text)
    top.send(b"\x03")
    top.ended(130)
    top = Terminal(tusk, "top", "-d", "0.05")
    top.until("the screen", lambda text: "zürich" in text)
    daemon.stop()
    top.ended(6)
    if b" top: " not in top.all:
        fail(f"top does not say why it ended: {top.all[-200:]}")
    daemon.start()


def top_needs_a_terminal_that_it_knows():
    done = subprocess.run([tusk, "top"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode != 2 or "top needs a terminal" not in done.stderr or done.stdout:
        fail(f"top without a terminal: {done}")
    # ncurses keeps what it had got when newterm() fails.
    top = Terminal(tusk, "top", term="no-such-terminal", ASAN_OPTIONS="detect_leaks=0")
    top.ended(2)
    if b"no-such-terminal" not in top.all:
        fail(f"top does not say which terminal it does not know: {top.all}")


# ---- colors ----


def told(words, **environment):
    """All that is written, by a program that ends."""
    program = Terminal(tusk, *words, **environment)
    program.ended()
    return program.all


def colors_are_for_terminals_that_want_them():
    for words, color in ((["-n", "nowhere", "topics"], b"\x1b[1;31mtusk:\x1b[0m there"), (["verify", "/nowhere"], b"\x1b[1;31mtusk:\x1b[0m "),
                         (["topics"], b"\x1b[1mTOPIC"), (["read", "aachen"], b"\x1b[1m      OFFSET"), (["explain", "QUOTA"], b"\x1b[1mstatus")):
        if color not in told(words):
            fail(f"{words}: no color at a terminal: {told(words)}")
        for plain in (told(["--no-color", *words]), told([*words, "--no-color"]), told(words, NO_COLOR="1"),
                      told(words, term="dumb")):
            if b"\x1b[" in plain or len(plain) < 20:
                fail(f"{words}: there is color, or nothing, where there should be none: {plain}")
        if color not in told(words, NO_COLOR=""):
            fail(f"{words}: an empty NO_COLOR takes the color")
        piped = subprocess.run([tusk, *words], capture_output=True, env=os.environ | {"TERM": "xterm"}, timeout=PATIENCE_S, check=False)
        if b"\x1b" in piped.stdout + piped.stderr:
            fail(f"{words}: color in a pipe: {piped}")
    if b"\x1b[" in told(["topics", "-o", "raw"]) + told(["topics", "-o", "json"]):
        fail("columns for programs have color")


# ---- stat --watch ----


def watching_replaces_what_it_showed():
    stat = Terminal(tusk, "stat", "--watch=0.05", lines=12)
    stat.until("a look", lambda text: text.startswith("NAME") and "connections " in text and re.search(r"Z, and \d+ more", text))
    first = stat.screen.text().splitlines()[-1]
    stat.until("another in its place", lambda text: text.startswith("NAME") and first not in text and text.count("NAME") == 1
               and re.search(r"Z, and \d+ more", text))
    stat.send(b"\x03")
    stat.ended(130)


# ---- append -f ----


def appending_a_file_shows_how_far_it_is(directory):
    path = directory + "/entries"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"entry {number}\n" for number in range(100000))
    append = Terminal(tusk, "append", "filled", "-f", path)
    append.ended(0)
    if not re.search(rb"\r\x1b\[K\[#* *\] +\d+%  \d+ entries stored, \d+ in flight ", append.all):
        fail(f"no bar: {append.all}")
    if "entries stored" in append.screen.text() or "0 99999" not in append.screen.text():
        fail(f"the bar stays, or the result is missing: {append.screen.text()}")
    append = Terminal(tusk, "append", "filled", "-f", path, "--progress")
    append.ended(0)
    if "[########################] 100%  100000 entries stored, 0 in flight" not in append.screen.text():
        fail(f"what was asked for does not stay: {append.screen.text()}")
    for words in (["-q", "-f", path], ["one", "two"]):
        append = Terminal(tusk, "append", "filled", *words)
        append.ended(0)
        if b"stored" in append.all:
            fail(f"append {words}: progress that nobody wants: {append.all}")
    if b"stored" in told(["append", "filled", "-f", path], term="dumb"):
        fail("a bar on a dumb terminal")


# ---- completion ----


def bash_completes_as_one_types():
    path = f"{os.path.dirname(tusk)}:{os.environ['PATH']}"
    bash = Terminal("bash", "--norc", "--noprofile", "-i", PATH=path, PS1="$ ", HISTFILE="", INPUTRC="/dev/null")
    bash.send(b"source <(tusk completion bash); bind 'set enable-bracketed-paste off'; echo re''ady\r")
    bash.until("its script", lambda text: text.rstrip().endswith("\nready\n$"))
    bash.send(b"tusk expl\t")
    bash.until("a command", lambda text: text.rstrip().endswith("tusk explain"))
    bash.send(b"\x15tusk append x --ack dur\t")
    bash.until("a value", lambda text: "--ack durable" in text)
    bash.send(b"\x15tusk --timeout 60 read aa\t")
    bash.until("a topic", lambda text: "read aachen" in text)
    bash.send(b"\x15exit 0\r")
    bash.ended(0)


def main():
    with tempfile.TemporaryDirectory() as directory:
        for name in [name for name in os.environ if name.startswith("TUSK_") or name == "NO_COLOR"]:
            del os.environ[name]
        os.environ |= {"TUSK_SOCKET": directory + "/tusk.sock", "TUSK_TIMEOUT": "100"}  # However slow the machine is
        daemon = Daemon(directory)
        run("append", "large", text="x" * 1000000 + "\n" + "\n".join("y" * 1000000 for _ in range(12)))
        run("append", "aachen", "1", "2")
        run("append", "zürich", "1", "2", "3", "4")
        run("cursor", "create", "aachen", "fast", "1")
        run("cursor", "create", "zürich", "slow")
        top_shows_topics_by_rate_and_cursors_by_lag()
        top_helps_and_follows_the_terminals_size()
        top_gives_the_terminal_back_however_it_ends(daemon)
        top_needs_a_terminal_that_it_knows()
        colors_are_for_terminals_that_want_them()
        watching_replaces_what_it_showed()
        appending_a_file_shows_how_far_it_is(directory)
        bash_completes_as_one_types()
        daemon.stop()
    print(len(failures), "failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
