"""How much each client gains by width, and which scores predict it.

The need of a client is what its validation accuracy gains from a workdir with narrow subnets for
all clients to one with wide subnets for all, by seed and fold, at the last round. Test examples
are not read, so that widths may follow the need.
"""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping, Sequence, Set

import numpy as np

from experiments.analysis import markdown, results, statistics
from experiments.config import RunConfig
from experiments.study.block import Block, blocks_of
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


def accuracies(folder: pathlib.Path) -> dict[tuple[Block, str], float]:
    """Reads validation accuracies of all clients at the last round, by block and client.

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
    return {(results.block_of(r), r["client"]): float(r["accuracy"]) for r in at_last}


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's rank correlation; NaN if one of them is constant."""
    import scipy.stats  # Takes half a second, which a run need not wait for at its start.

    ranks = [scipy.stats.rankdata(values) for values in (one, other)]
    if min(np.ptp(rank) for rank in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def summary(
    need: Mapping[Block, np.ndarray], scores: Mapping[str, Mapping[Block, np.ndarray]]
) -> str:
    """Makes the table of rank correlations.

    Args:
      need: of all clients `[N]`, by block: a seed, or one of its folds.
      scores: of all clients `[N]`, by name and block.

    Returns:
      A Markdown table: mean over seeds of the correlation with the need, where a seed has the mean
      over its folds, its 95 % interval, and in how many blocks the neediest client has the highest
      score.
    """
    lines = []
    for name, by_block in scores.items():
        by_seed: dict[int, list[float]] = {}
        for block in need:
            found = rank_correlation(by_block[block], need[block])
            by_seed.setdefault(block.seed, []).extend([found] * bool(np.isfinite(found)))
        known = np.array([np.mean(own) for own in by_seed.values() if own])
        mean = "none"
        if known.size:
            mean = statistics.number(known.mean(), statistics.interval(known), signed=True)
        first = sum(
            int(by_block[own].argmax() == need[own].argmax() and np.ptp(by_block[own]) > 0)
            for own in need
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
    need: dict[Block, np.ndarray] = {}
    scores: dict[str, dict[Block, np.ndarray]] = {name: {} for name in SCORES}
    lines: list[dict[str, object]] = []
    blocks = sorted({block for block, _ in narrow})
    if [*dict.fromkeys(block.fold for block in blocks)] != [
        block.fold for block in blocks_of([0], config.data.eval_folds)
    ]:
        raise UserError("the workdirs have other folds than `eval_folds` says: repeat theirs")
    for block in blocks:
        dataset = build_dataset(config.data, given, *block)
        if hashes.get(block.name) != fingerprint(dataset):
            raise UserError("the workdirs are of other data than the flags name: repeat theirs")
        gains = [wide[block, name] - narrow[block, name] for name in dataset.client_names]
        need[block] = np.array(gains)
        for name, own in _scores(config, dataset, block).items():
            scores[name][block] = own
        for i, (client, gain) in enumerate(zip(dataset.client_names, gains, strict=True)):
            own = {name: float(scores[name][block][i]) for name in scores}
            lines.append({**block._asdict(), "client": client, "score": gain, **own})
    with (folders[1] / "need.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**line, "client": csv_cell(str(line["client"]))} for line in lines)
    if len({block.seed for block in need}) > 1:
        # No score can follow a need that is noise: the limit is what the other seeds show of it.
        total = np.sum(list(need.values()), axis=0)
        of_seed = {
            block.seed: np.sum([own for b, own in need.items() if b.seed == block.seed], axis=0)
            for block in need
        }
        scores["need in the other seeds"] = {b: total - of_seed[b.seed] for b in need}
    text = summary(need, scores) + "\n\n" + _by_client(lines) + "\n"
    (folders[1] / "need.md").write_text(text, encoding="utf-8")
    say(f"{text}\nneed as a score: --score_path={folders[1] / 'need.csv'}")


def _scores(config: RunConfig, dataset: FederatedDataset, block: Block) -> dict[str, np.ndarray]:
    """Computes all scores `[N]` of the clients, by name."""
    name = config.method.method
    method = method_of(config, name, parts_of(config, name).policy, dataset.client_names)
    model = supernet(method, model_of(config.model, dataset), dataset)
    return {score: make()(dataset.train, model, block.key) for score, make in SCORES.items()}


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
    columns = [name for name in lines[0] if name not in ("seed", "fold", "client")]
    cells = []
    for client in clients:
        own = [line for line in lines if line["client"] == client]
        values = {name: np.array([float(str(line[name])) for line in own]) for name in columns}
        means = [f"{values[name].mean():.4g}" for name in columns[1:]]
        gain = _by_seed(own, "score")
        cells.append([client, f"{gain.mean():+.2f} ± {statistics.interval(gain):.2f}", *means])
    headers = ["client", "need (points)", *columns[1:]]
    return markdown.table(headers, cells)


def _by_seed(lines: Sequence[Mapping[str, object]], column: str) -> np.ndarray:
    """Returns the mean over the folds of every seed, in points."""
    found: dict[object, list[float]] = {}
    for line in lines:
        found.setdefault(line["seed"], []).append(100 * float(str(line[column])))
    return np.array([np.mean(own) for own in found.values()])
