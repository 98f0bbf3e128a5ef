"""Files of results: those of several workdirs have other names, and old tables do not stay."""

import pathlib

from experiments.analysis import tables
from experiments.analysis.merged_name import named
from experiments.rooms import ComparisonConfig
from tests.experiments.analysis.workdirs import records, write


def test_files_of_several_workdirs_replace_none_of_the_first():
    one, two = pathlib.Path("a"), pathlib.Path("b")
    assert named("report.html", [one]) == "report.html"
    assert named("report.html", [one, two]) == "merged_report.html"


def test_tables_that_the_results_do_not_have_any_more_are_removed(tmp_path):
    folder = write(tmp_path / "w")
    names = ("table_headline_last.csv", "merged_table_tests_last.csv", "table_of_mine.csv")
    for name in names:
        (folder / name).write_text("old", encoding="utf-8")
    tables.write([folder], ComparisonConfig(), ("markdown",))
    assert all((folder / name).exists() for name in names)
    tables.write([folder], ComparisonConfig(), ("csv",))
    assert [name for name in names if (folder / name).exists()] == list(names[1:])
    assert (folder / "table_headline.csv").exists()


def test_of_several_workdirs_only_merged_tables_are_removed(tmp_path):
    folders = [write(tmp_path / name, records(name, [0.1, 0.2])) for name in ("a", "b")]
    for name in ("table_headline_last.csv", "merged_table_headline_last.csv"):
        (folders[0] / name).write_text("old", encoding="utf-8")
    tables.write(folders, ComparisonConfig(), ("csv",))
    assert (folders[0] / "table_headline_last.csv").exists()
    assert not (folders[0] / "merged_table_headline_last.csv").exists()
