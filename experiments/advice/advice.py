"""Advice on policies: from a file of clients, or a data set, to a table, files and a picture."""

from __future__ import annotations

import dataclasses
import pathlib
import textwrap
from collections.abc import Sequence, Set

import numpy as np

from experiments.advice import files, record, words
from experiments.advice.asked import check_asked
from experiments.advice.classes import classes_of, classes_table
from experiments.advice.costing import SizeCosts, size_costs
from experiments.advice.fleet import CAPS, Fleet, read_fleet
from experiments.advice.options import Caps, Option, caps_of, costed, options_of
from experiments.advice.policies import Chosen, chosen_policies
from experiments.advice.rate import measured_rate
from experiments.advice.shapes import dataset_of_shapes
from experiments.config import RunConfig, with_fields
from experiments.flags import as_flags
from experiments.rooms import PICTURE_FORMATS
from experiments.study import devices
from experiments.study.block import Block, blocks_of
from experiments.study.by_client import cut_line, numbers_by_client
from experiments.study.data import build_dataset
from experiments.study.manifest import Manifest, write_manifest
from experiments.study.method import method_of, parts_of
from experiments.study.model import model_name
from experiments.study.program import build_program
from experiments.study.unused import refuse_unused_of_model
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.writers import say


@dataclasses.dataclass(frozen=True)
class Advice:
    """What was found.

    Attributes:
      fleet: all clients.
      caps: what their devices hold.
      table: what sizes cost.
      options: every policy at every budget.
      left_out: policies that cannot be computed, and why.
      rate: MACs that a device computes in a second; 0 if unknown.
    """

    fleet: Fleet
    caps: Caps
    table: SizeCosts
    options: Sequence[Option]
    left_out: dict[str, str]
    rate: float


def advise(config: RunConfig, given: Set[str]) -> Advice:
    """Finds what policies give some clients, prints it, and writes it into the workdir if named.

    Args:
      config: the clients or the data, the model, the method and the budgets.
      given: fields that the user gave.

    Returns:
      What was found.

    Raises:
      UserError: for what cannot be used.
    """
    check_asked(config, given)
    block = blocks_of([config.comparison.seed], config.data.eval_folds)[0]
    fleet, dataset = _clients(config, given, block)
    for note in fleet.notes:
        say(note)
    shapes = dataset or dataset_of_shapes(
        config, ("client",), np.array([2 * config.training.batch_size])
    )
    model = model_name(config.model, shapes)
    refuse_unused_of_model(model, given)
    run = None
    if config.reporting.workdir:
        run = record.described(
            with_fields(config, {"model": model}), given, block, dataset, fleet.notes
        )
        record.accept(pathlib.Path(config.reporting.workdir), run)
    program = _program(config, shapes, fleet)
    table = size_costs(program, shapes)
    rate = config.advice.macs_per_second
    if config.advice.measure_rate:
        rate = measured_rate(program.model, config.training.batch_size)
        say(f"this machine computes {rate:.3g} MACs a second while it trains the supernet")
    chosen = chosen_policies(config, given, fleet, dataset, program.model, block.key)
    found = _found(config, program, fleet, table, chosen, rate, block)
    _say(config, model, program, found)
    if run is not None:
        _write(config, found, run)
    return found


def _clients(
    config: RunConfig, given: Set[str], block: Block
) -> tuple[Fleet, FederatedDataset | None]:
    """Returns the clients, and their data if there are any."""
    path, chosen = config.advice.clients_path, config.allocation
    if path and "dataset" not in given:
        devices.start()
        return read_fleet(path), None
    dataset = build_dataset(config.data, given, *block)
    for note in dataset.notes:
        say(f"data: {note}")
    examples = dataset.train.num_examples.astype(np.int64)
    if path:
        names = dict(zip(dataset.client_names, examples.tolist(), strict=True))
        return read_fleet(path, names), dataset
    capacities = numbers_by_client("capacities", chosen.capacities, dataset.client_names)
    caps = {} if capacities is None else {CAPS[0]: np.array(capacities)}
    return Fleet(dataset.client_names, examples, caps), dataset


def _program(config: RunConfig, shapes: FederatedDataset, fleet: Fleet) -> Program:
    """Builds the program whose costs count: narrow subnets where the method cuts units."""
    name = config.method.method
    narrow = EXTRACTIONS[parts_of(config, name).extraction]().order is not None
    config = with_fields(config, {"execution": "sliced" if narrow else "masked"})
    method = method_of(config, name, "uniform", fleet.names)
    if method.extraction.mask is not None and config.allocation.budget_unit == "width":
        raise UserError(
            f"`method` {name} keeps single parameters, which have no width: set `budget_unit` to "
            "params or macs"
        )
    return build_program(config, shapes, method)


def _found(
    config: RunConfig,
    program: Program,
    fleet: Fleet,
    table: SizeCosts,
    chosen: Chosen,
    rate: float,
    block: Block,
) -> Advice:
    """Computes every policy at every budget, for the clients whose devices hold a subnet."""
    spec = program.method.budget
    caps = caps_of(fleet, table, spec.w_min, spec.w_max)
    if not caps.able.any():
        raise UserError(
            f"no device holds width {spec.w_min:g}, the smallest: lower `w_min`, or take a smaller "
            "model"
        )
    able, options = fleet.subset(caps.able), []
    for name, policy in chosen.policies.items():
        scores = chosen.scores.get(name)
        own = dataclasses.replace(able, scores=None if scores is None else scores[caps.able])
        options += options_of(
            {name: policy},
            config.advice.budgets,
            spec,
            own,
            caps,
            program.model,
            program.extraction,
            block.key,
        )
    epochs = config.training.local_epochs
    options = [costed(option, able, table, epochs, rate) for option in options]
    return Advice(fleet, caps, table, options, dict(chosen.left_out), rate)


def _say(config: RunConfig, model: str, program: Program, found: Advice) -> None:
    """Prints the tables, what cannot be had, and the recommendation."""
    from experiments.analysis.rendering import terminal

    unit, able = config.allocation.budget_unit, int(found.caps.able.sum())
    supernet = found.table
    inputs, training = " x ".join(map(str, program.model.input_shape)), config.training
    first = (
        f"{len(found.fleet.names)} clients, {int(found.fleet.examples.sum())} examples; {model} "
        f"for inputs of {inputs}, {int(supernet.params[-1])} parameters, "
        f"{int(supernet.macs[-1])} MACs an example; method {program.method.name}, batches of "
        f"{training.batch_size}, local epochs: {training.local_epochs}"
    )
    say(textwrap.fill(first, words.WIDTH))
    follow = any(option.budget is not None for option in found.options)
    cut = cut_line(found.caps.widths, program.method.budget.w_max) if follow else ""
    least = max(program.method.budget.w_min, 1 / (len(supernet.width) - 1))
    lines = words.infeasible_lines(found.options, found.left_out)
    unable = words.unable_line(found.fleet.names, found.caps.able, least)
    for line in filter(None, [cut, unable, *lines]):
        say(textwrap.fill(as_flags(line), words.WIDTH, subsequent_indent="  "))
    if any(option.feasible for option in found.options):
        say(f"\n{terminal.render(words.table_of(found.options, able, unit))}")
    if not found.rate and found.fleet.rates is None:
        say(
            as_flags("\nno seconds: `macs_per_second` or `measure_rate` gives the rate of a device")
        )
    best = words.recommended(found.options)
    if best is not None and best.budget is not None:
        own = [o for o in found.options if o.feasible and o.budget == best.budget]
        names = found.fleet.subset(found.caps.able).names
        caps = found.caps.widths[found.caps.able]
        classes = classes_of(found.fleet, found.caps)
        by_class = classes_table(own, best.budget, classes, supernet.width, unit)
        by_client = words.clients_table(own, names, caps, supernet.width)
        for table in filter(None, (by_class, by_client)):
            say(f"\n{terminal.render(table)}")
    text = words.recommendation(found.options, found.left_out, config.advice.budgets, unit)
    say(f"\n{as_flags(text)}")


def _write(config: RunConfig, found: Advice, run: Manifest) -> None:
    """Writes the files; without matplotlib there is no picture, and a line says so."""
    from experiments.advice import picture
    from experiments.analysis.pictures import style

    folder = pathlib.Path(config.reporting.workdir)
    if config.advice.measure_rate:  # Seconds follow from it, and no other machine has it.
        run = dataclasses.replace(run, execution={"macs_per_second": found.rate})
    write_manifest(folder, run, record.NAME)
    files.write_options(folder, found.options, found.left_out)
    epochs = config.training.local_epochs
    for write in (files.write_clients, files.write_classes):
        write(folder, found.options, found.fleet, found.caps, found.table, epochs, found.rate)
    able = found.caps.able
    for suffix in PICTURE_FORMATS:  # Those of other clients must not stay.
        (folder / f"advise.{suffix}").unlink(missing_ok=True)
    try:
        figure = picture.figure_of(
            found.options,
            found.caps.widths[able],
            found.table.width,
            config.allocation.budget_unit,
        )
        for suffix in config.reporting.picture_formats:
            style.save(figure, folder / f"advise.{suffix}", smallest=False)
    except UserError as error:
        say(f"advise.png is not drawn: {as_flags(str(error))}")
    say(f"\nfiles: {folder}")
