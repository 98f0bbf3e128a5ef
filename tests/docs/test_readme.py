"""What the README shows must run."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.allocation.budget import Budget
from tests.contracts import test_extractions

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_quickstart_runs(capsys):
    names = {}
    exec(compile(BLOCKS[0], "README.md", "exec"), names)
    history = names["history"]
    assert [row["round"] for row in history.summary] == [1, 2, 3, 4, 5]
    assert "Ledger" in capsys.readouterr().out
    exec(compile(BLOCKS[1], "README.md", "exec"), names)
    assert len(names["history"].summary) == 5


def test_the_example_policy_is_a_policy():
    names = {}
    exec(compile(BLOCKS[2], "README.md", "exec"), names)
    stats = hj.ClientStats(np.array([100, 400]), np.zeros(2), np.full(2, 0.8))
    goal = Budget(0.5, "width", "exact", 0.2, 0.8, np.arange(101) / 100)
    widths = names["square_root"]()(stats, goal, None)
    assert widths @ [0.2, 0.8] == pytest.approx(0.5)
    assert widths[1] == pytest.approx(2 * widths[0])


def test_the_example_method_passes_the_contract(monkeypatch):
    source = BLOCKS[3]
    assert len(source.splitlines()) < 25
    names = {}
    exec(compile(source, "README.md", "exec"), names)
    monkeypatch.setitem(test_extractions.VARIANTS, "personal", names["personal"])
    test_extractions.test_ranks_are_permutations_and_repeatable("personal")
    test_extractions.test_counts_nesting_and_full_width("personal")
    test_extractions.test_shapes_grow_to_the_whole("personal")
    test_extractions.test_every_execution_agrees_with_masked("personal", "sliced")


def test_commands_name_flags_that_exist():
    from experiments.flags import FLAGS

    commands = re.findall(r"^python -m experiments\.\w+ .*$", README, flags=re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        for word in shlex.split(command, comments=True)[3:]:
            assert word.removeprefix("--").split("=")[0] in {*FLAGS, "flagfile"}
