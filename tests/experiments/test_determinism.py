"""The same command gives the same bytes, in another process that compiles everything again."""

import pytest

from hasa_jax.simulation.checkpoint import read_arrays
from tests.support.scripts import VECTORS, records_of, run_process, small

IMAGES = [*VECTORS, "--image_size=8"]
KINDS = {
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


def results(folder, arguments, cache=""):
    """Runs in a process of its own; returns all results as bytes."""
    kept = f"--compilation_cache={cache}"
    done = run_process("train", *arguments, f"--workdir={folder}", kept)
    assert (done.returncode, done.stderr) == (0, "")
    (checkpoints,) = (folder / "checkpoints").iterdir()
    arrays = {name: array.tobytes() for name, array in read_arrays(checkpoints).items()}
    files = ("metrics.csv", "summary.csv", "table.md")
    return arrays | {name: (folder / name).read_bytes() for name in files}


@pytest.mark.slow
def test_compiled_again_or_kept_programs_change_no_byte(tmp_path):
    arguments, cache = [*VECTORS, "--num_rounds=1"], tmp_path / "kept" / "programs"
    first = results(tmp_path / "none", arguments)
    held = []
    for folder in ("cold", "warm"):
        for path in sorted(cache.glob("*"))[:3]:
            path.write_bytes(path.read_bytes()[:99])  # As if the first run had been killed.
        assert results(tmp_path / folder, arguments, cache) == first
        held.append({path.name for path in cache.iterdir()})
        # Fetching a program counts as compiling it.
        (times,) = records_of(tmp_path / folder / "timings.csv")
        assert float(times["compile_seconds"]) > 0
    assert held[0] == held[1] != set()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_are_equal_to_the_byte(kind, tmp_path):
    first, second = (results(tmp_path / name, KINDS[kind]) for name in ("first", "second"))
    assert first.keys() == second.keys()
    for name, content in first.items():
        assert content == second[name], name
