"""From flags to data sets."""

from __future__ import annotations

import inspect

import jax

from experiments.flags import FLAGS
from hasa_jax import FederatedDataset, UserError
from hasa_jax.datasets import dataset_builder


def build_dataset(seed: int) -> FederatedDataset:
    """Builds the flagged data set, giving its builder the flags that it takes."""
    builder = dataset_builder(FLAGS.dataset)
    names = set(inspect.signature(builder).parameters) - {"key"}
    for name, what in (("data_path", "a file"), ("data_dir", "a folder")):
        if name in names and not FLAGS[name].value:
            raise UserError(f"--dataset={FLAGS.dataset} reads {what}: name it with --{name}")
    values = {name: FLAGS[name].value for name in sorted(names)}
    # What is left open here is as the builder has it.
    given = {name: value for name, value in values.items() if value is not None}
    dataset = builder(jax.random.key(seed), **given)
    # Only the data tell whether they have clients of their own, and what tfds: holds.
    if FLAGS["num_clients"].present and dataset.train.num_clients != FLAGS.num_clients:
        raise UserError(
            f"--num_clients is {FLAGS.num_clients}, but the data tell "
            f"{dataset.train.num_clients} clients: leave it out, or take another --partition"
        )
    for name in ("vocab_size", "max_length"):
        if FLAGS[name].present and not dataset.num_tokens:
            raise UserError(f"--{name} is for texts, but these data are images: leave it out")
    return dataset
