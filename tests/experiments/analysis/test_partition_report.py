"""Which client holds what: numbers by hand, files, and a picture of any number of clients."""

import csv
import sys

import jax
import numpy as np
import pytest

from experiments.analysis import partition_report
from experiments.analysis.pictures import Lacking, style
from experiments.analysis.pictures import partition as partition_picture
from hasa_jax import SCORES, UserError
from hasa_jax.base import IGNORED, ClientData, FederatedDataset
from hasa_jax.datasets import synthetic_images
from tests.support.scripts import records_of, run

LOG2, KEY = np.log(2), jax.random.key(0)


def held(*labels, num_classes):
    """A split of clients that hold these labels."""
    targets = np.concatenate([np.array(own, np.int32) for own in labels])
    return ClientData(
        inputs=np.zeros((len(targets), 2), np.float32),
        targets=targets,
        offsets=np.cumsum([0, *map(len, labels)]).astype(np.int32),
        num_classes=num_classes,
    )


@pytest.fixture
def dataset():
    return FederatedDataset(
        train=held([0, 0, 0, 0], [1, 1, 0, 0, 1, 1, 0, 0], num_classes=3),
        validation=held([0], [1, 1], num_classes=3),
        test=held([0, 0, 2], [1], num_classes=3),
        client_names=("first", "second, with a comma"),
    )


def test_numbers_by_hand(dataset):
    report = partition_report.report_of(dataset, KEY)
    assert report.counts.tolist() == [[4, 0, 0], [4, 4, 0]]
    assert report.sizes.tolist() == [[4, 1, 3], [8, 2, 1]]
    np.testing.assert_allclose(report.entropy, [0, LOG2])
    # All hold 8 and 4 of 12: from 2/3 to 1 it is 1/3, from 2/3 to 1/2 it is 1/6.
    np.testing.assert_allclose(report.total_variation, [1 / 3, 1 / 6])
    # Smoothed by one: (5, 1, 1) / 7 and (9, 5, 1) / 15.
    p, q = np.array([5, 1, 1]) / 7, np.array([9, 5, 1]) / 15
    m = (p + q) / 2
    expected = (p * np.log(p / m) + q * np.log(q / m)).sum() / 2
    np.testing.assert_allclose(report.divergence[0], expected)


def test_scores_are_those_that_allocation_uses():
    dataset = synthetic_images(jax.random.key(0), num_images=300, heterogeneity=0.9)
    report = partition_report.report_of(dataset, KEY)
    for name, values in (
        ("label_divergence", report.divergence),
        ("excess_divergence", report.excess),
        ("entropy", report.entropy),
    ):
        score = SCORES[name]()(dataset.train, None, KEY)
        np.testing.assert_array_equal(values, score)
    assert report.divergence.max() > 0.05


def test_total_variation_is_0_for_equals_and_1_for_clients_that_share_nothing_with_many():
    np.testing.assert_allclose(partition_report.total_variation(np.ones((4, 5), int)), 0)
    one_of_all = np.diag([1, 999])
    np.testing.assert_allclose(partition_report.total_variation(one_of_all), [0.999, 0.001])
    assert partition_report.total_variation(np.array([[0, 0], [1, 1]]))[0] == 0.5


def test_csv_has_a_record_for_each_client(dataset, tmp_path):
    report = partition_report.report_of(dataset, KEY)
    partition_report.write_csv(report, tmp_path / "partition.csv")
    records = records_of(tmp_path / "partition.csv")
    assert [record["client"] for record in records] == list(dataset.client_names)
    wanted = ("train", "validation", "test", "classes", "class_0", "class_1", "class_2")
    assert [[int(record[name]) for name in wanted] for record in records] == [
        [4, 1, 3, 1, 4, 0, 0],
        [8, 2, 1, 2, 4, 4, 0],
    ]
    for name, values in (
        ("label_divergence", report.divergence),
        ("excess_divergence", report.excess),
        ("expected_divergence", report.divergence - report.excess),
        ("excess_z", report.excess_z),
        ("label_entropy", report.entropy),
        ("total_variation", report.total_variation),
    ):
        assert [float(record[name]) for record in records] == values.tolist()


@pytest.mark.parametrize(("count", "columns"), [(100, 111), (101, 11)])
def test_many_classes_have_no_columns(count, columns, tmp_path):
    part = held([0, count - 1], [1], num_classes=count)
    report = partition_report.report_of(FederatedDataset(part, part, part, ("a", "b")), KEY)
    partition_report.write_csv(report, tmp_path / "partition.csv")
    with (tmp_path / "partition.csv").open(encoding="utf-8", newline="") as file:
        assert [len(row) for row in csv.reader(file)] == [columns] * 3


def test_the_summary_has_the_least_the_middle_and_the_most(dataset):
    text = partition_report.summary(partition_report.report_of(dataset, KEY), "mine")
    assert text.startswith("# mine\n\n2 clients, 3 classes, 12 training, 3 validation and 4 test")
    assert "Total variation is 0.250 on average" in text
    lines = {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if line.startswith("| ")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    assert lines["training examples"] == ["4", "6", "8", "6.0"]
    assert lines["validation examples"] == ["1", "1.500", "2", "1.5"]
    assert lines["classes held"] == ["1", "1.500", "2", "1.5"]
    assert lines["total variation"] == ["0.167", "0.250", "0.333", "0.250"]


def test_shares_of_few_classes():
    own, names = partition_picture.shares(np.array([[1, 3], [0, 0]]))
    assert own.tolist() == [[0.25, 0.75], [0, 0]]
    assert names == ["0", "1"]


def test_shares_of_many_classes_keep_the_most_frequent():
    counts = np.array([[1, 9, 0, 5, 5], [0, 1, 2, 5, 2]])
    own, names = partition_picture.shares(counts, most=3)
    assert names == ["1", "3", "others"]
    np.testing.assert_allclose(own, [[0.45, 0.25, 0.3], [0.1, 0.5, 0.4]])


def bars(num_clients, num_classes, name="client_{}"):
    generator = np.random.default_rng(0)
    return partition_picture.Bars(
        names=tuple(name.format(client) for client in range(num_clients)),
        sizes=generator.integers(1, 90, (num_clients, 3)),
        counts=generator.integers(0, 9, (num_clients, num_classes)),
        divergence=generator.random(num_clients) / 2,
    )


@pytest.mark.parametrize(("num_clients", "num_classes"), [(2, 2), (100, 10), (1000, 20), (7, 3000)])
def test_a_picture_of_any_number(num_clients, num_classes, tmp_path):
    figure = partition_picture.figure_of(bars(num_clients, num_classes))
    style.save(figure, tmp_path / "a.png", dpi=50)
    content = (tmp_path / "a.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    height = int.from_bytes(content[20:24], "big")
    assert 120 <= height <= 450


def test_a_picture_can_be_drawn_of_the_table(tmp_path):
    """The file has all numbers of the picture, where its classes have columns."""
    generator, own = np.random.default_rng(1), bars(4, 3, "=client {}")
    rest = (generator.random(4) for _ in range(4))
    report = partition_report.Report(own.names, own.sizes, own.counts, own.divergence, *rest)
    partition_report.write_csv(report, tmp_path / "partition.csv")
    found = partition_picture.bars_of(tmp_path / "partition.csv")
    assert found.names == own.names
    for part in ("sizes", "counts", "divergence"):
        np.testing.assert_array_equal(getattr(found, part), getattr(own, part))
    many = partition_report.Report(
        *(own.names, own.sizes, np.ones((4, 101), int), own.divergence, *[own.divergence] * 4)
    )
    partition_report.write_csv(many, tmp_path / "partition.csv")
    with pytest.raises(Lacking, match="more than 100"):
        partition_picture.bars_of(tmp_path / "partition.csv")
    (tmp_path / "partition.csv").write_text("client,class_0\na,b\n")
    with pytest.raises(UserError, match="is damaged: run partition_report again"):
        partition_picture.bars_of(tmp_path / "partition.csv")


def test_names_of_any_kind_are_drawn(tmp_path):
    # Letters that no font has, a formula that is none, and a line too long for the picture.
    for name in ("{} 東京", "{} costs $ or $x^{{$", "{} " + "long " * 30):
        style.save(partition_picture.figure_of(bars(3, 4, name)), tmp_path / "a.png", dpi=50)
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_without_matplotlib_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pictures need matplotlib: pip install .*plots") as caught:
        partition_picture.figure_of(bars(3, 4))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "clients", "classes"),
    [
        (("--dataset=synthetic_images", "--num_images=400", "--num_clients=5"), 5, 10),
        (("--dataset=synthetic_titles", "--num_titles=300", "--vocab_size=200"), 7, 0),
        (("--dataset=synthetic_topics", "--num_titles=300", "--num_clients=4"), 4, 7),
    ],
)
def test_the_script_reports_on_data_of_every_kind(arguments, clients, classes, tmp_path):
    folder = tmp_path / "new" / "report"
    done = run("partition_report", *arguments, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(folder)
    names = ["partition.csv", "partition.md", "partition.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / "partition.md").read_text(encoding="utf-8") in done.stdout
    records = records_of(folder / "partition.csv")
    assert len(records) == clients
    assert len([name for name in records[0] if name.startswith("class_")]) == classes
    again = run("partition_report", *arguments, f"--workdir={folder}")
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--dataset=mnist",), "reads a folder: name it with --data_dir"),
        (("--dataset=mnist", "--data_dir=nowhere"), "nowhere has no train-images-idx3-ubyte"),
        (("--dataset=synthetic_images", "--partition=shards"), "--partition is read only with"),
        (("--dataset=synthetic_images", "--num_titles=9"), "--num_titles is read only with"),
        (("--workdir=",), "name it with --workdir"),
        (("--workdir=README.md",), "workdir README.md is a file"),
    ],
)
def test_what_cannot_be_reported_on_ends_in_one_line(arguments, expected, tmp_path):
    done = run("partition_report", f"--workdir={tmp_path / 'new'}", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert not list(tmp_path.iterdir())


def test_labels_that_are_no_classes_do_not_count():
    part = held([0, IGNORED, 1], [IGNORED], num_classes=2)
    report = partition_report.report_of(FederatedDataset(part, part, part, ("a", "b")), KEY)
    assert report.counts.tolist() == [[1, 1], [0, 0]]
    assert np.isfinite(report.divergence).all()
    np.testing.assert_allclose(report.entropy, [LOG2, 0])
