"""Arms times matched seeds and their folds, from a configuration to a finished workdir."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np

from experiments.analysis import results, tables
from experiments.analysis.compared import choose_arm
from experiments.analysis.stopped import Rule
from experiments.config import RunConfig, with_fields
from experiments.flags import as_flags
from experiments.study import manifest, program, stopping, switches, workdir
from experiments.study.arm import Arm, arm_of_train, arms_of_compare
from experiments.study.availability import with_note
from experiments.study.block import Block, blocks_of, named_block
from experiments.study.by_client import cut_line, echo, named_numbers
from experiments.study.data import build_dataset
from experiments.study.interruption import Stopped, StopRequest, stop_requests
from experiments.study.kept import ALWAYS, Kept, digests_of, kept_in
from experiments.study.live import Live, live_of, stores_of
from experiments.study.manifest import Manifest
from experiments.study.memory import Need, check_fits, lines_of, need_of
from experiments.study.method import describe, method_of, parts_of
from experiments.study.model import model_name
from experiments.study.unmatched import unmatched
from experiments.study.unmeasured import unmeasured
from experiments.study.unused import refuse_unused, refuse_unused_of_model
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets import fingerprint
from hasa_jax.execution import processes
from hasa_jax.simulation.baseline import baseline
from hasa_jax.simulation.checkpoint import Checkpoints
from hasa_jax.simulation.cohorts import sizes_in_run
from hasa_jax.simulation.described import described
from hasa_jax.simulation.escapes import one_line
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.records import updates_in
from hasa_jax.simulation.run import run_trials
from hasa_jax.simulation.run_json import scores_of
from hasa_jax.simulation.sampling import AVAILABILITY
from hasa_jax.simulation.tracking.numbers import run_name
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import chosen_clients
from hasa_jax.simulation.writers import CsvWriter, say


@dataclasses.dataclass(frozen=True)
class Study:
    """What is run.

    Attributes:
      script: name of the script, for run.json and the default workdir.
      config: the configuration.
      given: fields that the user gave.
      arms: what is compared; by default the others are compared with the first.
      seeds: root seeds. Arms of one seed share data split, initialisation and batches.
    """

    script: str
    config: RunConfig
    given: Set[str]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every seed, or every fold of every seed."""
        return blocks_of(self.seeds, self.config.data.eval_folds)

    @property
    def groups(self) -> list[tuple[Block, ...]]:
        """Blocks that share a program, in their order."""
        number, blocks = self.config.execution.seeds_per_program, self.blocks
        return [blocks[start : start + number] for start in range(0, len(blocks), number)]

    def left(self, ran: Set[Block]) -> list[tuple[Block, ...]]:
        """Returns the groups that have a block which did not run."""
        return [blocks for blocks in self.groups if not set(blocks) <= ran]


@dataclasses.dataclass(frozen=True)
class Group:
    """Blocks that share programs, ready to run.

    Attributes:
      blocks: seeds, or folds of seeds.
      datasets: data set of each block.
      programs: what runs, by arm; arms of one method share it if they run in one mode.
      trials: run of each block, by arm.
      hashes: hash of the data of each block, by its name.
    """

    blocks: tuple[Block, ...]
    datasets: list[FederatedDataset]
    programs: Mapping[Arm, Program]
    trials: Mapping[Arm, list[Trial]]
    hashes: Mapping[str, str]

    def sizes_in_run(self, arm: Arm, num_rounds: int) -> np.ndarray:
        """Returns the sizes that an arm's program must run, with repeats.

        The arms of one method share compiled code between blocks if they share these sizes. A
        single block runs faster with the exact sizes of each arm.
        """
        same = [other for other in self.trials if self.programs[other] is self.programs[arm]]
        arms = same if len(self.blocks) > 1 else [arm]
        allocations = [trial.allocation for other in arms for trial in self.trials[other]]
        return sizes_in_run(allocations, num_rounds)


def train(config: RunConfig, given: Set[str]) -> pathlib.Path:
    """Runs one method on one seed, with all of its folds.

    Args:
      config: the configuration.
      given: fields that the user gave.

    Returns:
      The workdir.

    Raises:
      UserError: for a configuration that cannot run.
    """
    arm = arm_of_train(config, given)
    return run_study(Study("train", config, given, (arm,), (config.comparison.seed,)))


def compare(config: RunConfig, given: Set[str]) -> pathlib.Path:
    """Runs methods, or policies of one method, on matched seeds.

    What a workdir of the same configuration has stays: only missing arms, seeds and rounds run.
    With `until_halfwidth`, seeds are added until all intervals are narrow enough.

    Args:
      config: the configuration.
      given: fields that the user gave.

    Returns:
      The workdir.

    Raises:
      UserError: for a configuration that cannot run.
    """
    arms = arms_of_compare(config, given)
    asked = config.comparison.num_seeds
    config, arms = workdir.grown(config, arms)
    if "num_seeds" in given and asked < config.comparison.num_seeds:
        say(
            f"{config.reporting.workdir} has {config.comparison.num_seeds} seeds: all of them go on"
        )
    for line in stopping.check_rule(config, given, arms, asked=asked):
        say(line)
    ruled = config.comparison.until_halfwidth > 0
    if ruled and (folder := workdir.finished_by_rule(config, arms)):
        say(f"nothing is left to run in {folder}")
        return _show(folder, config)
    return run_study(Study("compare", config, given, tuple(arms), _seeds(config)))


def _seeds(config: RunConfig) -> tuple[int, ...]:
    """Returns the seeds of compare."""
    first = config.comparison.seed
    return tuple(range(first, first + config.comparison.num_seeds))


def _show(folder: pathlib.Path, config: RunConfig) -> pathlib.Path:
    """Writes the table of a workdir and prints it; returns the folder."""
    formats = config.reporting.table_formats
    table = processes.from_first(lambda: tables.write([folder], config.comparison, formats))
    say(f"\n{table}\nresults: {folder}")
    return folder


def run_study(study: Study) -> pathlib.Path:
    """Runs every arm on every block and writes the workdir.

    What the first blocks cannot run is refused before anything is written.

    Args:
      study: what is run.

    Returns:
      The workdir.

    Raises:
      UserError: for a configuration that cannot run, or a workdir of another run.
      Stopped: if a signal asked the run to stop, and it did.
    """
    config, every = study.config, study.config.reporting.checkpoint_every
    refuse_unused(config, study.given, study.arms)
    stores = stores_of(config)
    choose_arm([results.Arm(*arm) for arm in study.arms], config.comparison.reference)
    group = _prepared(study, study.groups[0], None)
    for own in group.programs.values():
        for blocks in study.groups:
            own.mesh(len(blocks))
    clients = group.datasets[0].client_names
    by_client = named_numbers(config.allocation, clients)
    for field, numbers in by_client.items():
        say(echo(field, numbers))
    asked = [trial.allocation.ledger.requested for own in group.trials.values() for trial in own]
    cut = cut_line(by_client.get("capacities", {}).values(), config.allocation.w_max)
    if cut and not np.isnan(asked).all():
        say(as_flags(cut))
    for line in unmeasured(group.trials, config.training.num_rounds):
        say(line)
    for line in unmatched(config, group.trials):
        say(f"warning: {as_flags(line)}")
    for arm in study.arms:
        _say_severed(arm, group.trials[arm])
        for line in program.shared_sizes(config, group.programs[arm], arm):
            say(line)
    needs = {arm: _need(config, group, arm) for arm in study.arms}
    for line in lines_of(needs):
        say(line)
    check_fits(needs)
    folder, run = workdir.open_workdir(
        config.reporting.workdir, _manifest(study, group), keeps_checkpoints=every > 0
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(workdir.reserved(folder))
        kept = kept_in(folder, run)
        manifest.write_manifest(folder, run)
        files = CsvWriter(folder)
        live = live_of(config, folder, files, stores, _number_of_runs(study))
        stack.callback(live.close)
        # Without checkpoints, nothing could go on.
        stop = stack.enter_context(stop_requests()) if every else StopRequest()
        run = _run_groups(study, group, kept, run, live, stop)
        processes.from_first(files.publish)
        live.close()
        tables_now = processes.from_first(lambda: digests_of(folder))
        run = dataclasses.replace(run, tables=tables_now, trackers=live.problems())
        manifest.write_manifest(folder, run)
    _show(folder, config)
    if stop():  # It came in the last rounds; what would follow, as in a sweep, must not begin.
        raise Stopped(stop.number)
    return folder


def _run_groups(
    study: Study,
    group: Group,
    kept: Kept,
    run: Manifest,
    live: Live,
    stop: StopRequest,
) -> Manifest:
    """Runs all groups, and those of further seeds until the rule is met, if there is one.

    Args:
      study: what is run.
      group: the first one.
      kept: the workdir, and what finished tables there have.
      run: describes the first one.
      live: takes the records.
      stop: whether the run is asked to stop.

    Returns:
      The description of all of them.

    Raises:
      Stopped: if a signal asked the run to stop.
    """
    found: dict[Arm, dict[Block, float]] = {arm: {} for arm in study.arms}
    while True:
        ran = frozenset(found[study.arms[0]])
        for blocks in study.left(ran):
            if blocks != group.blocks:
                group = _prepared(study, blocks, group)
                kept.check_data(group.hashes)
                notes = _notes(study, group)
                run = dataclasses.replace(
                    run,
                    data_sha256={**run.data_sha256, **group.hashes},
                    data_notes=manifest.replaced(run.data_notes, notes, group.hashes),
                    baseline={**run.baseline, **_baselines(study, group)},
                    scores=manifest.joined(run.scores, _scores(study, group)),
                )
                manifest.write_manifest(kept.folder, run)
            where, accuracies = _run_group(study, group, kept, run, live, stop)
            found = {arm: {**found[arm], **accuracies.get(arm, {})} for arm in study.arms}
            if where:
                say(f"stopped {where}: run the same command again to go on; so far: {kept.folder}")
                raise Stopped(stop.number)
        if not study.config.comparison.until_halfwidth:
            return run
        study, run = _by_rule(study, run, found)
        if not study.left(frozenset(found[study.arms[0]])):
            return run
        manifest.write_manifest(kept.folder, run)


def _by_rule(
    study: Study, run: Manifest, found: Mapping[Arm, Mapping[Block, float]]
) -> tuple[Study, Manifest]:
    """Returns the study with more seeds unless its rule ends it, and what run.json says of it."""
    config = study.config
    stated = processes.from_first(
        lambda: dataclasses.asdict(stopping.rule_of(config, found, config.training.num_rounds))
    )
    rule, run = Rule(**stated), dataclasses.replace(run, stopping=stated)
    if rule.ends:
        return study, run
    number = min(rule.seeds + stopping.seeds_at_a_time(config), rule.most)
    say(f"{rule.seeds} seeds: {rule.so_far}: {number} seeds")
    config = with_fields(config, {"num_seeds": number})
    compared = {**run.config["comparison"], "num_seeds": number}
    run = dataclasses.replace(run, config={**run.config, "comparison": compared})
    return dataclasses.replace(study, config=config, seeds=_seeds(config)), run


def _need(config: RunConfig, group: Group, arm: Arm) -> Need:
    """Returns the memory that an arm needs."""
    rounds, own = config.training.num_rounds, group.programs[arm]
    return need_of(
        own,
        group.trials[arm],
        group.sizes_in_run(arm, rounds),
        num_rounds=rounds,
        reporting=_reporting(config, own),
    )


def _say_severed(arm: Arm, trials: Sequence[Trial]) -> None:
    """Says how many clients start with a subnet that computes nothing from its input."""
    share = float(np.mean([trial.allocation.ledger.severed for trial in trials]))
    if share > 0:
        say(
            f"{arm.method} ({arm.policy}): {share:.0%} of the clients start with a subnet that has "
            "no path from input to output, so they learn only its biases: larger levels, "
            "`threshold` layer or a model with shortcuts keep a path"
        )


def _prepared(study: Study, blocks: tuple[Block, ...], previous: Group | None) -> Group:
    """Builds data, programs and allocations of some blocks; data of one shape share programs."""
    config = study.config
    datasets = [
        with_note(build_dataset(config.data, study.given, *block), config.training)
        for block in blocks
    ]
    known = [note for data in (previous.datasets if previous else []) for note in data.notes]
    for note in dict.fromkeys(note for data in datasets for note in data.notes):
        if note not in known:
            say(one_line(f"data: {note}"))
    shape = _shape(datasets, config)
    if previous and _shape(previous.datasets, config) == shape:
        programs = previous.programs
    else:
        refuse_unused_of_model(model_name(config.model, datasets[0]), study.given)
        programs = program.build_programs(config, datasets[0], study.arms)
        programs = _as_begun(programs, workdir.bucket_shares(config.reporting.workdir))
    trials = {
        arm: [
            program.build_trial(
                config, programs[arm], dataset, arm, block, _labels(config, arm, block)
            )
            for dataset, block in zip(datasets, blocks, strict=True)
        ]
        for arm in study.arms
    }
    return Group(blocks, datasets, programs, trials, _agreed(blocks, datasets, trials))


def _agreed(
    blocks: Sequence[Block],
    datasets: Sequence[FederatedDataset],
    trials: Mapping[Arm, Sequence[Trial]],
) -> dict[str, str]:
    """Returns the hash of the data of every block, by its name.

    Raises:
      UserError: if this process has other data, or other sizes of the clients, than the first.
    """
    hashes = {b.name: fingerprint(data) for b, data in zip(blocks, datasets, strict=True)}
    sizes = hashlib.sha256()
    for own in trials.values():
        for trial in own:
            sizes.update(np.ascontiguousarray(trial.allocation.sizes).tobytes())
    here = {**hashes, "sizes": sizes.hexdigest()}
    first = processes.from_first(lambda: here)
    for what, digest in here.items():
        if digest != first[what]:
            shown = "sizes of clients" if what == "sizes" else f"data ({named_block(what)})"
            raise UserError(
                f"this process has other {shown} than process 0: give all processes the same "
                "files (`data_path`, `data_dir`, `score_path` and files of numbers by client)"
            )
    return hashes


def _as_begun(programs: Mapping[Arm, Program], begun: Mapping[str, float]) -> dict[Arm, Program]:
    """Gives programs the share of a bucket with which their workdir began.

    More rounds would amortise other programs, in which results differ a little.
    """
    shares = {p: begun[":".join(arm)] for arm, p in programs.items() if ":".join(arm) in begun}
    changed = {p: dataclasses.replace(p, bucket_share=share) for p, share in shares.items()}
    return {arm: changed.get(p, p) for arm, p in programs.items()}


def _shape(datasets: Sequence[FederatedDataset], config: RunConfig) -> tuple[Any, ...]:
    """Returns what a program must fit: classes, tokens, the shape of an example.

    With traces, which name clients, it is their names, too.

    Raises:
      UserError: if data sets that share a program differ in it.
    """
    shapes = {
        (
            data.train.num_classes,
            data.num_tokens,
            data.train.inputs.shape[1:],
            data.client_names if config.training.sampling == AVAILABILITY else (),
        )
        for data in datasets
    }
    if len(shapes) > 1:
        raise UserError(
            "the data of these seeds differ in classes, tokens, shape, or clients that traces "
            "name, so they cannot share a program: run with `seeds_per_program=1`"
        )
    return shapes.pop()


def _labels(config: RunConfig, arm: Arm, block: Block) -> dict[str, str | int]:
    """Returns the columns in front of every record of one arm and block."""
    parts = parts_of(config, arm.method)
    return {
        "method": arm.method,
        "policy": arm.policy,
        "extraction": parts.extraction,
        "aggregation": parts.aggregation,
        "seed": block.seed,
        "fold": block.fold,
    }


def _manifest(study: Study, group: Group) -> Manifest:
    """Describes the run, with the data of its first blocks."""
    first = next(iter(group.programs.values()))
    model = model_name(study.config.model, group.datasets[0])
    return Manifest(
        script=study.script,
        # The model follows the data where the user names none; run.json says which it is.
        config=manifest.recorded(with_fields(study.config, {"model": model})),
        data_sha256=group.hashes,
        data_notes=_notes(study, group),
        baseline=_baselines(study, group),
        scores=_scores(study, group),
        files=manifest.files_of(study.config),
        by_client=named_numbers(study.config.allocation, group.datasets[0].client_names),
        methods={name: _parts(study, group, name) for name, _ in study.arms},
        model={"groups": dict(first.model.groups)},
        execution={
            "backend": jax.default_backend(),
            "processes": processes.number(),
            "mesh": str(first.mesh(len(group.blocks))),
            "client_block": first.lanes or "all",
            "modes": {":".join(arm): p.execution.mode for arm, p in group.programs.items()},
            "bucket_shares": {":".join(arm): p.bucket_share for arm, p in group.programs.items()},
            "quick": {":".join(arm): p.quick for arm, p in group.programs.items()},
        },
        switches=switches.deciding_switches(
            deterministic_ops=study.config.execution.deterministic_ops
        ),
        code=manifest.code_here(),
    )


def _parts(study: Study, group: Group, name: str) -> dict[str, Any]:
    """Describes a method; the options of its extraction too, where all its policies share them."""
    own = [program for arm, program in group.programs.items() if arm.method == name]
    options = {described(program.extraction) for program in own}
    shared = {"extraction_options": options.pop()} if len(options) == 1 else {}
    return {**describe(study.config, name, group.datasets[0]), **shared}


def _baselines(study: Study, group: Group) -> dict[str, dict[str, float]]:
    """Returns what the most frequent training target reaches on the data of every block."""
    reporting = study.config.reporting
    trials = zip(group.blocks, group.trials[study.arms[0]], strict=True)
    return {
        block.name: baseline(
            trial.source, reporting.tail_fraction, chosen_clients(trial, reporting.eval_clients)
        )
        for block, trial in trials
    }


def _scores(study: Study, group: Group) -> dict[str, dict[str, dict[str, float]]]:
    """Returns the scores of clients by arm and block, where the policy follows any."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for arm in study.arms:
        for block, trial in zip(group.blocks, group.trials[arm], strict=True):
            policy = method_of(study.config, *arm, trial.dataset.client_names).policy
            if own := scores_of(policy, trial):
                found.setdefault(":".join(arm), {})[block.name] = own
    return found


def _notes(study: Study, group: Group) -> dict[str, tuple[str, ...]]:
    """Returns what readers noted of the data of every block, and which arms never measure."""
    idle = unmeasured(group.trials, study.config.training.num_rounds)
    noted = zip(group.blocks, group.datasets, strict=True)
    return {block.name: (*data.notes, *idle) for block, data in noted if data.notes or idle}


def _number_of_runs(study: Study) -> int:
    """Returns how many runs there are; of seeds by a rule, the most that there may be."""
    compared, blocks = study.config.comparison, len(study.blocks)
    if compared.until_halfwidth:
        blocks = compared.max_seeds * max(1, study.config.data.eval_folds)
    return len(study.arms) * blocks


def _run_group(
    study: Study,
    group: Group,
    kept: Kept,
    run: Manifest,
    live: Live,
    stop: StopRequest,
) -> tuple[str, dict[Arm, dict[Block, float]]]:
    """Runs every arm on blocks that share programs.

    Returns:
      Where it stopped, or nothing; and the last mean accuracies by arm and block.
    """
    found: dict[Arm, dict[Block, float]] = {}
    for arm in study.arms:
        if stop():
            return f"before {arm.method} ({arm.policy})", found
        done, accuracies = _run_arm(study, group, arm, kept, run, live, stop)
        found[arm] = dict(zip(group.blocks, accuracies, strict=True))
        if done < study.config.training.num_rounds:
            return f"after round {done} of {arm.method} ({arm.policy})", found
    return "", found


def _reporting(config: RunConfig, of: Program) -> Reporting:
    """Returns what the runs of a program evaluate, and when."""
    chosen = config.reporting
    return Reporting(
        eval_every=chosen.eval_every,
        eval_clients=chosen.eval_clients,
        tail_fraction=chosen.tail_fraction,
        draw=chosen.scored_draw,
        levels=program.eval_levels(config, of),
    )


def _run_arm(
    study: Study,
    group: Group,
    arm: Arm,
    kept: Kept,
    run: Manifest,
    live: Live,
    stop: StopRequest,
) -> tuple[int, list[float]]:
    """Runs one arm on blocks that share a program, unless its records are kept.

    Returns:
      How many rounds are done, and the mean accuracy after them of every block.
    """
    config = study.config
    checkpoints = _checkpoints(config, kept.folder, arm, group.blocks, run)
    live.begin(f"arm {study.arms.index(arm) + 1} of {len(study.arms)}")
    live.identify(
        {run_name(_labels(config, arm, own)): _settings(arm, own, run) for own in group.blocks}
    )
    with contextlib.closing(checkpoints) if checkpoints else contextlib.nullcontext():
        last = None
        if checkpoints and checkpoints.empty:  # A checkpoint is checked, and goes first.
            last = kept.last(arm, group.blocks, _tables_of(config, group.trials[arm][0]))
        if last is not None:
            live.phase("restoring")
            kept.give(arm, group.blocks, live.writers)
        else:
            histories = run_trials(
                group.programs[arm],
                group.trials[arm],
                num_rounds=config.training.num_rounds,
                reporting=_reporting(config, group.programs[arm]),
                sizes_in_run=group.sizes_in_run(arm, config.training.num_rounds),
                writers=live.writers,
                checkpoints=checkpoints,
                stop=stop,
                phase=live.phase,
            )
            last = [own.summary[-1] if own.summary else {} for own in histories]
    for block, own in zip(group.blocks, last, strict=True):
        if missing := own and updates_in(own).missing():
            say(f"warning: {':'.join(arm)}, {block}: {missing}")
    accuracies = [float(own.get("mean_accuracy", np.nan)) for own in last]
    return last[0].get("round", 0), accuracies


def _tables_of(config: RunConfig, trial: Trial) -> frozenset[str]:
    """Returns the tables in which a run of a trial has records."""
    own, rounds = trial.allocation.reallocation, config.training.num_rounds
    measures = {"measured"} if own is not None and not own.idle(rounds) else set()
    sizes = {"sizes"} if config.reporting.eval_levels else set()
    return ALWAYS | measures | sizes


def _checkpoints(
    config: RunConfig, folder: pathlib.Path, arm: Arm, blocks: Sequence[Block], run: Manifest
) -> Checkpoints | None:
    """Opens the checkpoints of one arm on some blocks, if any are wanted."""
    if not config.reporting.checkpoint_every:
        return None
    names = [block.name for block in blocks]
    return Checkpoints(
        folder / workdir.CHECKPOINTS / "-".join([*arm, *names]),
        _identity(arm, blocks, run),
        every=config.reporting.checkpoint_every,
        keep=config.reporting.keep_checkpoints,
        say=say,
    )


def _identity(arm: Arm, blocks: Sequence[Block], run: Manifest) -> dict[str, Any]:
    """Returns what makes two runs of an arm on some blocks the same one, however long they are."""
    same = {n: value for n, value in workdir.shared_fields(run).items() if n != "num_rounds"}
    data = {block.name: run.data_sha256[block.name] for block in blocks}
    return {"config": same, "arm": arm, "data": data}


def _settings(arm: Arm, block: Block, run: Manifest) -> str:
    """Returns the digest of what decides the numbers of an arm on one block, for trackers."""
    source = run.methods[arm.method].get("source_sha256")
    own = {**_identity(arm, [block], run), "switches": run.switches, "source": source}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
