"""The progress line on a terminal, and the lines without one."""

import io
import os

import pytest

from hasa_jax.simulation import console, writers

RECORD = {
    "method": "fjord",
    "policy": "hasa",
    "seed": 0,
    "round": 2,
    "mean_accuracy": 0.1,
    "worst_accuracy": 0.05,
    "tail_accuracy": 1 / 3,
    "budget_width": 0.5,
    "train_seconds": 1.0,
}
ROW = "fjord (hasa)  seed 0  round 2  mean 10.00%  worst 5.00%  tail 33.33%  width 0.500"


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        return 2


def on_terminal(monkeypatch, columns=160):
    """Makes a terminal standard output and standard error; pytest undoes that of a fixture."""
    found = Terminal()
    monkeypatch.setattr("sys.stderr", found)
    monkeypatch.setattr("sys.stdout", found)
    monkeypatch.setattr("os.get_terminal_size", lambda fd: os.terminal_size((columns, 50)))
    return found


def give(writer, **changes):
    writer.write("metrics", [{"loss": 1.0}])
    writer.write("summary", [RECORD | changes])
    writer.write("timings", [RECORD | changes])


def test_plain_lines_when_piped(capsys):
    writer = console.ConsoleWriter(rounds=4, evaluations=2)
    writer.begin("arm 1 of 2")
    writer.phase("compiling")
    give(writer)
    writer.close()
    found = capsys.readouterr()
    assert (found.out, found.err) == (f"{ROW}  arm 1 of 2\n", "")


def run_of(writer, clock, *stretches):
    """Lets a writer see a run: the phases and the time of each record."""
    for round, now, phases in stretches:
        for name in phases:
            writer.phase(name)
        clock[0] = now
        give(writer, round=round)


STEADY, AHEAD = ("training", "evaluating"), ("compiling", "training", "evaluating")


def test_a_plain_line_has_the_pace_of_steady_rounds(capsys):
    clock = [0.0]
    writer = console.ConsoleWriter(rounds=40, evaluations=4, clock=lambda: clock[0])
    # Programs that are compiled ahead say what comes then, in the same stretch.
    run_of(writer, clock, (10, 1000.0, AHEAD), (20, 1005.0, STEADY))
    writer.close()
    first, second = capsys.readouterr().out.splitlines()
    assert "rounds/s" not in first
    assert second.endswith("  2 rounds/s  0:10 min left")


def test_rows_of_a_checkpoint_say_so_and_are_no_measurement(capsys):
    clock = [0.0]
    writer = console.ConsoleWriter(rounds=80, evaluations=4, clock=lambda: clock[0])
    restored = ((10, 3.0, ("compiling", "restoring")), (20, 3.0, ()))
    run_of(writer, clock, *restored, (30, 900.0, ("compiling",)), (40, 905.0, STEADY))
    # The next block of the same arm has no checkpoint, and the same rounds.
    writer.phase("compiling")
    clock[0] = 950.0
    give(writer, round=10, seed=1)
    writer.close()
    lines = capsys.readouterr().out.splitlines()
    said = [line.endswith("  restored") for line in lines]
    assert said == [True, True, False, False, False]
    assert lines[2].endswith("  width 0.500")
    assert lines[3].endswith("  2 rounds/s  0:20 min left")
    assert lines[4].endswith("  2 rounds/s  0:15 min left")


@pytest.mark.parametrize("evaluations", [1, 199, 200, 201, 999, 12345])
def test_the_number_of_plain_lines_is_bounded(evaluations, capsys):
    writer = console.ConsoleWriter(rounds=evaluations, evaluations=evaluations)
    for round in range(1, evaluations + 1):
        give(writer, round=round)
    writer.close()
    lines = capsys.readouterr().out.splitlines()
    noted = [line for line in lines if "evaluations are printed" in line]
    most = min(evaluations, console.MOST_LINES)
    assert most - (evaluations > most) <= len(lines) - len(noted) <= most
    assert noted == [f"about 200 of {evaluations} evaluations are printed; summary.csv has all"] * (
        evaluations > console.MOST_LINES
    )
    assert "round 1  " in lines[len(noted)]
    assert f"round {evaluations}  " in lines[-1]


def test_a_name_controls_no_terminal(capsys):
    writer = console.ConsoleWriter(rounds=4, evaluations=2)
    give(writer, method="a\x1b[2J\nb")
    assert capsys.readouterr().out.startswith(r"a\x1b[2J\x0ab (hasa)  seed 0")


def test_the_progress_line_says_what_the_run_does(monkeypatch):
    terminal, clock = on_terminal(monkeypatch), [0.0]
    writer = console.ConsoleWriter(rounds=100, evaluations=10, clock=lambda: clock[0])
    writer.begin("arm 3 of 8")
    writer.phase("compiling")
    assert "arm 3 of 8, compiling: 0/100" in terminal.getvalue()
    clock[0] = 60.0
    writer.phase("training")
    give(writer, round=10)
    assert "left" not in terminal.getvalue()
    assert "arm 3 of 8, training: 10/100" in terminal.getvalue()
    clock[0] = 70.0
    writer.phase("training")
    give(writer, round=20)
    last = terminal.getvalue().split("\r")[-1]
    # Ten rounds in ten seconds, eighty to go: not at the pace of the first ones.
    assert "20/100" in last
    assert last.rstrip("] ").endswith("1 rounds/s, 1:20 min left, mean 10.0%, width 0.500")
    writer.close()


def test_rows_stay_above_the_progress_line(monkeypatch):
    terminal = on_terminal(monkeypatch)
    writer = console.ConsoleWriter(rounds=4, evaluations=2)
    give(writer)
    writers.say("another line")
    shown = terminal.getvalue()
    for line in (ROW, "another line"):
        before, _, after = shown.partition(f"{line}\n")
        # What was on its line is wiped, and the progress line is drawn anew below.
        assert before.endswith("\r")
        assert "compiling" in before
        assert "/4 [" in after
    writer.close()


def test_a_narrow_terminal_has_one_line(monkeypatch):
    terminal = on_terminal(monkeypatch, columns=40)
    writer = console.ConsoleWriter(rounds=4, evaluations=2)
    writer.begin("arm 1 of 2")
    for phase in ("compiling", "training", "evaluating"):
        writer.phase(phase)
        give(writer)
    drawn = [part for part in terminal.getvalue().split("\r") if "arm 1 of 2" in part]
    assert drawn
    assert all(len(part.partition("\n")[0]) <= 40 for part in drawn)
    writer.close()


def test_the_clock_goes_on_while_nothing_else_happens(monkeypatch):
    terminal, drawn = on_terminal(monkeypatch), []
    writer = console.ConsoleWriter(rounds=4, evaluations=2)
    waits = iter([False, False, True])
    monkeypatch.setattr(writer._ended, "wait", lambda seconds: next(waits))
    monkeypatch.setattr(writer._bar, "refresh", lambda: drawn.append(terminal))
    writer._tick()
    assert len(drawn) == 2
    writer.close()
