"""ScaleFL: narrower and shallower subnets with early exits."""

from __future__ import annotations

from collections.abc import Sequence

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.client.objectives import multi_exit
from hasa_jax.extraction import depth_width
from hasa_jax.methods.method import Method, uniform_or_levels


def scalefl(
    *,
    budget: float = 0.5,
    levels: Sequence[float] | None = None,
    widths: Sequence[float] | None = None,
    distillation: float = 0.0,
    temperature: float = 3.0,
    first_round: int = 0,
    detach_teacher: bool = False,
) -> Method:
    """Every client trains a prefix of the units and of the exits, with a loss at each exit.

    A client with exits 1..l minimises
    `[l CE(z_l, y) + sum_{j<l} j (CE(z_j, y) + gamma T^2 KL(p_l || p_j))] / (l (l + 1) / 2)` with
    `p_j = softmax(z_j / T)`. Activations are divided by the width in training and evaluation, and
    the server takes the coverage mean. The model must have early exits: `cnn` and `resnet18` have
    the published classifiers with `exit_head="published"`, where `exits_after` says. The paper's
    ResNet-110 has them after 30, 38 and 46 of 54 blocks, which is after 4, 6 and 7 of the eight
    blocks of `resnet18`.

    Args:
      budget: size-weighted mean width `B` of the clients, which all have the same size.
      levels: sizes that clients get in equal shares instead, without a budget, as positions
        `k / H` among the sizes.
      widths: the width at each exit; those of `depth_width` if None.
      distillation: `gamma`.
      temperature: `T`, above 0.
      first_round: distillation begins after this round; the paper's is a quarter of all rounds.
      detach_teacher: whether the deepest exit gets no gradient from the distillation.

    Returns:
      The method.

    Raises:
      UserError: if the widths fall, leave (0, 1] or do not end in 1.

    References:
      Ilhan, Su and Liu, CVPR 2023.
    """
    return Method(
        name="scalefl",
        summary="narrower and shallower, all exits trained in one loss (CVPR 2023)",
        extraction=depth_width(widths),
        objective=multi_exit(
            distillation=distillation,
            temperature=temperature,
            first_round=first_round,
            detach_teacher=detach_teacher,
        ),
        policy=uniform_or_levels(levels),
        budget=BudgetSpec(budget),
        score=None,
        norm="batch",
        scaler="always",
        aggregation="coverage",
        client_weights="uniform",
        label_split=False,
    )
