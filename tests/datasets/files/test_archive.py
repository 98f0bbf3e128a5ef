"""npz files that are intact, but whose arrays are not what a reader needs."""

import functools

import numpy as np
import pytest

from tests.support import written
from tests.support.written import assert_refused, changed, copied, files, repacked, with_last_label


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a file ran code",))


PACS = functools.partial(changed, "pacs32.npz")
SMALL = functools.partial(changed, "mnist_m.npz")
WRONG = {
    "no array": ("pacs", PACS(domain=None), "domain"),
    "fractions for images": ("pacs", PACS(x=lambda x: x / 255), "not n x 32 x 32 x 3 bytes"),
    "flat images": ("pacs", PACS(x=lambda x: x.reshape(len(x), -1)), "not n x 32 x 32 x 3 bytes"),
    "grey images": ("pacs", PACS(x=lambda x: x[..., :1]), "110 x 32 x 32 x 1 uint8"),
    "larger images": ("mnist_m", SMALL(x_train=np.zeros((9, 64, 64, 3), np.uint8)), "64 x 64 x 3"),
    "wider numbers": ("pacs", PACS(x=lambda x: x.astype(np.uint16)), "uint16"),
    "labels in columns": ("pacs", PACS(y=lambda y: y[:, None]), "array y"),
    "fractions for labels": ("mnist_m", SMALL(y_test=lambda y: y / 2), "array y_test"),
    "time spans for labels": ("pacs", PACS(y=lambda y: y.astype("m8[s]")), "array y"),
    "one label": ("pacs", PACS(y=np.uint8(1)), "array y of"),
    "objects": ("pacs", PACS(y=np.array([Trap()] * 110)), "objects"),
    "label too high": ("mnist_m", SMALL(y_train=with_last_label(10)), "labels from 0 to 10, of 10"),
    "label too low": ("mnist_m", SMALL(y_test=with_last_label(-1)), "labels from -1 to 9"),
    "domain too high": ("pacs", PACS(domain=with_last_label(3)), "labels from 0 to 3, of 3"),
    "fewer labels": ("mnist_m", SMALL(y_train=lambda y: y[1:]), "70 examples and 69 labels"),
    "fewer domains": ("pacs", PACS(domain=lambda d: d[1:]), "110 examples and 109 labels"),
    "nothing": ("mnist_m", SMALL(x_train=lambda x: x[:0], y_train=lambda y: y[:0]), "mnist_m.npz"),
    "a name twice": ("pacs", PACS(domains=["a", "b", "b"]), "does not name"),
    "no names": ("pacs", PACS(classes=np.zeros(0, "U3")), "pacs32.npz"),
    "numbers for names": ("pacs", PACS(classes=np.arange(3)), "not n texts"),
    "bytes for names": ("pacs", PACS(classes=np.array([b"a", b"b", b"c"])), "not n texts"),
    "invalid characters": (
        "pacs",
        PACS(classes=np.array([2**30, 2**29, 2**28], np.uint32).view("U1")),
        "does not name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arrays_are_refused(case, tmp_path):
    layout, change, expected = WRONG[case]
    folder, read = copied(layout, tmp_path)
    change(folder)
    assert_refused(read, folder, expected, next(iter(files(layout)[0])))


def test_a_header_of_too_many_images_takes_no_memory(tmp_path):
    folder, read = copied("pacs", tmp_path)

    def grow(entry, content):
        # A header of equal length, of 2e9 images.
        old, new = b"(110, 32, 32, 3), }   ", b"(2000000000,32,32,3),}"
        return content.replace(old, new) if entry == "x.npy" else content

    content = (folder / "pacs32.npz").read_bytes()
    grown = repacked(content, grow)
    assert grown != repacked(content, lambda entry, content: content)
    (folder / "pacs32.npz").write_bytes(grown)
    with written.little_memory():
        assert_refused(read, folder, "pacs32.npz")
