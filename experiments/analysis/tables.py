"""From the CSV files of a workdir to its table."""

from __future__ import annotations

import collections
import csv
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tabulate

from experiments.config import RunConfig
from experiments.study.manifest import read_manifest
from hasa_jax.base import UserError
from hasa_jax.supernet.costs import BUDGET_UNITS

METRICS = ("mean", "worst", "tail")
SUMMARY_NUMBERS = (
    *(f"{metric}_accuracy" for metric in METRICS),
    *(f"budget_{name}" for name in ("requested", *BUDGET_UNITS, "executed")),
)
TEXTS = ("method", "policy", "extraction", "aggregation")
LABELS = (*TEXTS, "seed", "round")
_MATCHED_WITHIN = 0.01
"""Arms whose achieved budgets differ by more than this are not called budget-matched."""

Record = Mapping[str, str]
Arm = tuple[str, str]


def arm_of(record: Record) -> Arm:
    """Returns what a record is a result of: its method, and its policy."""
    return record["method"], record["policy"]


def read_records(path: pathlib.Path, numbers: Sequence[str]) -> list[Record]:
    """Reads a CSV file of ours.

    Args:
      path: the file.
      numbers: columns that it must have besides `LABELS`, and that must hold numbers.

    Returns:
      Its records.

    Raises:
      UserError: if it is missing, damaged, empty or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            records: list[Any] = list(csv.DictReader(file, strict=True))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run train or compare into that folder") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): run the experiment again") from None
    if not records:
        raise UserError(f"{path} has no rows: it is not a results file")
    for line, record in enumerate(records, start=2):
        for column in (*LABELS, *numbers):
            if column not in record:
                raise UserError(f"{path} has no column {column!r}: it is not a results file")
            try:
                if column in ("seed", "round"):
                    int(record[column])
                elif column not in TEXTS or record[column] is None:
                    float(record[column])
            except (TypeError, ValueError):
                raise UserError(
                    f"{path}, line {line}: column {column!r} holds {record[column]!r}; the file "
                    "is damaged, run the experiment again"
                ) from None
    return records


def interval(values: np.ndarray) -> float:
    """Returns half the 95 % Student interval of a mean; NaN for a single value."""
    if len(values) < 2:
        return float("nan")
    import scipy.stats  # Takes half a second, which a run need not wait for at its start.

    quantile = scipy.stats.t.ppf(0.975, len(values) - 1)
    return float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def p_values(differences: np.ndarray) -> tuple[float, float]:
    """Returns the p of the paired t test and of Wilcoxon's; NaN where there is no variation."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return float("nan"), float("nan")
    import scipy.stats

    t_test: Any = scipy.stats.ttest_1samp(differences, 0.0)
    wilcoxon: Any = scipy.stats.wilcoxon(differences)
    return float(t_test.pvalue), float(wilcoxon.pvalue)


def best_round(metrics: Sequence[Record], arm: Arm) -> int:
    """Picks the round with the best mean validation accuracy of one arm.

    Args:
      metrics: records of metrics.csv.
      arm: the reference arm; neither others nor the test split are read.

    Returns:
      The earliest best round.
    """
    accuracies = collections.defaultdict(list)
    for record in metrics:
        if arm_of(record) == arm and record["split"] == "validation":
            accuracies[int(record["round"])].append(float(record["accuracy"]))
    if not accuracies:
        raise UserError(f"metrics.csv has no validation records of {' with policy '.join(arm)}")
    return max(sorted(accuracies), key=lambda r: np.nanmean(accuracies[r]))


def choose_arm(arms: Sequence[Arm], name: str) -> Arm:
    """Chooses one of several arms by `method:policy`, or by a part that no other arm has.

    Args:
      arms: all of them.
      name: `method:policy`, a method, or a policy; the first arm if empty.

    Returns:
      The arm.

    Raises:
      UserError: if the name fits none of them, or more than one.
    """
    if not name:
        return arms[0]
    one_method = len({method for method, _ in arms}) == 1
    fitting = [arm for arm in arms if name in (":".join(arm), arm[1] if one_method else arm[0])]
    if len(fitting) != 1:
        known = ", ".join(":".join(arm) for arm in arms)
        raise UserError(f"`reference={name}` is not one arm of the results: use one of {known}")
    return fitting[0]


def table_at(
    summary: Sequence[Record], round: int, budget_unit: str, reference: Arm | None = None
) -> str:
    """Makes the table of one round: a line for each arm, compared with one of them.

    Args:
      summary: records of summary.csv, of any rounds.
      round: the round.
      budget_unit: the unit in which arms must agree to be budget-matched.
      reference: the arm that others are compared with; the first if None.

    Returns:
      A Markdown table; accuracies in percent, differences in points.
    """
    by_arm: dict[Arm, dict[int, Record]] = {}
    for record in summary:
        if int(record["round"]) == round:
            by_arm.setdefault(arm_of(record), {})[int(record["seed"])] = record
    baseline = by_arm[reference or next(iter(by_arm))]
    lines = []
    for arm, own in by_arm.items():
        cells = list(arm)
        for metric in METRICS:
            values = _column(own, f"{metric}_accuracy", own)
            cells.append(number(values.mean(), interval(values), signed=False))
        cells += _differences(own, baseline, budget_unit)
        units = (*BUDGET_UNITS, "executed")
        achieved = [_column(own, f"budget_{u}", own).mean() for u in units]
        requested = float(next(iter(own.values()))["budget_requested"])
        cells.append(f"{requested:g} → " + " / ".join(f"{a / 100:.3f}" for a in achieved))
        lines.append(cells)
    headers = [
        "method",
        "policy",
        *(f"{metric} %" for metric in METRICS),
        *(f"Δ {metric} (p t, p W)" for metric in METRICS),
        "B → width / params / MACs / executed",
    ]
    return tabulate.tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _column(records: Mapping[int, Record], name: str, seeds: Iterable[int]) -> np.ndarray:
    """Reads one column in percent, in the order of the seeds."""
    return 100 * np.array([float(records[seed][name]) for seed in seeds])


def _differences(
    records: Mapping[int, Record], reference: Mapping[int, Record], budget_unit: str
) -> list[str]:
    """Makes the paired-difference cells of an arm, or refuses to."""
    if records is reference:
        return ["reference"] * len(METRICS)
    seeds = sorted(set(records) & set(reference))
    budget = f"budget_{budget_unit}"
    gaps = np.abs(_column(records, budget, seeds) - _column(reference, budget, seeds)) / 100
    if not seeds or (gaps > _MATCHED_WITHIN).any():
        return ["not budget-matched"] * len(METRICS)
    cells = []
    for metric in METRICS:
        name = f"{metric}_accuracy"
        differences = _column(records, name, seeds) - _column(reference, name, seeds)
        ps = ", ".join(map(p_text, p_values(differences)))
        cells.append(f"{number(differences.mean(), interval(differences), signed=True)} ({ps})")
    return cells


def p_text(value: float) -> str:
    """Writes a p value to three decimals."""
    if np.isnan(value):
        return "n/a"
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def number(mean: float, half: float, *, signed: bool) -> str:
    """Writes `mean ± half`, or only the mean where there is no interval."""
    text = f"{mean:+.2f}" if signed else f"{mean:.2f}"
    return text if np.isnan(half) else f"{text} ± {half:.2f}"


def write(folder: pathlib.Path, reference: str = "") -> str:
    """Writes table.md from metrics.csv, summary.csv and the configuration in run.json.

    Args:
      folder: the workdir.
      reference: the arm that others are compared with; the first one if empty. Rounds are
        always chosen by the first one.

    Returns:
      The text of table.md.
    """
    metrics = read_records(folder / "metrics.csv", ("accuracy",))
    summary = read_records(folder / "summary.csv", SUMMARY_NUMBERS)
    budget_unit = read_manifest(folder).run.allocation.budget_unit
    first = arm_of(summary[0])
    compared = choose_arm(list(dict.fromkeys(map(arm_of, summary))), reference)
    num_seeds = len({record["seed"] for record in summary})
    last = max(int(record["round"]) for record in summary)
    chosen = best_round(metrics, first)
    parts = [
        f"{num_seeds} matched seed{'s' if num_seeds > 1 else ''}. Client test accuracy of each "
        "client's own subnet: mean over seeds ± half the 95 % Student interval. Differences are "
        f"paired by seed, to {':'.join(compared)}; p of the paired t test and of Wilcoxon's.",
        f"Round {chosen}, the best by mean validation accuracy of {':'.join(first)}:",
        table_at(summary, chosen, budget_unit, compared),
    ]
    if last != chosen:
        parts += [f"Round {last}, the last:", table_at(summary, last, budget_unit, compared)]
    text = "\n\n".join(parts) + "\n"
    (folder / "table.md").write_text(text, encoding="utf-8")
    return text


def report(config: RunConfig) -> None:
    """Writes and prints the table of a workdir again.

    Args:
      config: names the workdir, and the arm that others are compared with.

    Raises:
      UserError: if the workdir holds no results.
    """
    print(write(pathlib.Path(config.reporting.workdir), config.comparison.reference))
