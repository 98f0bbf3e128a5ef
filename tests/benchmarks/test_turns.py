"""Rounds that another process asks for."""

import io
import json
import os
import sys

import pytest

from benchmarks import processes, turns

PEER = """
import itertools
from benchmarks import turns
seconds = itertools.count()
turns.report(lambda: float(next(seconds)), 3, on_request={on_request})
"""


def command(text):
    return [sys.executable, "-c", text]


def test_the_first_round_is_not_answered_and_means_are():
    with processes.taking_turns(command(PEER.format(on_request=True)), os.environ) as process:
        assert process.ask(1) == 1.0
        assert process.ask(3) == 3.0  # Of rounds 2, 3 and 4.
        assert process.start_seconds > 0


def test_a_summary_without_requests():
    shown = processes.run(command(PEER.format(on_request=False)), os.environ)
    assert shown == {"seconds": 2.0, "least_seconds": 1.0, "all_seconds": [1.0, 2.0, 3.0]}


def test_lines_of_a_framework_are_passed_over(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("2\n1\n"))
    turns.serve(lambda: 0.25)
    assert capsys.readouterr().out == "ready\nseconds 0.25\nseconds 0.25\n"
    text = "print('hello'); print('ready'); input(); print('news'); print('seconds 4.5')"
    with processes.taking_turns(command(text), os.environ) as process:
        assert process.ask(1) == 4.5


@pytest.mark.parametrize(
    "text", ["exit(3)", "print('ready', flush=True); exit(3)", "print('ready'); input(); exit(3)"]
)
def test_a_process_that_fails_says_its_status(text):
    def asked():
        with processes.taking_turns(command(text), os.environ) as process:
            process.ask(1)

    with pytest.raises(processes.ProcessError, match="exit status 3 of: ") as failed:
        asked()
    assert failed.value.status == 3


def test_a_summary_is_json():
    assert json.loads(json.dumps(turns.summary([3.0, 1.0, 2.0]))) == {
        "seconds": 2.0,
        "least_seconds": 1.0,
        "all_seconds": [3.0, 1.0, 2.0],
    }
