"""Local and global accuracy of every size.

Local accuracy is that of clients' own subnets on their own test examples. Global accuracy is that
of a size on the test examples of all clients, on all classes. With `eval_clients` both are over
the clients that were drawn only.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis import curves, markdown, results, statistics
from experiments.analysis.results import Arm, Record, Results, arm_of
from experiments.analysis.tables import evaluated_on
from experiments.config import RunConfig
from experiments.study.block import Block
from hasa_jax.base import UserError
from hasa_jax.simulation import escapes
from hasa_jax.simulation.writers import say

Seeds = dict[int, float]
"""A number by seed."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What one method reached, at the last round unless it says otherwise; shares, not percent.

    Attributes:
      arm: the method and its policy.
      local: mean over clients of their local accuracy.
      local_at: the same over the clients of one size, by level.
      global_at: global accuracy, by level.
      own_classes: accuracy of the largest level on clients' own test examples, mean over clients;
        only on their own classes where the method hides others.
      trained: levels that clients have.
      params: mean share of the supernet's parameters that clients hold, by their examples.
      clients: local accuracies of all clients and seeds.
      curve: global accuracy, mean over the trained levels, by round.
      empty_at: share of the layers without a weight at the first and the last evaluation, mean over
        seeds, by level; empty where sizes.csv does not say.
      severed_at: share of the seeds in which no path led from input to output then, by level.
    """

    arm: Arm
    local: Seeds
    local_at: Mapping[str, Seeds]
    global_at: Mapping[str, Seeds]
    own_classes: Seeds
    trained: tuple[str, ...]
    params: Seeds
    clients: np.ndarray
    curve: Mapping[int, Seeds]
    empty_at: Mapping[str, tuple[float, float]]
    severed_at: Mapping[str, tuple[float, float]]

    @property
    def all_sizes(self) -> Seeds:
        """Global accuracy, mean over the trained levels."""
        return self.curve[max(self.curve)]


def read(found: Results) -> list[Sizes]:
    """Gathers what every method reached.

    Args:
      found: results of runs with `eval_levels`.

    Returns:
      An entry for each arm, in the order of the records.

    Raises:
      UserError: if an arm has no such results.
    """
    by_arm: dict[Arm, list[Record]] = {arm: [] for arm in found.arms}
    for record in found.sizes:
        by_arm[arm_of(record)].append(record)
    for arm, own in by_arm.items():
        if not own:
            raise UserError(f"sizes.csv has nothing of {arm.name!r}: run it with `eval_levels`")
    return [
        _sizes_of(
            arm,
            [r for r in found.metrics if r["split"] == "test" and arm_of(r) == arm],
            own,
            [r for r in found.summary if arm_of(r) == arm],
            found.levels.get(arm),
        )
        for arm, own in by_arm.items()
    ]


def _sizes_of(
    arm: Arm,
    metrics: Sequence[Record],
    sizes: Sequence[Record],
    summary: Sequence[Record],
    given: Sequence[float] | None,
) -> Sizes:
    """Gathers the records of one arm; `given` are the levels of its policy, if it has any."""
    last = str(max(int(r["round"]) for r in sizes))
    clients = [r for r in metrics if r["round"] == last]
    size_of = {r["level"]: r["size"] for r in sizes}
    levels = sorted(size_of, key=float)
    held = {r["size"] for r in clients}
    trained = tuple(level for level in levels if size_of[level] in held)
    if given is not None:
        # Of levels whose subnets are equally large, those that the clients were given.
        trained = tuple(x for x in trained if float(x) in given)
    rounds = sorted({int(r["round"]) for r in sizes})
    at_last = [r for r in sizes if r["round"] == last]
    return Sizes(
        arm=arm,
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
        params=_means([r for r in summary if r.get("budget_params")], "budget_params"),
        clients=np.array([float(r["accuracy"]) for r in clients]),
        curve={
            number: _means(
                [r for r in sizes if r["round"] == str(number) and r["level"] in trained],
                "global_accuracy",
            )
            for number in rounds
        },
        empty_at=_first_and_last(sizes, "empty_layers", rounds),
        severed_at=_first_and_last(sizes, "severed", rounds),
    )


def _first_and_last(
    sizes: Sequence[Record], column: str, rounds: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """Returns the mean of a column at the first and at the last round, by level."""
    known = [record for record in sizes if record.get(column)]
    values: dict[str, dict[int, list[float]]] = {}
    for record in known:
        of_level = values.setdefault(record["level"], {})
        of_level.setdefault(int(record["round"]), []).append(float(record[column]))
    return {
        level: (float(np.mean(own[rounds[0]])), float(np.mean(own[rounds[-1]])))
        for level, own in values.items()
    }


def _means(records: Sequence[Record], column: str) -> Seeds:
    """Returns the mean of a column for each seed, over its folds, too."""
    by_seed = collections.defaultdict(list)
    for record in records:
        by_seed[int(record["seed"])].append(float(record[column]))
    return {seed: float(np.nanmean(values)) for seed, values in sorted(by_seed.items())}


def tables(
    reached: Sequence[Sizes],
    names: Mapping[Arm, str],
    baselines: Mapping[Block, Mapping[str, float]],
) -> str:
    """Makes the tables: percent, mean over seeds ± half the 95 % Student interval.

    Args:
      reached: of all arms; differences are paired by seed, to the first.
      names: what the arms are called.
      baselines: what predictions of the most frequent training target reach, by seed and fold; it
        may be empty.

    Returns:
      Markdown tables: means and differences, global accuracies by level, local ones, and, where
      single parameters are cut, the layers that keep none.
    """
    levels = sorted({level for own in reached for level in own.global_at}, key=float)
    trained = [level for level in levels if any(level in own.trained for own in reached)]
    means, by_global, by_local = [], [], []
    for own in reached:
        name, base = names[own.arm], reached[0]
        gains = [_gain(own, base, what) for what in ("local", "all_sizes")]
        gains = ["reference"] * 2 if own is base else gains
        means.append([name, _spread(own.local), gains[0], _spread(own.all_sizes), gains[1]])
        by_global.append([name, *(_mean(own.global_at.get(level)) for level in levels)])
        share = f"{_percent(own.params).mean() / 100:.3f}" if own.params else "none"
        local = (_mean(own.local_at.get(level)) for level in trained)
        by_local.append([name, *local, _spread(own.own_classes), share])
    if baselines:
        by_seed: dict[int, list[float]] = collections.defaultdict(list)
        for block, own in baselines.items():
            by_seed[block.seed].append(own["mean_accuracy"])
        majority = _spread({seed: float(np.mean(own)) for seed, own in by_seed.items()})
        means.append(["majority", majority, "", "", ""])
    seen = [f"{level}{'' if level in trained else ' (unseen)'}" for level in levels]
    empty = [[names[own.arm], *(_empty(own, level) for level in levels)] for own in reached]
    parts = [
        "Layers without a weight in %, at the first and at the last evaluation, and seeds without "
        "a path\nfrom input to output (severed) then:",
        markdown.table(["", *seen], empty),
    ]
    cut = any(any(shares) for own in reached for shares in own.empty_at.values())
    return "\n\n".join(
        [
            markdown.table(["", "local %", "Δ local (p t)", "global %", "Δ global (p t)"], means),
            "Global accuracy by size:",
            markdown.table(["", *seen], by_global),
            "Local accuracy of the clients of each size, that of the largest size on clients' own "
            "data,\nand the mean share of the parameters that clients hold:",
            markdown.table(["", *trained, "largest", "params"], by_local),
            *(parts if cut else []),
        ]
    )


def _empty(result: Sizes, level: str) -> str:
    """Makes the cell of the layers without a weight at one level."""
    if level not in result.empty_at:
        return "none"
    text = " → ".join(f"{100 * share:.0f}" for share in result.empty_at[level])
    severed = result.severed_at.get(level, (0.0, 0.0))
    if not any(severed):
        return text
    return f"{text} (severed {' → '.join(f'{100 * share:.0f} %' for share in severed)})"


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
    return statistics.accuracy_text(_percent(values))


def _gain(result: Sizes, reference: Sizes, name: str) -> str:
    """Makes the cell of a paired difference."""
    own, other = getattr(result, name), getattr(reference, name)
    gains = 100 * np.array([own[seed] - other[seed] for seed in own if seed in other])
    if not gains.size:
        return "none"
    p, _ = statistics.p_values(gains)
    half = statistics.interval(gains)
    return f"{statistics.number(gains.mean(), half, signed=True)} ({statistics.p_text(p)})"


def draw(reached: Sequence[Sizes], unit: str, target: pathlib.Path) -> None:
    """Draws global accuracy over rounds and over sizes, and how clients' local accuracies spread.

    Args:
      reached: of all arms.
      unit: what the levels are fractions of.
      target: the picture file.

    Raises:
      UserError: if matplotlib is missing.
    """
    figure = curves.new_figure(13, 4.0)
    rounds, sizes, clients = figure.subplots(1, 3)
    arms = [own.arm for own in reached]
    look_of = curves.looks(arms)
    for own in reached:
        look = look_of[own.arm]
        curve = {number: _percent(values) for number, values in own.curve.items() if values}
        curves.draw_curve(rounds, list(curve), list(curve.values()), look)
        levels = [float(level) for level in own.global_at]
        by_level = list(map(_percent, own.global_at.values()))
        curves.draw_curve(sizes, levels, by_level, look, marker="")
        for level, values in zip(own.global_at, by_level, strict=True):
            face = look[0] if level in own.trained else "white"
            sizes.plot(float(level), values.mean(), "o", color=look[0], mfc=face, ms=5)
        edges = np.linspace(0, 100, 21)
        clients.hist(100 * own.clients, edges, histtype="step", color=look[0], linestyle=look[1])
    accuracy = "global accuracy (%)"
    rounds.set(xlabel="round", ylabel=accuracy, title="Mean over the trained sizes")
    fraction = f"size (fraction of the supernet, in {unit})"
    sizes.set(xlabel=fraction, ylabel=accuracy, title="Last round (open: unseen)", xscale="log")
    clients.set(xlabel="local accuracy (%)", ylabel="clients, all seeds", title="Last round")
    figure.suptitle("Shaded: 95 % intervals over seeds, cut at 0 and 100", fontsize=9)
    curves.add_legend(figure, results.labels_of(arms), look_of, columns=4)
    curves.save(figure, target)


def text_of(found: Results, reached: Sequence[Sizes]) -> str:
    """Writes the tables, and what they are of.

    Args:
      found: the results.
      reached: of all arms, from `read`.

    Returns:
      Markdown; its caption says how many clients were drawn for evaluation, if any were.
    """
    names = results.labels_of(found.arms)
    drawn = evaluated_on(found)
    parts = [
        *([markdown.paragraph(f"{drawn} All accuracies are over these clients.")] if drawn else []),
        markdown.fitted(lambda own: tables(reached, own, found.baselines), names),
        *([markdown.notes(list(map(escapes.markdown, found.remarks)))] if found.remarks else []),
    ]
    return "\n\n".join(parts)


def report(config: RunConfig) -> None:
    """Writes by_size.md and by_size.png into the first of several workdirs.

    Args:
      config: names the workdirs, with commas between them; they ran the same data.

    Raises:
      UserError: if matplotlib is missing, a folder holds no results, or they are not alike.
    """
    folders = results.folders_of(config.reporting.workdir)
    for folder in folders:
        if (folder / "summary.csv").exists() and not (folder / "sizes.csv").exists():
            raise UserError(f"{folder} has no sizes.csv: run compare with `eval_levels`")
    found = results.read(folders)
    reached = read(found)
    text = text_of(found, reached)
    (folders[0] / "by_size.md").write_text(text + "\n", encoding="utf-8")
    draw(reached, found.budget_unit, folders[0] / "by_size.png")
    say(f"{text}\n{folders[0] / 'by_size.png'}")
