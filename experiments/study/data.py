"""From a configuration to data sets."""

from __future__ import annotations

import inspect
from collections.abc import Set

import jax

from experiments.rooms import DataConfig
from experiments.study import devices
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets import dataset_builder


def build_dataset(
    config: DataConfig, given: Set[str], seed: int, fold: int = 0
) -> FederatedDataset:
    """Builds the data set; its builder gets the fields that it has arguments of.

    Args:
      config: the configuration of the data.
      given: fields that the user gave; the data must agree with them.
      seed: of the run.
      fold: of the run, from 1 to `eval_folds`; 0 if there are none.

    Returns:
      The data set.

    Raises:
      UserError: if files are missing, cannot be used, or are not what the user gave.
    """
    devices.start()
    builder = dataset_builder(config.dataset)
    names = set(inspect.signature(builder).parameters) - {"key"}
    if config.eval_folds and "folds" not in names:
        raise UserError(
            f"`eval_folds` is {config.eval_folds}, but `dataset={config.dataset}` has a test part "
            "of its own: leave it out"
        )
    for name, what in (("data_path", "a file"), ("data_dir", "a folder")):
        if name in names and not getattr(config, name):
            raise UserError(f"`dataset={config.dataset}` reads {what}: name it with `{name}`")
    values = {name: getattr(config, name) for name in sorted(names - {"folds", "fold"})}
    values |= {"folds": config.eval_folds, "fold": fold} if "folds" in names else {}
    # The builder has its own defaults for what is None here.
    chosen = {name: value for name, value in values.items() if value is not None}
    dataset = builder(jax.random.key(seed), **chosen)
    # Only the files show whether they name clients, and what a data set of tfds: holds.
    if "num_clients" in given and dataset.train.num_clients != config.num_clients:
        raise UserError(
            f"`num_clients` is {config.num_clients}, but the data have "
            f"{dataset.train.num_clients} clients: leave it out, or take another `partition`"
        )
    for name in ("vocab_size", "max_length"):
        if name in given and not dataset.num_tokens:
            raise UserError(f"`{name}` is for texts, but these data are images: leave it out")
    return dataset
