"""The features of a data set that are inputs, and the feature that is the label."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.tfds.names import PREFIX


@dataclasses.dataclass(frozen=True)
class Columns:
    """The features to read of each example.

    Attributes:
      inputs: keys of one image, or of one or several texts.
      label: key of the class id.
      classes: names of the classes.
      is_image: whether inputs are an image.
    """

    inputs: tuple[str, ...]
    label: str
    classes: tuple[str, ...]
    is_image: bool


def columns(name: str, builder: Any) -> Columns:
    """Chooses features by their type: an image or texts, and a class label.

    If there are several images or labels, the data set's supervised keys decide. Texts are read
    only if there is no image: then all texts are read except ids (`id`, `..._id`). Their order is
    that of the data set's code, or alphabetical if only its files are known.

    Args:
      name: name of the data set, for messages.
      builder: its `tfds.core.DatasetBuilder`.

    Returns:
      The columns.

    Raises:
      UserError: if there is no such choice, or more than one; the message names the features.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.read_only_builder import ReadOnlyBuilder

    info = builder.info
    named = isinstance(info.features, tfds.features.FeaturesDict)
    features: dict[str, Any] = dict(info.features.items()) if named else {}
    if isinstance(builder, ReadOnlyBuilder):
        # They come from a protocol buffer, where the order of keys changes from run to run.
        features = dict(sorted(features.items()))
    supervised = info.supervised_keys if isinstance(info.supervised_keys, tuple) else ()

    def of(kind: type) -> list[str]:
        # Not `isinstance`: in TFDS, masks are images too.
        return [key for key, feature in features.items() if type(feature) is kind]

    def one(kind: type) -> tuple[str, ...]:
        found = of(kind)
        chosen = found if len(found) < 2 else [key for key in found if key in supervised]
        if found and len(chosen) != 1:
            refuse(f"has {len(found)} features of type {kind.__name__}, where one is needed")
        return tuple(chosen)

    def refuse(why: str) -> None:
        kinds = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in features.items())
        raise UserError(
            f"{PREFIX}{name} {why}: choose a data set with an image and a class label, or texts "
            f"and a class label; its features: {kinds or type(info.features).__name__}"
        )

    label, image = one(tfds.features.ClassLabel), one(tfds.features.Image)
    texts = tuple(key for key in of(tfds.features.Text) if key != "id" and not key.endswith("_id"))
    if not label or features[label[0]].num_classes is None:
        refuse("has no class label")
    if not image and not texts:
        refuse("has neither an image nor a text")
    if image and (kind := np.dtype(features[image[0]].np_dtype)) != np.uint8:
        refuse(f"has images of {kind}, where bytes are needed")
    return Columns(image or texts, label[0], tuple(features[label[0]].names), bool(image))
