"""The line that a script ends with, whatever is in it."""

import io
import os
import subprocess
import sys

import pytest

from experiments.study import app
from experiments.study.interruption import Stopped
from hasa_jax.base import UserError
from tests.support.scripts import ROOT


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
    monkeypatch.setattr(app.devices, "wait_for_one_another", lambda: None)
    monkeypatch.setattr(app.devices, "choose_kernels", lambda deterministic: None)
    monkeypatch.setattr(app.switches, "make_inert", lambda: None)
    monkeypatch.setattr(app.compilation, "keep_programs", lambda folder: "no \x1b[2J\n`workdir`")
    app.set_up(app.RunConfig())
    assert capsys.readouterr().err == "warning: no \\x1b[2J\\x0a--workdir\n"


def test_a_number_that_a_switch_of_jax_finds_is_one_line(capsys):
    error = FloatingPointError("invalid value (nan) encountered in jit(f).\nMore of it.")
    (line,) = lines_of(error, capsys)
    assert line == (
        "error: invalid value (nan) encountered in jit(f). Lower the learning rate, or unset "
        "JAX_DEBUG_NANS and _INFS"
    )


def test_a_stopped_script_ends_as_its_signal_does(capsys):
    for number, status in ((15, 143), (2, 130), (1, 129)):
        assert app.attempt(failing(Stopped(number)), ["train"], lambda config: None) == status
    assert app.attempt(failing(KeyboardInterrupt()), ["train"], lambda config: None) == 130
    assert capsys.readouterr().err == (
        "error: interrupted; run the same command again to go on from the latest checkpoint\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_a_console_gets_a_mark_for_what_it_lacks(encoding, monkeypatch):
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    app.replace_unknown_characters()
    text = "Δ mean 1.0 ± 0.5, 北京 \udcff"
    for stream in streams.values():
        print(text, file=stream, flush=True)
        shown = stream.buffer.getvalue()
        assert shown == (text + os.linesep).encode(encoding, "replace")
        assert b"?" in shown


def test_a_script_without_a_console_starts(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    app.replace_unknown_characters()
    assert (sys.stdout, sys.stderr) == (None, None)


def test_writes_that_fail_later_add_no_line():
    """Of the writes of a checkpoint that a full disk ends at once, one is reported."""
    code = (
        "import asyncio\n"
        "from experiments.study import app\n"
        "from hasa_jax.base import UserError\n"
        "async def write():\n"
        "    raise ValueError('no space left')\n"
        "async def writes():\n"
        "    asyncio.ensure_future(write())\n"
        "    await asyncio.sleep(0)\n"
        "def main(config, given):\n"
        "    asyncio.run(writes())\n"
        "    raise UserError('no space left')\n"
        "app.run_app(main)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (app.BAD_INPUT, "error: no space left\n")
