"""The same command gives the same bytes, in another process that compiles everything again."""

import pytest

from hasa_jax.simulation.checkpoint import read_arrays
from tests.experiments.test_train_and_compare import run, small

KINDS = {
    "lstm": [],
    "mlp": ["--model=mlp", "--dataset=synthetic_images"],
    "transformer": ["--model=transformer", "--policy=random"],
    "cnn": ["--model=cnn", "--dataset=synthetic_images", "--norm=static"],
    "resnet18": ["--model=resnet18", "--dataset=synthetic_images", "--norm=static"],
    "cohorts, faults, blocks": [
        "--method=fedrolex",
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
    is_of_images = "--dataset=synthetic_images" in arguments
    sizes = ["--num_images=200", "--num_clients=5"] if is_of_images else []
    sizes = [*small(*arguments), *sizes, "--hidden_dim=4"]
    execution = [] if "--model=mlp" in arguments else ["--execution=sliced"]
    done = run("train", *sizes, *execution, *arguments, f"--workdir={folder}", fresh=True)
    assert done.returncode == 0, done.stderr
    (checkpoints,) = (folder / "checkpoints").iterdir()
    arrays = {name: array.tobytes() for name, array in read_arrays(checkpoints).items()}
    files = ("metrics.csv", "summary.csv", "table.md")
    return arrays | {name: (folder / name).read_bytes() for name in files}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind in ("mlp",) else pytest.mark.slow) for kind in KINDS],
)
def test_two_runs_are_equal_to_the_byte(kind, tmp_path):
    first, second = (results(tmp_path / name, KINDS[kind]) for name in ("first", "second"))
    assert first.keys() == second.keys()
    for name, content in first.items():
        assert content == second[name], name
