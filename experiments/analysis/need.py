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

from experiments.analysis import results, table_need
from experiments.analysis.rendering import terminal
from experiments.analysis.rendering.files import files_of
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
        scores = _scores(config, dataset, block)
        for i, (client, gain) in enumerate(zip(dataset.client_names, gains, strict=True)):
            own = {name: float(values[i]) for name, values in scores.items()}
            lines.append({**block._asdict(), "client": client, "score": gain, **own})
    with (folders[1] / table_need.FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**line, "client": csv_cell(str(line["client"]))} for line in lines)
    tables = table_need.tables_of(lines)
    for name, text in files_of("need", tables, config.reporting.table_formats).items():
        (folders[1] / name).write_text(text, encoding="utf-8", newline="")
    path = folders[1] / table_need.FILE
    say(f"{terminal.document(tables)}\n\nneed as a score: --score_path={path}")


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
