"""The line that a script ends with, whatever is in it."""

import pytest

from experiments.study import app
from hasa_jax.base import UserError


def failing(error):
    """A script that raises."""

    def main(config, given):
        raise error

    return main


def lines_of(error, capsys):
    assert app.attempt(failing(error), ["train"], lambda config: None) == app.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("client \x1b[2J\x1b]0;title\x07 is bad", r"error: client \x1b[2J\x1b]0;title\x07 is bad"),
        ("a\u202eb \u2066c", r"error: a\u202eb \u2066c"),
        ("a\nb\r\nc\td", "error: a b c d"),
        ("lower `batch_size`", "error: lower --batch_size"),
        ("\udc80 is no name", r"error: \udc80 is no name"),
    ],
)
def test_no_terminal_obeys_an_error(message, shown, capsys):
    assert lines_of(UserError(message), capsys) == [shown]


def test_an_error_is_of_bounded_length(capsys):
    names = ", ".join(f"column {number}" for number in range(100_000))
    (line,) = lines_of(UserError(f"there is no column 'x': use one of {names}"), capsys)
    assert line.startswith("error: there is no column 'x': use one of column 0, column 1")
    assert line.endswith(" more)")
    assert len(line) < 2100


def test_a_warning_is_escaped_too(monkeypatch, capsys):
    monkeypatch.setattr(app.devices, "split_host", lambda count: None)
    monkeypatch.setattr(app.devices, "choose_kernels", lambda deterministic: None)
    monkeypatch.setattr(app.switches, "make_inert", lambda: None)
    monkeypatch.setattr(app.compilation, "keep_programs", lambda folder: "no \x1b[2J\n`workdir`")
    app.set_up(app.RunConfig())
    assert capsys.readouterr().err == "warning: no \\x1b[2J\\x0a--workdir\n"
