"""advise.json: what advice was asked, of which clients; a workdir holds one advice."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence, Set

from experiments.advice import files
from experiments.advice.asked import asked
from experiments.config import RunConfig
from experiments.study import manifest, workdir
from experiments.study.block import Block
from experiments.study.manifest import Manifest
from experiments.study.scores import identity_of
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets import fingerprint

NAME = "advise.json"
"""Name of the file in a workdir; its form is that of run.json."""

_CLIENTS = "clients_path"


def described(
    config: RunConfig,
    given: Set[str],
    block: Block,
    dataset: FederatedDataset | None,
    notes: Sequence[str],
) -> Manifest:
    """Describes an advice.

    Args:
      config: the configuration, with the name of the model.
      given: fields that the user gave.
      block: the seed of the data, and its fold.
      dataset: the data; None if only a file of clients is known.
      notes: what was left out while reading the clients.

    Returns:
      The content of advise.json. The data are there by their hash, and so is the file of clients,
      as `clients_path`.
    """
    path = config.advice.clients_path
    hashes = {_CLIENTS: identity_of(path)} if path else {}
    left_out = list(notes)
    if dataset is not None:
        hashes[block.name] = fingerprint(dataset)
        left_out += dataset.notes
    return Manifest(
        script="advise",
        config=asked(config, given),
        data_sha256=hashes,
        data_notes={block.name: left_out} if left_out else {},
        code=manifest.code_here(),
        files=manifest.files_of(config) | ({_CLIENTS: pathlib.PurePath(path).name} if path else {}),
    )


def accept(folder: pathlib.Path, advice: Manifest) -> None:
    """Makes the folder of an advice, or accepts one that holds nothing or the same advice.

    Args:
      folder: the workdir.
      advice: from `described`.

    Raises:
      UserError: if the folder cannot be written, or holds results of training, or advice of
        another configuration, other clients or other data.
    """
    workdir.make_folder(folder)
    if workdir.holds_results(folder):
        raise UserError(
            f"workdir {folder} holds results of training: name another for advice with `workdir`"
        )
    if not (folder / NAME).exists():
        if any((folder / name).exists() for name in (files.OPTIONS, files.CLIENTS, files.CLASSES)):
            raise UserError(
                f"workdir {folder} holds advice without {NAME}, so its configuration is unknown: "
                "name another with `workdir`"
            )
        return
    found = manifest.read_manifest(folder, NAME)
    old, new = workdir.shared_fields(found), workdir.shared_fields(advice)
    # What advice is asked decides nothing in a run, but it does here.
    old |= found.config.get("advice", {})
    new |= advice.config["advice"]
    changed = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    if changed:
        raise UserError(
            f"workdir {folder} holds advice of another configuration "
            f"({workdir.difference(old, new, changed)}): name another with `workdir`"
        )
    for name in {*found.data_sha256, *advice.data_sha256}:
        if found.data_sha256.get(name) != advice.data_sha256.get(name):
            what = "another file of clients" if name == _CLIENTS else "other data"
            raise UserError(
                f"workdir {folder} holds advice on {what} (by its hash in {NAME}): name another "
                "with `workdir`"
            )
