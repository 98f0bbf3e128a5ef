"""What is compared."""

from __future__ import annotations

from typing import NamedTuple


class Arm(NamedTuple):
    """One row of the table: a method, and the policy that allocates its widths."""

    method: str
    policy: str
