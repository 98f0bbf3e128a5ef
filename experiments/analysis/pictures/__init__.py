"""Pictures of results: one table, one style. One picture is one file and one line of the table."""

from experiments.analysis.pictures import (
    accuracy,
    budget,
    by_size,
    bytes,
    clients,
    coverage,
    histogram,
    macs,
    need,
    partition,
)
from experiments.analysis.pictures.picture import Lacking, Picture

PICTURES: dict[str, Picture] = {
    "accuracy": Picture(
        "Accuracy over rounds",
        "Mean, worst and tail test accuracy of clients over rounds.",
        accuracy.make,
    ),
    "macs": Picture(
        "Accuracy over MACs",
        "Test accuracy over the MACs of training: arms at equal compute. It needs the achieved "
        "MACs in summary.csv.",
        macs.make,
        apart=True,
    ),
    "bytes": Picture(
        "Accuracy over bytes",
        "Test accuracy over the bytes that a client has received and sent. It needs the bytes in "
        "summary.csv, which runs have since version 0.2.",
        bytes.make,
    ),
    "clients": Picture(
        "Accuracy and width of every client",
        "A bar for each client at the last round, sorted by score where run.json has scores; of "
        "one seed where clients are dealt again for each. It needs metrics.csv.",
        clients.make,
    ),
    "histogram": Picture(
        "Clients of each size",
        "How many clients have each width at the last round. It needs metrics.csv.",
        histogram.make,
    ),
    "need": Picture(
        "Scores against the measured need",
        "What every client gains by width, over each of its scores. It needs need.csv, which need "
        "writes.",
        need.make,
    ),
    "budget": Picture(
        "Accuracy at several budgets",
        "Test accuracy at the last round against the achieved MACs. It needs arms or workdirs "
        "whose achieved MACs differ.",
        budget.make,
        apart=True,
    ),
    "by_size": Picture(
        "Accuracy of every size",
        "Global accuracy over rounds and sizes, and local accuracy from the worst client to the "
        "best. It needs sizes.csv, which runs with `eval_levels` write.",
        by_size.make,
    ),
    "coverage": Picture(
        "Which units were trained how often",
        "The share of the clients' updates that train each unit of the supernet, by arm. It needs "
        "coverage.csv, which coverage writes.",
        coverage.make,
    ),
    "partition": Picture(
        "Which client holds what",
        "Classes, examples and label divergence of every client. It needs partition.csv, which "
        "partition_report writes.",
        partition.make,
    ),
}
"""All pictures of results by name, which is also that of the file."""

__all__ = ["PICTURES", "Lacking", "Picture"]
