"""The table of comparisons."""

import json
import sys

from benchmarks.peers import table


def of(seconds, peak, start):
    return {"seconds": seconds, "peak_bytes": peak, "start_seconds": start}


MEASURED = {
    "peer": "torch",
    "version": "2.13.0",
    "workload": "cnn",
    "setting_name": "threads",
    "setting": "2",
    "ours": of(0.5, 2**30, 20.04),
    "theirs": of(1.25, None, 4.0),
}
FAILED = {"peer": "flower", "workload": "mlp", "not_measured": "exit status 1"}


def test_a_line_for_each():
    lines = table.markdown([MEASURED, FAILED]).splitlines()
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert lines[2] == (
        "| torch 2.13.0 (threads 2) | cnn | 0.5 | 1.25 | 2.50 | 1.00 GiB | not measured "
        "| 20.0 s | 4.0 s |"
    )
    assert lines[3].startswith("| flower | mlp | not measured | not measured |")
    assert lines[4:] == ["", "flower, mlp: exit status 1"]


def test_no_note_without_a_failure():
    assert len(table.markdown([MEASURED]).splitlines()) == 3


def test_the_table_of_a_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "peers.json"
    path.write_text(json.dumps([MEASURED]), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["table", str(path)])
    table.main()
    assert capsys.readouterr().out.splitlines() == table.markdown([MEASURED]).splitlines()
