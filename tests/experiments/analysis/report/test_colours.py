"""Colours: contrast as the guidelines have it, on white and in the dark."""

import re
from pathlib import Path

import pytest

from experiments.analysis.pictures.looks import COLOURS
from experiments.analysis.report import colours, page

CSS = Path(page.__file__).with_name("report.css").read_text(encoding="utf-8")
LIGHT, DARK = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[:2]


def parts(colour):
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def test_contrast_is_that_of_the_guidelines():
    assert colours.contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert colours.contrast(parts("#767676"), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("block", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_have_the_contrast_of_level_aa(block):
    found = {name: parts(own) for name, own in re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)}
    for ground in ("back", "raised"):
        for text in ("text", "soft", "link", "better", "worse"):
            assert colours.contrast(found[text], found[ground]) >= 4.5, (text, ground)
        assert colours.contrast(found["focus"], found[ground]) >= 3
    assert colours.contrast(found["text"], found["mark"]) >= 4.5


def test_the_dark_paper_is_that_of_the_page():
    assert parts(re.search(r"--back: (#\w+)", DARK)[1]) == colours.PAPER


@pytest.mark.parametrize("colour", COLOURS)
def test_arms_are_seen_in_the_dark(colour):
    assert colours.contrast(parts(colours.dark_twin(colour.lower())), colours.PAPER) >= 4.5


def test_black_and_white_change_places():
    assert parts(colours.dark_twin("#000000")) == colours.INK
    assert parts(colours.dark_twin("#ffffff")) == colours.PAPER


def test_colours_become_variables():
    svg = '<path style="fill: none; stroke: #0072b2"/><rect fill="#ffffff"/>'
    text, found = colours.as_variables(svg)
    assert found == {"#0072b2", "#ffffff"}
    assert "stroke: var(--c-0072b2, #0072b2)" in text
    assert '<rect style="fill: var(--c-ffffff, #ffffff)"/>' in text
    assert "--c-ffffff: #14171b;" in colours.dark_values(found)


def test_a_scale_of_colours_stays_as_it_is():
    scale = "".join(f'<path style="fill: #0000{n:02x}"/>' for n in range(100))
    assert colours.as_variables(scale) == (scale, set())
    bar = '<image href="data:image/png;base64,"/><path style="fill: #0000ff"/>'
    assert colours.as_variables(bar) == (bar, set())
