"""Names that mean the same."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasa_jax import UserError
from hasa_jax.datasets import names as reader
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
    # Both forms of one letter look alike, so one of them is written as its characters' numbers.
    assert joined_note(spellings(["\xe9", "e\u0301"]), "users") == (
        f"1 spellings of users were joined with others: 'e\\u0301' is {chr(0xE9)!r}",
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


SPELLED = st.text(alphabet="01.e+- ab\n\t\x1c\u00e9\u200b", max_size=5)


@given(st.lists(SPELLED, max_size=6, unique=True))
@settings(max_examples=400)
def test_names_that_need_no_look_are_spelled_as_they_are(texts):
    """Many names are looked at in one piece; that changes no spelling."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reader, "are_spelled_once", lambda given: False)
        expected = reader.spellings(texts)
    assert reader.spellings(texts) == expected
    assert reader.joined_note(reader.spellings(texts), "clients") == reader.joined_note(
        expected, "clients"
    )


@pytest.mark.parametrize(
    ("given", "sure"),
    [
        (["client 0", "client 1", "a_b"], True),
        (["0", "7", "12", "305"], True),
        (["07", "7"], False),
        (["7", "7.0"], False),
        (["1e3"], False),
        (["+5"], False),
        (["-5"], False),
        (["-a", "a-1"], True),
        ([" a"], False),
        (["a  b"], False),
        (["a\tb"], False),
        (["a\nb"], False),
        (["caf\u00e9"], False),
        ([""], True),
        (["a\x1fb"], False),
    ],
)
def test_which_names_need_no_look(given, sure):
    assert reader.are_spelled_once(given) == sure
