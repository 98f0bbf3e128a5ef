"""What policies give, what it costs, and what is recommended: by hand."""

import dataclasses

import numpy as np
import pytest

from experiments.advice import words
from experiments.advice.costing import SizeCosts
from experiments.advice.fleet import Fleet
from experiments.advice.options import Option, caps_of, costed, held

TABLE = SizeCosts(
    width=np.arange(5) / 4,
    params=np.array([0, 10, 30, 60, 100.0]),
    macs=np.array([0, 20, 50, 90, 200.0]),
    executed=np.array([0, 20, 50, 90, 200.0]),
    bytes_down=np.array([0, 40, 120, 240, 400.0]),
    bytes_up=np.array([0, 41, 121, 241, 401.0]),
    memory=np.array([0, 100, 200, 300, 400.0]),
)
FLEET = Fleet(("a", "b", "c"), np.array([10, 30, 60]))


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        ({}, [0.8, 0.8, 0.8]),
        ({"cap": [0.3, 1.0, 0.1]}, [0.3, 1.0, 0.1]),
        ({"cap_params": [9, 30, 99]}, [0.0, 0.5, 0.75]),
        ({"cap_macs": [20, 199, 1000]}, [0.25, 0.75, 1.0]),
        ({"cap": [0.3, 1.0, 1.0], "cap_params": [100, 10, 100]}, [0.3, 0.25, 1.0]),
    ],
)
def test_caps_become_widths(caps, expected):
    fleet = dataclasses.replace(FLEET, caps={name: np.array(own) for name, own in caps.items()})
    found = caps_of(fleet, TABLE, w_min=0.2, w_max=0.8)
    assert found.widths.tolist() == pytest.approx(expected)
    # The smallest width is one unit of four, as .2 is less than a unit.
    assert found.able.tolist() == [width >= 0.25 for width in expected]


def test_costs_of_an_option():
    option = Option("uniform", 0.5, "", np.array([1, 2, 4]), 0.5)
    found = costed(option, FLEET, TABLE, epochs=2, rate=1000.0)
    q = np.array([0.1, 0.3, 0.6])
    assert found.achieved == {
        "width": pytest.approx(q @ [0.25, 0.5, 1]),
        "params": pytest.approx(q @ [0.1, 0.3, 1]),
        "macs": pytest.approx(q @ [0.1, 0.25, 1]),
        "executed": pytest.approx(q @ [0.1, 0.25, 1]),
    }
    assert (found.bytes_down, found.bytes_up, found.memory) == (560.0, 563.0, 400.0)
    # Two epochs of 60 examples, three passes of 200 MACs each, at a thousand a second.
    assert found.seconds == pytest.approx(2 * 60 * 3 * 200 / 1000)


def test_the_slowest_device_decides_and_who_takes_no_part_costs_nothing():
    fleet = dataclasses.replace(FLEET, rates=np.array([1.0, 1e6, 1e9]))
    option = Option("exclusive", None, "", np.array([0, 0, 4]))
    found = costed(option, fleet, TABLE, epochs=1, rate=0.0)
    assert found.seconds == pytest.approx(60 * 3 * 200 / 1e9)
    assert found.achieved["width"] == 1.0
    assert found.bytes_down == 400.0
    slow = costed(dataclasses.replace(option, sizes=np.array([1, 0, 4])), fleet, TABLE, 1, 0.0)
    assert slow.seconds == pytest.approx(10 * 3 * 20 / 1.0)


def option(policy, budget, executed, reached=None, reason="", moved=1.0):
    return Option(
        policy,
        budget,
        reason,
        np.array([1]),
        budget if reached is None else reached,
        {"width": 0.5, "params": 0.5, "macs": executed, "executed": executed},
        bytes_down=moved,
    )


def test_the_cheapest_at_the_largest_budget_is_recommended():
    options = [
        option("uniform", 0.25, 0.1),
        option("uniform", 0.5, 0.4),
        option("hasa", 0.5, 0.3, moved=2e6),
        option("random", 0.5, 0.305, moved=1e6),
        option("paper", 0.5, 0.2, reached=0.45),
        option("uniform", 0.75, 0.0, reason="too much"),
        option("smallest", None, 0.0),
    ]
    assert words.recommended(options) is options[3]
    text = words.recommendation(options, {"need": "why"}, (0.25, 0.5, 0.75), "width")
    assert "can be met: 0.5. Cheapest policy at it: random, with 30.5%" in text.replace("\n", " ")
    assert "hasa cost as many MACs, within 0.01, so the bytes decided." in text.replace("\n", " ")
    assert "uniform can meet it, too, with more MACs." in text.replace("\n", " ")
    assert "paper reaches 0.450 only: set `budget_projection`" in text.replace("\n", " ")
    assert "Not computed: need." in text.replace("\n", " ")
    assert "about cost only" in text.replace("\n", " ")
    assert max(map(len, text.splitlines())) <= 100


def test_of_policies_with_as_many_macs_the_shortest_round_decides():
    timed = [
        dataclasses.replace(option(name, 0.5, 0.3, moved=moved), seconds=seconds, memory=memory)
        for name, moved, seconds, memory in (
            ("a", 1e6, 9.0, 3),
            ("b", 2e6, 4.0, 5),
            ("c", 3e6, 5, 2),
        )
    ]
    assert words.recommended(timed) is timed[1]
    text = words.recommendation(timed, {}, (0.5,), "width").replace("\n", " ")
    assert "a, c cost as many MACs, within 0.01, so the seconds of the longest client" in text
    assert "Fewest bytes: a, with 1 MB. Least memory: c, with" in text


def test_those_that_cost_the_same_are_all_within_reach_of_the_cheapest():
    timed = [
        dataclasses.replace(option(name, 0.5, macs), seconds=seconds)
        for name, macs, seconds in [("a", 0.330, 3.0), ("b", 0.339, 2.0), ("c", 0.345, 1.0)]
    ]
    assert words.recommended(timed) is timed[1]
    text = words.recommendation(timed, {}, (0.5,), "width").replace("\n", " ")
    assert " a cost as many MACs, within 0.01, so the seconds of the longest client decided" in text
    assert "c can meet it, too, with more MACs." in text
    # With one time for all, it was not the time.
    alike = [dataclasses.replace(own, seconds=3.0, bytes_up=n) for n, own in enumerate(timed[:2])]
    text = words.recommendation(alike, {}, (0.5,), "width").replace("\n", " ")
    assert "Cheapest policy at it: a" in text
    assert "so the bytes decided" in text


def test_a_policy_without_some_clients_says_what_it_costs_over_all():
    own = costed(Option("exclusive", None, "", np.array([0, 0, 4])), FLEET, TABLE, 1, 0.0)
    assert own.part == 0.6
    *_, note = words.table_of([own], 3, "macs").notes
    assert "which hold 60.0% of the examples; over all clients its MACs are 0.600" in note


def test_who_cannot_hold_what_it_gets():
    fleet = dataclasses.replace(FLEET, caps={"cap": np.array([0.5, 1.0, 0.75])})
    caps = caps_of(fleet, TABLE, w_min=0.2, w_max=0.8)
    own = Option("full", None, "no", np.array([2, 4, 4]))
    assert held(own, fleet, caps, TABLE.width).tolist() == [True, True, False]
    assert held(own, FLEET, caps, TABLE.width).tolist() == [True, True, True]


def test_a_budget_that_is_missed_is_not_called_met():
    options = [option("hasa", 0.75, 0.1, reached=0.604), option("random", 0.75, 0.1, reached=0.5)]
    assert words.recommended(options) is None
    text = words.recommendation(options, {}, (0.75,), "width").replace("\n", " ")
    assert text.startswith(
        "No policy comes within 0.01 of a budget of 0.75 (width). The nearest is"
    )
    assert "hasa, which reaches 0.604 of 0.75" in text
    # A lower budget that is met comes first.
    assert words.recommended([*options, option("hasa", 0.5, 0.1)]).budget == 0.5


def test_without_a_feasible_policy_nothing_is_recommended():
    options = [option("uniform", 0.75, 0.1, reason="no"), option("smallest", None, 0.1)]
    assert words.recommended(options) is None
    text = words.recommendation(options, {}, (0.75,), "macs")
    assert text.startswith("No policy can meet a budget of 0.75 (macs)")
    assert "follow no budget and fit: smallest" in text.replace("\n", " ")


def test_reasons_are_lines_of_their_own():
    options = [option("a", 0.5, 0.1, reason="no"), option("b", 0.5, 0.1, reason="no")]
    lines = words.infeasible_lines(options, {"fixed": "needs", "need": "measures"})
    assert lines == [
        "infeasible at budget 0.5: a, b: no",
        "left out: fixed: needs",
        "left out: need: measures",
    ]
    found = words.unable_line(("a", "b\n"), np.array([True, False]), 0.2)
    assert found.startswith("infeasible clients: 1 of 2 hold less than the smallest width 0.2")
    assert "\n" not in found
