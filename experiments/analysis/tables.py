"""From the results of workdirs to their table."""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from experiments.analysis import markdown, results, verdicts
from experiments.analysis.matched import (
    MATCHED_WITHIN,
    achieved,
    at_round,
    budgets_match,
    executed,
    measuring_remark,
)
from experiments.analysis.results import METRICS, UNITS, Arm, Record, Results, arm_of
from experiments.analysis.statistics import ALPHA, accuracy_text, difference_text, least_p
from experiments.config import RunConfig
from experiments.rooms import ComparisonConfig
from hasa_jax.base import UserError
from hasa_jax.simulation import escapes
from hasa_jax.simulation.baseline import FEW
from hasa_jax.simulation.health import Updates
from hasa_jax.simulation.writers import say

NAMES = {"macs": "MACs"}
"""Units that tables spell in another way."""

_MEGABYTE = 1e6

_ONCE = "bytes_once"

GLOBAL = {f"global {metric} %": f"global_{metric}_accuracy" for metric in METRICS}
"""Columns of the supernet on each client's own classes, by their headers."""

SENT = {"MB down": "bytes_down", "MB up": "bytes_up", "B once": _ONCE, "updates": "updates"}
"""Columns of what clients send and receive, by their headers."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a table compares.

    Attributes:
      found: the results.
      reference: the arm that others are compared with.
      matched: the unit in which arms must agree for a p value.
      labels: what every arm is called.
    """

    found: Results
    reference: Arm
    matched: str
    labels: Mapping[Arm, str]


def best_round(metrics: Sequence[Record], arm: Arm, rounds: Sequence[int]) -> int:
    """Picks the round with the best mean validation accuracy of one arm.

    Args:
      metrics: records of metrics.csv.
      arm: the arm; neither others nor the test split are read.
      rounds: rounds to choose from.

    Returns:
      The earliest best round.
    """
    accuracies = collections.defaultdict(list)
    for record in metrics:
        if record["split"] == "validation" and arm_of(record) == arm:
            accuracies[int(record["round"])].append(float(record["accuracy"]))
    known = {r: np.nanmean(own) for r, own in accuracies.items() if not np.isnan(own).all()}
    common = sorted(set(known) & set(rounds))
    if not common:
        raise UserError(f"metrics.csv has no validation records of {arm.name!r}")
    return max(common, key=lambda r: known[r])


def choose_arm(arms: Sequence[Arm], name: str) -> Arm:
    """Chooses one of several arms by its name, or by a part that no other arm has.

    Args:
      arms: all of them.
      name: `method:policy`, a method, a policy, or the folder that sets it apart; the first arm
        if empty.

    Returns:
      The arm.

    Raises:
      UserError: if the name fits none of them, or more than one.
    """
    if not name:
        return arms[0]
    short = results.labels_of(arms)
    one_method = len({arm.method for arm in arms}) == 1
    fitting = [
        arm
        for arm in arms
        if name in (arm.name, short[arm], arm.folder, arm.policy if one_method else arm.method)
        or name == f"{arm.method}:{arm.policy}"
    ]
    if len(fitting) != 1:
        known = ", ".join(arm.name for arm in arms)
        raise UserError(f"`reference={name}` is not one arm of the results: use one of {known}")
    return fitting[0]


def accuracy_table(compared: Comparison, round: int) -> str:
    """Makes the first table of a round: accuracies, and how far their mean is from the reference.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A Markdown table: a line for each arm, and one for the most frequent class if it is known.
    """
    by_arm, several = at_round(compared.found, round), len(compared.found.arms) > 1
    lines: list[list[str]] = []
    for arm, own in by_arm.items():
        cells = [accuracy_text(_column(own, f"{metric}_accuracy", own)) for metric in METRICS]
        cells += [_difference(compared, by_arm, arm, "mean")] * several
        lines.append([compared.labels[arm], *cells])
    known = _majorities(compared.found)
    seeds = sorted({seed for own in by_arm.values() for seed in own} & set(known))
    if seeds:
        values = {m: np.array([100 * known[s][m] for s in seeds]) for m in METRICS}
        lines.append(["majority", *map(accuracy_text, values.values()), *[""] * several])
    headers = [_of_arm(compared), *(f"{metric} %" for metric in METRICS)]
    return markdown.table([*headers, *["Δ mean (p t, p W)"] * several], lines)


def difference_table(compared: Comparison, round: int) -> str:
    """Makes the second table of a round: how far worst and tail are from the reference.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A Markdown table.
    """
    by_arm = at_round(compared.found, round)
    lines = [
        [
            compared.labels[arm],
            *(_difference(compared, by_arm, arm, metric) for metric in ("worst", "tail")),
        ]
        for arm in by_arm
    ]
    return markdown.table([_of_arm(compared), "Δ worst (p t, p W)", "Δ tail (p t, p W)"], lines)


def exchange_table(compared: Comparison, round: int, columns: Mapping[str, str]) -> str:
    """Makes a table of the global model, or of what clients send and receive.

    Args:
      compared: the arms.
      round: the round.
      columns: columns of summary.csv by their headers, such as `GLOBAL` and `SENT`.

    Returns:
      A Markdown table of the columns that the results have; empty if they have none of them.
      `B once` are the bytes that a client sends once for its score, if some arm sends any;
      `unknown` where the score does not say.
    """
    by_arm = at_round(compared.found, round)
    records = [record for own in by_arm.values() for record in own.values()]
    present = {
        header: name
        for header, name in columns.items()
        if any(_is_sent(r) if name == _ONCE else _has(r, name) for r in records)
    }
    if not present:
        return ""
    lines = [
        [compared.labels[arm], *(_exchanged(own, name) for name in present.values())]
        for arm, own in by_arm.items()
    ]
    return markdown.table([_of_arm(compared), *present], lines)


def budget_table(compared: Comparison, round: int) -> str:
    """Makes the table of achieved budgets, which shows in which units they match.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A Markdown table; `≠` marks what differs from the reference by more than `MATCHED_WITHIN`.
      Column `uncut` has parameters that no size cuts and `params` does not count, if there are any.
    """
    by_arm = at_round(compared.found, round)
    units = [
        u for u in UNITS if all(_has(r, f"budget_{u}") for o in by_arm.values() for r in o.values())
    ]
    base = by_arm[compared.reference]
    uncut = any(
        _has(r, "budget_uncut") and float(r["budget_uncut"]) for r in compared.found.summary
    )
    # Arms that are called by their methods may differ in policies.
    others = _of_arm(compared) == "method" and len({arm.policy for arm in by_arm}) > 1
    lines = []
    for arm, own in by_arm.items():
        apart = [unit for unit in units if not _match(own, base, unit)]
        requested = float(next(iter(own.values()))["budget_requested"])
        cells = [escapes.markdown(arm.policy)] * others
        cells.append("none" if math.isnan(requested) else f"{requested:g}")
        for unit in units:
            achieved = _column(own, f"budget_{unit}", own).mean() / 100
            cells.append(f"{achieved:.3f}{' ≠' if unit in apart else ''}")
        if uncut:
            cells.append(f"{_column(own, 'budget_uncut', own).mean() / 100:.3f}")
        lines.append([compared.labels[arm], *cells])
    headers = [
        _of_arm(compared),
        *["policy"] * others,
        "B",
        *(NAMES.get(unit, unit) for unit in units),
        *["uncut"] * uncut,
    ]
    return markdown.table(headers, lines)


def text_of(found: Results, comparison: ComparisonConfig) -> str:
    """Writes the tables of some results.

    Args:
      found: the results.
      comparison: names the reference, and the unit in which arms must match. The round is always
        chosen by the first arm.

    Returns:
      Markdown that fits a terminal of `markdown.WIDTH` columns.

    Raises:
      UserError: if the reference is not one arm, if no round has all arms, or if the results lack
        the unit.
    """
    unit = comparison.matched or found.budget_unit
    if not all(_has(record, f"budget_{unit}") for record in found.summary):
        raise UserError(
            f"summary.csv has no achieved budget in {unit}: run the experiment again, or name "
            "another unit with `matched`"
        )
    if not found.rounds:
        raise UserError("no round was evaluated of all arms: compare runs of one `eval_every`")
    names = results.labels_of(found.arms)
    compared = Comparison(found, choose_arm(found.arms, comparison.reference), unit, names)
    chosen = best_round(found.metrics, found.arms[0], found.rounds)

    def make(labels: Mapping[Arm, str]) -> str:
        return _body(dataclasses.replace(compared, labels=labels), chosen)

    stopping = [escapes.markdown(own.text) for own in found.rules]
    parts = [markdown.paragraph(text) for text in (_caption(compared), *stopping)]
    parts.append(markdown.fitted(make, names))
    remarks = [escapes.markdown(remark) for remark in found.remarks]
    if remarks := [*_warnings(compared, chosen), *remarks]:
        parts.append(markdown.notes(remarks))
    return "\n\n".join(parts) + "\n"


def _body(compared: Comparison, chosen: int) -> str:
    """Makes the tables of the chosen round and of the last one, and that of the budgets."""
    found, last = compared.found, compared.found.rounds[-1]
    first = escapes.markdown(compared.labels[found.arms[0]])
    title = f"Round {chosen}, the best by mean validation accuracy of {first}:"
    parts = [markdown.paragraph(title), *_of_round(compared, chosen)]
    if last != chosen:
        parts += [f"Round {last}, the last:", *_of_round(compared, last)]
    about = f"Budget B in {NAMES.get(found.budget_unit, found.budget_unit)}, and achieved budgets"
    if len(found.arms) > 1:
        reference = escapes.markdown(compared.labels[compared.reference])
        about += f". Where there is no ≠, they match {reference} within {MATCHED_WITHIN:g}"
    return "\n\n".join([*parts, markdown.paragraph(f"{about}:"), budget_table(compared, chosen)])


def write(folders: Sequence[pathlib.Path], comparison: ComparisonConfig) -> str:
    """Writes the tables of one workdir to table.md, or those of several to the first of them.

    Args:
      folders: the workdirs.
      comparison: as for `text_of`.

    Returns:
      The text of table.md; of merged_table.md for several workdirs.
    """
    text = text_of(results.read(folders), comparison)
    name = "table.md" if len(folders) == 1 else "merged_table.md"
    (folders[0] / name).write_text(text, encoding="utf-8")
    return text


def report(config: RunConfig) -> None:
    """Writes and prints the table of one or more workdirs.

    Args:
      config: names the workdirs, and the arm that others are compared with.

    Raises:
      UserError: if a workdir holds no results, or they cannot be compared.
    """
    folders = results.folders_of(config.reporting.workdir)
    say(write(folders, config.comparison))


def _caption(compared: Comparison) -> str:
    """Says what the numbers of the tables are."""
    found = compared.found
    count = len({record["seed"] for record in found.summary})
    folds = f", each the mean of its {found.folds} folds" if found.folds else ""
    parts = [
        f"{count} matched seed{'s' if count > 1 else ''}{folds}. Client test accuracy of each "
        "client's own subnet: mean over seeds ± half the 95 % Student interval, or [low, high] "
        "where the interval is cut at 0 or 100.",
        f"Aggregation: {_aggregations(found)}.",
    ]
    if drawn := evaluated_on(found):
        parts.append(drawn)
    if len(found.arms) == 1:
        return " ".join(parts)
    reference = escapes.markdown(compared.labels[compared.reference])
    unit = NAMES.get(compared.matched, compared.matched)
    return " ".join(
        [
            *parts,
            f"Differences Δ are in points, paired by seed, to {reference}, where budgets match in "
            f"{unit}; p of the paired t test and of Wilcoxon's.",
        ]
    )


def evaluated_on(found: Results) -> str:
    """Says how many clients were drawn for evaluation.

    Args:
      found: the results.

    Returns:
      A sentence; empty if all clients were evaluated.
    """
    if not any(found.eval_clients):
        return ""
    counts = " or ".join(str(n) if n else "all" for n in found.eval_clients)
    return f"Evaluated on {counts} clients of each seed, drawn once."


def _aggregations(found: Results) -> str:
    """Names the server's mean of the arms: full or coverage, and by method if there are several."""
    methods: dict[str, dict[str, None]] = {}
    for record in found.summary:
        methods.setdefault(record["aggregation"], {})[record["method"]] = None
    if len(methods) == 1:
        return next(iter(methods))
    return ", ".join(f"{name} ({', '.join(own)})" for name, own in methods.items())


def _of_round(compared: Comparison, round: int) -> list[str]:
    """Makes the tables of one round."""
    tables = [accuracy_table(compared, round)]
    if len(compared.found.arms) > 1:
        tables.append(difference_table(compared, round))
        tables += _verdicts(compared, round)
    tables += [exchange_table(compared, round, columns) for columns in (GLOBAL, SENT)]
    return [table for table in tables if table]


def _verdicts(compared: Comparison, round: int) -> list[str]:
    """Makes the table of verdicts on the mean, with its caption, if two seeds are comparable."""
    gains = _gains(compared, round)
    if not gains:
        return []
    named = {compared.labels[arm]: own for arm, own in gains.items()}
    text = verdicts.caption(compared.labels[compared.reference], round, named)
    half = next((own.half for own in compared.found.rules), verdicts.RESOLVED)
    return [markdown.paragraph(text), verdicts.table(_of_arm(compared), named, half)]


def _gains(compared: Comparison, round: int) -> dict[Arm, np.ndarray]:
    """Returns the differences of mean accuracy of comparable arms, in points, by seed."""
    by_arm = at_round(compared.found, round)
    base, found = by_arm[compared.reference], {}
    for arm, own in by_arm.items():
        seeds = sorted(set(own) & set(base))
        if arm != compared.reference and len(seeds) > 1 and _match(own, base, compared.matched):
            found[arm] = _column(own, "mean_accuracy", seeds) - _column(
                base, "mean_accuracy", seeds
            )
    return found


def _warnings(compared: Comparison, round: int) -> list[str]:
    """Returns what makes the numbers of a table less than they seem, one line each."""
    found, lines = compared.found, []
    if few := _few_targets(found):
        lines.append(few)
    by_arm = at_round(found, round)
    base = by_arm[compared.reference]
    pairs = [len(set(own) & set(base)) for own in by_arm.values() if own is not base]
    fewest = min((count for count in pairs if count > 1), default=0)
    if fewest and least_p(fewest) > ALPHA:
        lines.append(
            f"p of Wilcoxon's and the sign-flip test cannot be below {least_p(fewest):g} with "
            f"{fewest} seeds (2 / 2^n): run more seeds before they can say anything."
        )
    every = max(len(set(own)) for own in by_arm.values())
    for arm, own in by_arm.items():
        if own is not base and (common := len(set(own) & set(base))) < every:
            lines.append(
                f"{escapes.markdown(compared.labels[arm])} has {common} of {every} seeds in common "
                "with the reference; its difference is over these."
            )
    if gains := _gains(compared, round):
        lines += verdicts.remarks({compared.labels[arm]: own for arm, own in gains.items()})
    for arm, own in by_arm.items():
        label = escapes.markdown(compared.labels[arm])
        every = [r for r in found.summary if int(r["round"]) == round and arm_of(r) == arm]
        counted = [r for r in every if _has(r, "updates") and _has(r, "updates_asked")]
        sums = (sum(int(float(r[name])) for r in counted) for name in ("updates", "updates_asked"))
        if missing := Updates(*sums).missing():
            lines.append(f"{label}: {missing}.")
        severed = [float(r["severed"]) for r in own.values() if _has(r, "severed")]
        if any(severed):
            lines.append(
                f"{label}: {np.mean(severed):.1%} of the clients "
                "have a subnet without a path from input to output at the start."
            )
    lines += _measuring(compared, by_arm)
    if found.baselines:
        lines.append(
            "majority: always predicting the most frequent training target of all clients, "
            "on the same test targets."
        )
    return lines


def _measuring(compared: Comparison, by_arm: Mapping[Arm, Mapping[int, Record]]) -> Iterator[str]:
    """Says of every arm that measures what this adds."""
    mean = {arm: executed(own) for arm, own in by_arm.items()}
    names = {arm: escapes.markdown(compared.labels[arm]) for arm in by_arm}
    base = compared.reference
    for arm in by_arm:
        if arm != base and (
            line := measuring_remark(arm.policy, names[arm], mean[arm], names[base], mean[base])
        ):
            yield line


def _few_targets(found: Results) -> str:
    """Warns of clients that few test targets measure, or few examples if targets are unknown."""
    known = [own for own in found.baselines.values() if "fewest_targets" in own]
    if known:
        fewest = min(own["fewest_targets"] for own in known)
        clients, what = max(own["clients_of_few"] for own in known), "targets"
        total = max(own["clients"] for own in known)
    else:
        first, last = found.arms[0], found.rounds[-1]
        counts = collections.defaultdict(list)
        for record in found.metrics:
            own = record["split"] == "test" and int(record["round"]) == last
            if own and record.get("num_examples", "0") != "0" and arm_of(record) == first:
                counts[results.block_of(record)].append(int(record["num_examples"]))
        if not counts:
            return ""
        fewest, what = min(map(min, counts.values())), "examples"
        clients = max(sum(count < FEW for count in own) for own in counts.values())
        total = max(map(len, counts.values()))
    if fewest >= FEW or fewest <= 0:
        return ""
    what += " in a fold" * bool(found.folds)
    return (
        f"Few test {what}: {clients:g} of {total:g} clients have fewer than {FEW}, the fewest is "
        f"{fewest:g}, where accuracy moves in steps of {100 / fewest:.0f} points."
    )


def _of_arm(compared: Comparison) -> str:
    """Returns the header of the column that names arms."""
    arms = compared.found.arms
    methods, policies = ({arm[part] for arm in arms} for part in (0, 1))
    if len(methods) == 1 and len(policies) > 1:
        return "policy"
    alike = len(policies) == 1 or len(methods) == len(arms)
    return "method" if len(methods) > 1 and alike else "arm"


def _majorities(found: Results) -> dict[int, dict[str, float]]:
    """Returns the accuracies of the most frequent class by seed and metric, means over folds."""
    by: dict[int, list[Mapping[str, float]]] = {}
    for block, own in found.baselines.items():
        by.setdefault(block.seed, []).append(own)
    return {
        seed: {m: float(np.mean([own[f"{m}_accuracy"] for own in folds])) for m in METRICS}
        for seed, folds in by.items()
    }


def _has(record: Record, name: str) -> bool:
    """Returns whether a record has a number in a column that may be missing or empty."""
    return bool(record.get(name)) and not math.isnan(float(record[name]))


def _is_sent(record: Record) -> bool:
    """Returns whether clients send something once for their scores; what is unknown counts."""
    return bool(record.get(_ONCE)) and float(record[_ONCE]) != 0


def _column(records: Mapping[int, Record], name: str, seeds: Iterable[int]) -> np.ndarray:
    """Reads one column in percent, in the order of the seeds."""
    return 100 * np.array([float(records[seed][name]) for seed in seeds])


def _match(own: Mapping[int, Record], base: Mapping[int, Record], unit: str) -> bool:
    """Returns whether two arms achieve the same budget in a unit."""
    return budgets_match(achieved(own, unit), achieved(base, unit))


def _difference(
    compared: Comparison, by_arm: Mapping[Arm, Mapping[int, Record]], arm: Arm, metric: str
) -> str:
    """Makes the cell of a paired difference, or refuses to."""
    own, base = by_arm[arm], by_arm[compared.reference]
    if arm == compared.reference:
        return "reference"
    seeds, name = sorted(set(own) & set(base)), f"{metric}_accuracy"
    if not seeds:
        return "no common seed"
    if not _match(own, base, compared.matched):
        return f"not matched in {NAMES.get(compared.matched, compared.matched)}"
    return difference_text(_column(own, name, seeds) - _column(base, name, seeds))


def _exchanged(own: Mapping[int, Record], name: str) -> str:
    """Makes a cell of the table of exchanges: percents, bytes or counts, means over seeds."""
    known = [seed for seed, record in own.items() if _has(record, name)]
    if name == _ONCE and any(r.get(name) and not _has(r, name) for r in own.values()):
        return "unknown"
    if not known:
        return "none"
    values = _column(own, name, known)
    if name.endswith("_accuracy"):
        return accuracy_text(values)
    mean = float(values.mean()) / 100
    if name in ("bytes_down", "bytes_up"):
        return f"{mean / _MEGABYTE:.3g}"
    if not all(_has(own[seed], f"{name}_asked") for seed in known):
        return f"{mean:.6g}"
    return f"{mean:.6g} of {_column(own, f'{name}_asked', known).mean() / 100:.6g}"
