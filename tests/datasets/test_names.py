"""Names that mean the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasa_jax import UserError
from hasa_jax.datasets.names import joined_note, number_of, plain_name, spellings


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cafe\u0301", "caf\u00e9"),
        (" a \t b\n", "a b"),
        ("a\u200bb\ufeff", "ab"),
        ("a\u00a0b", "a b"),
        ("\u202eabc\u202c", "abc"),
        ("\u200b", ""),
        (7, "7"),
        (1.0, "1.0"),
        ("../x|<b>", "../x|<b>"),
    ],
)
def test_plain_names(name, expected):
    assert plain_name(name) == expected


def test_names_that_are_not_utf8_are_refused():
    with pytest.raises(UserError, match=r"the name 'H\\udcf4pital' is not UTF-8: rename it"):
        plain_name("H\udcf4pital")


def test_equal_numbers_are_one():
    found = spellings(["1", "1.0", "1.00", "+1", "01", "2.50", "2.5", "1e2", "100", "x1", "1,0"])
    assert found == {
        "1": "1", "1.0": "1", "1.00": "1", "+1": "1", "01": "1", "2.50": "2.5", "2.5": "2.5",
        "1e2": "100", "100": "100", "x1": "x1", "1,0": "1,0",
    }  # fmt: skip
    assert joined_note(found, "labels") == (
        "6 spellings of labels were joined with others: '+1' is '1', '01' is '1', '1.0' is '1' and "
        "3 more",
    )
    assert joined_note(spellings(["1.0", "2.0"]), "labels") == ()
    # Numbers that are equal only as floats are not.
    assert len(set(spellings(["12345678901234567890", "12345678901234567891"]).values())) == 2


@pytest.mark.parametrize("name", ["", "nan", "inf", "1_0", "0x1", "\u0661", "1e99999", "--1", "."])
def test_what_is_no_number(name):
    assert number_of(name) is None


names = st.text(st.sampled_from("e\u0301\u00e9\u200b 1.0+"), max_size=5)


@given(found=st.lists(names, min_size=1, max_size=6))
def test_spellings_do_not_depend_on_order_or_form(found):
    one = spellings(found)
    assert one == spellings(found[::-1])
    other = spellings([unicodedata.normalize("NFD", name) for name in found])
    for name in found:
        assert one[name] == other[unicodedata.normalize("NFD", name)]
        assert spellings([one[name]])[one[name]] == one[name]
