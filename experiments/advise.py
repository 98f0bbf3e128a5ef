"""Policies for my devices: `python -m experiments.advise --clients_path=FILE --model=cnn`.

Nothing is trained. FILE is a CSV file with the columns client and examples, and maybe cap,
cap_params, cap_macs, score and macs_per_second; or name a data set as for the other scripts.
Its own flags are --clients_path, --budgets, --macs_per_second and --measure_rate. It also reads
those of model, method, allocation and data, but not --budget, --policy, rounds and seeds.
"""

from __future__ import annotations

import gc
from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.config import RunConfig


def main(config: RunConfig, given: Set[str]) -> None:
    """Prints what policies cost at `budgets`; writes it into `workdir`, if one is named."""
    from experiments.advice import advice

    advice.advise(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    gc.disable()  # Looking for garbage among modules and traces takes a third of the time.
    try:
        from experiments.study import app

        app.run_app(main)
    finally:
        gc.freeze()  # Nor is any looked for when the process ends.


if __name__ == "__main__":
    start()
