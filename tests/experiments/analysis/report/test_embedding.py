"""Data and pictures in an HTML file: what comes in is what is shown, and nothing is obeyed."""

import base64
import hashlib
import json
import re

import numpy as np
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


def test_dots_of_a_hatch_are_arcs():
    """Circles around (3, 5) from the lowest point: of radius 1 to the right, of .5 to the left."""
    angles = np.arange(25) * np.pi / 12
    rings = []
    for radius, side in ((1, 1), (0.5, -1)):
        points = [(3 + side * radius * np.sin(a), 5 + radius * np.cos(a)) for a in angles]
        texts = [f"{x:.6f} {y:.6f}" for x, y in points]
        curves = [f"C {' '.join(texts[n : n + 3])} \n" for n in range(1, 25, 3)]
        rings.append(f"M {texts[0]} \n{''.join(curves)}z\n")
    line = "M -36 36 \nL 36 -36 \n"
    own = f'<pattern id="h"><path d="{"".join(rings)}{line}"/></pattern><path d="{rings[0]}"/>'
    text = inline_svg(SVG.replace("</svg>", f"{own}</svg>"), "p")
    (hatch,) = re.findall('<pattern id="p-h"><path d="([^"]*)"', text)
    assert hatch.split("\n", 2)[:2] == [
        "M3 6a1 1 0 0 0 0 -2a1 1 0 0 0 0 2z",
        "M3 5.5a0.5 0.5 0 0 1 0 -1a0.5 0.5 0 0 1 0 1z",
    ]
    assert hatch.endswith(line)
    assert text.count("C ") == 8  # Those of no hatch stay.


def test_the_hash_of_a_script_is_that_of_the_standard():
    digest = hashlib.sha256(b"alert(1)").digest()
    assert script_hash("alert(1)") == "sha256-" + base64.b64encode(digest).decode()
