"""HASA: its options reach the policy, the budget and the score."""

import hasa_jax as hj


def test_its_options_reach_the_allocation():
    method = hj.methods.hasa(budget=0.4, projection="paper", w_min=0.1, w_max=0.9)
    assert method.budget == hj.BudgetSpec(0.4, projection="paper", w_min=0.1, w_max=0.9)
    assert method.policy.name == "hasa"
    assert hj.methods.hasa(inverse=True).policy.name == "inverse_hasa"


def test_another_score_is_an_argument():
    entropy = hj.SCORES["entropy"]()
    assert hj.methods.hasa(score=entropy).score is entropy
