"""Text files that do not match, and text files of other systems."""

import numpy as np
import pytest

from tests.support.written import assert_refused, copied, files

LINE = b"0," * 64 + b"7\n"
COMMENT = b"# a comment\n"
WRONG = {
    "an empty file": (b"", "is damaged"),
    "only a comment": (COMMENT, "is damaged"),
    "a comment in line 2": (LINE + COMMENT + LINE, "is damaged"),
    "a line commented out": (b"#" + LINE + LINE, "is damaged"),
    "a comment in a line": (LINE + LINE[:-1] + b"# seven\n", "is damaged"),
    "a number left out": (LINE + LINE[2:], "is damaged"),
    "lines too short": (LINE[2:], "64 counts"),
    "lines too long": (b"0," + LINE, "64 counts"),
    "a fraction": (LINE.replace(b"7", b"7.5"), "is damaged"),
    "an integer as a fraction": (LINE.replace(b"7", b"7.0"), "is damaged"),
    "a word": (LINE.replace(b"7", b"seven"), "is damaged"),
    "not a number": (LINE.replace(b"7", b"nan"), "is damaged"),
    "too large a number": (LINE.replace(b"7", b"9" * 30), "is damaged"),
    "a count too high": (b"17" + LINE[1:], "64 counts"),
    "a count too low": (b"-1" + LINE[1:], "64 counts"),
    "a label too high": (LINE.replace(b"7", b"10"), "labels from 10 to 10"),
    "a label too low": (LINE.replace(b"7", b"-7"), "64 counts"),
    "a byte that is not text": (LINE.replace(b"7", b"\xff"), "is damaged"),
    "a NUL": (LINE.replace(b"7", b"\0"), "is damaged"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_text_is_refused(case, tmp_path):
    content, expected = WRONG[case]
    folder, read = copied("optdigits", tmp_path)
    (folder / "optdigits.hol").write_bytes(content)
    assert_refused(read, folder, expected, "optdigits.hol")


def test_text_of_other_systems_is_read(tmp_path):
    folder, read = copied("optdigits", tmp_path)
    content = (folder / "optdigits.hol").read_bytes()
    (folder / "optdigits.hol").write_bytes(COMMENT + content.replace(b"\n", b"\r\n").rstrip())
    np.testing.assert_array_equal(read(folder).inputs, files("optdigits")[1].inputs)


def test_the_complete_training_file_needs_no_second_one(tmp_path):
    folder, read = copied("optdigits", tmp_path)
    (folder / "optdigits.hol").unlink()
    (folder / "optdigits.tra").write_bytes(LINE * 3822)
    assert_refused(read, folder, "optdigits.hol", "`data_dir`")
    (folder / "optdigits.tra").write_bytes(LINE * 3823)
    assert np.count_nonzero(~read(folder).is_test) == 3823
    # The second file of another copy has digits that are in the first one.
    (folder / "optdigits.hol").write_bytes(LINE * 823)
    assert np.count_nonzero(~read(folder).is_test) == 3823
