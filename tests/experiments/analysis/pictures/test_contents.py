"""What is in the pictures, by hand."""

import dataclasses
import json
import types

import numpy as np
import pytest

from experiments.analysis import plots, results
from experiments.analysis.pictures import PICTURES, Lacking, clients, lines, rebuilding, style
from experiments.analysis.pictures.picture import first_file
from experiments.analysis.tenths import TENTHS, tenth_of
from hasa_jax import UserError
from tests.experiments.analysis.pictures import examples
from tests.experiments.analysis.workdirs import dealt_workdir, in_folds, records, write, write_csv


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    return examples.groups(tmp_path_factory.mktemp("contents"))


def texts_of(panel):
    return [text.get_text().strip() for text in panel.texts]


def test_clients_are_sorted_by_score_and_have_their_width(groups):
    figure = PICTURES["clients"].figure(groups[:1])
    uniform, hasa, inverse, scores = figure.axes[:4]
    names = [text.get_text() for text in scores.get_xticklabels()]
    assert names == sorted(examples.CLIENTS, key=examples.SCORES.__getitem__)
    assert scores.get_xlabel() == "clients, by rising score of hasa"
    assert texts_of(uniform) == [".50"] * 6
    assert texts_of(hasa) == [".25", ".25", ".50", ".50", "1.0", "1.0"]
    assert texts_of(inverse) == texts_of(hasa)[::-1]
    heights = [bar.get_height() for bar in scores.patches]
    assert heights == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    # The last round of hasa: .34 + .18 - .144, and .04 for each place from the middle.
    found = dict(zip(names, [bar.get_height() for bar in hasa.patches], strict=True))
    assert found["a"] == pytest.approx(100 * (0.376 - 0.1))
    assert found["f"] == pytest.approx(100 * (0.376 + 0.1))


def metrics_of(folder, widths, seeds=1, policies=("uniform",)):
    """Writes a workdir whose clients have some widths."""
    summary = [own for policy in policies for own in records(policy, [0.3] * seeds)]
    write(folder, summary)
    own = {"num_examples": "9", "split": "test", "accuracy": "0.25"}
    lines = [
        {**record, **own, "client": f"c{number}", "width": str(width)}
        for record in summary
        for number, width in enumerate(widths)
    ]
    write_csv(folder / "metrics.csv", lines)
    return plots.grouped([folder])


def test_without_scores_clients_are_sorted_by_width(tmp_path):
    (found,) = metrics_of(tmp_path / "w", [0.5, 0.25, 1.0])
    own = {arm: clients.clients_of(found, arm) for arm in found.arms}
    order, by, scores = clients.order_of(found, own)
    assert order == ["c1", "c0", "c2"]
    assert by == "width in hasa:uniform, as no scores are recorded"
    assert scores == {}


def test_dealt_clients_are_those_of_one_seed(tmp_path):
    found = dealt_workdir(tmp_path / "w")
    figure = PICTURES["clients"].figure([found])
    hasa, scores = figure.axes[1:3]
    assert [text.get_text() for text in scores.get_xticklabels()] == ["client_0", "client_1"]
    assert [bar.get_height() for bar in scores.patches] == pytest.approx([0.3, 0.35])
    assert [bar.get_height() for bar in hasa.patches] == pytest.approx([70, 20])
    assert not hasa.collections  # There are no whiskers.
    assert figure.get_suptitle() == f"above each bar: its width\nonly seed 3, as {found.dealt}"


def test_no_whisker_crosses_a_width(groups):
    figure = PICTURES["clients"].figure(groups[:1])
    style.content_of(figure, "png", 40)
    for panel in figure.axes[:3]:
        assert all(text.get_window_extent().y0 >= panel.bbox.y1 for text in panel.texts)


def test_many_clients_are_drawn_as_groups(tmp_path):
    figure = PICTURES["clients"].figure(metrics_of(tmp_path / "w", np.linspace(0.1, 1, 450)))
    panel = figure.axes[0]
    assert len(panel.patches) == 100
    assert panel.get_xlabel().startswith("clients in 100 groups, by rising width in")
    assert not texts_of(panel)


def test_more_arms_than_there_is_room_for_are_counted(tmp_path):
    policies = [f"p{number}" for number in range(10)]
    figure = PICTURES["clients"].figure(metrics_of(tmp_path / "w", [0.5], policies=policies))
    assert len(figure.axes) == clients.MOST_ARMS + 1  # And the scale of the shades.
    assert figure.get_suptitle().endswith("\n2 more arms are not drawn")


def test_few_widths_have_a_place_each(groups):
    panel = PICTURES["histogram"].figure(groups[:1]).axes[0]
    assert [text.get_text() for text in panel.get_xticklabels()] == ["0.25", "0.5", "1"]
    heights = [[bar.get_height() for bar in bars] for bars in panel.containers]
    assert heights == [[0, 6, 0], [2, 2, 2], [2, 2, 2]]


def test_many_widths_are_counted_in_bins(tmp_path):
    widths = [0.05, 0.1, 0.11, 0.25, 0.3, 0.31, 0.5, 0.7, 0.95, 1.0]
    groups = metrics_of(tmp_path / "w", widths, seeds=2)
    panel = PICTURES["histogram"].figure(groups).axes[0]
    (bars,) = panel.containers
    assert [bar.get_height() for bar in bars] == [1, 2, 1, 2, 0, 1, 0, 1, 0, 2]
    names = [text.get_text() for text in panel.get_xticklabels()]
    assert names == list(TENTHS)
    assert names[5] == "[.5, .6)"  # .5 is at its place, and counted there.


def test_bounds_of_tenths_are_at_their_beginning():
    widths = [0, 0.1, 0.3, 0.1 + 0.2, 0.29, 0.5, 0.7, 0.999, 1]
    assert [tenth_of(width) for width in widths] == [0, 1, 3, 3, 2, 5, 7, 9, 9]


def test_the_histogram_says_what_it_is_of(tmp_path):
    def note(seeds):
        groups = metrics_of(tmp_path / str(seeds), [0.5, 1.0], seeds)
        return PICTURES["histogram"].figure(groups).legends[0].get_title().get_text()

    assert note(1) == "one seed, so there are no intervals"
    assert note(3) == "the same in each of 3 seeds"
    path = tmp_path / "3" / "metrics.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",1.0", ",0.5", 1), encoding="utf-8")
    figure = PICTURES["histogram"].figure(plots.grouped([path.parent]))
    expected = "means over 3 seeds; whiskers: 95 % intervals, cut at 0"
    assert figure.legends[0].get_title().get_text() == expected


def test_marks_that_cover_each_other_are_side_by_side():
    found = lines.shifts_of([0.35, 0.30, 0.351, 0.352], 0.01)
    np.testing.assert_allclose(found, [-0.01, 0, 0, 0.01])
    assert not lines.shifts_of([0.35, 0.30], 0.01).any()
    np.testing.assert_allclose(lines.shifts_of([0.01, 0.0], 0.01), [0.005, -0.005])


def test_several_workdirs_have_a_file_of_their_own(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one / "need.csv", one / "merged_need.csv", two / "need.csv"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    both, single = (types.SimpleNamespace(folders=own) for own in ((one, two), (two,)))
    for group, path in ((both, one / "merged_need.csv"), (single, two / "need.csv")):
        assert first_file([group], "need.csv", "need", merged=True) == path
    assert first_file([both], "need.csv", "need") == one / "need.csv"


def test_scores_show_their_rank_correlation_with_the_need(groups):
    figure = PICTURES["need"].figure(groups[:1])
    panels = {panel.get_xlabel(): panel for panel in figure.axes}
    assert panels["score label_divergence"].get_title() == "rank correlation +1.00 ± 0.00"
    assert panels["score entropy"].get_title() == "rank correlation -1.00 ± 0.00"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(examples.CLIENTS)


def test_budgets_are_joined_by_a_line(groups):
    figure = PICTURES["budget"].figure(groups)
    assert len(figure.axes) == 3
    line = figure.axes[0].lines[1]  # The first is the Pareto front.
    # Three arms have the same MACs, so they are drawn side by side, .04 of the axis apart.
    np.testing.assert_allclose(line.get_xdata(), [0.48, 0.98])
    assert "side by side where MACs are nearly equal" in figure.legends[0].get_title().get_text()
    np.testing.assert_allclose(np.diff(line.get_ydata()), 10)
    with pytest.raises(Lacking, match="all arms have nearly the same MACs"):
        PICTURES["budget"].figure(groups[:1])


def test_budgets_of_other_data_are_not_joined(tmp_path):
    folders = []
    for name, budget in (("a", 0.25), ("b", 0.5)):
        arms = records("uniform", [0.1, 0.2], budget=budget)
        arms += records("hasa", [0.1, 0.2], budget=budget + 0.2)
        folders.append(write(tmp_path / name, arms, data_sha256={"0": name}))
    figure = PICTURES["budget"].figure(plots.grouped(folders))
    assert [part.get_suptitle() for part in figure.subfigs] == [
        "a (coverage aggregation)",
        "b (coverage aggregation)",
    ]


def test_budgets_with_other_seeds_are_joined(tmp_path):
    """Data are the same where both say what they are."""
    folders = [
        write(
            tmp_path / name,
            records("uniform", [0.1] * seeds, budget=budget),
            {"allocation": {"budget": budget}},
        )
        for name, budget, seeds in (("a", 0.25, 2), ("b", 0.5, 3))
    ]
    (panel, *_) = PICTURES["budget"].figure(plots.grouped(folders)).axes
    assert panel.lines[0].get_xdata().tolist() == [0.25, 0.5]
    write(
        folders[1],
        records("uniform", [0.1] * 3, budget=0.5),
        {"allocation": {"budget": 0.5}, "training": {"local_epochs": 5}},
    )
    with pytest.raises(Lacking, match="workdirs of other budgets differ in more than the budget"):
        PICTURES["budget"].figure(plots.grouped(folders))


def test_rounds_that_cost_other_macs_share_no_panel(tmp_path):
    folders = [
        write(tmp_path / f"{n}", records(f"p{n}", [0.1]), {"training": {"local_epochs": n}})
        for n in (1, 5)
    ]
    with pytest.raises(Lacking, match="differ in local_epochs, so their rounds cost other MACs"):
        PICTURES["macs"].figure([results.read(folders)])
    assert len(PICTURES["macs"].figure(plots.grouped(folders)).axes) == 6


def test_macs_of_need_are_said_to_lack_its_measurements(tmp_path):
    for policy, said in (("need@loss", True), ("hasa", False)):
        folder = write(tmp_path / policy, records(policy, [0.1, 0.2]))
        (legend,) = PICTURES["macs"].figure(plots.grouped([folder])).legends
        text = legend.get_title().get_text()
        assert ("MACs of need are without its measurements" in text) == said


def test_bytes_that_are_not_known_are_not_drawn_as_none(tmp_path):
    costs = {"bytes_down": 2e6, "bytes_up": 1e6}
    summary = records("uniform", [0.1, 0.2], bytes_once=0, **costs)
    summary += records("hasa", [0.1, 0.2], bytes_once="nan", **costs)
    figure = PICTURES["bytes"].figure(plots.grouped([write(tmp_path / "w", summary)]))
    assert len(figure.axes[0].lines) == 1
    (legend,) = figure.legends
    said = "not drawn, as their bytes are not known: hasa"
    assert legend.get_title().get_text().splitlines()[1] == said


@pytest.mark.parametrize(
    ("name", "file", "content", "reason"),
    [
        ("need", "need.csv", b"seed,client,score\n0,a,0.1\n", "has no scores beside the need"),
        ("need", "need.csv", b"seed,client,score,x\n0,a,0.1,y\n", "is damaged: run need again"),
        ("need", "need.csv", b"seed,client,score,x\n0,a,0.1\n", "is damaged: run need again"),
        ("need", "need.csv", b"", "is damaged: run need again"),
        ("need", "need.csv", b"\xff\xfe", "is damaged: run need again"),
        ("partition", "partition.csv", b"", "is damaged: run partition_report again"),
        ("partition", "partition.csv", b"client\n\xff\n", "is damaged: run partition_report"),
        ("partition", "partition.csv", b"client,train\na,1\n", "more than 100"),
        ("coverage", "coverage.csv", b"", "is damaged: run coverage again"),
        ("coverage", "coverage.csv", b"\xff\xfe", "is damaged: run coverage again"),
    ],
)
def test_a_damaged_file_is_a_reason(name, file, content, reason, tmp_path):
    folder = write(tmp_path / "w")
    (folder / file).write_bytes(content)
    with pytest.raises(Lacking, match=reason):
        PICTURES[name].figure(plots.grouped([folder]))


def test_folds_count_by_their_test_examples(groups):
    (found,) = groups[:1]
    folds = dataclasses.replace(found, metrics=in_folds(found.metrics))
    arm = found.arms[1]
    one, other = (clients.clients_of(own, arm) for own in (found, folds))
    assert one.width == other.width
    for name, by_seed in one.accuracy.items():
        assert other.accuracy[name] == pytest.approx(by_seed)
    spread = [PICTURES["by_size"].figure([own]).axes[2].lines[0] for own in (found, folds)]
    np.testing.assert_allclose(*(line.get_ydata() for line in spread))


def test_the_map_shows_groups_that_are_alike_once(groups, tmp_path):
    figure = PICTURES["coverage"].figure(groups[:1])
    labels = [panel.get_xlabel() for panel in figure.axes[:2]]
    assert labels == ["unit of hidden", "unit of heads"]
    assert "fiarse:uniform: the weights of the run decide" in figure.get_suptitle()
    assert "hasa:inverse_hasa: coverage.csv lacks it" in figure.get_suptitle()
    named = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert named == ["hasa:uniform", "hasa:hasa", "fiarse:uniform", "hasa:inverse_hasa"]
    table = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(table[0], 1 - np.arange(8) / 8)
    (folder,) = groups[0].folders
    path = folder / "coverage.csv"
    text = path.read_text(encoding="utf-8")
    try:
        lines = text.splitlines()
        alike = [line.replace(",hidden,", ",other,") for line in lines if ",hidden," in line]
        path.write_text("\n".join([*lines, *alike]), encoding="utf-8")
        figure = PICTURES["coverage"].figure(groups[:1])
        assert figure.axes[0].get_xlabel() == "unit of hidden (2 groups alike)"
    finally:
        path.write_text(text, encoding="utf-8")


def test_the_spread_of_clients_is_from_the_worst_to_the_best(groups):
    panel = PICTURES["by_size"].figure(groups[:1]).axes[2]
    line = panel.lines[0]
    assert line.get_xdata().tolist() == list(range(0, 101, 10))
    # Means over seeds: .336 of uniform, and .1 less and more for the ends.
    assert line.get_ydata()[[0, -1]].tolist() == pytest.approx([23.6, 43.6])


def test_accuracies_that_are_not_numbers_are_drawn_as_none(tmp_path):
    folder = write(tmp_path / "w", records("uniform", [float("nan")] * 2))
    panels = PICTURES["accuracy"].figure(plots.grouped([folder])).axes
    assert [panel.get_ylim() for panel in panels] == [(0, 100)] * 3


@pytest.mark.slow
def test_pictures_of_documents_are_drawn_by_their_names(groups):
    (found,) = groups[:1]
    root = found.folders[0].parent
    wanted = {"a.svg": ["macs", "half"], "b.png": ["partition", "half"]}
    made = dict(rebuilding.drawn(wanted, root, lambda name: results.read([root / name])))
    assert made["a.svg"].startswith(b"<?xml")
    assert made["b.png"].startswith(b"\x89PNG")
    assert made["a.svg"] == style.content_of(PICTURES["macs"].figure([found]), "svg")
    for picture, message in (("maps", "no picture 'maps'"), ("budget", "is not drawn: all arms")):
        with pytest.raises(UserError, match=message):
            next(rebuilding.drawn({"a.png": [picture, "half"]}, root, lambda _: found))


@pytest.mark.slow
def test_names_of_clients_of_any_kind_are_drawn(tmp_path):
    groups = metrics_of(tmp_path / "w", [0.5, 0.25])
    path = tmp_path / "w" / "metrics.csv"
    text = path.read_text(encoding="utf-8").replace(",c0,", ",$x^{$,").replace(",c1,", ",東京,")
    path.write_text(text, encoding="utf-8")
    scores = {"hasa:uniform": {"0": {"$x^{$": 0.3, "東京": 0.1}}}
    known = json.loads((tmp_path / "w" / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "w" / "run.json").write_text(json.dumps(known | {"scores": scores}))
    groups = plots.grouped([tmp_path / "w"])
    figure = PICTURES["clients"].figure(groups)
    assert style.content_of(figure, "png", 40).startswith(b"\x89PNG")
    assert [text.get_text() for text in figure.axes[1].get_xticklabels()] == ["東京", r"\$x^{\$"]
