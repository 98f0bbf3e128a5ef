"""Damaged files are refused in one clear line: never another exception, never much memory."""

import io
import pathlib
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from hasa_jax import UserError
from tests.support import written
from tests.support.written import MOST_MEMORY, files, lay, repacked, told

LAYOUTS = sorted(written.LAYOUTS)
MUTATIONS = 60


EACH_FILE = [(layout, name) for layout in LAYOUTS for name in files(layout)[0]]


def outcome(read, folder, name, pool, same_length):
    """Asserts that a folder is refused in a line with the file's name, or read as a pool."""
    try:
        found = read(folder)
    except UserError as error:
        # Of a pair of files, what does not fit the other may be told.
        stem = name.removesuffix(".gz").replace("images-idx3", "").replace("labels-idx1", "")
        message = str(error).replace("images-idx3", "").replace("labels-idx1", "")
        assert stem in message
        return False
    assert found.inputs.shape[1:] == pool.inputs.shape[1:]
    assert len(found.inputs) == len(found.targets) == len(found.is_test) == len(found.groups)
    assert not same_length or len(found.inputs) == len(pool.inputs)
    assert (found.inputs.dtype, found.targets.dtype) == (np.uint8, np.int32)
    assert 0 <= found.targets.min() <= found.targets.max() < len(found.classes)
    return True


@pytest.mark.parametrize(("layout", "name"), EACH_FILE)
def test_a_file_cut_off_is_refused(layout, name, tmp_path):
    folder, read = lay(layout, tmp_path)
    content = (folder / name).read_bytes()
    generator = np.random.default_rng(0)
    lengths = {0, 1, 3, 7, len(content) // 2, len(content) - 1}
    for length in sorted(lengths | set(generator.integers(0, len(content), 8).tolist())):
        kept = content[:length]
        if "optdigits." in name and b"\n" in content[max(0, length - 1) : length + 1]:
            continue  # All lines that are left are whole.
        if layout == "cifar10" and length and length % 3073 == 0:
            continue  # All images that are left are whole.
        (folder / name).write_bytes(kept)
        told(read, folder, pathlib.Path(name).name.partition("-")[0])


@pytest.mark.parametrize(("layout", "name"), EACH_FILE)
def test_a_file_that_is_not_there_is_told(layout, name, tmp_path):
    folder, read = lay(layout, tmp_path)
    (folder / name).unlink()
    if name == "train_1.npz":  # The last one: nothing tells how many there should be.
        assert len(read(folder).inputs) == len(files(layout)[1].inputs) - 30
        return
    told(read, folder, pathlib.Path(name).name.removesuffix(".gz"), "--data_dir")


def test_a_folder_in_place_of_a_file_is_no_file(tmp_path):
    folder, read = lay("usps", tmp_path)
    (folder / "usps.h5").unlink()
    (folder / "usps.h5").mkdir()
    told(read, folder, "has no usps.h5")


@pytest.mark.parametrize(("layout", "name"), EACH_FILE)
def test_a_file_of_another_kind_is_refused(layout, name, tmp_path):
    folder, read = lay(layout, tmp_path)
    array = io.BytesIO()
    np.save(array, np.arange(9))
    picture = io.BytesIO()
    Image.new("RGB", (32, 32)).save(picture, "PNG")
    others = {
        "text": "Ünïcöde, which says nothing\n".encode(),
        "latin": b"\xff\xfe\xe4\n" * 40,
        "page": b"<!DOCTYPE html><title>404</title>",
        "zeros": bytes(4000),
        "array": array.getvalue(),
        "picture": picture.getvalue(),
        ".npz": files("pacs")[0]["pacs32.npz"],
        ".h5": files("usps")[0]["usps.h5"],
        ".gz": files("mnist gz")[0]["t10k-images-idx3-ubyte.gz"],
    }
    for kind, content in others.items():
        # PACS and Office-Caltech-10 look alike, and the others are refused by what is in them.
        if not name.endswith(kind) or layout in ("mnist_m", "cifar10 mosaics"):
            (folder / name).write_bytes(content)
            told(read, folder, pathlib.Path(name).name.partition("-")[0])


def replaced(content, generator):
    """Changes one to four bytes, often among the first or the last, where formats keep books."""
    content = bytearray(content)
    low, high = [(0, 64), (0, 4096), (-400, 0), (0, 0)][generator.integers(4)]
    low, high = max(0, low % len(content)), min(high, len(content)) or len(content)
    for at in generator.integers(low, high, generator.integers(1, 5)):
        content[at] = generator.integers(256)
    return bytes(content)


def moved(content, generator):
    """Takes bytes out, puts others in, says some twice, or blanks them."""
    start = int(generator.integers(len(content)))
    end = min(len(content), start + int(generator.integers(1, 200)))
    middle = [
        b"",
        generator.bytes(end - start) + content[start:end],
        2 * content[start:end],
        bytes(end - start),
    ][generator.integers(4)]
    return content[:start] + middle + content[end:]


@pytest.mark.parametrize("change", [replaced, moved])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_changed_at_random(layout, change, tmp_path):
    folder, read = lay(layout, tmp_path)
    contents, pool = files(layout)
    names = sorted(contents)
    refused = 0
    tracemalloc.start()
    try:
        for seed in range(MUTATIONS):
            generator = np.random.default_rng(seed)
            name = names[seed % len(names)]
            (folder / name).write_bytes(change(contents[name], generator))
            file_name = pathlib.Path(name).name
            refused += not outcome(read, folder, file_name, pool, change is replaced)
            (folder / name).write_bytes(contents[name])
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()
    # Or nothing was put to the test; in plain batches hardly a byte can be wrong.
    assert refused or (layout, change) == ("cifar10", replaced)


@pytest.mark.parametrize("layout", ["cifar10 mosaics", "mnist_m", "pacs"])
@pytest.mark.parametrize("reach", [12, 128, 10**9])
def test_bytes_changed_under_a_right_checksum(layout, reach, tmp_path):
    folder, read = lay(layout, tmp_path)
    contents, pool = files(layout)
    name = min(contents)
    with zipfile.ZipFile(io.BytesIO(contents[name])) as archive:
        entries = archive.namelist()
    for seed in range(MUTATIONS):
        generator = np.random.default_rng(seed)
        chosen = entries[seed % len(entries)]

        def change(entry, content, generator=generator, chosen=chosen):
            if entry == chosen:
                content = bytearray(content)
                for at in generator.integers(0, min(reach, len(content)), 2):
                    content[at] = generator.integers(256)
            return bytes(content)

        (folder / name).write_bytes(repacked(contents[name], change))
        outcome(read, folder, name, pool, same_length=True)
