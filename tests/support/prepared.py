"""Folders that TensorFlow Datasets prepares from examples made here."""

import csv
import io

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered
from tensorflow_datasets.core.download import resource

from hasa_jax import UserError
from hasa_jax.datasets.tfds import tfds as read

CLASSES = ("circle", "square", "star")
NEWS = ("World", "Sports", "Business", "Sci/Tech")
_PARTS = ("train", "test")


def png(image):
    """The bytes of an image; TFDS needs TensorFlow to encode arrays."""
    file = io.BytesIO()
    PIL.Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "png")
    return file.getvalue()


def images(count, seed=0, size=(6, 5, 3)):
    """Random images, and labels that cycle through the classes."""
    drawn = np.random.default_rng(seed).integers(0, 256, (count, *size), np.uint8)
    return drawn, np.arange(count) % len(CLASSES)


def shapes(count, seed=0, size=(6, 5, 3)):
    """Examples for `prepare`: an image and a label each."""
    return [
        {"image": png(image), "label": int(label)}
        for image, label in zip(*images(count, seed, size), strict=True)
    ]


def features_of(**others):
    """Features: an image of any size, a label, and others."""
    image = tfds.features.Image(shape=(None, None, 3))
    return {"image": image, "label": tfds.features.ClassLabel(names=CLASSES), **others}


def prepare(folder, splits, features=None, *, supervised=None, version="1.0.0"):
    """Prepares data set `shapes`; TFDS later knows it only from its files, not from its code."""

    def info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features or features_of()),
            supervised_keys=supervised,
        )

    def generators(self, _):
        return {split: self._generate_examples(split) for split in splits}

    def examples(self, split):
        yield from enumerate(splits[split])

    with registered.skip_registration():
        kind = type(
            "Shapes",
            (tfds.core.GeneratorBasedBuilder,),
            {
                "VERSION": tfds.core.Version(version),
                "_info": info,
                "_split_generators": generators,
                "_generate_examples": examples,
                "__module__": __name__,
            },
        )
    tfds.disable_progress_bar()
    try:
        kind(data_dir=folder).download_and_prepare(file_format="array_record")
    finally:
        tfds.enable_progress_bar()
    return folder


def downloaded(folder, name, end, original):
    """Registers a file as downloaded; returns the path for its content."""
    known = tfds.builder(name, data_dir=folder).url_infos
    ((url, info),) = [each for each in known.items() if each[0].endswith(end)]
    path = resource.epath.Path(folder) / "downloads" / name
    path.mkdir(parents=True, exist_ok=True)
    path /= resource.get_dl_fname(url, info.checksum)
    resource.write_info_file(url, path, name, original, info)
    return path


def news(folder, rows):
    """Writes CSV rows where TFDS finds the extracted download of its own `ag_news_subset`."""
    path = downloaded(folder, "ag_news_subset", "", "ag_news_csv.tar.gz")
    path.write_bytes(b"")
    place = folder / "downloads" / "extracted" / f"TAR_GZ.{path.name}" / "ag_news_csv"
    place.mkdir(parents=True)
    for part in _PARTS:
        with open(place / f"{part}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows[part])
    return folder


def as_tfrecord(folder):
    """Renames the files of a prepared data set to TFRecord files."""
    for path in [*folder.rglob("*.array_record-*"), *folder.rglob("dataset_info.json")]:
        renamed = path.with_name(path.name.replace("array_record", "tfrecord"))
        path.rename(renamed)
        if renamed.suffix == ".json":
            text = renamed.read_text(encoding="utf-8").replace("array_record", "tfrecord")
            renamed.write_text(text, encoding="utf-8")
    return folder


def counted(inputs, targets):
    """Examples in an order of their own: TFDS shuffles them."""
    return sorted((each.tobytes(), int(label)) for each, label in zip(inputs, targets, strict=True))


def assert_refused(name, folder, *words):
    """Asserts that the reader refuses a data set in one line with these words; returns the line."""
    with pytest.raises(UserError) as caught:
        read(name, folder)
    line = str(caught.value)
    assert "\n" not in line
    for word in (f"tfds:{name}", *words):
        assert word in line
    return line
