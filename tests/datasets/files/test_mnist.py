"""IDX files that do not match, or that unpack to more than they should."""

import gzip
import struct

import pytest

from tests.support import written
from tests.support.written import MOST_MEMORY, assert_refused, copied


def header(*shape, kind=8):
    """The header of an IDX file."""
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


IMAGES = "train-images-idx3-ubyte"
TESTS = "t10k-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"
WRONG = {
    "floats": (IMAGES, header(70, 28, 28, kind=13) + bytes(4 * 70 * 784), "not an IDX file of 3"),
    "two dimensions": (IMAGES, header(70, 784) + bytes(70 * 784), "not an IDX file of"),
    "labels for images": (IMAGES, header(70) + bytes(70), "not an IDX file of 3"),
    "images for labels": (LABELS, header(70, 28, 28) + bytes(70 * 784), "not an IDX file of 1"),
    "larger images": (TESTS, header(40, 32, 32) + bytes(40 * 1024), "images of (32, 32) pixels"),
    "no images": (IMAGES, header(0, 28, 28), "0 examples and 70 labels"),
    "no pixels": (IMAGES, header(70, 0, 0), "images of (0, 0) pixels"),
    "more images": (IMAGES, header(71, 28, 28) + bytes(71 * 784), "71 examples and 70"),
    "only a header": (IMAGES, header(70, 28, 28) + b"1", IMAGES),
    "half a header": (IMAGES, header(70, 28, 28)[:10], "not an IDX file of 3"),
    "more values": (LABELS, header(70) + bytes(71), "does not have the 70 values"),
    "endless images": (IMAGES, header(*[2**32 - 1] * 3) + bytes(70 * 784), "more than fit into"),
    "label too high": (LABELS, header(70) + bytes([10] * 70), "labels from 10 to 10"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_idx_files_are_refused(case, packed, tmp_path):
    name, content, expected = WRONG[case]
    folder, read = copied("mnist gz" if packed else "mnist", tmp_path)
    path = folder / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert_refused(read, folder, expected)


def test_bytes_after_a_packed_file_are_refused(tmp_path):
    folder, read = copied("mnist gz", tmp_path)
    with (folder / f"{IMAGES}.gz").open("ab") as file:
        file.write(b"more")
    assert_refused(read, folder, f"{IMAGES}.gz is damaged")


def test_a_packed_file_is_not_unpacked_beyond_its_shape(tmp_path):
    limit = MOST_MEMORY // 50
    folder, read = copied("mnist gz", tmp_path)
    bomb = gzip.compress(header(70, 28, 28) + bytes(10 * limit), compresslevel=1)
    (folder / f"{IMAGES}.gz").write_bytes(bomb)
    with written.little_memory(limit):
        assert_refused(read, folder, "does not have the 54880 values")


def test_files_that_are_not_packed_come_first(tmp_path):
    read, pool = written.write("mnist", tmp_path)
    written.write("mnist gz", tmp_path, seed=1)
    written.assert_equal_pools(read(tmp_path), pool)
