"""HDF5 files that do not match, and files with wider numbers."""

import h5py
import numpy as np
import pytest

from tests.support.written import assert_refused, copied, files, with_last_label


def with_data(**changes):
    """Changes training data; functions take the old data, None removes them."""

    def change_file(folder):
        with h5py.File(folder / "usps.h5", "r+") as file:
            for key, change in changes.items():
                old = file[f"train/{key}"][()]
                del file[f"train/{key}"]
                if change is not None:
                    file[f"train/{key}"] = change(old) if callable(change) else change

    return change_file


def with_pixel(value):
    """Changes one pixel."""

    def change(data):
        data[3, 5] = value
        return data

    return change


def with_a_group_for_pixels(folder):
    with h5py.File(folder / "usps.h5", "r+") as file:
        del file["train/data"]
        file.create_group("train/data")


def with_a_type_for_pixels(folder):
    with h5py.File(folder / "usps.h5", "r+") as file:
        del file["train/data"]
        file["train/data"] = np.dtype(np.float32)  # A named type, which has no shape.


def with_pixels_never_written(folder):
    """Ten million images; none of them is in the file."""
    with h5py.File(folder / "usps.h5", "r+") as file:
        del file["train/data"]
        file.create_dataset("train/data", (10**7, 256), np.float32, chunks=(1000, 256))


def with_pixels_in_another_file(folder):
    (folder / "elsewhere").write_bytes(bytes(4 * 256 * 70))
    with h5py.File(folder / "usps.h5", "r+") as file:
        del file["train/data"]
        external = [(str(folder / "elsewhere"), 0, 4 * 256 * 70)]
        file.create_dataset("train/data", (70, 256), np.float32, external=external)


WRONG = {
    "not a number": (with_data(data=with_pixel(np.nan)), "outside 0 to 1"),
    "infinite": (with_data(data=with_pixel(np.inf)), "outside 0 to 1"),
    "too bright": (with_data(data=with_pixel(1.01)), "outside 0 to 1"),
    "too dark": (with_data(data=with_pixel(-0.01)), "outside 0 to 1"),
    "bytes": (with_data(data=lambda x: np.round(255 * x).astype(np.uint8)), "pixels of uint8"),
    "texts": (with_data(data="grey"), "is damaged"),
    "squares": (with_data(data=lambda x: x.reshape(-1, 16, 16)), "(70, 16, 16) pixels"),
    "smaller images": (with_data(data=lambda x: x[:, :64]), "(70, 64) pixels"),
    "one number": (with_data(data=0.5), "is damaged"),
    "no pixels": (with_data(data=None), "is damaged"),
    "a group": (with_a_group_for_pixels, "something else in place of pixels"),
    "a type": (with_a_type_for_pixels, "something else in place of pixels"),
    "pixels never written": (with_pixels_never_written, "more than fit into it"),
    "pixels in another file": (with_pixels_in_another_file, "refers to other files"),
    "no labels": (with_data(target=None), "is damaged"),
    "label columns": (with_data(target=lambda y: y[:, None]), "(70, 1) labels"),
    "fractions for labels": (with_data(target=lambda y: y / 2), "labels of float64"),
    "label too high": (with_data(target=with_last_label(10)), "labels from 0 to 10"),
    "label too low": (with_data(target=with_last_label(-1)), "labels from -1 to 9"),
    "fewer labels": (with_data(target=lambda y: y[1:]), "70 examples and 69 labels"),
    "no examples": (with_data(data=lambda x: x[:0], target=lambda y: y[:0]), "0 examples"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_hdf5_is_refused(case, tmp_path):
    change, expected = WRONG[case]
    folder, read = copied("usps", tmp_path)
    change(folder)
    assert_refused(read, folder, expected, "usps.h5")


def test_wider_fractions_are_read(tmp_path):
    folder, read = copied("usps", tmp_path)
    with_data(data=lambda x: x.astype(np.float64), target=lambda y: y.astype(np.uint8))(folder)
    np.testing.assert_array_equal(read(folder).inputs, files("usps")[1].inputs)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    folder, read = copied("usps", tmp_path)
    (folder / "usps.h5").unlink()
    (folder / "usps.h5").mkdir()
    assert_refused(read, folder, "has no usps.h5")
