"""Which model fits which data, and which arguments fit a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hasa_jax import machine
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.models.exit_head import EXIT_HEADS
from hasa_jax.models.layers import spread_exits

_SMALLEST_IMAGE = 8
# Of one parameter: the server's before and after a round, a client's, and its gradient.
_BYTES_OF_A_UNIT = 4 * 4
_BYTES_OF_A_LAYER = 2**20  # What compiling a layer takes at least; measured.


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


def check_exit_head(name: str) -> None:
    """Refuses names that are not in `EXIT_HEADS` with a `UserError`."""
    if name not in EXIT_HEADS:
        raise UserError(f"unknown `exit_head` {name!r}: use one of {', '.join(EXIT_HEADS)}")


def check_counts(**counts: int) -> None:
    """Refuses arguments that must be integers of 1 or more and that the memory can hold.

    Args:
      **counts: values by the name of their argument.

    Raises:
      UserError: if a value is no such integer, or so large that one parameter for each unit or
        layer is more than the free memory; nothing is traced for it.
    """
    available = machine.host_bytes()
    for name, count in counts.items():
        if not (isinstance(count, int) and count >= 1):
            raise UserError(f"`{name}`={count!r}: use an integer of 1 or more")
        least = count * (_BYTES_OF_A_LAYER if name == "layers" else _BYTES_OF_A_UNIT)
        if least > available:
            raise UserError(
                f"`{name}`={count} is too large: it takes {machine.readable(least)} of memory or "
                f"more, but {machine.readable(available)} are free: lower it"
            )


def place_exits(
    name: str, exits: int, depth: int, *, deepen: str = "", exits_after: Sequence[int] = ()
) -> tuple[int, ...]:
    """Places a model's exits: where the user has them, or spread over its depth.

    Args:
      name: the model.
      exits: how many exits.
      depth: its depth, in blocks.
      deepen: the argument that makes it deeper, if there is one.
      exits_after: blocks below every early exit, without the last one at full depth; empty to
        spread the exits.

    Returns:
      The number of blocks below each exit.

    Raises:
      UserError: if there are more exits than blocks, or the early ones do not rise below the depth.
    """
    if exits_after:
        places = (*exits_after, depth)
        integers = all(isinstance(place, int) for place in places)
        if not integers or sorted({0, *places}) != [0, *places]:
            raise UserError(
                f"`exits_after`={list(exits_after)}: name blocks of `model` {name}, rising from 1 "
                f"to {depth - 1}"
            )
        if exits not in (1, len(places)):
            raise UserError(
                f"`exits`={exits}, but `exits_after` names {len(exits_after)} early exits beside "
                "the last one: leave `exits` out"
            )
        return places
    if exits > depth:
        more = f", or raise `{deepen}`" if deepen else ""
        raise UserError(
            f"`exits`={exits} but `model` {name} has depth {depth} here: lower `exits`{more}"
        )
    return spread_exits(exits, depth)
