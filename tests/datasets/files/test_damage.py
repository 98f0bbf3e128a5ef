"""Damaged files are refused in one clear line: no other exception, and little memory."""

import functools
import io
import pathlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from hasa_jax import UserError
from tests.support import written
from tests.support.written import assert_refused, copied, files, repacked

LAYOUTS = sorted(written.LAYOUTS)
# digits_domains reads the files of other layouts with their readers.
SINGLE = sorted(set(LAYOUTS) - {"digits_domains"})
SEEDS = [range(12), pytest.param(range(12, 120), marks=pytest.mark.slow, id="many")]


def is_refused(read, folder, name, pool, same_length):
    """Whether a folder is refused in a line with the file's name; if not, it is a valid pool."""
    try:
        found = read(folder)
    except UserError as error:
        # The message may name the other file of a pair, which then does not match.
        stem = name.removesuffix(".gz").replace("images-idx3", "").replace("labels-idx1", "")
        message = str(error).replace("images-idx3", "").replace("labels-idx1", "")
        assert stem in message
        assert "\n" not in message
        return True
    assert found.inputs.shape[1:] == pool.inputs.shape[1:]
    assert len(found.inputs) == len(found.targets) == len(found.is_test) == len(found.groups)
    assert not same_length or len(found.inputs) == len(pool.inputs)
    assert (found.inputs.dtype, found.targets.dtype) == (np.uint8, np.int32)
    assert 0 <= found.targets.min() <= found.targets.max() < len(found.classes)
    return False


@pytest.mark.parametrize("layout", SINGLE)
def test_a_file_that_is_cut_off_is_refused(layout, tmp_path):
    folder, read = copied(layout, tmp_path)
    for name, content in files(layout)[0].items():
        generator = np.random.default_rng(0)
        lengths = {0, 1, 3, 7, len(content) // 2, len(content) - 1}
        for length in sorted(lengths | set(generator.integers(0, len(content), 8).tolist())):
            if "optdigits." in name and b"\n" in content[max(0, length - 1) : length + 1]:
                continue  # All lines that are left are complete.
            if layout == "cifar10" and length and length % 3073 == 0:
                continue  # All images that are left are complete.
            (folder / name).write_bytes(content[:length])
            assert_refused(read, folder, pathlib.Path(name).name.partition("-")[0])
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_file_is_named(layout, tmp_path):
    folder, read = copied(layout, tmp_path)
    for name, content in files(layout)[0].items():
        (folder / name).unlink()
        if name == "train_1.npz":  # The last file of mosaics; their number is not known.
            assert len(read(folder).inputs) == len(files(layout)[1].inputs) - 30
        else:
            bare = pathlib.Path(name).name.removesuffix(".gz")
            assert_refused(read, folder, bare, "`data_dir`")
        (folder / name).write_bytes(content)


@functools.cache
def files_of_other_kinds():
    array = io.BytesIO()
    np.save(array, np.arange(9))
    picture = io.BytesIO()
    Image.new("RGB", (32, 32)).save(picture, "PNG")
    return {
        "text": "Ünïcöde, which means nothing\n".encode(),
        "latin": b"\xff\xfe\xe4\n" * 40,
        "page": b"<!DOCTYPE html><title>404</title>",
        "zeros": bytes(4000),
        "array": array.getvalue(),
        "picture": picture.getvalue(),
        ".npz": files("pacs")[0]["pacs32.npz"],
        ".h5": files("usps")[0]["usps.h5"],
        ".gz": files("mnist gz")[0]["t10k-images-idx3-ubyte.gz"],
    }


@pytest.mark.parametrize("layout", SINGLE)
def test_a_file_of_another_kind_is_refused(layout, tmp_path):
    folder, read = copied(layout, tmp_path)
    for name, content in files(layout)[0].items():
        for kind, other in files_of_other_kinds().items():
            # PACS and Office-Caltech-10 have one format; the other npz files have other arrays.
            if not name.endswith(kind) or layout in ("mnist_m", "cifar10 mosaics"):
                (folder / name).write_bytes(other)
                assert_refused(read, folder, pathlib.Path(name).name.partition("-")[0])
        (folder / name).write_bytes(content)


def replaced(content, generator):
    """Changes one to four bytes, often among the first or last bytes, where headers are."""
    content = bytearray(content)
    low, high = [(0, 64), (0, 4096), (-400, 0), (0, 0)][generator.integers(4)]
    low, high = max(0, low % len(content)), min(high, len(content)) or len(content)
    for at in generator.integers(low, high, generator.integers(1, 5)):
        content[at] = generator.integers(256)
    return bytes(content)


def moved(content, generator):
    """Removes bytes, inserts others, repeats some, or overwrites them with zeros."""
    start = int(generator.integers(len(content)))
    end = min(len(content), start + int(generator.integers(1, 200)))
    middle = [
        b"",
        generator.bytes(end - start) + content[start:end],
        2 * content[start:end],
        bytes(end - start),
    ][generator.integers(4)]
    return content[:start] + middle + content[end:]


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("change", [replaced, moved])
@pytest.mark.parametrize("layout", SINGLE)
def test_bytes_changed_at_random(layout, change, seeds, tmp_path):
    folder, read = copied(layout, tmp_path)
    contents, pool = files(layout)
    names = sorted(contents)
    refused = 0
    with written.little_memory():
        for seed in seeds:
            generator = np.random.default_rng(seed)
            name = names[seed % len(names)]
            (folder / name).write_bytes(change(contents[name], generator))
            refused += is_refused(read, folder, name, pool, change is replaced)
            (folder / name).write_bytes(contents[name])
    # In binary batches, nearly every byte is valid.
    assert refused or (layout, change) == ("cifar10", replaced)


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("layout", ["cifar10 mosaics", "mnist_m", "pacs"])
@pytest.mark.parametrize("reach", [12, 128, 10**9])
def test_bytes_changed_under_a_right_checksum(layout, reach, seeds, tmp_path):
    folder, read = copied(layout, tmp_path)
    contents, pool = files(layout)
    name = min(contents)
    with zipfile.ZipFile(io.BytesIO(contents[name])) as archive:
        entries = archive.namelist()
    for seed in seeds:
        generator = np.random.default_rng(seed)
        chosen = entries[seed % len(entries)]

        def change(entry, content, generator=generator, chosen=chosen):
            if entry == chosen:
                content = bytearray(content)
                for at in generator.integers(0, min(reach, len(content)), 2):
                    content[at] = generator.integers(256)
            return bytes(content)

        (folder / name).write_bytes(repacked(contents[name], change))
        is_refused(read, folder, name, pool, same_length=True)
