"""Data and pictures in an HTML file: what comes in is what is shown, and nothing is obeyed."""

import base64
import hashlib
import json
import re

import pytest

from experiments.analysis.report.embedding import inline_svg, json_text, script_hash
from tests.experiments.analysis.report.populations import HOSTILE


@pytest.mark.parametrize("name", [*HOSTILE, "half \ud800 character", "", "\\u003c"])
def test_json_reads_back_and_ends_no_element(name):
    text = json_text({name: [name, 1, None]})
    assert json.loads(text) == {name: [name, 1, None]}
    assert not re.search("[<>&\u2028\u2029]", text)
    text.encode("utf-8")


def test_json_has_no_other_numbers():
    with pytest.raises(ValueError, match="JSON"):
        json_text(float("nan"))


SVG = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "x">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="504pt" height="216pt" viewBox="0 0 504 216">
 <metadata><x>a tool</x></metadata>
 <defs><path id="glyph" d="M 1.23456 -0.004 L 10 2.5" transform="scale(0.015625)"/></defs>
 <use xlink:href="#glyph"/><g clip-path="url(#glyph)"/>
</svg>
"""


def test_a_picture_becomes_an_element():
    text = inline_svg(SVG, "bars")
    assert text.startswith('<svg class="page" style="width: 63rem" aria-hidden="true"')
    assert text.endswith("</svg>")
    assert "metadata" not in text
    assert 'viewBox="0 0 504 216"' in text
    for part in ('id="bars-glyph"', 'href="#bars-glyph"', "url(#bars-glyph)"):
        assert part in text
    assert 'd="M 1.23 -0 L 10 2.5"' in text
    assert "scale(0.015625)" in text


def test_a_small_picture_is_not_stretched():
    assert inline_svg(SVG.replace("504pt", "252pt"), "p").startswith('<svg style="width: 31.5rem"')


def test_the_hash_of_a_script_is_that_of_the_standard():
    digest = hashlib.sha256(b"alert(1)").digest()
    assert script_hash("alert(1)") == "sha256-" + base64.b64encode(digest).decode()
