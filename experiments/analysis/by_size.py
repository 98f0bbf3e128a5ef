"""Local and global accuracy of every size.

Local accuracy is that of clients' own subnets on their own test examples. Global accuracy is that
of a size on the test examples of all clients, on all classes.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tabulate

from experiments.analysis import tables
from experiments.analysis.tables import Record
from experiments.config import RunConfig
from experiments.study.manifest import read_manifest
from hasa_jax.base import UserError

Seeds = dict[int, float]
"""A number by seed."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What one method reached, at the last round unless it says otherwise; shares, not percent.

    Attributes:
      label: its name in tables.
      local: mean over clients of their local accuracy.
      local_at: the same over the clients of one size, by level.
      global_at: global accuracy, by level.
      own_classes: accuracy of the largest level on clients' own test examples, mean over clients;
        only on their own classes where the method hides others.
      trained: levels that clients have.
      params: mean share of the supernet's parameters that clients hold, by their examples.
      clients: local accuracies of all clients and seeds.
      curve: global accuracy, mean over the trained levels, by round.
    """

    label: str
    local: Seeds
    local_at: Mapping[str, Seeds]
    global_at: Mapping[str, Seeds]
    own_classes: Seeds
    trained: tuple[str, ...]
    params: Seeds
    clients: np.ndarray
    curve: Mapping[int, Seeds]

    @property
    def all_sizes(self) -> Seeds:
        """Global accuracy, mean over the trained levels."""
        return self.curve[max(self.curve)]


def read(folder: pathlib.Path) -> list[Sizes]:
    """Reads what every method of a workdir reached.

    Args:
      folder: a finished run with `eval_levels`.

    Returns:
      An entry for each method and policy, in the order in which they ran.

    Raises:
      UserError: if there are no such results.
    """
    if not (folder / "sizes.csv").exists():
        raise UserError(f"{folder} has no sizes.csv: run compare with `eval_levels`")
    metrics = tables.read_records(folder / "metrics.csv", ("accuracy", "size"))
    sizes = tables.read_records(folder / "sizes.csv", ("global_accuracy", "local_accuracy", "size"))
    summary = tables.read_records(folder / "summary.csv", tables.SUMMARY_NUMBERS)
    arms = list(dict.fromkeys(map(tables.arm_of, sizes)))
    config = read_manifest(folder).run
    label = folder.name if len(arms) == 1 else ""
    return [
        _sizes_of(
            label or ":".join(arm),
            [r for r in metrics if tables.arm_of(r) == arm and r["split"] == "test"],
            [r for r in sizes if tables.arm_of(r) == arm],
            [r for r in summary if tables.arm_of(r) == arm],
            config,
        )
        for arm in arms
    ]


def _sizes_of(
    label: str,
    metrics: Sequence[Record],
    sizes: Sequence[Record],
    summary: Sequence[Record],
    config: RunConfig,
) -> Sizes:
    """Gathers the records of one method."""
    last = str(max(int(r["round"]) for r in sizes))
    clients = [r for r in metrics if r["round"] == last]
    size_of = {r["level"]: r["size"] for r in sizes}
    levels = sorted(size_of, key=float)
    held = {r["size"] for r in clients}
    trained = tuple(level for level in levels if size_of[level] in held)
    if sizes[0]["policy"] == "levels":
        # Of levels whose subnets are equally large, those that the clients were given.
        trained = tuple(x for x in trained if float(x) in config.allocation.levels)
    rounds = sorted({int(r["round"]) for r in sizes})
    at_last = [r for r in sizes if r["round"] == last]
    return Sizes(
        label=label,
        local=_means(clients, "accuracy"),
        local_at={
            level: _means([r for r in clients if r["size"] == size_of[level]], "accuracy")
            for level in trained
        },
        global_at={
            level: _means([r for r in at_last if r["level"] == level], "global_accuracy")
            for level in levels
        },
        own_classes=_means([r for r in at_last if r["level"] == levels[-1]], "local_accuracy"),
        trained=trained,
        params=_means(summary, "budget_params"),
        clients=np.array([float(r["accuracy"]) for r in clients]),
        curve={
            number: _means(
                [r for r in sizes if r["round"] == str(number) and r["level"] in trained],
                "global_accuracy",
            )
            for number in rounds
        },
    )


def _means(records: Sequence[Record], column: str) -> Seeds:
    """Returns the mean of a column for each seed."""
    by_seed = collections.defaultdict(list)
    for record in records:
        by_seed[int(record["seed"])].append(float(record[column]))
    return {seed: float(np.nanmean(values)) for seed, values in sorted(by_seed.items())}


def table(results: Sequence[Sizes]) -> str:
    """Makes the table: percent, mean over seeds ± half the 95 % Student interval.

    Args:
      results: of all methods; differences are paired by seed, to the first.

    Returns:
      A Markdown table.
    """
    levels = sorted({level for r in results for level in r.global_at}, key=float)
    trained = [level for level in levels if any(level in r.trained for r in results)]
    lines = []
    for result in results:
        cells = [result.label, _spread(result.local)]
        cells += [_mean(result.local_at.get(level)) for level in trained]
        cells.append(_spread(result.all_sizes))
        cells += [_mean(result.global_at.get(level)) for level in levels]
        cells += [_spread(result.own_classes), f"{_percent(result.params).mean() / 100:.3f}"]
        for name in ("local", "all_sizes"):
            same = result is results[0]
            cells.append("reference" if same else _gain(result, results[0], name))
        lines.append(cells)
    headers = [
        "method",
        "local %",
        *(f"local at {level}" for level in trained),
        "global %",
        *(f"global at {level}{'' if level in trained else ' (unseen)'}" for level in levels),
        "largest size on clients' own data %",
        "params",
        "Δ local (p t)",
        "Δ global (p t)",
    ]
    return tabulate.tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _percent(values: Seeds) -> np.ndarray:
    """Returns the numbers of all seeds in percent."""
    return 100 * np.array(list(values.values()))


def _mean(values: Seeds | None) -> str:
    """Makes the cell of a mean."""
    return f"{_percent(values).mean():.2f}" if values else "none"


def _spread(values: Seeds) -> str:
    """Makes the cell of a mean with its interval."""
    if not values:
        return "none"
    return tables.number(_percent(values).mean(), tables.interval(_percent(values)), signed=False)


def _gain(result: Sizes, reference: Sizes, name: str) -> str:
    """Makes the cell of a paired difference."""
    own, other = getattr(result, name), getattr(reference, name)
    gains = 100 * np.array([own[seed] - other[seed] for seed in own if seed in other])
    if not gains.size:
        return "none"
    p, _ = tables.p_values(gains)
    return (
        f"{tables.number(gains.mean(), tables.interval(gains), signed=True)} ({tables.p_text(p)})"
    )


def draw(results: Sequence[Sizes], target: pathlib.Path) -> None:
    """Draws global accuracy over rounds and over sizes, and how clients' local accuracies spread.

    Args:
      results: of all methods.
      target: the picture file.

    Raises:
      UserError: if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure  # Without pyplot there is no display to need.
    except ImportError:
        raise UserError("plots need matplotlib: pip install 'hasa_jax[plots]'") from None
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    rounds, sizes, clients = figure.subplots(1, 3)
    bins = np.linspace(0, 100, 21)
    for result in results:
        curve = {number: values for number, values in result.curve.items() if values}
        means = [_percent(values).mean() for values in curve.values()]
        (line,) = rounds.plot(list(curve), means, marker=".", label=result.label)
        levels = [float(level) for level in result.global_at]
        means = [_percent(values).mean() for values in result.global_at.values()]
        sizes.plot(levels, means, color=line.get_color(), lw=1)
        for level, mean in zip(result.global_at, means, strict=True):
            seen = level in result.trained
            face = line.get_color() if seen else "white"
            sizes.plot(float(level), mean, "o", color=line.get_color(), mfc=face, ms=5)
        clients.hist(100 * result.clients, bins, histtype="step", color=line.get_color())
    rounds.set(xlabel="round", ylabel="global accuracy (%)", title="Mean over the trained sizes")
    sizes.set(xlabel="size", title="Last round, by size (open: unseen)", xscale="log")
    clients.set(xlabel="local accuracy (%)", ylabel="clients, all seeds", title="Clients")
    rounds.legend(fontsize=7)
    figure.savefig(target, dpi=110)


def check_alike(folders: Sequence[pathlib.Path]) -> None:
    """Refuses to compare what is not alike.

    Args:
      folders: workdirs.

    Raises:
      UserError: naming one of other data, seeds, rounds or budget unit than the first.
    """
    first, *others = map(_compared, folders)
    for folder, other in zip(folders[1:], others, strict=True):
        for what in first:
            if first[what] != other[what]:
                raise UserError(f"{folder} has other {what} than {folders[0]}: compare like runs")


def _compared(folder: pathlib.Path) -> dict[str, object]:
    """Returns what workdirs must agree in to be compared, by what errors call it."""
    found = read_manifest(folder)
    return {
        "data or seeds": found.data_sha256,
        "`budget_unit`": found.run.allocation.budget_unit,
        "`num_rounds`": found.run.training.num_rounds,
    }


def report(config: RunConfig) -> None:
    """Writes by_size.md and by_size.png into the first of several workdirs.

    Args:
      config: names the workdirs, with commas between them; they ran the same data and seeds.

    Raises:
      UserError: if matplotlib is missing, a folder holds no results, or they are not alike.
    """
    folders = [pathlib.Path(name) for name in config.reporting.workdir.split(",")]
    check_alike(folders)
    results = [result for folder in folders for result in read(folder)]
    text = table(results)
    (folders[0] / "by_size.md").write_text(text + "\n", encoding="utf-8")
    draw(results, folders[0] / "by_size.png")
    print(f"{text}\n{folders[0] / 'by_size.png'}")
