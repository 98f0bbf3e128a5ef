"""Files that are whole, but hold what they should not: refused, each with its reason."""

import functools
import gzip
import io
import struct
import tracemalloc

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.support.written import MOST_MEMORY, files, lay, repacked, told


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a file ran code",))


def changed(name, **changes):
    """Changes arrays of an npz file; functions take the old one, None leaves it out."""

    def spoil(folder):
        with np.load(folder / name) as file:
            arrays = {key: file[key] for key in file.files}
        for key, change in changes.items():
            arrays[key] = change(arrays[key]) if callable(change) else change
        np.savez(folder / name, **{key: a for key, a in arrays.items() if a is not None})

    return spoil


def labelled(label):
    """Changes the last label."""
    return lambda labels: np.array([*labels[:-1], label])


PACS = functools.partial(changed, "pacs32.npz")
SMALL = functools.partial(changed, "mnist_m.npz")
ARRAYS = {
    "no array": ("pacs", PACS(domain=None), "domain"),
    "fractions for images": ("pacs", PACS(x=lambda x: x / 255), "not n x 32 x 32 x 3 bytes"),
    "flat images": ("pacs", PACS(x=lambda x: x.reshape(len(x), -1)), "not n x 32 x 32 x 3 bytes"),
    "grey images": ("pacs", PACS(x=lambda x: x[..., :1]), "110 x 32 x 32 x 1 uint8"),
    "larger images": ("mnist_m", SMALL(x_train=np.zeros((9, 64, 64, 3), np.uint8)), "64 x 64 x 3"),
    "wider numbers": ("pacs", PACS(x=lambda x: x.astype(np.uint16)), "uint16"),
    "labels in columns": ("pacs", PACS(y=lambda y: y[:, None]), "array y"),
    "fractions for labels": ("mnist_m", SMALL(y_test=lambda y: y / 2), "array y_test"),
    "spans for labels": ("pacs", PACS(y=lambda y: y.astype("m8[s]")), "array y"),
    "one label": ("pacs", PACS(y=np.uint8(1)), "array y of"),
    "objects": ("pacs", PACS(y=np.array([Trap()] * 110)), "objects"),
    "label too high": ("mnist_m", SMALL(y_train=labelled(10)), "labels from 0 to 10, of 10"),
    "label too low": ("mnist_m", SMALL(y_test=labelled(-1)), "labels from -1 to 9"),
    "domain too high": ("pacs", PACS(domain=labelled(3)), "labels from 0 to 3, of 3"),
    "fewer labels": ("mnist_m", SMALL(y_train=lambda y: y[1:]), "70 examples and 69 labels"),
    "fewer domains": ("pacs", PACS(domain=lambda d: d[1:]), "110 examples and 109 labels"),
    "nothing": ("mnist_m", SMALL(x_train=lambda x: x[:0], y_train=lambda y: y[:0]), "mnist_m.npz"),
    "a name twice": ("pacs", PACS(domains=["a", "b", "b"]), "does not name"),
    "no names": ("pacs", PACS(classes=np.zeros(0, "U3")), "pacs32.npz"),
    "numbers for names": ("pacs", PACS(classes=np.arange(3)), "not n texts"),
    "bytes for names": ("pacs", PACS(classes=np.array([b"a", b"b", b"c"])), "not n texts"),
    "no characters": (
        "pacs",
        PACS(classes=np.array([2**30, 2**29, 2**28], np.uint32).view("U1")),
        "does not name",
    ),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_do_not_fit(case, tmp_path):
    layout, spoil, expected = ARRAYS[case]
    folder, read = lay(layout, tmp_path)
    spoil(folder)
    told(read, folder, expected, next(iter(files(layout)[0])))


def test_a_header_of_more_than_there_is_takes_no_memory(tmp_path):
    folder, read = lay("pacs", tmp_path)

    def grow(entry, content):
        # A header of the same length, of 2e9 images.
        return (
            content.replace(b"(110, 32, 32, 3), }   ", b"(2000000000,32,32,3),}")
            if (entry == "x.npy")
            else content
        )

    content = (folder / "pacs32.npz").read_bytes()
    grown = repacked(content, grow)
    assert grown != repacked(content, lambda entry, content: content)
    (folder / "pacs32.npz").write_bytes(grown)
    tracemalloc.start()
    try:
        told(read, folder, "pacs32.npz")
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def mosaics(**changes):
    """Changes arrays of the first file of mosaics, which holds 32 and 8 images."""
    return changed("train_0.npz", **changes)


def webp(change):
    """Changes the arrays of the first file of mosaics together."""

    def spoil(folder):
        with np.load(folder / "train_0.npz") as file:
            arrays = {key: file[key] for key in file.files}
        np.savez(folder / "train_0.npz", **arrays | change(arrays))

    return spoil


def in_place_of_the_first(content):
    """Puts other bytes in place of the first mosaic."""

    def change(arrays):
        end = arrays["offsets"][1]
        parts = [content(arrays["webp"][:end].tobytes()), arrays["webp"][end:].tobytes()]
        return {
            "webp": np.frombuffer(b"".join(parts), np.uint8),
            "offsets": np.cumsum([0, *map(len, parts)]),
        }

    return webp(change)


def picture(kind, size=(1024, 32), colour=(255, 0, 0), **options):
    """A picture file of one colour."""
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(file, kind, **options)
    return file.getvalue()


def of_size(width, height):
    """Makes a WebP file say that it is of another size."""

    def change(content):
        bits = (width - 1) + ((height - 1) << 14)
        return content[:21] + bits.to_bytes(4, "little") + content[25:]

    return change


def half_blank(content):
    """Overwrites what is packed, but not what is told about it."""
    return content[:40] + bytes(len(content) - 40)


MOSAICS = {
    "offsets beyond the end": (mosaics(offsets=lambda o: o + (o == o[-1])), "nowhere"),
    "offsets below 0": (mosaics(offsets=lambda o: o - [1, 0, 0]), "nowhere"),
    "offsets that fall": (mosaics(offsets=lambda o: o[[0, 2, 1, 2]]), "nowhere"),
    "offsets that start late": (mosaics(offsets=lambda o: o[1:]), "nowhere"),
    "no offsets": (mosaics(offsets=lambda o: o[:0]), "nowhere"),
    "fractions for offsets": (mosaics(offsets=lambda o: o / 1), "not n whole numbers"),
    "an empty mosaic": (mosaics(offsets=lambda o: o[[0, 1, 1, 2]]), "0 x 0 pixels"),
    "a mosaic too few": (
        webp(lambda a: {"webp": a["webp"][: a["offsets"][1]], "offsets": a["offsets"][:2]}),
        "32 examples and 40 labels",
    ),
    "a mosaic too many": (mosaics(y=lambda y: y[:32]), "does not fit its 32 labels"),
    "more labels": (mosaics(y=lambda y: np.resize(y, 65)), "64 examples and 65 labels"),
    "no labels": (mosaics(y=lambda y: y[:0]), "does not fit its 0 labels"),
    "a label too high": (mosaics(y=labelled(10)), "labels from 0 to 10"),
    "damaged pixels": (in_place_of_the_first(half_blank), "is damaged"),
    "a bomb": (in_place_of_the_first(of_size(16384, 16384)), "16384 x 16384 pixels"),
    "a high bomb": (in_place_of_the_first(of_size(1024, 16384)), "1024 x 16384 pixels"),
    "half an image": (in_place_of_the_first(of_size(1024, 48)), "1024 x 48 pixels"),
    "a narrow mosaic": (
        in_place_of_the_first(lambda _: picture("WEBP", (512, 32), lossless=True)),
        "512 x 32 pixels",
    ),
    "see-through": (
        in_place_of_the_first(lambda _: picture("WEBP", colour=(255, 0, 0, 9), lossless=True)),
        "train_0.npz",
    ),
    "a lossy mosaic": (in_place_of_the_first(lambda _: picture("WEBP")), "0 x 0 pixels"),
    "another picture": (in_place_of_the_first(lambda _: picture("PNG")), "0 x 0 pixels"),
}


@pytest.mark.parametrize("case", MOSAICS)
def test_mosaics_that_do_not_fit(case, tmp_path):
    spoil, expected = MOSAICS[case]
    folder, read = lay("cifar10 mosaics", tmp_path)
    spoil(folder)
    tracemalloc.start()
    try:
        told(read, folder, expected, "train_0.npz")
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("number", [0, 1])
def test_files_of_mosaics_are_numbered_without_gaps(number, tmp_path):
    folder, read = lay("cifar10 mosaics", tmp_path)
    (folder / f"train_{number}.npz").rename(folder / "train_2.npz")
    told(read, folder, f"has no train_{number}.npz")


def test_files_for_testing_alone_are_not_enough(tmp_path):
    folder, read = lay("cifar10 mosaics", tmp_path)
    for number in range(2):
        (folder / f"train_{number}.npz").unlink()
    told(read, folder, "data_batch_1.bin or train_0.npz")


def hdf5(**changes):
    """Changes data of the training part; functions take the old ones, None leaves them out."""

    def spoil(folder):
        with h5py.File(folder / "usps.h5", "r+") as file:
            for key, change in changes.items():
                old = file[f"train/{key}"][()]
                del file[f"train/{key}"]
                if change is not None:
                    file[f"train/{key}"] = change(old) if callable(change) else change

    return spoil


def pixel(value):
    """Changes one pixel."""

    def change(data):
        data[3, 5] = value
        return data

    return change


def folder_of_pixels(folder):
    with h5py.File(folder / "usps.h5", "r+") as file:
        del file["train/data"]
        file.create_group("train/data")


def kind_of_pixels(folder):
    with h5py.File(folder / "usps.h5", "r+") as file:
        del file["train/data"]
        file["train/data"] = np.dtype(np.float32)  # A named type, which has no shape.


def unwritten_pixels(folder):
    """Ten million images, none of which is there."""
    with h5py.File(folder / "usps.h5", "r+") as file:
        del file["train/data"]
        file.create_dataset("train/data", (10**7, 256), np.float32, chunks=(1000, 256))


def pixels_elsewhere(folder):
    (folder / "elsewhere").write_bytes(bytes(4 * 256 * 70))
    with h5py.File(folder / "usps.h5", "r+") as file:
        del file["train/data"]
        place = [(str(folder / "elsewhere"), 0, 4 * 256 * 70)]
        file.create_dataset("train/data", (70, 256), np.float32, external=place)


HDF5 = {
    "not a number": (hdf5(data=pixel(np.nan)), "outside 0 to 1"),
    "infinite": (hdf5(data=pixel(np.inf)), "outside 0 to 1"),
    "too bright": (hdf5(data=pixel(1.01)), "outside 0 to 1"),
    "too dark": (hdf5(data=pixel(-0.01)), "outside 0 to 1"),
    "bytes": (hdf5(data=lambda x: np.round(255 * x).astype(np.uint8)), "pixels of uint8"),
    "texts": (hdf5(data="grey"), "is damaged"),
    "squares": (hdf5(data=lambda x: x.reshape(-1, 16, 16)), "(70, 16, 16) pixels"),
    "smaller images": (hdf5(data=lambda x: x[:, :64]), "(70, 64) pixels"),
    "one number": (hdf5(data=0.5), "is damaged"),
    "no pixels": (hdf5(data=None), "is damaged"),
    "a folder": (folder_of_pixels, "something else in place of pixels"),
    "a type": (kind_of_pixels, "something else in place of pixels"),
    "nothing written": (unwritten_pixels, "more than fit into it"),
    "in another file": (pixels_elsewhere, "refers to other files"),
    "no labels": (hdf5(target=None), "is damaged"),
    "label columns": (hdf5(target=lambda y: y[:, None]), "(70, 1) labels"),
    "fractions for labels": (hdf5(target=lambda y: y / 2), "labels of float64"),
    "label too high": (hdf5(target=labelled(10)), "labels from 0 to 10"),
    "label too low": (hdf5(target=labelled(-1)), "labels from -1 to 9"),
    "fewer labels": (hdf5(target=lambda y: y[1:]), "70 examples and 69 labels"),
    "none at all": (hdf5(data=lambda x: x[:0], target=lambda y: y[:0]), "0 examples"),
}


@pytest.mark.parametrize("case", HDF5)
def test_hdf5_that_does_not_fit(case, tmp_path):
    spoil, expected = HDF5[case]
    folder, read = lay("usps", tmp_path)
    spoil(folder)
    told(read, folder, expected, "usps.h5")


def test_wider_fractions_are_read(tmp_path):
    folder, read = lay("usps", tmp_path)
    hdf5(data=lambda x: x.astype(np.float64), target=lambda y: y.astype(np.uint8))(folder)
    np.testing.assert_array_equal(read(folder).inputs, files("usps")[1].inputs)


def head(*shape, kind=8):
    """The head of an IDX file."""
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


IMAGES = "train-images-idx3-ubyte"
TESTS = "t10k-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"
IDX = {
    "of floats": (IMAGES, head(70, 28, 28, kind=13) + bytes(4 * 70 * 784), "no IDX file of 3"),
    "of another number of dimensions": (IMAGES, head(70, 784) + bytes(70 * 784), "no IDX file of"),
    "labels for images": (IMAGES, head(70) + bytes(70), "no IDX file of 3"),
    "images for labels": (LABELS, head(70, 28, 28) + bytes(70 * 784), "no IDX file of 1"),
    "of other images": (TESTS, head(40, 32, 32) + bytes(40 * 1024), "images of (32, 32) pixels"),
    "of no images": (IMAGES, head(0, 28, 28), "0 examples and 70 labels"),
    "of no pixels": (IMAGES, head(70, 0, 0), "images of (0, 0) pixels"),
    "of more images than labels": (
        IMAGES,
        head(71, 28, 28) + bytes(71 * 784),
        "71 examples and 70",
    ),
    "a head alone": (IMAGES, head(70, 28, 28) + b"1", IMAGES),
    "half a head": (IMAGES, head(70, 28, 28)[:10], "no IDX file of 3"),
    "values to spare": (LABELS, head(70) + bytes(71), "does not have the 70 values"),
    "of endless images": (IMAGES, head(*[2**32 - 1] * 3) + bytes(70 * 784), "more than fit into"),
    "label too high": (LABELS, head(70) + bytes([10] * 70), "labels from 10 to 10"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", IDX)
def test_idx_that_does_not_fit(case, packed, tmp_path):
    name, content, expected = IDX[case]
    folder, read = lay("mnist gz" if packed else "mnist", tmp_path)
    path = folder / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    told(read, folder, expected)


def test_what_follows_a_packed_file_is_refused(tmp_path):
    folder, read = lay("mnist gz", tmp_path)
    with (folder / f"{IMAGES}.gz").open("ab") as file:
        file.write(b"more")
    told(read, folder, f"{IMAGES}.gz is damaged")


def test_a_packed_file_that_goes_on_is_not_unpacked_to_its_end(tmp_path):
    folder, read = lay("mnist gz", tmp_path)
    bomb = gzip.compress(head(70, 28, 28) + bytes(2 * MOST_MEMORY), compresslevel=1)
    (folder / f"{IMAGES}.gz").write_bytes(bomb)
    tracemalloc.start()
    try:
        told(read, folder, "does not have the 54880 values")
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY / 50
    finally:
        tracemalloc.stop()


LINE = b"0," * 64 + b"7\n"
COMMENT = b"# a comment\n"
TEXTS = {
    "nothing": (b"", "is damaged"),
    "a comment alone": (COMMENT, "is damaged"),
    "a comment further down": (LINE + COMMENT + LINE, "is damaged"),
    "a line commented out": (b"#" + LINE + LINE, "is damaged"),
    "a comment in a line": (LINE + LINE[:-1] + b"# seven\n", "is damaged"),
    "a number left out": (LINE + LINE[2:], "is damaged"),
    "lines too short": (LINE[2:], "64 counts"),
    "lines too long": (b"0," + LINE, "64 counts"),
    "a fraction": (LINE.replace(b"7", b"7.5"), "is damaged"),
    "a fraction that is whole": (LINE.replace(b"7", b"7.0"), "is damaged"),
    "a word": (LINE.replace(b"7", b"seven"), "is damaged"),
    "not a number": (LINE.replace(b"7", b"nan"), "is damaged"),
    "beyond all numbers": (LINE.replace(b"7", b"9" * 30), "is damaged"),
    "a count too high": (b"17" + LINE[1:], "64 counts"),
    "a count too low": (b"-1" + LINE[1:], "64 counts"),
    "a label too high": (LINE.replace(b"7", b"10"), "labels from 10 to 10"),
    "a label too low": (LINE.replace(b"7", b"-7"), "64 counts"),
    "no text": (LINE.replace(b"7", b"\xff"), "is damaged"),
    "a nothing": (LINE.replace(b"7", b"\0"), "is damaged"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_that_does_not_fit(case, tmp_path):
    content, expected = TEXTS[case]
    folder, read = lay("optdigits", tmp_path)
    (folder / "optdigits.hol").write_bytes(content)
    told(read, folder, expected, "optdigits.hol")


def test_text_of_other_systems_is_read(tmp_path):
    folder, read = lay("optdigits", tmp_path)
    content = (folder / "optdigits.hol").read_bytes()
    (folder / "optdigits.hol").write_bytes(COMMENT + content.replace(b"\n", b"\r\n").rstrip())
    np.testing.assert_array_equal(read(folder).inputs, files("optdigits")[1].inputs)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "0 examples and 0 labels"),
        (bytes(3072), "ends within an image"),
        (bytes(3073) + b"\x0a" + bytes(3072), "labels from 0 to 10"),
    ],
)
def test_batches_that_do_not_fit(content, expected, tmp_path):
    folder, read = lay("cifar10", tmp_path)
    (folder / "data_batch_3.bin").write_bytes(content)
    told(read, folder, expected, "data_batch_3.bin")
