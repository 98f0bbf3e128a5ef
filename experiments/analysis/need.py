"""How much each client gains by width, and which scores predict it.

The need of a client is what its validation accuracy gains from narrow subnets for all clients to
wide subnets for all, by seed and fold, at the last round. Both may be in several workdirs, such as
one for each seed. Test examples are not read, so that widths may follow the need.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence, Set

import numpy as np

from experiments.analysis import results, table_need
from experiments.analysis.merged_name import named
from experiments.analysis.rendering import terminal
from experiments.analysis.rendering.files import files_of
from experiments.analysis.results import Results, Source
from experiments.config import RunConfig
from experiments.rooms import number_text
from experiments.study.block import Block, blocks_of
from experiments.study.data import build_dataset
from experiments.study.method import method_of, parts_of
from experiments.study.model import model_of
from experiments.study.unused import refuse_unused_of_data
from hasa_jax.allocation.scores import SCORES
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets import fingerprint
from hasa_jax.simulation.escapes import csv_cell, one_line
from hasa_jax.simulation.program import supernet
from hasa_jax.simulation.writers import say


def accuracies(found: Results) -> dict[tuple[Block, str], float]:
    """Finds validation accuracies of all clients at the last round, by block and client.

    Args:
      found: results of one method and policy.

    Returns:
      The accuracies.

    Raises:
      UserError: if there are no such results.
    """
    records = [record for record in found.metrics if record["split"] == "validation"]
    if not records or len(found.arms) > 1:
        names = ", ".join(map(str, found.folders))
        raise UserError(f"{names}: need validation records of exactly one method and policy")
    last = max(int(record["round"]) for record in records)
    at_last = [record for record in records if int(record["round"]) == last]
    return {(results.block_of(r), r["client"]): float(r["accuracy"]) for r in at_last}


def pair_of(sources: Sequence[Source]) -> tuple[Results, Results]:
    """Merges the workdirs of narrow subnets, and those of wide ones.

    Args:
      sources: workdirs of two budgets, in any order.

    Returns:
      The results of the smaller budget, and of the larger one.

    Raises:
      UserError: if there are not two budgets, if they differ in more than that, or if the workdirs
        of a budget cannot be merged.
    """
    by_budget: dict[float, list[Source]] = {}
    for source in sources:
        by_budget.setdefault(source.manifest.run.allocation.budget, []).append(source)
    if len(by_budget) != 2:
        budgets = ", ".join(map(number_text, sorted(by_budget)))
        raise UserError(
            "`workdir` needs folders of two budgets, narrow subnets for all and wide ones: these "
            f"have `budget` {budgets}"
        )
    narrow, wide = (own for _, own in sorted(by_budget.items()))
    results.check_budgets(narrow[0], wide[0])
    merged = results.merge(narrow), results.merge(wide)
    if _hashes(narrow) != _hashes(wide):
        raise UserError(
            "the workdirs of both budgets have other seeds or data: run one study with both"
        )
    return merged


def report(config: RunConfig, given: Set[str]) -> None:
    """Writes need.csv, and need.md of all scores, into the first workdir of wide subnets.

    Args:
      config: that of the study; it names the workdirs, with commas between them.
      given: fields that the user gave.

    Raises:
      UserError: if the workdirs are not those of one study, or not of this data.
    """
    sources = list(map(results.source_of, results.folders_of(config.reporting.workdir)))
    pair = pair_of(sources)
    narrow, wide = map(accuracies, pair)
    if narrow.keys() != wide.keys():
        raise UserError("the workdirs of both budgets have other clients, seeds or folds")
    hashes, folders = _hashes(sources), pair[1].folders
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
    path = folders[0] / named(table_need.FILE, folders)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**line, "client": csv_cell(str(line["client"]))} for line in lines)
    tables = table_need.tables_of(lines, pair[1].dealt)
    stem = named("need", folders)
    for name, text in files_of(stem, tables, config.reporting.table_formats).items():
        (folders[0] / name).write_text(text, encoding="utf-8", newline="")
    for remark in dict.fromkeys(remark for own in pair for remark in own.remarks):
        say(one_line(f"note: {remark}"))
    say(f"{terminal.document(tables)}\n\nneed as a score: --score_path={path}")


def _scores(config: RunConfig, dataset: FederatedDataset, block: Block) -> dict[str, np.ndarray]:
    """Computes all scores `[N]` of the clients, by name."""
    name = config.method.method
    method = method_of(config, name, parts_of(config, name).policy, dataset.client_names)
    model = supernet(method, model_of(config.model, dataset), dataset)
    return {score: make()(dataset.train, model, block.key) for score, make in SCORES.items()}


def _hashes(sources: Sequence[Source]) -> dict[str, str]:
    """Returns the hashes of the data of some workdirs, by the name of the block."""
    return {name: own for source in sources for name, own in source.manifest.data_sha256.items()}
