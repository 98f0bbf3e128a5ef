"""Small results by hand that every picture can be drawn of."""

import csv
import json

import numpy as np

from experiments.analysis import plots
from experiments.analysis.pictures import PICTURES, suite, testbed
from experiments.analysis.suite_results import Outcome
from experiments.analysis.testbed_table import CORRELATIONS, Gain, Gains, Place
from experiments.study.suite import Suite, Task
from tests.experiments.analysis.workdirs import record, write_csv

ARMS = {"uniform": 0.30, "hasa": 0.34, "inverse_hasa": 0.25}
"""Policies, and what they reach."""

CLIENTS = tuple("abcdef")
SEEDS = (0, 1, 2)
ROUNDS = (2, 4, 6)
LEVELS = {"1": 8, "0.5": 4, "0.25": 2}

SCORES = dict(zip(CLIENTS, (0.3, 0.1, 0.6, 0.2, 0.5, 0.4), strict=True))


def width_of(policy, client):
    """The width of a client: it follows the score, its opposite, or nothing."""
    place = sorted(CLIENTS, key=SCORES.__getitem__).index(client)
    if policy == "uniform":
        return 0.5
    return (1.0, 0.5, 0.25)[place // 2 if policy == "inverse_hasa" else 2 - place // 2]


def workdir(folder, shift=0.0, budget=0.5):
    """Writes a workdir with all tables that pictures are drawn of."""
    folder.mkdir(parents=True)
    summary, metrics, sizes = [], [], []
    for policy, reached in ARMS.items():
        for seed in SEEDS:
            for round in ROUNDS:
                mean = reached + shift + 0.03 * round - 0.004 * round**2 + 0.01 * (seed - 1)
                costs = {"bytes_down": 2e5 * budget, "bytes_up": 1e5 * budget, "bytes_once": 40}
                own = record(policy, seed, mean, budget, round, **costs)
                own |= {"worst_accuracy": str(mean - 0.1), "tail_accuracy": str(mean - 0.06)}
                summary.append(own)
                metrics += [_client(own, policy, c, mean, seed) for c in CLIENTS]
                sizes += [_size(own, level, size, mean) for level, size in LEVELS.items()]
    write_csv(folder / "summary.csv", summary)
    write_csv(folder / "metrics.csv", metrics)
    write_csv(folder / "sizes.csv", sizes)
    scores = {str(seed): SCORES for seed in SEEDS}
    known = {
        "script": "compare",
        "config": {"allocation": {"budget": budget}},
        "data_sha256": {str(seed): f"data of {seed}" for seed in SEEDS},
        "scores": {f"hasa:{policy}": scores for policy in ("hasa", "inverse_hasa")},
    }
    (folder / "run.json").write_text(json.dumps(known), encoding="utf-8")
    _need(folder / "need.csv")
    _partition(folder / "partition.csv")
    _coverage(folder / "coverage.csv")
    return folder


def _client(own, policy, client, mean, seed):
    """A record of metrics.csv."""
    place = CLIENTS.index(client)
    width = width_of(policy, client)
    values = {
        "accuracy": str(mean + 0.04 * (place - 2.5) + 0.01 * (seed - 1) * place),
        "client": client,
        "num_examples": "40",
        "size": str(int(8 * width)),
        "width": str(width),
        "split": "test",
    }
    return own | values


def _size(own, level, size, mean):
    """A record of sizes.csv; no client of uniform has a size but one."""
    values = {"level": level, "size": str(size), "global_accuracy": str(mean - 0.02 / size)}
    return own | values | {"local_accuracy": str(mean)}


def _need(path):
    """Writes need.csv: one score follows the need, one its opposite."""
    lines = [
        {
            "seed": seed,
            "client": client,
            "score": 0.2 * SCORES[client] + 0.01 * (seed - 1),
            "label_divergence": SCORES[client],
            "entropy": 2 - SCORES[client] + 0.02 * seed,
        }
        for seed in SEEDS
        for client in CLIENTS
    ]
    write_csv(path, lines)


def _partition(path):
    """Writes partition.csv of twelve classes."""
    generator = np.random.default_rng(0)
    lines = []
    for place, client in enumerate(CLIENTS):
        counts = generator.integers(0, 9, 12)
        parts = {"train": 60 + 10 * place, "validation": 10, "test": 20}
        own = {"client": client, **parts, "label_divergence": SCORES[client]}
        lines.append(own | {f"class_{label}": count for label, count in enumerate(counts)})
    write_csv(path, lines)


def _coverage(path):
    """Writes coverage.csv: a prefix, a window, and an arm that is not known."""
    front = {"method": "hasa", "policy": "uniform", "reason": ""}
    lines = []
    for group, units in (("hidden", 8), ("heads", 4)):
        for unit in range(units):
            own = {"group": group, "unit": unit}
            lines.append({**front, **own, "share": 1 - unit / units})
            lines.append({**front, "policy": "hasa", **own, "share": 0.4 + unit / 40})
    nothing = {"method": "fiarse", "policy": "uniform", "group": "", "unit": "", "share": ""}
    lines.append({**nothing, "reason": "the weights of the run decide"})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def groups(root):
    """Results of two budgets."""
    folders = [root / "half", root / "full"]
    if not folders[0].exists():
        workdir(folders[0])
        workdir(folders[1], shift=0.1, budget=1.0)
    return plots.grouped(folders)


def suite_figure():
    """The picture of a suite of two tasks, three arms and two budgets."""
    outcomes = []
    for task in ("one", "two"):
        for place, arm in enumerate(("heterofl:levels", "hasa:hasa", "fiarse:levels")):
            for budget in (0.25, 0.5):
                mean = 40 + 20 * budget + 4 * place
                values = {seed: mean + seed - 1.0 for seed in SEEDS}
                costs = {"budget_macs": budget, "budget_executed": budget}
                costs |= {"bytes_down": 1e6 * (budget + 0.1 * place), "bytes_up": 5e5}
                achieved = dict.fromkeys(SEEDS, budget)
                outcomes.append(Outcome(task, budget, arm, 3, values, values, achieved, costs))
    tasks = tuple(Task(name, f"Task {name}", (), {}, {}, {}) for name in ("one", "two", "empty"))
    return suite.figure_of(Suite("tiny", "heterofl:levels", SEEDS, tasks, ()), outcomes)


def testbed_figure():
    """The picture of a testbed with two policies, whose verdicts are all there."""
    found, noise = {}, np.array([-0.5, 0.0, 0.5])
    for metric, factor in (("mean", 1), ("worst", 2)):
        for score in CORRELATIONS:
            for size in CORRELATIONS:
                gain = factor * (3 * score + size)
                verdict = "better" if gain > 2 else "worse" if gain < -2 else "not told apart"
                place = Place(score, size)
                found[metric, place, "hasa"] = Gain(gain + noise, verdict)
                found[metric, place, "random"] = Gain(-factor + noise, "not told apart")
    gains = Gains(("hasa", "random"), "uniform", found, {}, {})
    return testbed.figure_of(gains)


def drawn(root):
    """All pictures by name: those of the table, and those of suites and the testbed.

    Most are of one group of workdirs, that of budgets is of both.
    """
    both = groups(root)
    figures = {
        name: own.figure(both if name in ("accuracy", "budget") else both[:1])
        for name, own in PICTURES.items()
    }
    return figures | {"suite": suite_figure(), "testbed": testbed_figure()}


NAMES = (*PICTURES, "suite", "testbed")
ARMS_OF = {
    **{name: {*ARMS} for name in ("accuracy", "macs", "bytes", "by_size", "histogram", "budget")},
    "suite": {"heterofl:levels", "hasa:hasa", "fiarse:levels"},
}
"""What legends must name, by picture."""
