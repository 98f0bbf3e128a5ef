"""What is public is documented, and functions and modules stay short."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAX_BODY_LINES = 60
MAX_MODULE_LINES = 450

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def undocumented(tree):
    """Yields the line and name of every public definition without a docstring."""
    if not ast.get_docstring(tree):
        yield 1, "the module"
    scopes = [("", tree)]
    while scopes:
        prefix, scope = scopes.pop()
        for node in scope.body:
            if not isinstance(node, (*FUNCTIONS, ast.ClassDef)) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield node.lineno, f"{prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                scopes.append((f"{prefix}{node.name}.", node))


def body_lines(function):
    """Counts the lines of a function after its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def problems(root):
    """Returns a line for every definition or module that breaks a rule."""
    found = []
    folders = [root / name for name in ("hasa_jax", "experiments", "benchmarks")]
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        for line, what in undocumented(tree):
            found.append(f"{name}:{line}: {what} has no docstring")
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS) and body_lines(node) > MAX_BODY_LINES:
                found.append(f"{name}:{node.lineno}: {node.name} has {body_lines(node)} lines")
        # The configuration of the scripts is one long table.
        long = (count := len(source.splitlines())) > MAX_MODULE_LINES
        if long and not name.startswith("experiments/"):
            found.append(f"{name}: the module has {count} lines")
        if "utils" in path.relative_to(root).with_suffix("").parts:
            found.append(f"{name}: the name utils says nothing")
    return found


def test_the_library():
    assert (ROOT / "hasa_jax" / "base.py").is_file()
    assert problems(ROOT) == []


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.py", "x = 1", "the module has no docstring"),
        ("a.py", '"""A."""\ndef f(): ...', "f has no docstring"),
        ("a.py", '"""A."""\nasync def f(): ...', "f has no docstring"),
        ("a.py", '"""A."""\nclass C:\n  x = 1', "C has no docstring"),
        ("a.py", '"""A."""\nclass C:\n  """C."""\n  def m(self): ...', "C.m has no docstring"),
        ("a.py", '"""A."""\ndef _f():\n' + "  x = 1\n" * 61, "_f has 61 lines"),
        ("a.py", '"""A."""\n' + "x = 1\n" * 450, "the module has 451 lines"),
        ("utils.py", '"""A."""', "the name utils says nothing"),
        ("utils/a.py", '"""A."""', "the name utils says nothing"),
    ],
)
def test_checker_catches(tmp_path, name, source, expected):
    path = tmp_path / "hasa_jax" / name
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    found = problems(tmp_path)
    assert len(found) == 1
    assert expected in found[0]


def test_checker_accepts(tmp_path):
    (tmp_path / "hasa_jax").mkdir()
    body = "  x = 1\n" * 60
    source = f'"""A."""\ndef f():\n  """F.\n\n  More.\n  """\n{body}\ndef _g(): ...\n'
    (tmp_path / "hasa_jax" / "a.py").write_text(source, encoding="utf-8")
    assert problems(tmp_path) == []
