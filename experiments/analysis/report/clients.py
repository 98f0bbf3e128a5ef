"""What the page knows of every client: examples, widths and accuracies, small enough to send."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis.client_values import Values, accuracies_of, of_shown_seed, seed_note
from experiments.analysis.compared import Comparison, gains_of
from experiments.analysis.results import Arm, Record, arm_of
from hasa_jax.simulation.escapes import one_line

MOST_ROUNDS = 40
"""Rounds of a curve."""

MOST_CLIENTS = 3000
"""Clients of which a browser draws a mark for each arm without a wait."""

MOST_POINTS = 200_000
"""Points of all curves; a point takes about ten bytes."""

SPLITS = ("test", "validation")
"""Splits whose examples are counted."""

_PERCENT, _POINTS, _WIDTH = 1e4, 1e4, 1e3
"""Accuracies and their differences are integers, in hundredths of a percent or of a point, widths
in thousandths of the supernet."""


@dataclasses.dataclass(frozen=True)
class Clients:
    """Clients of all seeds, and what each arm gives them. NaN is what is not known.

    Clients that are dealt again for each seed are those of one seed, and all means are of it.

    Attributes:
      names: of the clients that are shown, in one line each.
      total: clients that there are.
      arms: labels of the arms.
      rounds: rounds that are shown, every arm has them.
      all_rounds: rounds that every arm has.
      chosen: place of the round of the headline.
      reference: place of the arm that others are compared with.
      examples: mean number of examples over seeds, by split, of each client.
      score: mean score over seeds `[arm, client]`.
      width: mean, least and largest width over seeds in the chosen round `[arm, client, 3]`.
      gain: mean difference to the reference in the chosen round, paired by seed, and half its 95 %
        Student interval `[arm, client, 2]`; NaN for arms that do not match the reference.
      rank: place among all clients in the chosen round, 1 for the best `[arm, client]`.
      ranked: clients that have a rank in each arm, shown or not `[arm]`.
      accuracy: mean test accuracy over seeds `[arm, client, round]`.
      half: half the 95 % Student interval of it `[arm, client, round]`.
      note: which seed the clients are of, if they are of one; else empty.
    """

    names: tuple[str, ...]
    total: int
    arms: tuple[str, ...]
    rounds: tuple[int, ...]
    all_rounds: int
    chosen: int
    reference: int
    examples: Mapping[str, np.ndarray]
    score: np.ndarray
    width: np.ndarray
    gain: np.ndarray
    rank: np.ndarray
    ranked: np.ndarray
    accuracy: np.ndarray
    half: np.ndarray
    note: str

    @property
    def limits(self) -> str:
        """Says what is left out for the size of the file; empty if nothing is."""
        parts = []
        if len(self.names) < self.total:
            parts.append(
                f"{len(self.names):,} of {self.total:,} clients, evenly spaced by their accuracy "
                f"in {self.arms[0]}"
            )
        if len(self.rounds) < self.all_rounds:
            parts.append(f"{len(self.rounds)} of {self.all_rounds} rounds")
        return f"To keep this file small, it has {' and '.join(parts)}." if parts else ""


def clients_of(compared: Comparison, most_points: int = MOST_POINTS) -> Clients:
    """Gathers the clients of some results.

    Args:
      compared: the arms.
      most_points: clients times arms times rounds that are kept at most, but for one client; nor
        are more than `MOST_CLIENTS` kept.

    Returns:
      The clients, in the order of the records. Where there are too many, those are kept that are
      evenly spaced by their accuracy in the first arm, the worst and the best among them.
    """
    note = seed_note(compared.found)
    compared = dataclasses.replace(compared, found=of_shown_seed(compared.found))
    found, arms = compared.found, compared.found.arms
    rounds = _spaced_rounds(found.rounds, {compared.chosen, compared.last})
    names = list(dict.fromkeys(r["client"] for r in found.metrics if r["split"] == "test"))
    values = accuracies_of(found.metrics, set(rounds))
    accuracy, half = _curves(values, arms, names, rounds)
    chosen = rounds.index(compared.chosen)
    most = min(MOST_CLIENTS, max(1, most_points // (len(arms) * len(rounds))))
    keep = _kept(accuracy[0, :, chosen], most)
    shown = [names[place] for place in keep]
    return Clients(
        names=tuple(map(one_line, shown)),
        total=len(names),
        arms=tuple(one_line(compared.labels[arm]) for arm in arms),
        rounds=tuple(rounds),
        all_rounds=len(found.rounds),
        chosen=chosen,
        reference=arms.index(compared.reference),
        examples={name: _examples(found.metrics, name, shown) for name in SPLITS},
        score=_scores(compared, shown),
        width=_widths(compared, shown),
        gain=_gains(compared, values, shown),
        rank=_ranks(accuracy[:, :, chosen])[:, keep],
        ranked=np.sum(~np.isnan(accuracy[:, :, chosen]), axis=1),
        accuracy=accuracy[:, keep],
        half=half[:, keep],
        note=note,
    )


def to_json(clients: Clients) -> dict[str, Any]:
    """Writes clients as compact JSON: integers, and flat lists.

    Args:
      clients: the clients.

    Returns:
      Accuracies and differences in hundredths of a percent and of a point, widths in thousandths,
      each as a flat list for each arm; None for what is not known.
    """
    return {
        "names": list(clients.names),
        "arms": list(clients.arms),
        "rounds": list(clients.rounds),
        "chosen": clients.chosen,
        "reference": clients.reference,
        "examples": {name: _integers(own, 1) for name, own in clients.examples.items()},
        "score": [
            [None if np.isnan(value) else float(f"{value:.4g}") for value in own.tolist()]
            for own in clients.score
        ],
        "width": [_integers(own, _WIDTH) for own in clients.width],
        "gain": [_integers(own, _POINTS) for own in clients.gain],
        "rank": [_integers(own, 1) for own in clients.rank],
        "ranked": clients.ranked.tolist(),
        "accuracy": [_integers(own, _PERCENT) for own in clients.accuracy],
        "half": [_integers(own, _PERCENT) for own in clients.half],
    }


def _spaced_rounds(rounds: Sequence[int], marked: set[int]) -> list[int]:
    """Picks rounds evenly, the first and the last one and those that are marked among them."""
    if len(rounds) <= MOST_ROUNDS:
        return list(rounds)
    places = np.linspace(0, len(rounds) - 1, MOST_ROUNDS).round().astype(int)
    return sorted({rounds[place] for place in places} | marked)


def _curves(
    values: Values, arms: Sequence[Arm], names: Sequence[str], rounds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns means and half-widths over seeds `[arm, client, round]`."""
    shape = (len(arms), len(names), len(rounds))
    mean, half = np.full(shape, np.nan), np.full(shape, np.nan)
    for a, arm in enumerate(arms):
        for c, name in enumerate(names):
            for r, round in enumerate(rounds):
                own = list(values.get((arm, name, round), {}).values())
                mean[a, c, r], half[a, c, r] = _interval(own)
    return mean, half


def _gains(compared: Comparison, values: Values, names: Sequence[str]) -> np.ndarray:
    """Returns differences to the reference and their half-widths `[arm, client, 2]`."""
    matching = gains_of(compared, compared.chosen, "mean")
    found = np.full((len(compared.labels), len(names), 2), np.nan)
    for a, arm in enumerate(compared.found.arms):
        for c, name in enumerate(names if arm in matching else ()):
            own = values.get((arm, name, compared.chosen), {})
            base = values.get((compared.reference, name, compared.chosen), {})
            found[a, c] = _interval([own[seed] - base[seed] for seed in own if seed in base])
    return found


def _ranks(accuracy: np.ndarray) -> np.ndarray:
    """Returns the place of each client, 1 for the best, of accuracies as they are shown `[arm, N]`.

    Equal clients share the best of their places; it is NaN for one without an accuracy.
    """
    found = np.full(accuracy.shape, np.nan)
    for place, own in zip(found, np.round(_PERCENT * accuracy), strict=True):
        known = ~np.isnan(own)
        rising = np.sort(own[known])
        place[known] = 1 + rising.size - np.searchsorted(rising, own[known], side="right")
    return found


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns a mean over seeds and half its 95 % Student interval; NaN where there is none."""
    known = np.array(values)
    known = known[~np.isnan(known)]
    if known.size < 2:
        return float(known.sum()) if known.size else np.nan, np.nan
    return float(known.mean()), _quantile(known.size) * float(known.std(ddof=1))


@functools.cache
def _quantile(count: int) -> float:
    """Returns what a deviation over seeds is multiplied by for half a 95 % Student interval."""
    import scipy.stats

    return float(scipy.stats.t.ppf(0.975, count - 1)) / float(np.sqrt(count))


def _widths(compared: Comparison, names: Sequence[str]) -> np.ndarray:
    """Returns mean, least and largest widths over seeds in the chosen round `[arm, client, 3]`."""
    by: dict[tuple[Arm, str], list[float]] = collections.defaultdict(list)
    for record in compared.found.metrics:
        own = record["split"] == "test" and int(record["round"]) == compared.chosen
        if own and record.get("width"):
            by[arm_of(record), record["client"]].append(float(record["width"]))
    found = np.full((len(compared.labels), len(names), 3), np.nan)
    for a, arm in enumerate(compared.found.arms):
        for c, name in enumerate(names):
            if own := by.get((arm, name)):
                found[a, c] = np.mean(own), min(own), max(own)
    return found


def _scores(compared: Comparison, names: Sequence[str]) -> np.ndarray:
    """Returns mean scores over seeds and folds `[arm, client]`."""
    found = np.full((len(compared.labels), len(names)), np.nan)
    for a, arm in enumerate(compared.found.arms):
        blocks = list(compared.found.scores.get(arm, {}).values())
        for c, name in enumerate(names):
            if own := [of_block[name] for of_block in blocks if name in of_block]:
                found[a, c] = np.mean(own)
    return found


def _examples(metrics: Sequence[Record], split: str, names: Sequence[str]) -> np.ndarray:
    """Returns numbers of examples, means over seeds: of folds of tests the sum, else the mean."""
    by: dict[str, dict[tuple[str, str], float]] = collections.defaultdict(dict)
    for record in metrics:
        if record["split"] == split and record.get("num_examples"):
            block = (record["seed"], record["fold"])
            by[record["client"]][block] = float(record["num_examples"])
    # Every example of a client is for test in one fold.
    parts = {
        name: len({seed for seed, _ in own} if split == "test" else own) for name, own in by.items()
    }
    return np.array(
        [sum(by[name].values()) / parts[name] if name in by else np.nan for name in names]
    )


def _kept(accuracy: np.ndarray, most: int) -> list[int]:
    """Picks clients: all, or those that are evenly spaced by accuracy."""
    if len(accuracy) <= most:
        return list(range(len(accuracy)))
    order = np.argsort(accuracy, kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, most).round().astype(int))
    return sorted(order[places].tolist())


def _integers(values: np.ndarray, scale: float) -> list[int | None]:
    """Rounds scaled numbers of an array, in its order; None for NaN."""
    return [None if np.isnan(value) else round(value * scale) for value in values.ravel().tolist()]
