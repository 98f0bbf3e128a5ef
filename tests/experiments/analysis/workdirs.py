"""Small finished workdirs, as runs write them."""

import csv
import json

from experiments.analysis import results


def record(policy="uniform", seed=0, accuracy=0.1, budget=0.5, round=3, **others):
    """A record of summary.csv."""
    return {
        "method": "hasa",
        "policy": policy,
        "extraction": "prefix",
        "aggregation": "coverage",
        "seed": str(seed),
        "round": str(round),
        **{f"{m}_accuracy": str(accuracy) for m in results.METRICS},
        "budget_requested": "0.5",
        **{f"budget_{u}": str(budget) for u in ("width", "params", "macs", "executed")},
        **{name: str(value) for name, value in others.items()},
    }


def records(policy, accuracies, first_seed=0, **others):
    """Records of one arm, a seed for each accuracy."""
    return [
        record(policy, seed, accuracy, **others)
        for seed, accuracy in enumerate(accuracies, first_seed)
    ]


def write_csv(path, lines):
    """Writes records as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def write(folder, summary=None, config=None, num_examples=40, **manifest):
    """Writes a finished workdir, of two arms on two seeds if no summary is given."""
    folder.mkdir(parents=True, exist_ok=True)
    if summary is None:
        summary = records("uniform", [0.10, 0.12]) + records("hasa", [0.11, 0.15])
    of_clients = {"accuracy": "0.2", "client": "a", "num_examples": str(num_examples)}
    metrics = [
        {**own, **of_clients, "split": split} for own in summary for split in ("validation", "test")
    ]
    write_csv(folder / "summary.csv", summary)
    write_csv(folder / "metrics.csv", metrics)
    known = {
        "script": "compare",
        "config": config or {},
        "data_sha256": {own["seed"]: f"data of {own['seed']}" for own in summary},
    }
    (folder / "run.json").write_text(json.dumps(known | manifest), encoding="utf-8")
    return folder


def in_folds(metrics):
    """Records of clients in two folds of one and of two test examples, with the same means."""
    return [
        {**own, "fold": str(fold), "num_examples": str(count), "accuracy": str(accuracy)}
        for own in metrics
        for fold, count, accuracy in (
            (1, 1, float(own["accuracy"]) + 0.2),
            (2, 2, float(own["accuracy"]) - 0.1),
        )
    ]


DIRICHLET = {"data": {"dataset": "cifar10", "partition": "dirichlet"}}


def dealt_workdir(folder, config=DIRICHLET):
    """Two arms and clients on seeds 3 and 4; of uniform on seed 2, too. Seeds swap the clients."""
    summary = records("uniform", [0.5, 0.1, 0.3], 2) + records("hasa", [0.2, 0.4], 3)
    scores = {str(seed): {"client_0": seed / 10, "client_1": 0.35} for seed in (3, 4)}
    write(folder, summary, config, scores={"hasa:hasa": scores})
    lines = []
    for own in summary:
        for number in (0, 1):
            first = (number + int(own["seed"])) % 2
            held = {"client": f"client_{number}", "num_examples": str(10 + 30 * first)}
            held |= {"accuracy": str(float(own["mean_accuracy"]) + first / 2)}
            held |= {"width": str(0.25 + first / 2)}
            lines += [{**own, **held, "split": split} for split in ("validation", "test")]
    write_csv(folder / "metrics.csv", lines)
    return results.read([folder])
