"""Writers of records."""

import csv
import io
import json

from hasa_jax.simulation import writers

RECORD = {
    "method": "fjord",
    "policy": "hasa",
    "aggregation": "full",
    "seed": 0,
    "round": 2,
    "mean_accuracy": 0.1,
    "worst_accuracy": 0.05,
    "tail_accuracy": 1 / 3,
    "train_seconds": 1.23456,
}


def test_csv_reads_back_to_the_same_bits(tmp_path):
    writer = writers.CsvWriter(tmp_path)
    writer.write("summary", [RECORD])
    writer.write("summary", [])
    writer.write("summary", [{**RECORD, "policy": 'a "quoted", name'}])
    assert [p.name for p in tmp_path.iterdir()] == ["summary.csv.partial"]
    writer.publish()
    text = (tmp_path / "summary.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 2
    assert float(lines[0]["tail_accuracy"]) == 1 / 3
    assert lines[0]["train_seconds"] == "1.235"
    assert lines[1]["policy"] == 'a "quoted", name'


def test_an_unfinished_table_replaces_nothing(tmp_path):
    finished = writers.CsvWriter(tmp_path)
    finished.write("summary", [RECORD, RECORD])
    finished.publish()
    before = (tmp_path / "summary.csv").read_bytes()
    interrupted = writers.CsvWriter(tmp_path)
    interrupted.write("summary", [RECORD])
    interrupted.close()
    assert (tmp_path / "summary.csv").read_bytes() == before


def test_json_lines(tmp_path):
    writer = writers.JsonLinesWriter(tmp_path / "log.jsonl")
    writer.write("summary", [RECORD, RECORD])
    writer.close()
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"table": "summary", **RECORD}] * 2


def test_tensorboard_events_hold_the_scalars(tmp_path):
    writer = writers.TensorBoardWriter(tmp_path)
    writer.write("metrics", [{"loss": 1.0}])
    writer.write("summary", [RECORD])
    writer.close()
    (events,) = tmp_path.iterdir()
    content = events.read_bytes()
    assert b"mean_accuracy/hasa/full/0" in content
    assert b"train_seconds/hasa/full/0" in content


def test_console_prints_plain_lines_when_piped(capsys):
    writer = writers.ConsoleWriter(total_rounds=4)
    writer.write("metrics", [{"loss": 1.0}])
    writer.write("summary", [RECORD])
    writer.close()
    assert capsys.readouterr().out == (
        "fjord (hasa)  seed 0  round 2  mean 10.00%  worst 5.00%  tail 33.33%\n"
    )


def test_console_shows_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    writer = writers.ConsoleWriter(total_rounds=4)
    for round in (2, 4):
        writer.write("summary", [{**RECORD, "round": round}])
    writer.close()
    assert "4/4" in terminal.getvalue()
    assert "worst 5.00%" in terminal.getvalue()
