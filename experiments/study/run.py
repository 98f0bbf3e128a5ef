"""Methods or policies times matched seeds: what train and compare both run."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from experiments.analysis import tables
from experiments.flags import FLAGS, values_of_the_run
from experiments.study import build, data, workdir
from experiments.study.arm import Arm
from experiments.study.interruption import wish_to_stop
from experiments.study.memory import check_memory
from experiments.study.scores import score_file
from experiments.study.unused import refuse_unused
from hasa_jax import Allocation, FederatedAlgorithm, FederatedDataset, Trial, UserError, run_trials
from hasa_jax.datasets import fingerprint
from hasa_jax.simulation.checkpoint import Checkpoints
from hasa_jax.simulation.cohorts import possible_units
from hasa_jax.simulation.writers import ConsoleWriter, CsvWriter, TensorBoardWriter, Writer, say


def run_study(script: str, arms: Sequence[Arm], seeds: Sequence[int]) -> pathlib.Path:
    """Runs every arm on every seed and writes the workdir.

    Arms of one seed share data split, initialisation and batches.

    Args:
      script: name of the script, for the manifest and the default workdir.
      arms: what is compared; the first is the one that others are compared with.
      seeds: root seeds.

    Returns:
      The workdir.
    """
    refuse_unused(arms)
    tables.choose_arm(arms, FLAGS.reference)
    # Another file of scores makes another run, and the same one elsewhere does not.
    run_flags = values_of_the_run() | {"score_path": score_file()}
    number = FLAGS.seeds_per_program
    groups = [seeds[start : start + number] for start in range(0, len(seeds), number)]
    datasets = [data.build_dataset(seed) for seed in groups[0]]
    hashes = dict(zip(groups[0], map(fingerprint, datasets), strict=True))
    algorithms = _build_algorithms(datasets[0], arms)
    # What the first seeds cannot run is refused before anything is written.
    allocations = _allocate_all(datasets, algorithms, arms, groups[0])
    for arm in arms:
        possible = _possible_units(allocations, arm)
        check_memory(algorithms[arm.method], datasets[0], allocations[arm], arm, possible)
        build.eval_levels(algorithms[arm.method])
    settings = build.execution_settings()
    folder = workdir.open_workdir(FLAGS.workdir, script, run_flags, hashes, settings)
    methods = {arm.method: dataclasses.asdict(build.build_method(arm.method)) for arm in arms}
    made = methods, settings
    with contextlib.ExitStack() as stack:
        stack.enter_context(workdir.alone_in(folder))
        workdir.write_manifest(folder, script, run_flags, hashes, *made)
        files = CsvWriter(folder)
        writers: list[Writer] = [files, ConsoleWriter(FLAGS.num_rounds * len(arms) * len(seeds))]
        if FLAGS.tensorboard:
            writers.append(TensorBoardWriter(folder / "tensorboard"))
        for writer in writers:
            stack.callback(writer.close)
        stop = stack.enter_context(wish_to_stop()) if FLAGS.checkpoint_every else _never
        for group in groups:
            if group != groups[0]:
                previous, datasets = datasets, [data.build_dataset(seed) for seed in group]
                hashes |= dict(zip(group, map(fingerprint, datasets), strict=True))
                # Seeds whose data have one shape share the algorithms and compiled programs.
                if _shape(datasets) != _shape(previous):
                    algorithms = _build_algorithms(datasets[0], arms)
                allocations = _allocate_all(datasets, algorithms, arms, group)
            for arm in arms:
                if stop():
                    return _stopped(folder, f"before {arm.method} ({arm.policy})")
                trials = _trials(datasets, allocations, arm, group)
                kept = _checkpoints(folder, arm, group, run_flags, hashes)
                possible = _possible_units(allocations, arm)
                done = _run_trials(algorithms[arm.method], trials, possible, writers, kept, stop)
                if done < FLAGS.num_rounds:
                    where = f"after round {done} of {arm.method} ({arm.policy})"
                    return _stopped(folder, where)
        files.publish()
        workdir.write_manifest(folder, script, run_flags, hashes, *made)
    print(f"\n{tables.write(folder, FLAGS.reference)}\nresults: {folder}")
    return folder


def _shape(datasets: Sequence[FederatedDataset]) -> tuple[int, int, tuple[int, ...]]:
    """Returns what a model must fit: classes, tokens, and the shape of an example.

    Raises:
      UserError: if data sets that share a program differ in it.
    """
    shapes = {
        (data.train.num_classes, data.num_tokens, data.train.inputs.shape[1:]) for data in datasets
    }
    if len(shapes) > 1:
        raise UserError(
            "the data of these seeds differ in classes, tokens or shape, so they cannot share a "
            "program: run with --seeds_per_program=1"
        )
    return shapes.pop()


def _build_algorithms(
    dataset: FederatedDataset, arms: Sequence[Arm]
) -> dict[str, FederatedAlgorithm]:
    """Builds the algorithm of every method."""
    return {
        name: build.build_algorithm(dataset, build.build_method(name), FLAGS.execution)
        for name in dict.fromkeys(arm.method for arm in arms)
    }


def _allocate_all(
    datasets: Sequence[FederatedDataset],
    algorithms: dict[str, FederatedAlgorithm],
    arms: Sequence[Arm],
    seeds: Sequence[int],
) -> dict[Arm, list[Allocation]]:
    """Decides the widths of every arm, for each seed."""
    _shape(datasets)
    return {
        arm: [
            build.build_allocation(dataset, algorithms[arm.method], arm.policy, seed)
            for dataset, seed in zip(datasets, seeds, strict=True)
        ]
        for arm in arms
    }


def _stopped(folder: pathlib.Path, where: str) -> pathlib.Path:
    """Says where a run stopped, and how it goes on."""
    say(f"stopped {where}: run the same command again to go on; so far: {folder}")
    return folder


def _never() -> bool:
    """Nobody wishes to stop: without checkpoints nothing could go on."""
    return False


def _trials(
    datasets: Sequence[FederatedDataset],
    allocations: Mapping[Arm, Sequence[Allocation]],
    arm: Arm,
    seeds: Sequence[int],
) -> list[Trial]:
    """Returns the seeds of one arm that share a program."""
    method = build.build_method(arm.method)
    columns = {
        "method": arm.method,
        "policy": arm.policy,
        "extraction": method.extraction,
        "aggregation": method.aggregation,
    }
    return [
        Trial(dataset, allocation, jax.random.key(seed), {**columns, "seed": seed})
        for dataset, allocation, seed in zip(datasets, allocations[arm], seeds, strict=True)
    ]


def _checkpoints(
    folder: pathlib.Path,
    arm: Arm,
    seeds: Sequence[int],
    run_flags: Mapping[str, object],
    hashes: Mapping[int, str],
) -> Checkpoints | None:
    """Opens the checkpoints of one arm on some seeds, if any are wanted."""
    if not FLAGS.checkpoint_every:
        return None
    same = {name: value for name, value in run_flags.items() if name != "num_rounds"}
    return Checkpoints(
        folder / workdir.CHECKPOINTS / f"{arm.method}-{arm.policy}-{seeds[0]}",
        {"flags": same, "arm": arm, "data": {str(seed): hashes[seed] for seed in seeds}},
        every=FLAGS.checkpoint_every,
        keep=FLAGS.keep_checkpoints,
        tell=say,
    )


def _run_trials(
    algorithm: FederatedAlgorithm,
    trials: Sequence[Trial],
    possible: np.ndarray,
    writers: Sequence[Writer],
    checkpoints: Checkpoints | None,
    stop: Callable[[], bool],
) -> int:
    """Runs one arm on seeds that share a program; returns how many rounds are done."""
    with contextlib.closing(checkpoints) if checkpoints else contextlib.nullcontext():
        histories = run_trials(
            algorithm,
            trials,
            num_rounds=FLAGS.num_rounds,
            clients_per_round=FLAGS.clients_per_round,
            eval_every=FLAGS.eval_every,
            client_weights=build.build_method(str(trials[0].labels["method"])).client_weights,
            tail_fraction=FLAGS.tail_fraction,
            possible=possible,
            levels=build.eval_levels(algorithm),
            stream=FLAGS.stream,
            writers=writers,
            checkpoints=checkpoints,
            stop=stop,
        )
    summary = histories[0].summary
    return summary[-1]["round"] if summary else 0


def _possible_units(allocations: Mapping[Arm, Sequence[Allocation]], arm: Arm) -> np.ndarray:
    """Returns the sizes that an arm's program must run, with repeats.

    The arms of one method share a program between seeds, if they share the sizes in it; a single
    seed is better served by the exact sizes of each arm.
    """
    several = len(allocations[arm]) > 1
    arms = [other for other in allocations if other.method == arm.method] if several else [arm]
    return np.concatenate(
        [
            possible_units(allocation, FLAGS.num_rounds + 1)
            for other in arms
            for allocation in allocations[other]
        ]
    )
