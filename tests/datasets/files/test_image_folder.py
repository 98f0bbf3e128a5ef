"""Images in folders: the meaning of the folders, what is read, and what is refused."""

import io
import os
import pathlib
import shutil
import tempfile

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hasa_jax import UserError
from hasa_jax.datasets import image_folder as build
from hasa_jax.datasets import memory
from hasa_jax.datasets.files.image_folder import image_folder
from hasa_jax.datasets.images import resized

GREY, COLOUR = (6, 4), (6, 4, 3)
MANY = [f"{name}/{i}.png" for name in ("cat", "owl") for i in range(15)]


def pixels(number, shape=COLOUR):
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


def save(path, number=0, shape=COLOUR, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(number, shape)).save(path, **options)
    return path


def fill(folder, names, **options):
    for number, name in enumerate(names):
        save(folder / name, number, **options)
    return folder


def test_folders_are_classes(tmp_path):
    # They are not written in the order of reading.
    names = ["owl/b.png", "cat/2.bmp", "owl/a.PNG", "cat/10.webp"]
    fill(tmp_path, names[:3])
    save(tmp_path / names[3], 3, lossless=True)
    (tmp_path / "owl" / "readme.txt").write_text("mine", encoding="utf-8")
    for hidden in (".cache/x.png", "owl/._a.png"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"nothing")
    pool = image_folder(tmp_path)
    assert pool.classes == ("cat", "owl")
    assert pool.targets.tolist() == [0, 0, 1, 1]
    assert np.array_equal(pool.inputs, np.stack([pixels(i) for i in (3, 1, 2, 0)]))
    assert pool.group_names == ("all",)
    assert not pool.is_test.any()


def test_train_and_test_are_splits(tmp_path):
    fill(tmp_path, ["train/cat/a.png", "train/owl/a.png", "test/cat/a.png"])
    pool = image_folder(tmp_path)
    assert pool.is_test.tolist() == [True, False, False]
    assert pool.targets.tolist() == [0, 0, 1]
    assert pool.group_names == ("all",)


def test_other_folders_are_domains(tmp_path):
    fill(tmp_path, ["photo/cat/a.png", "ink/owl/a.png", "ink/cat/a.png"])
    pool = image_folder(tmp_path)
    assert pool.group_names == ("ink", "photo")
    assert pool.groups.tolist() == [0, 0, 1]
    assert pool.targets.tolist() == [0, 1, 0]


def test_a_class_may_be_called_train(tmp_path):
    pool = image_folder(fill(tmp_path, ["train/a.png", "bus/a.png"]))
    assert pool.classes == ("bus", "train")


def test_grey_stays_grey_unless_one_is_not(tmp_path):
    fill(tmp_path, ["cat/a.png", "owl/a.png"], shape=GREY)
    assert np.array_equal(image_folder(tmp_path).inputs[1, ..., 0], pixels(1, GREY))
    save(tmp_path / "owl/b.png")
    mixed = image_folder(tmp_path).inputs
    assert mixed.shape == (3, 6, 4, 3)
    assert np.array_equal(mixed[0], np.stack([pixels(0, GREY)] * 3, axis=-1))


@pytest.mark.parametrize("mode", ["1", "CMYK", "LA", "P", "RGBA"])
def test_all_kinds_of_pixels(tmp_path, mode):
    fill(tmp_path, ["cat/a.png", "owl/a.png"])
    ending = "jpg" if mode == "CMYK" else "png"
    Image.fromarray(pixels(5)).convert(mode).save(tmp_path / f"owl/b.{ending}")
    assert image_folder(tmp_path).inputs.shape == (3, 6, 4, 3)


def test_images_are_rotated_as_their_exif_data_say(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "cat/a.png", 0, exif=exif)
    Image.fromarray(np.rot90(pixels(0), -1)).save(tmp_path / "cat/b.png")
    save(tmp_path / "owl/a.png", shape=(4, 6, 3))
    inputs = image_folder(tmp_path).inputs
    assert np.array_equal(inputs[0], inputs[1])


def test_images_of_several_sizes_must_be_resized(tmp_path):
    fill(tmp_path, ["cat/a.png", "owl/a.png"])
    save(tmp_path / "owl/b.png", 2, (9, 9, 3))
    with pytest.raises(UserError, match=r"b\.png is 9x9 and .*a\.png is 6x4: .*`resize`"):
        image_folder(tmp_path)
    pool = image_folder(tmp_path, resize=5)
    assert pool.inputs.shape == (3, 5, 5, 3)
    assert np.array_equal(pool.inputs[2], resized(pixels(2, (9, 9, 3))[None], 5)[0])


def test_a_dataset_of_a_folder(tmp_path):
    fill(tmp_path, MANY)
    data = build(jax.random.key(0), data_dir=str(tmp_path), resize=3, num_clients=2)
    assert data.train.inputs.shape[1:] == (3, 3, 3)
    assert data.num_tokens == 0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "has no images in folders"),
        (["a.png"], "is 1 deep"),
        (["cat/a.png", "owl/a.png", "owl/old/a.png"], "owl/old/a.png is 3 deep"),
        (["x/cat/a.png", "x/owl/a.png", "a.png"], "is 1 deep"),
        (["w/x/cat/a.png", "w/x/owl/a.png"], "is 4 deep"),
        (["cat/a.png", "cat/b.png"], "only one class"),
        (["train/cat/a.png", "train/owl/a.png"], "images in train: .* both"),
        (["train/cat/a.png", "test/owl/a.png"], "class 'owl', which train does not have"),
        (["train/cat/a.png", "test/cat/a.png", "ink/owl/a.png"], "images in ink, test, train"),
        (["Test/cat/a.png", "val/owl/a.png"], "images in Test, val: .* both"),
        (["train/cat/a.png", "Train/owl/a.png", "test/cat/a.png"], "are the same split"),
        (["train/a.png", "test/b.png", "val/c.png"], "without folders by class"),
    ],
)
def test_wrong_folders_are_refused(tmp_path, names, expected):
    with pytest.raises(UserError, match=expected) as caught:
        image_folder(fill(tmp_path, names))
    assert "\n" not in str(caught.value)


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        image_folder(tmp_path / "none")


def encoded_as(ending):
    file = io.BytesIO()
    Image.fromarray(pixels(0)).save(file, ending)
    return file.getvalue()


@pytest.mark.parametrize("ending", ["bmp", "gif", "jpeg", "png", "ppm", "tiff", "webp"])
def test_damaged_images_are_named(tmp_path, ending):
    intact = encoded_as(ending)
    fill(tmp_path, ["cat/a.png", "owl/a.png"])
    path, generator = tmp_path / f"owl/b.{ending}", np.random.default_rng(0)
    messages = []
    for trial in range(30):
        content = bytearray(intact)
        if trial % 2:
            content = content[: generator.integers(len(content))]
        else:
            for at in generator.integers(0, len(content), 4):
                content[at] = generator.integers(256)
        path.write_bytes(content)
        try:
            image_folder(tmp_path, resize=4)
        except UserError as error:
            messages.append(str(error))
    assert messages
    assert all(f"b.{ending} cannot be read as an image" in line for line in messages)


@pytest.mark.parametrize(
    ("peak", "divisor"), [(255, 1), (256, 2), (4095, 16), (4096, 32), (65535, 256)]
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_pixels_of_16_bits(tmp_path, peak, divisor, ending):
    grey = pixels(3, GREY).astype(np.uint16) * (peak // 256)
    grey[0, 0] = peak
    for name, values in (("cat/a", grey), ("owl/a", grey // 2)):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(values).save(tmp_path / f"{name}.{ending}")
    pool = image_folder(tmp_path)
    expected = np.stack([grey // divisor, grey // 2 // divisor])[..., None]
    np.testing.assert_array_equal(pool.inputs, expected)
    assert pool.notes == (f"2 images of 16 bits were divided by {divisor}",)
    save(tmp_path / "owl/b.png", shape=GREY)
    pool = image_folder(tmp_path)
    np.testing.assert_array_equal(pool.inputs[0, ..., 0], grey // 256)
    assert pool.notes == ("2 images of 16 bits were divided by 256",)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_of_32_bits_are_refused(tmp_path, mode):
    fill(tmp_path, ["cat/a.png", "owl/a.png"])
    Image.fromarray(pixels(0, GREY)).convert(mode).save(tmp_path / "owl/b.tif")
    with pytest.raises(UserError, match=rf"owl/b\.tif .* are {mode}, not of 8 bits"):
        image_folder(tmp_path)


NAMES = {
    "train": ("train", "Train", "TRAIN", "training", "Training"),
    "test": ("test", "Test", "testing", "Testing", "TEST"),
    "validation": ("val", "Val", "valid", "validation", "Validation"),
}
spelled = st.fixed_dictionaries({split: st.sampled_from(names) for split, names in NAMES.items()})


@given(names=spelled, has=st.sets(st.sampled_from(["test", "validation"]), min_size=1))
@settings(max_examples=20, deadline=None)
def test_names_of_splits_in_any_spelling(names, has):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        for split in {"train", *has}:
            fill(path, [f"{names[split]}/{c}/{split}.png" for c in ("cat", "owl")])
        pool = image_folder(path)
        order = sorted((names[split], c, split) for split in {"train", *has} for c in "co")
    held_out = "test" if "test" in has else "validation"
    assert pool.is_test.tolist() == [split == held_out for _, _, split in order]
    assert pool.targets.tolist() == ["co".index(c) for _, c, _ in order]
    assert pool.group_names == ("all",)
    use = "for training" if "test" in has else "for testing"
    assert len(pool.notes) == ("validation" in has)
    assert all(f"2 images of the validation folder are {use}" in note for note in pool.notes)


modes = st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr"])
endings = st.sampled_from(
    ["bmp", "gif", "jpg", "jfif", "jpe", "png", "tif", "TIFF", "webp", "ppm", "pgm", "PNG"]
)


@given(mode=modes, ending=endings, seed=st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_any_mode_and_format_is_read_or_refused(mode, ending, seed):
    """What Pillow can write is read with its own pixels, or refused in one line."""
    source = pixels(seed, GREY if mode in ("I;16", "I", "F", "1", "L") else COLOUR)
    image = Image.fromarray(source.astype(np.uint16) * 257) if mode == "I;16" else None
    image = image or Image.fromarray(source).convert(mode)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        for name in ("cat", "owl"):
            (path / name).mkdir()
            try:
                image.save(
                    path / name / f"a.{ending}", **{"format": "JPEG"} if ending == "jpe" else {}
                )
            except (OSError, KeyError, ValueError):
                return  # There is no such file.
        try:
            pool = image_folder(path)
        except UserError:
            assert mode in ("I", "F")
            return
        with Image.open(path / "cat" / f"a.{ending}") as again:
            deep = again.mode.startswith("I")
            kept = again.mode in ("1", "L", "LA") or deep
            expected = again.convert("L" if kept else "RGB") if not deep else source
            expected = np.asarray(expected)
    assert np.array_equal(pool.inputs[0], expected[..., None] if kept else expected)
    assert np.array_equal(pool.inputs[0], pool.inputs[1])


def test_several_frames_and_other_files_are_counted(tmp_path):
    fill(tmp_path, ["cat/a.png", "owl/a.png"], shape=GREY)
    frames = [Image.fromarray(pixels(i, GREY)) for i in range(3)]
    frames[0].save(tmp_path / "owl/b.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "owl/c.tif", save_all=True, append_images=frames[1:])
    for name in ("readme.txt", "cat/x.txt", "cat/Thumbs.db", "owl/noend", ".hidden", "cat/.x.txt"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    pool = image_folder(tmp_path)
    assert len(pool.targets) == 4
    np.testing.assert_array_equal(pool.inputs[3, ..., 0], pixels(0, GREY))
    assert pool.notes == (
        "4 files that are no images were passed over: 2 .txt, 1 .db, 1 no ending",
        "2 images have several frames: the first one was read",
    )
    data = build(jax.random.key(0), data_dir=fill(tmp_path, MANY), resize=3, num_clients=2)
    assert data.notes == pool.notes


def test_names_of_folders(tmp_path):
    fill(tmp_path, ["x/cafe\u0301/a.png", "x/owl/b.png", "y/caf\u00e9/c.png", "y\u200b/owl/d.png"])
    pool = image_folder(tmp_path)
    assert pool.classes == ("caf\u00e9", "owl")
    assert pool.group_names == ("x", "y")
    assert sorted(zip(pool.groups.tolist(), pool.targets.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1)
    ]  # fmt: skip
    save(tmp_path / "x/\u200b/a.png")
    with pytest.raises(UserError, match=r"'\\u200b' of a folder has no visible character"):
        image_folder(tmp_path)
    assert pool.notes[0].startswith("2 spellings of folders were joined with others: 'cafe")


@pytest.mark.parametrize("form", ["{}/cat/a.png", "x/{}/a.png"])
def test_names_of_folders_that_are_not_utf8(tmp_path, form):
    fill(tmp_path, ["x/cat/a.png", "x/owl/b.png"])
    for name in (b"H\xf4pital", "\u5317\u4eac".encode("gbk")):
        save(tmp_path / form.format(os.fsdecode(name)))
    with pytest.raises(UserError, match=r"2 folders in .* not UTF-8, such as 'H\\udcf4pital'") as e:
        image_folder(tmp_path)
    str(e.value).encode()


def test_names_of_images_may_be_any_bytes_but_messages_are_text(tmp_path):
    fill(tmp_path, ["cat/a.png", "owl/a.png"])
    path = tmp_path / "owl" / os.fsdecode(b"\xf4\n.png")
    save(path, 2)
    assert len(image_folder(tmp_path).targets) == 3
    path.write_bytes(b"hello")
    with pytest.raises(UserError, match=r"owl/\\udcf4\\n\.png cannot be read") as caught:
        image_folder(tmp_path)
    assert str(caught.value).encode().isascii()


def test_a_flood_of_pixels_is_refused(tmp_path, monkeypatch):
    fill(tmp_path, ["cat/a.png", "owl/a.png"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(UserError, match=r"cat/a\.png cannot be read"):
        image_folder(tmp_path)


def test_more_pixels_than_memory_are_refused(tmp_path, monkeypatch):
    fill(tmp_path, ["cat/a.png", "owl/a.png"])
    monkeypatch.setattr(memory, "_available_memory", lambda: 280)
    with pytest.raises(
        UserError, match=r"2 images: this needs 0.0 MiB of memory, but 0.0 MiB are free"
    ):
        image_folder(tmp_path)
    assert len(image_folder(tmp_path, resize=2).targets) == 2


def test_links_to_folders_are_followed(tmp_path):
    fill(tmp_path / "real", ["cat/a.png"])
    fill(tmp_path / "here", ["owl/a.png"])
    (tmp_path / "here" / "cat").symlink_to(tmp_path / "real" / "cat")
    assert image_folder(tmp_path / "here").classes == ("cat", "owl")
    shutil.rmtree(tmp_path / "real")
