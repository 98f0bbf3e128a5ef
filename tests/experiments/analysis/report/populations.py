"""Workdirs of any number of clients, as compare writes them."""

import json

import numpy as np

from hasa_jax.simulation.escapes import csv_cell
from tests.experiments.analysis.workdirs import write_csv

ARMS = ("uniform", "hasa", "inverse_hasa")
ROUNDS = (3, 6, 9)

HOSTILE = (
    "<script>document.title='owned'</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    '" onmouseover="alert(1)',
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; & <b>bold</b>",
    "turned \u202eround",
    "line\u2028end",
    "escape \x1b[2J",
    "中文 \N{GREEK SMALL LETTER ALPHA}é \N{GRINNING FACE}",
    "long" * 75,
)
"""Names that try to get out of the page."""

NAMES = ("Bergen", "Aachen", *HOSTILE)


def write_population(folder, names, seeds=3, arms=ARMS, rounds=ROUNDS, gains=(0.0, 0.03, -0.04)):
    """Writes a finished workdir in which each arm is better than the first one by about a gain."""
    generator = np.random.default_rng(0)
    ease = generator.uniform(0.2, 0.6, len(names))
    drawn = {seed: generator.normal(0, 0.01, len(names)) for seed in range(seeds)}
    metrics, summary = [], []
    for gain, arm in zip(gains, arms, strict=False):
        for seed in range(seeds):
            for round in rounds:
                noise = generator.normal(0, 0.004, len(names))
                accuracy = np.clip(ease + drawn[seed] + gain + 0.01 * round + noise, 0, 1)
                front = {
                    **{"method": "hasa", "policy": arm, "extraction": "prefix"},
                    **{"aggregation": "coverage", "seed": seed, "fold": 0, "round": round},
                }
                for split in ("validation", "test"):
                    metrics += [
                        front
                        | {"client": csv_cell(name), "num_examples": 20 + place % 7, "size": 8}
                        | {"width": 0.5, "split": split, "loss": 1.0, "accuracy": accuracy[place]}
                        for place, name in enumerate(names)
                    ]
                summary.append(
                    front
                    | {f"{m}_accuracy": accuracy.mean() for m in ("mean", "worst", "tail")}
                    | {"budget_requested": 0.5}
                    | {f"budget_{u}": 0.5 for u in ("width", "params", "macs", "executed")}
                )
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "metrics.csv", metrics)
    write_csv(folder / "summary.csv", summary)
    known = {
        "script": "compare",
        "config": {"training": {"num_rounds": rounds[-1]}, "data": {"num_clients": len(names)}},
        "data_sha256": {str(seed): f"{seed:064x}" for seed in range(seeds)},
        "versions": {"python": "3.11.7", "jax": "0.10.2"},
        "data_notes": {str(seed): ["3 rows were skipped <b>"] for seed in range(seeds)},
    }
    (folder / "run.json").write_text(json.dumps(known), encoding="utf-8")
    return folder
