"""The patches of museum/: each the one description of a planted bug.

    Breaks rule 2, 5; lesson 1: how, in a sentence
    In function, another_function
    --- a/core/file.c ...

Rules, lessons and `contract` are explained in README.md. The functions are named so that a patch whose
context has moved on is not applied, by good luck, to other code that looks alike."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "tests" / "mutation" / "museum"
FUZZ = 1  # Lines of context that may have changed at either end: with more, patches land where they mean nothing


class BadPatch(Exception):
    pass


class Patch:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        text = path.read_text(encoding="utf-8")
        match = re.match(r"Breaks (.+?): (.*)\nIn (.*)\n", text)
        if not match:
            raise BadPatch(f"{path.name}: it must begin with \"Breaks rule N: how\" and \"In function\"")
        self.breaks, self.how, where = match.groups()
        self.where = set(where.split(", "))
        self.rules = self.numbers("rule")
        self.lessons = self.numbers("lesson")
        if not self.rules and not self.lessons and self.breaks != "contract":
            raise BadPatch(f"{path.name}: it breaks neither rule nor lesson nor contract")
        self.files = [pathlib.Path(name) for name in re.findall(r"^\+\+\+ b/(\S+)", text, re.M)]

    def numbers(self, what):
        match = re.search(rf"\b{what} (\d+(?:, \d+)*)", self.breaks)
        return [int(number) for number in match.group(1).split(", ")] if match else []

    @property
    def slug(self):
        """Its name as a part of C names."""
        return self.name.replace("-", "_")

    def apply(self, tree):
        """Apply it to a copy of the tree that holds at least its files."""
        done = subprocess.run(["patch", "-p1", f"--fuzz={FUZZ}", "--no-backup-if-mismatch", "--forward", "-r", "-",
                               "-i", str(self.path)], cwd=tree, capture_output=True, text=True)
        if done.returncode != 0:
            raise BadPatch(f"{self.path.name} does not apply any more: " + (done.stdout + done.stderr).strip())


def patches(names=()):
    """All of them, or those whose names begin so."""
    found = [Patch(path) for path in sorted(FOLDER.glob("*.patch"))]
    return [p for p in found if not names or any(p.name.startswith(n) for n in names)]
