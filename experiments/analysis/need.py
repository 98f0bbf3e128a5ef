"""How much each client gains by width, and which scores predict it.

The need of a client is what its validation accuracy gains from a workdir with narrow subnets for
all clients to one with wide subnets for all, by seed, at the last round. Test examples are not
read, so that widths may follow the need.
"""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping, Sequence, Set

import jax
import numpy as np

from experiments.analysis import markdown, results, statistics
from experiments.config import RunConfig
from experiments.study.data import build_dataset
from experiments.study.manifest import read_manifest
from experiments.study.method import method_of, parts_of
from experiments.study.model import model_of
from experiments.study.unused import refuse_unused_of_data
from hasa_jax.allocation.scores import SCORES
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets import fingerprint
from hasa_jax.simulation.escapes import csv_cell
from hasa_jax.simulation.program import supernet
from hasa_jax.simulation.writers import say


def accuracies(folder: pathlib.Path) -> dict[tuple[int, str], float]:
    """Reads validation accuracies of all clients at the last round, by seed and client.

    Args:
      folder: a workdir of one method and policy.

    Returns:
      The accuracies.

    Raises:
      UserError: if it holds no such results.
    """
    records = [
        record
        for record in results.read_records(folder / "metrics.csv", ("accuracy",))
        if record["split"] == "validation"
    ]
    if not records or len({results.arm_of(record) for record in records}) > 1:
        raise UserError(f"{folder} needs validation records of exactly one method and policy")
    last = max(int(record["round"]) for record in records)
    at_last = [record for record in records if int(record["round"]) == last]
    return {(int(r["seed"]), r["client"]): float(r["accuracy"]) for r in at_last}


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's rank correlation; NaN if one of them is constant."""
    import scipy.stats  # Takes half a second, which a run need not wait for at its start.

    ranks = [scipy.stats.rankdata(values) for values in (one, other)]
    if min(np.ptp(rank) for rank in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def summary(need: Mapping[int, np.ndarray], scores: Mapping[str, Mapping[int, np.ndarray]]) -> str:
    """Makes the table of rank correlations.

    Args:
      need: of all clients `[N]`, by seed.
      scores: of all clients `[N]`, by name and seed.

    Returns:
      A Markdown table: mean over seeds of the correlation with the need, its 95 % interval, and
      in how many seeds the neediest client has the highest score.
    """
    lines = []
    for name, by_seed in scores.items():
        found = np.array([rank_correlation(by_seed[seed], need[seed]) for seed in need])
        known = found[np.isfinite(found)]
        mean = "none"
        if known.size:
            mean = statistics.number(known.mean(), statistics.interval(known), signed=True)
        first = sum(
            int(by_seed[seed].argmax() == need[seed].argmax() and np.ptp(by_seed[seed]) > 0)
            for seed in need
        )
        lines.append([name, mean, f"{first} of {len(need)}"])
    headers = ["score", "rank correlation with the need", "neediest client ranked first"]
    return markdown.table(headers, lines)


def report(config: RunConfig, given: Set[str]) -> None:
    """Writes need.csv, and need.md of all scores, into the second of two workdirs.

    Args:
      config: that of the study; it names the two workdirs, with a comma between them.
      given: fields that the user gave.

    Raises:
      UserError: if the workdirs are not those of one study, or not of this data.
    """
    folders = results.folders_of(config.reporting.workdir)
    if len(folders) != 2:
        raise UserError("`workdir` needs two folders with a comma: narrow subnets, wide ones")
    narrow, wide = map(accuracies, folders)
    hashes = _data_of(folders)
    refuse_unused_of_data(config.data, given)
    need: dict[int, np.ndarray] = {}
    scores: dict[str, dict[int, np.ndarray]] = {name: {} for name in SCORES}
    lines: list[dict[str, object]] = []
    for seed in sorted({seed for seed, _ in narrow}):
        dataset = build_dataset(config.data, given, seed)
        if hashes.get(str(seed)) != fingerprint(dataset):
            raise UserError("the workdirs are of other data than the flags name: repeat theirs")
        gains = [wide[seed, name] - narrow[seed, name] for name in dataset.client_names]
        need[seed] = np.array(gains)
        for name, own in _scores(config, dataset, seed).items():
            scores[name][seed] = own
        for i, (client, gain) in enumerate(zip(dataset.client_names, gains, strict=True)):
            own = {name: float(scores[name][seed][i]) for name in scores}
            lines.append({"seed": seed, "client": client, "score": gain, **own})
    with (folders[1] / "need.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**line, "client": csv_cell(str(line["client"]))} for line in lines)
    if len(need) > 1:
        total = np.sum(list(need.values()), axis=0)
        # No score can follow a need that is noise: the limit is what the other seeds show of it.
        scores["need in the other seeds"] = {seed: total - own for seed, own in need.items()}
    text = summary(need, scores) + "\n\n" + _by_client(lines) + "\n"
    (folders[1] / "need.md").write_text(text, encoding="utf-8")
    say(f"{text}\nneed as a score: --score_path={folders[1] / 'need.csv'}")


def _scores(config: RunConfig, dataset: FederatedDataset, seed: int) -> dict[str, np.ndarray]:
    """Computes all scores `[N]` of the clients, by name."""
    name = config.method.method
    method = method_of(config, name, parts_of(config, name).policy, dataset.client_names)
    model = supernet(method, model_of(config.model, dataset), dataset)
    key = jax.random.key(seed)
    return {score: make()(dataset.train, model, key) for score, make in SCORES.items()}


def _data_of(folders: Sequence[pathlib.Path]) -> Mapping[str, str]:
    """Returns the hashes of the data of both workdirs; refuses two that are not of one study."""
    narrow, wide = map(read_manifest, folders)
    budgets = [found.run.allocation.budget for found in (narrow, wide)]
    if narrow.data_sha256 != wide.data_sha256:
        raise UserError("the two workdirs have other seeds or data: run one study in both")
    if budgets[0] >= budgets[1]:
        raise UserError(
            f"the first workdir has `budget={budgets[0]:g}`, the second {budgets[1]:g}: name the "
            "one of narrow subnets first"
        )
    return narrow.data_sha256


def _by_client(lines: list[dict[str, object]]) -> str:
    """Makes the table of every client's mean need and scores."""
    clients = list(dict.fromkeys(str(line["client"]) for line in lines))
    columns = [name for name in lines[0] if name not in ("seed", "client")]
    cells = []
    for client in clients:
        own = [line for line in lines if line["client"] == client]
        values = {name: np.array([float(str(line[name])) for line in own]) for name in columns}
        means = [f"{values[name].mean():.4g}" for name in columns[1:]]
        gain = 100 * values["score"]
        cells.append([client, f"{gain.mean():+.2f} ± {statistics.interval(gain):.2f}", *means])
    headers = ["client", "need (points)", *columns[1:]]
    return markdown.table(headers, cells)
