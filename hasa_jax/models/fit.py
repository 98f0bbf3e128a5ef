"""Which model fits which data, and which arguments fit a model."""

from __future__ import annotations

from collections.abc import Callable

from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.models.layers import spread_exits

_SMALLEST_IMAGE = 8


def _has_next_words(dataset: FederatedDataset) -> bool:
    return dataset.num_tokens > 0 and dataset.train.targets.ndim == 2


def _has_texts(dataset: FederatedDataset) -> bool:
    return dataset.num_tokens > 0


def _has_numbers(dataset: FederatedDataset) -> bool:
    return dataset.num_tokens == 0 and dataset.train.targets.ndim == 1


def _has_images(dataset: FederatedDataset) -> bool:
    return _has_numbers(dataset) and dataset.train.inputs.ndim == 4


FITS: dict[str, Callable[[FederatedDataset], bool]] = {
    "lstm": _has_next_words,
    "transformer": _has_texts,
    "mlp": _has_numbers,
    "cnn": _has_images,
    "resnet18": _has_images,
}
"""The data that the models of `MODELS` fit. Messages advise only the models listed here."""


def default_model(dataset: FederatedDataset) -> str:
    """Returns the model that is used for a data set if the user names none.

    Args:
      dataset: texts with next words, texts with labels, images, or other numbers with labels.

    Returns:
      `lstm` for next words, `transformer` for labels of texts, `cnn` for images of at least 8 by 8
      pixels, and `mlp` for all else.
    """
    if _has_texts(dataset):
        return "lstm" if _has_next_words(dataset) else "transformer"
    inputs = dataset.train.inputs
    large = _has_images(dataset) and min(inputs.shape[1:3]) >= _SMALLEST_IMAGE
    return "cnn" if large else "mlp"


def check_fit(name: str, dataset: FederatedDataset) -> None:
    """Refuses data that a model does not fit.

    Args:
      name: the model, a key of `FITS`.
      dataset: the data.

    Raises:
      UserError: if the model does not fit; it lists those that do.
    """
    if FITS[name](dataset):
        return
    fitting = [other for other, fits in FITS.items() if fits(dataset)]
    advice = f"use {', '.join(fitting)}" if fitting else "make a model by from_linen"
    raise UserError(f"`model` {name} does not fit a `dataset` of {_kind(dataset)}: {advice}")


def _kind(dataset: FederatedDataset) -> str:
    """Returns what the data are, in words."""
    inputs, targets = dataset.train.inputs, dataset.train.targets
    if _has_texts(dataset):
        return "texts with next words" if targets.ndim == 2 else "texts with labels"
    shape = " x ".join(map(str, inputs.shape[1:])) or "single"
    return f"{shape} numbers with {'labels' if targets.ndim == 1 else 'several targets'}"


def check_counts(**counts: int) -> None:
    """Refuses arguments that must be integers of 1 or more, and are not, with a `UserError`."""
    for name, count in counts.items():
        if not (isinstance(count, int) and count >= 1):
            raise UserError(f"`{name}`={count!r}: use an integer of 1 or more")


def place_exits(name: str, exits: int, depth: int, *, deepen: str = "") -> tuple[int, ...]:
    """Spreads a model's exits over its depth.

    Args:
      name: the model.
      exits: how many exits.
      depth: its depth, in blocks.
      deepen: the argument that makes it deeper, if there is one.

    Returns:
      The number of blocks below each exit.

    Raises:
      UserError: if there are more exits than blocks.
    """
    if exits > depth:
        more = f", or raise `{deepen}`" if deepen else ""
        raise UserError(
            f"`exits`={exits} but `model` {name} has depth {depth} here: lower `exits`{more}"
        )
    return spread_exits(exits, depth)
