"""Words that are not used, and what the library must not know of.

One idea has one word (CONTRIBUTING.md lists them). Documents, and the names, docstrings, comments
and messages of the code, are free of the words below.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = [p for room in ("hasa_jax", "experiments") for p in sorted((ROOT / room).rglob("*.py"))]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]

WORDS = {
    # Files have a method `tell`, and tests do not "tell two arms apart": a verdict says so.
    "told": r"told(?! apart)|tells?(?!\()|telling",
    "blame": r"blam(?:e|es|ed|ing)",
    "spoil": r"spoil(?:s|t|ed)?",
    "nobody": r"nobody",
    "alone": r"alone",
    "together": r"together",
    "stand for": r"st(?:and|ands|anding|ood) for",
    "lest": r"lest",
    "anew": r"anew",
    "dearest": r"dearest",
    "lay": r"lay|lays|laid|laying",
    # "A whole number" is the plain word for an integer in a message to the user.
    "whole": r"wholes?(?! number)",
    "plan": r"plan(?:s|ned|ning)?",
}
"""Parts of words and phrases, whatever their case; an underscore or a capital begins a new word."""

NAMES = {"possible": r"possible", "rows": r"rows"}
"""The same for names in code only."""

ROWS = ("hasa_jax/datasets/csv_rows.py", "hasa_jax/datasets/files/", "experiments/analysis/")
"""Where names may say `rows`: those of CSV files that are read, and of tables as data."""

KNOWN_NAMES = r"label_rows?|LabelRows?|csv_rows|rows_of|bad_rows|BAD_ROWS"
"""Names with that word: of the glossary, and of the reader of CSV files."""


def parts(text):
    """Separates the words of names: `local_plan` and `LocalPlan` have two."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", text)


def found(words, text):
    """Lists the words of a list that a text has."""
    text = parts(text)
    return [
        word
        for word, regex in words.items()
        if re.search(rf"(?<![A-Za-z])(?:{regex})(?![A-Za-z])", text, re.IGNORECASE)
    ]


def problems_of_code(name, source):
    """Lists every word that a module must not use."""
    problems = []
    for number, line in enumerate(source.splitlines(), 1):
        problems += [f"{name}:{number}: {word}" for word in found(WORDS, line)]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            words = found(NAMES, re.sub(KNOWN_NAMES, "", token.string))
            words = [word for word in words if word != "rows" or not name.startswith(ROWS)]
            problems += [f"{name}:{token.start[0]}: the name {token.string}" for _ in words]
    return problems


def test_code():
    problems = []
    for path in CODE:
        name = path.relative_to(ROOT).as_posix()
        problems += problems_of_code(name, path.read_text(encoding="utf-8"))
    assert not problems, "\n".join(["", *problems])


def test_documents():
    problems = [
        f"{path.name}:{number}: {word}"
        for path in PAGES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in found(WORDS, line)
    ]
    assert not problems, "\n".join(["", *problems])


def test_the_library_names_no_flag():
    problems = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in CODE
        if path.is_relative_to(ROOT / "hasa_jax")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"(?<![\w-])--[a-z]\w*", line)
    ]
    assert not problems, "\n".join(["", *problems])


def reads_flags(source):
    """Returns the lines that import absl's flags, or read FLAGS."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module="absl", names=names):
                lines += [node.lineno for name in names if name.name == "flags"]
            case ast.Import(names=names):
                lines += [node.lineno for name in names if name.name.startswith("absl.flags")]
            case ast.Name(id="FLAGS") | ast.Attribute(attr="FLAGS") | ast.alias(name="FLAGS"):
                lines.append(node.lineno)
    return lines


def test_one_module_reads_flags():
    reading = {
        path.relative_to(ROOT).as_posix()
        for path in CODE
        if reads_flags(path.read_text(encoding="utf-8"))
    }
    # The app catches absl's error of a bad command line; it reads no flag.
    assert reading <= {"experiments/flags.py", "experiments/study/app.py"}
    app = (ROOT / "experiments/study/app.py").read_text(encoding="utf-8")
    assert set(re.findall(r"\babsl_flags\.(\w+)", app)) <= {"Error"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("local_plan = 1", "plan"),
        ("class LocalPlan: ...", "plan"),
        ("# Nobody knows.", "nobody"),
        ('"""The whole supernet."""', "whole"),
        ("WHOLE = 1", "whole"),
        ("def f(possible): ...", "the name possible"),
        ("'what stands for it'", "stand for"),
        ("rows = 1", "the name rows"),
        ("'The device tells.'", "told"),
    ],
)
def test_checker_catches(source, expected):
    (problem,) = problems_of_code("hasa_jax/a.py", source)
    assert problem == f"hasa_jax/a.py:1: {expected}"


@pytest.mark.parametrize(
    "source",
    [
        "planet = airplane = layout = display = metallic = 1",
        "label_rows = 1",
        "'It is possible that rows of a table are a whole number.'",
        "threshold = stream.tell()",
    ],
)
def test_checker_accepts(source):
    assert problems_of_code("hasa_jax/a.py", source) == []


def test_checker_knows_flags():
    assert reads_flags("from absl import flags\nFLAGS = flags.FLAGS") == [1, 2, 2]
    assert not reads_flags("from absl import logging")
