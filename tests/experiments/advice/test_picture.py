"""The picture of advice: no text lies on curves, on other text, or outside."""

import itertools

import numpy as np
import pytest

from experiments.advice.options import Option
from experiments.advice.picture import figure_of

pytest.importorskip("matplotlib")
POLICIES = ("uniform", "size_proportional", "inverse_size", "capacity", "hasa", "inverse_hasa")


def options_of(budgets, unmet, seconds=1234.5):
    sizes = np.arange(1, 9)
    return [
        Option(
            policy,
            budget,
            "too much" if budget == unmet else "",
            np.minimum(sizes, 1 + number),
            bytes_down=budget * 10.0**number,
            bytes_up=7e12,
            memory=3e9 * budget,
            seconds=seconds * budget,
        )
        for budget in budgets
        for number, policy in enumerate(POLICIES)
    ]


def texts_of(figure):
    """Returns the texts that are drawn: ticks outside of an axis are not."""
    found = [text for legend in figure.legends for text in legend.get_texts()]
    for panel in figure.axes:
        found.append(panel.title)
        for axis in (panel.xaxis, panel.yaxis):
            low, high = axis.get_view_interval()
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
            found += [axis.label, *(label for place, label in ticks if low <= place <= high)]
        found += panel.texts
    return found


def overlap(one, other):
    return min(one.x1, other.x1) > max(one.x0, other.x0) + 0.5 and (
        min(one.y1, other.y1) > max(one.y0, other.y0) + 0.5
    )


def test_policies_without_a_budget_have_one_panel():
    options = [Option("full", None, "", np.array([9, 9]), bytes_down=1, bytes_up=1, memory=1)]
    figure = figure_of(options, np.ones(2), np.linspace(0, 1, 10), "width")
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["sent in a round, all clients (B)", "memory of a device (B)", "no budget"]
    assert {panel.get_xlabel() for panel in figure.axes[:2]} == {"no budget"}


def test_each_width_stands_over_the_cap_of_its_own_client():
    caps = np.array([1.0, 0.5, 1.0, 0.5])
    options = [Option("hasa", 0.5, "", np.array([3, 5, 9, 4]), bytes_down=1, memory=1)]
    figure = figure_of(options, caps, np.linspace(0, 1, 11), "width")
    held, own = (line.get_ydata().tolist() for line in figure.axes[-1].lines)
    assert held == [0.5, 0.5, 1.0, 1.0]
    assert own == pytest.approx([0.4, 0.5, 0.3, 0.9])


@pytest.mark.parametrize(
    ("budgets", "unmet"), [((0.25, 0.5, 0.75), 0.75), ((0.2, 0.21, 0.3, 0.4, 0.95), 0.95)]
)
def test_texts_lie_beside_curves_and_each_other(budgets, unmet):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    options = options_of(budgets, unmet)
    figure = figure_of(options, np.linspace(0.3, 1, 8), np.linspace(0, 1, 10), "params")
    assert len(figure.axes) == len(budgets) + 3
    titles = [panel.get_title() for panel in figure.axes]
    assert titles[:3] == [
        *("sent in a round, all clients (TB)", "memory of a device (GiB)"),
        "round of the longest client (s)",
    ]
    assert f"budget {unmet:g} (params): not met" in titles
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = {
        f"{text.get_text()} {number}": text.get_window_extent(renderer)
        for number, text in enumerate(texts_of(figure))
        if text.get_text()
    }
    assert len(boxes) > 30
    panels = [panel.get_window_extent(renderer) for panel in figure.axes]
    for name, box in boxes.items():
        assert all(figure.bbox.contains(*corner) for corner in box.get_points()), name
        assert not any(overlap(box, panel) for panel in panels), name
    for one, other in itertools.combinations(boxes, 2):
        assert not overlap(boxes[one], boxes[other]), (one, other)
