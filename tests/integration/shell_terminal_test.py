#!/usr/bin/env python3
"""tusk shell as a person has it, on a pseudo terminal: prompt, editing, history, completion, Ctrl-C, and the end.

  shell_terminal_test.py TUSKD TUSK

As in terminal_test.py, whose terminal this is, nothing waits for time."""
import os
import signal
import stat
import sys
import tempfile
import termios

from terminal_test import Daemon, Terminal, fail, failures, run, tusk

HOME = ""


def shell(*words, home="", **environment):
    """One that is ready for the first line."""
    return Terminal(tusk, "shell", *words, HOME=home or HOME, **environment)


def last(text):
    return text.rstrip().split("\n")[-1]


def ready(terminal, prompt="tusk default>"):
    return terminal.until(f"the prompt {prompt}", lambda text: last(text) == prompt)


def keys(terminal, text, shown=None, prompt="tusk default>"):
    """Type, and wait until the line shows what it should. Without an end: this is no line yet."""
    terminal.send(text if isinstance(text, bytes) else text.encode())
    shown = text if shown is None else shown
    return terminal.until(f"{shown!r} behind the prompt", lambda text: last(text) == f"{prompt} {shown}".rstrip())


def line(terminal, text, shown=None, prompt="tusk default>", then="tusk default>"):
    """A whole line, and the prompt behind what it prints; both prompts are bare, so the line is seen before it is entered."""
    keys(terminal, text, shown, prompt)
    terminal.send(b"\r")
    return ready(terminal, then)


def expect(terminal, text):
    if text not in terminal.screen.text():
        fail(f"{text!r} is not on the screen:\n{terminal.screen.text()}")


def leave(terminal, prompt="tusk default>"):
    ready(terminal, prompt)
    terminal.send(b"\x04")
    terminal.ended(0)


# ---- the prompt ----


def the_prompt_shows_namespace_and_failure():
    terminal = shell()
    ready(terminal)
    expect(terminal, "help lists what there is")
    line(terminal, "read nope", then="tusk default [4]>")
    expect(terminal, "no such topic")
    if b"\x1b[1;31m [4]" not in terminal.all.replace(b"\x1b[31m\x1b[1m", b"\x1b[1;31m"):
        fail(f"the failure has no color: {terminal.all}")
    line(terminal, "# a comment changes nothing", prompt="tusk default [4]>", then="tusk default [4]>")
    line(terminal, "append nope 'x", prompt="tusk default [4]>", then="tusk default [2]>")
    expect(terminal, "tusk: column 13: the quote ' that begins here has no end")
    line(terminal, "use nowhere", prompt="tusk default [2]>", then="tusk default [4]>")
    line(terminal, "use elsewhere", prompt="tusk default [4]>", then="tusk elsewhere>")
    line(terminal, "read there", prompt="tusk elsewhere>", then="tusk elsewhere>")
    expect(terminal, "what is elsewhere")
    leave(terminal, "tusk elsewhere>")
    for options, prompt in ((["-n", "nowhere"], "tusk nowhere [4]>"), (["-s", "/nowhere"], "tusk default [6]>")):
        terminal = shell("--no-color", *options)
        leave(terminal, prompt)
        if b"\x1b[1;31m" in terminal.all:
            fail(f"there is color where there should be none: {terminal.all}")
    terminal = shell("-q", "-o", "jsonl")
    ready(terminal)
    if "help lists" in terminal.screen.text():
        fail("a greeting that nobody wants")
    line(terminal, "info aachen")
    expect(terminal, '{"topic":"aachen"')
    keys(terminal, "quit")
    terminal.send(b"\r")
    terminal.ended(0)


# ---- keys ----


def lines_are_edited():
    terminal = shell()
    ready(terminal)
    keys(terminal, "raed aachen")
    keys(terminal, b"\x01\x1b[C\x04\x1b[C", "red aachen")
    line(terminal, b"a", "read aachen")
    expect(terminal, "first of aachen")
    line(terminal, "append zürich 'grüß' x\x7fdich", "append zürich 'grüß' dich")
    expect(terminal, "0 1")
    keys(terminal, "one two three")
    keys(terminal, b"\x17", "one two ")
    keys(terminal, b"\x15", "")
    # A line that a narrower terminal breaks elsewhere.
    terminal.resize(24, 40)
    terminal.send(b"\x0c")
    ready(terminal)
    terminal.send(b"append x " + b"y" * 50)
    terminal.until("two lines", lambda text: text.rstrip().endswith("y" * 33))
    terminal.send(b"\x01Z")
    terminal.until("its beginning", lambda text: text.startswith("tusk default> Zappend x yyyyyyyyyyyyyyyy\nyyy"))
    terminal.send(b"\x15\x0b")
    ready(terminal)
    leave(terminal)


def nonsense_from_the_keyboard_does_no_harm():
    terminal = shell(columns=200)
    ready(terminal)
    keys(terminal, b"append a\xff\xc3(c\x00h\x1c \xe2\x82x", "append a(ch x")
    keys(terminal, b"\x15", "")
    # A line much longer than the screen is taken whole.
    terminal.send(b"append long " + b"y" * 20000)
    terminal.until("its end", lambda text: text.count("y") > 3000)
    terminal.send(b"END\r")
    ready(terminal)
    line(terminal, "read long -o raw --max-bytes 1")
    if b"y" * 100 + b"END\r\n" not in terminal.all[-21000:]:
        fail(f"a long line was cut: {terminal.all[-300:]}")
    leave(terminal)


def the_interrupt_drops_the_line_or_ends_the_command():
    terminal = shell()
    ready(terminal)
    keys(terminal, "topic delete aachen")
    terminal.send(b"\x03")
    ready(terminal, "tusk default [130]>")
    expect(terminal, "topic delete aachen^C")
    # In one go with what is typed before and behind it, it is taken in its turn.
    terminal.send(b"topic delete aachen\x03ping\r")
    ready(terminal)
    line(terminal, "topics")
    expect(terminal, "aachen")
    keys(terminal, "read -f aachen")
    terminal.send(b"\r")
    terminal.until("what follows", lambda text: last(text).endswith("second of aachen"))
    terminal.send(b"\x03")
    ready(terminal, "tusk default [130]>")
    expect(terminal, "interrupted after 2 entries")
    terminal.send(b"\x04")
    terminal.ended(0)
    terminal = shell()
    ready(terminal)
    line(terminal, "read nope", then="tusk default [4]>")
    terminal.send(b"\x03")
    ready(terminal, "tusk default [130]>")
    keys(terminal, "stat --watch 0.05", prompt="tusk default [130]>")
    terminal.send(b"\r")
    terminal.until("counters", lambda text: "connections " in text)
    terminal.send(b"\x03")
    ready(terminal, "tusk default [130]>")
    line(terminal, "read aachen -C 1", prompt="tusk default [130]>")
    leave(terminal)


def the_interrupt_ends_a_script(directory):
    path = directory + "/script"
    with open(path, "w", encoding="ascii") as file:
        file.write("read -f aachen\nappend behind the-interrupt\n")
    terminal = Terminal("sh", "-c", f"exec '{tusk}' shell --keep-going < '{path}'")
    terminal.until("what follows", lambda text: last(text).endswith("second of aachen"))
    terminal.send(b"\x03")
    terminal.ended(130)
    expect(terminal, "interrupted after 2 entries")
    expect(terminal, "line 1 was interrupted")
    if "tusk default" in terminal.screen.text():
        fail("a script has a prompt")


def what_takes_the_terminal_gives_it_back():
    terminal = shell()
    ready(terminal)
    keys(terminal, "top -d 0.05")
    terminal.send(b"\r")
    terminal.until("top", lambda text: "LAG*" in text and "aachen" in text)
    terminal.send(b"q")
    # This terminal has one screen only, and so what was on it is still there.
    terminal.until("the prompt", lambda text: last(text).startswith("tusk default>"))
    terminal.send(b"\x0c")
    ready(terminal)
    # Entries from the terminal itself, up to its end.
    keys(terminal, "append typed")
    terminal.send(b"\r")
    terminal.until("the usual keys", lambda text: termios.tcgetattr(terminal.slave)[3] & termios.ICANON)
    terminal.send(b"one two\n\x04")
    ready(terminal)
    line(terminal, "read typed")
    expect(terminal, "7  one two")
    # A command that is killed while it has the terminal.
    keys(terminal, "top -d 0.05")
    terminal.send(b"\r")
    terminal.until("top", lambda text: "LAG*" in text)
    with open(f"/proc/{terminal.process.pid}/task/{terminal.process.pid}/children", encoding="ascii") as file:
        os.kill(int(file.read().split()[0]), signal.SIGKILL)
    terminal.until("the signal", lambda text: "ended by signal 9" in text and last(text).endswith("tusk default [137]>"))
    terminal.screen.modes.discard(1049)
    terminal.send(b"\x0c")
    ready(terminal, "tusk default [137]>")
    keys(terminal, "append typed", prompt="tusk default [137]>")
    terminal.send(b"\r")
    usual = termios.ICANON | termios.ECHO
    terminal.until("the usual keys", lambda text: termios.tcgetattr(terminal.slave)[3] & usual == usual)
    terminal.send(b"\x04")
    leave(terminal)


def the_shell_stops_and_goes_on():
    path = f"{os.path.dirname(tusk)}:{os.environ['PATH']}"
    bash = Terminal("bash", "--norc", "--noprofile", "-i", PATH=path, PS1="$ ", HISTFILE="", INPUTRC="/dev/null", HOME=HOME)
    bash.send(b"bind 'set enable-bracketed-paste off'; tusk shell\r")
    ready(bash)
    keys(bash, "read aa")
    bash.send(b"\x1a")
    bash.until("that it stopped", lambda text: "Stopped" in text and last(text) == "$")
    bash.send(b"fg\r")
    bash.until("the line again", lambda text: last(text) == "tusk default> read aa")
    line(bash, "chen", "read aachen")
    keys(bash, "read -f aachen")
    bash.send(b"\r")
    bash.until("what follows", lambda text: last(text).endswith("second of aachen"))
    bash.send(b"\x1a")
    bash.until("that it stopped", lambda text: last(text) == "$")
    bash.send(b"fg\r")
    bash.until("it has the terminal", lambda text: os.tcgetpgrp(bash.master) != bash.process.pid)
    bash.send(b"\x03")
    ready(bash, "tusk default [130]>")
    bash.send(b"\x04")
    bash.until("bash", lambda text: last(text) == "$")
    bash.send(b"exit 0\r")
    bash.ended(0)


def a_signal_ends_the_shell_and_gives_the_terminal_back():
    for number in (signal.SIGTERM, signal.SIGHUP):
        terminal = shell()
        ready(terminal)
        terminal.process.send_signal(number)
        terminal.ended(-number)
    terminal = shell()
    ready(terminal)
    keys(terminal, "read -f aachen")
    terminal.send(b"\r")
    terminal.until("what follows", lambda text: last(text).endswith("second of aachen"))
    terminal.process.send_signal(signal.SIGTERM)
    terminal.ended(130)
    expect(terminal, "interrupted after 2 entries")


def dumb_terminals_do(daemon):
    terminal = shell(term="dumb")
    ready(terminal)
    line(terminal, "read nope", then="tusk default [4]>")
    # A daemon that is another one by the next line.
    daemon.stop()
    line(terminal, "ping", prompt="tusk default [4]>", then="tusk default [6]>")
    daemon.start()
    line(terminal, "read aachen", prompt="tusk default [6]>")
    expect(terminal, "second of aachen")
    leave(terminal)
    if b"\x1b[1;31m" in terminal.all:
        fail(f"color on a dumb terminal: {terminal.all}")


# ---- completion ----


def tab_completes_what_may_stand_there(directory):
    with open(directory + "/a file", "w", encoding="ascii") as file:
        file.write("from a file\n")
    terminal = shell("--timeout", "100")
    ready(terminal)

    def completed(typed, shown):
        # What is typed next shows that the key was taken, and whether there is a blank.
        keys(terminal, typed + "\tZ", shown + "Z")
        keys(terminal, b"\x15", "")

    completed("expl", "explain ")
    completed("tusk expl", "tusk explain ")
    completed("read aa", "read aachen ")
    completed("read 'aa", "read 'aachen' ")
    completed("read two", r"read two\ words ")
    completed("read two\\ w", r"read two\ words ")
    completed('read "two w', 'read "two words" ')
    completed("read zür", "read zürich ")
    completed("append x --ack dur", "append x --ack durable ")
    completed("read aachen --foll", "read aachen --follow ")
    completed("read aachen -c sl", "read aachen -c slow ")
    completed("topic cre", "topic create ")
    completed("topic create x retention-s", "topic create x retention-size=")
    completed("use else", "use elsewhere ")
    completed("-n else", "-n elsewhere ")
    completed("help topic del", "help topic delete ")
    completed("qui", "quit ")
    completed(f"append x -f {directory}/a", f"append x -f {directory}/a\\ file ")
    completed(f"append x -f {directory}/dat", f"append x -f {directory}/data/")
    completed("read nothing-begins-so", "read nothing-begins-so")
    completed("read aachen # aa", "read aachen # aa")
    completed("read cont", "read cont")
    completed("comp", "comp")
    completed("she", "she")
    # In the middle of a line.
    keys(terminal, "read aa -C 1")
    keys(terminal, b"\x1b[D" * 5 + b"\t", "read aachen  -C 1")
    keys(terminal, b"\x15\x0b", "")
    # Several are shown, with what they are, as far as they are alike.
    keys(terminal, "cu\t", "cursor")
    terminal.send(b"\t")
    listed = "\ncursors  List cursors\ncursor   Create or delete a cursor\ntusk default> cursor"
    terminal.until("both", lambda text: text.rstrip().endswith(listed))
    terminal.send(b"\x15")
    ready(terminal)
    # Of another namespace those that are there.
    line(terminal, "use elsewhere", then="tusk elsewhere>")
    keys(terminal, "read \t", "read there", prompt="tusk elsewhere>")
    terminal.send(b"\x15")
    leave(terminal, "tusk elsewhere>")


def completion_that_takes_long_is_interrupted(daemon):
    terminal = shell("--timeout", "10000")
    ready(terminal)
    daemon.process.send_signal(signal.SIGSTOP)
    keys(terminal, "read aa")
    terminal.send(b"\t")
    terminal.until("that it waits", lambda text: termios.tcgetattr(terminal.slave)[3] & termios.ISIG)
    terminal.send(b"\x03")
    keys(terminal, b"Z", "read aaZ")
    daemon.process.send_signal(signal.SIGCONT)
    keys(terminal, b"\x7f\t", "read aachen")
    keys(terminal, b"\x15", "")
    leave(terminal)


# ---- history ----


def lines_are_kept(directory):
    home = directory + "/kept"
    os.mkdir(home)
    terminal = shell(home=home)
    ready(terminal)
    line(terminal, "read aachen -C 1")
    line(terminal, "read aachen -C 1")
    line(terminal, " append secret x")
    line(terminal, "topics -o raw")
    keys(terminal, "dropped")
    terminal.send(b"\x03")
    ready(terminal, "tusk default [130]>")
    terminal.send(b"\x1b[A")
    terminal.until("the line before", lambda text: last(text).endswith("> topics -o raw"))
    terminal.send(b"\x1b[A")
    terminal.until("the line before", lambda text: last(text).endswith("> read aachen -C 1"))
    terminal.send(b"\x15")
    leave(terminal, "tusk default [130]>")
    path = home + "/.local/state/tusk/history"
    with open(path, encoding="utf-8") as file:
        kept = file.read()
    if kept != "read aachen -C 1\ntopics -o raw\n" or stat.S_IMODE(os.stat(path).st_mode) != 0o600:
        fail(f"kept with mode {os.stat(path).st_mode:o}: {kept!r}")
    terminal = shell(home=home)
    ready(terminal)
    keys(terminal, b"\x1b[A", "topics -o raw")
    keys(terminal, b"\x1b[A", "read aachen -C 1")
    keys(terminal, b"\x1b[B", "topics -o raw")
    keys(terminal, b"\x15", "")
    terminal.send(b"\x12aach")
    terminal.until("what was searched", lambda text: "read aachen -C 1" in text)
    terminal.send(b"\r")
    ready(terminal)
    expect(terminal, "first of aachen")
    leave(terminal)


def lines_that_cannot_be_kept_are_no_failure(directory):
    home = directory + "/unkept"
    os.makedirs(home + "/.local/state/tusk/history")
    terminal = shell(home=home)
    ready(terminal)
    expect(terminal, "cannot open " + home)
    line(terminal, "topics -o raw")
    line(terminal, "read aachen")
    keys(terminal, b"\x1b[A\x1b[A", "topics -o raw")
    keys(terminal, b"\x15", "")
    if terminal.all.count(b"cannot open") != 1:
        fail(f"not said once: {terminal.all}")
    leave(terminal)


def main():
    global HOME
    with tempfile.TemporaryDirectory() as directory:
        for name in [name for name in os.environ if name.startswith("TUSK_") or name in ("NO_COLOR", "XDG_STATE_HOME", "EDITRC")]:
            del os.environ[name]
        os.environ |= {"TUSK_SOCKET": directory + "/tusk.sock", "TUSK_TIMEOUT": "100"}  # However slow the machine is
        HOME = directory
        daemon = Daemon(directory)
        run("append", "aachen", "first of aachen", "second of aachen")
        run("append", "two words", "x")
        run("topic", "create", "control\u0085")
        run("cursor", "create", "aachen", "slow")
        run("ns", "create", "elsewhere")
        run("-n", "elsewhere", "append", "there", "what is elsewhere")
        the_prompt_shows_namespace_and_failure()
        lines_are_edited()
        nonsense_from_the_keyboard_does_no_harm()
        the_interrupt_drops_the_line_or_ends_the_command()
        the_interrupt_ends_a_script(directory)
        what_takes_the_terminal_gives_it_back()
        the_shell_stops_and_goes_on()
        a_signal_ends_the_shell_and_gives_the_terminal_back()
        dumb_terminals_do(daemon)
        tab_completes_what_may_stand_there(directory)
        completion_that_takes_long_is_interrupted(daemon)
        lines_are_kept(directory)
        lines_that_cannot_be_kept_are_no_failure(directory)
        daemon.stop()
    print(len(failures), "failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
