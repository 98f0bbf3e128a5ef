"""The same command gives the same bytes, in another process that compiles everything again."""

import pytest

from hasa_jax.simulation.checkpoint import read_arrays
from tests.support.scripts import VECTORS, run_process, small

IMAGES = [*VECTORS, "--image_size=8"]
KINDS = {
    "mlp": [*VECTORS, "--num_rounds=1"],
    "lstm": [*small(), "--execution=sliced"],
    "transformer": [*small(), "--model=transformer", "--policy=random", "--execution=sliced"],
    "cnn": [*IMAGES, "--model=cnn", "--norm=static"],
    "resnet18": [*IMAGES, "--model=resnet18", "--norm=static"],
    "cohorts, faults, blocks": [
        *small(),
        "--method=fedrolex",
        "--execution=sliced",
        "--dynamic",
        "--policy=random",
        "--clients_per_round=4",
        "--client_block=2",
        "--client_dropout=.3",
        "--corrupted=.3",
        "--corruption=noise",
        "--corruption_scale=.01",
        "--robust=trimmed_mean",
    ],
}


def results(folder, arguments):
    """Runs in a process of its own; returns all results as bytes."""
    done = run_process("train", *arguments, f"--workdir={folder}", "--compilation_cache=")
    assert done.returncode == 0, done.stderr
    (checkpoints,) = (folder / "checkpoints").iterdir()
    arrays = {name: array.tobytes() for name, array in read_arrays(checkpoints).items()}
    files = ("metrics.csv", "summary.csv", "table.md")
    return arrays | {name: (folder / name).read_bytes() for name in files}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind == "mlp" else pytest.mark.slow) for kind in KINDS],
)
def test_two_runs_are_equal_to_the_byte(kind, tmp_path):
    first, second = (results(tmp_path / name, KINDS[kind]) for name in ("first", "second"))
    assert first.keys() == second.keys()
    for name, content in first.items():
        assert content == second[name], name
