"""What one or more workdirs hold, read and merged: seeds, policies and methods that match."""

from __future__ import annotations

import collections
import csv
import dataclasses
import functools
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.analysis import by_seed
from experiments.analysis.dealt import dealt
from experiments.analysis.stopped import Rule
from experiments.rooms import number_text
from experiments.study import manifest
from experiments.study.block import Block, named_block
from experiments.study.manifest import Manifest
from hasa_jax.base import UserError
from hasa_jax.client.objectives import OBJECTIVES
from hasa_jax.datasets.paths import content_of, path_of
from hasa_jax.simulation.escapes import from_csv_cell
from hasa_jax.simulation.run_json import LIBRARY
from hasa_jax.supernet.costs import BUDGET_UNITS

UNITS = (*BUDGET_UNITS, "executed")
"""Units of the achieved budgets; a file may lack some of them."""

METRICS = ("mean", "worst", "tail")
SUMMARY_NUMBERS = (*(f"{metric}_accuracy" for metric in METRICS), "budget_requested")
TEXTS = ("method", "policy", "extraction", "aggregation")
LABELS = (*TEXTS, "seed", "round")
FOLD = "fold"
"""The column of folds, from 1 on; 0 without any, and in files of code that had none."""
FOLDER = "folder"
"""The column that merged records have beside their own: the folder that sets an arm apart."""

_OPTIONAL = (
    *("budget_", "bytes_", "global_", "updates", "severed", "num_examples"),
    *("width", "size"),
)
"""How columns of numbers begin that a file may lack, and whose cells may be empty."""

_INTEGERS = ("seed", FOLD, "round", "num_examples")

_PLAIN = (*TEXTS, "client", "split")
"""Columns that may hold any text."""

NAMES = (*_PLAIN, "level")
"""Columns that are read back from what a spreadsheet shows."""

_ALIKE = {
    "model": ("model", "hidden_dim", "embed_dim", "layers", "heads", "head_dim", "feedforward_dim"),
    "allocation": ("budget", "budget_unit"),
    "training": ("num_rounds",),
    "reporting": ("tail_fraction", "eval_clients", "scored_draw"),
}
"""Fields in which workdirs must agree, by room. Data must agree too, by hash or by fields."""

_FREE = ("data", "execution", "comparison", "reporting")
"""Rooms that set no arms apart."""

_MOST = 5
"""Lines on settings that differ."""

_LONGEST = 60
"""Letters of a value in such a line."""

_OPTIMIZER = "client_optimizer"

_OF_SUPERNETS = (
    "Budgets and sizes are shares of an arm's own supernet, so arms of another supernet_width do "
    "not match."
)

Record = Mapping[str, str]


class Arm(NamedTuple):
    """What a record is a result of.

    Attributes:
      method: name of the method.
      policy: name of the policy.
      folder: the workdir's name, where others have the same method and policy with other settings.
    """

    method: str
    policy: str
    folder: str = ""

    @property
    def name(self) -> str:
        """Its full name."""
        return f"{self.method}:{self.policy}" + (f" ({self.folder})" if self.folder else "")


@dataclasses.dataclass(frozen=True)
class Source:
    """One workdir.

    Attributes:
      folder: where it is.
      manifest: its run.json.
      metrics: records of metrics.csv.
      summary: records of summary.csv.
      sizes: records of sizes.csv; none if it has no such file.
      not_ended: a line that says how much of the run is there; empty if it has ended.
    """

    folder: pathlib.Path
    manifest: Manifest
    metrics: Sequence[Record]
    summary: Sequence[Record]
    sizes: Sequence[Record]
    not_ended: str = ""

    @functools.cached_property
    def config(self) -> dict[str, dict[str, Any]]:
        """The fields that are known, by room: all of a script's run, some of the library's."""
        if self.manifest.script == LIBRARY:
            return {room: dict(own) for room, own in self.manifest.config.items()}
        return manifest.recorded(self.manifest.run)

    def settings(self, method: str) -> dict[str, Any]:
        """Returns what else decides the results of a method beside the fields that must agree.

        Args:
          method: its name; of a method that the workdir does not have, only what all methods share.

        Returns:
          Values by name; the parts of a method replace what the user chose of them.
        """
        found = {
            name: value
            for room, own in self.config.items()
            for name, value in own.items()
            if room not in _FREE and name not in (*_ALIKE.get(room, ()), "method", "policy")
        }
        # The projection is a part: methods choose it where the user does not.
        chosen = found.pop("budget_projection", None)
        projection = {} if chosen is None else {"projection": chosen}
        parts = self.manifest.methods.get(method, {})
        parts = {n: v for n, v in parts.items() if n not in ("summary", "policy")}
        stated = {**self.manifest.settings, **self.manifest.switches}
        return found | projection | parts | stated

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods in the records."""
        return tuple(dict.fromkeys(record["method"] for record in self.summary))


@dataclasses.dataclass(frozen=True)
class Results:
    """What several workdirs hold.

    Attributes:
      folders: the workdirs.
      arms: what is compared, in the order of the records.
      metrics: records of every client, with the column `FOLDER`.
      summary: records of every round, with the column `FOLDER`.
      sizes: records of every level, with the column `FOLDER`; there may be none.
      budget_unit: what the budget counts.
      baselines: what is known of predictions of the most frequent class, by seed and fold.
      levels: sizes of policy levels, by arm, where they are known.
      remarks: how the workdirs differ, one line each.
      eval_clients: clients of each seed that were evaluated, by the workdirs; 0 for all.
      folds: folds of each seed; 0 for none. Records of seeds that lack some are not here.
      rules: that decided the numbers of seeds of the workdirs.
      scores: of clients, by arm, seed and fold, and client; of arms whose policy follows them,
        where they are recorded.
      dealt: why a name is another client in every seed; empty where clients are the same ones.
      hiding: arms whose objective hides the classes that a client does not train, in its accuracy
        too.
      supernets: widths of the supernets, by arm. Budgets are shares of an arm's own supernet.
    """

    folders: tuple[pathlib.Path, ...]
    arms: tuple[Arm, ...]
    metrics: Sequence[Record]
    summary: Sequence[Record]
    sizes: Sequence[Record]
    budget_unit: str
    baselines: Mapping[Block, Mapping[str, float]]
    levels: Mapping[Arm, tuple[float, ...]]
    remarks: tuple[str, ...]
    eval_clients: tuple[int, ...] = (0,)
    folds: int = 0
    rules: tuple[Rule, ...] = ()
    scores: Mapping[Arm, Mapping[Block, Mapping[str, float]]] = dataclasses.field(
        default_factory=dict
    )
    dealt: str = ""
    hiding: frozenset[Arm] = frozenset()
    supernets: Mapping[Arm, float] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def _by_round(self) -> dict[int, set[tuple[Arm, int]]]:
        """The arms and seeds of every round."""
        found: dict[int, set[tuple[Arm, int]]] = {}
        for record in self.summary:
            found.setdefault(int(record["round"]), set()).add((arm_of(record), int(record["seed"])))
        return found

    @property
    def rounds(self) -> tuple[int, ...]:
        """Rounds that every arm was evaluated at, at each of its seeds."""
        every = set().union(*self._by_round.values())
        return tuple(sorted(r for r, own in self._by_round.items() if own == every))

    @property
    def partial_rounds(self) -> str:
        """A line that counts the rounds that some seeds of some arms lack; empty without any."""
        lacking = sorted(set(self._by_round) - set(self.rounds))
        if not lacking:
            return ""
        every = set().union(*self._by_round.values())
        arm, seed = min(every - self._by_round[lacking[0]])
        return (
            f"Left out: {len(lacking)} of {len(self._by_round)} rounds, as not every arm was "
            f"evaluated at them at each of its seeds; {arm.name} with seed {seed} lacks round "
            f"{lacking[0]}."
        )


def arm_of(record: Record) -> Arm:
    """Returns what a record is a result of."""
    return Arm(record["method"], record["policy"], record.get(FOLDER, ""))


def block_of(record: Record) -> Block:
    """Returns the seed of a record, and its fold."""
    return Block(int(record["seed"]), int(record[FOLD]))


def folders_of(workdir: str) -> list[pathlib.Path]:
    """Returns the folders that a list with commas names.

    Args:
      workdir: one or more folders.

    Returns:
      Their paths, each once.

    Raises:
      UserError: if it names none.
    """
    names = [name for name in workdir.split(",") if name]
    if not names:
        raise UserError("name one or more folders of results, with commas, with `workdir`")
    return list(dict.fromkeys(path_of(name) for name in names))


def labels_of(arms: Sequence[Arm]) -> dict[Arm, str]:
    """Returns short names of arms: without what all of them share.

    Args:
      arms: all that are shown.

    Returns:
      By arm: the method if no two arms share it, or the policy if all share the method, or both;
      and the folder, if it has one.
    """
    if len(arms) == 1:
        return {arms[0]: arms[0].name}
    methods, policies = ({arm[part] for arm in arms} for part in (0, 1))
    names = {}
    for arm in arms:
        with_policy = len(policies) > 1 and len(methods) < len(arms)
        own = ":".join([arm.method] * (len(methods) > 1) + [arm.policy] * with_policy)
        folder = f" ({arm.folder})" if own and arm.folder else arm.folder
        names[arm] = f"{own}{folder}"
    return names


def read_records(
    path: pathlib.Path, numbers: Sequence[str], texts: Sequence[str] = ()
) -> list[Record]:
    """Reads a CSV file of ours.

    Args:
      path: the file.
      numbers: columns that it must have besides `LABELS`, and that must hold numbers.
      texts: further columns that it must have.

    Returns:
      Its records; names are as they were before they were written for a spreadsheet.

    Raises:
      UserError: if it is missing, damaged, empty or lacks a column.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: run train or compare into that folder")
    usual = csv.field_size_limit()
    try:
        text = content_of(path, "a table of results").decode()
        if path.suffix == ".partial":
            text = text[: text.rfind("\n") + 1]  # A line may be written while it is read.
        csv.field_size_limit(max(usual, len(text)))  # It is for all readers, so it is put back.
        records: list[Any] = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): run the experiment again") from None
    finally:
        csv.field_size_limit(usual)
    if not records:
        raise UserError(f"{path} has no rows: it is not a results file")
    for column in (*LABELS, *numbers, *texts):
        if column not in records[0]:
            raise UserError(f"{path} has no column {column!r}: it is not a results file")
    optional = [c for c in records[0] if c and c.startswith(_OPTIONAL) and c not in numbers]
    labels = [*LABELS, *([FOLD] if FOLD in records[0] else [])]
    for line, record in enumerate(records, start=2):
        if None in record:
            raise UserError(f"{path}, line {line}: too many cells; run the experiment again")
        for column in (*labels, *numbers, *texts, *optional):
            if not _holds(column, record[column], empty=column in optional):
                raise UserError(
                    f"{path}, line {line}: column {column!r} holds {record[column]!r}; the file "
                    "is damaged, run the experiment again"
                )
        record.update({name: from_csv_cell(record[name]) for name in NAMES if record.get(name)})
        record.setdefault(FOLD, "0")
    return records


def _holds(column: str, cell: str | None, *, empty: bool) -> bool:
    """Returns whether a cell holds what its column must; some may be empty."""
    if cell is None or column in _PLAIN or (empty and not cell):
        return cell is not None
    try:
        int(cell) if column in _INTEGERS else float(cell)
    except ValueError:
        return False
    return True


def read(folders: Sequence[pathlib.Path]) -> Results:
    """Reads workdirs, and merges what matches.

    Args:
      folders: one or more workdirs of scripts, or of `Result.save`.

    Returns:
      The results.

    Raises:
      UserError: as `source_of` and `merge`.
    """
    return merge([source_of(folder) for folder in folders])


def merge(sources: Sequence[Source]) -> Results:
    """Merges workdirs.

    Args:
      sources: one or more.

    Returns:
      The results. Equal results of one arm, seed and fold are there once.

    Raises:
      UserError: if the workdirs differ in data, model, budget or rounds, or if they hold different
        results of one arm, seed and fold; or if no seed of an arm has all of its folds.
    """
    for other in sources[1:]:
        _check_alike(sources[0], other)
    folders = tuple(source.folder for source in sources)
    names = folder_names(folders)
    places = {arm: _places(arm, sources) for arm in _plain_arms(sources)}
    tags = {
        (arm, at): names[first] if len(set(place.values())) > 1 else ""
        for arm, place in places.items()
        for at, first in place.items()
    }
    seen = _seen(sources, tags)
    merged = {
        table: [
            record
            for at, source in enumerate(sources)
            for record in _tagged(getattr(source, table), tags, at)
            if seen.get((arm_of(record), block_of(record)), at) == at
        ]
        for table in ("metrics", "summary", "sizes")
    }
    arms = tuple(dict.fromkeys(arm for arm, _ in seen))
    folds = _folds(sources)
    merged, of_folds = _with_all_folds(merged, arms, folds)
    if folds:
        tail = sources[0].manifest.run.reporting.tail_fraction
        merged["summary"] = by_seed.pooled(merged["summary"], merged["metrics"], tail)
    supernets = _supernets(sources, tags)
    return Results(
        folders=folders,
        arms=arms,
        **merged,
        budget_unit=sources[0].manifest.run.allocation.budget_unit,
        baselines={
            named_block(name): own
            for source in sources
            for name, own in source.manifest.baseline.items()
        },
        levels=_levels(sources, tags),
        remarks=(
            *filter(None, (own.not_ended for own in sources)),
            *of_folds,
            *_differences(sources, names),
            *_unrecorded(sources, names),
            *[_OF_SUPERNETS] * (len(set(supernets.values())) > 1),
        ),
        eval_clients=tuple(
            sorted({source.manifest.run.reporting.eval_clients for source in sources})
        ),
        folds=folds,
        rules=tuple(dict.fromkeys(filter(None, (own.manifest.rule for own in sources)))),
        scores=_scores(sources, tags),
        dealt=next(filter(None, map(_dealt, sources)), ""),
        hiding=_hiding(sources, tags),
        supernets=supernets,
    )


def _dealt(source: Source) -> str:
    """Says why a name is another client in every seed of a workdir."""
    return dealt(source.manifest, (record["client"] for record in source.metrics))


def _seen(
    sources: Sequence[Source], tags: Mapping[tuple[Arm, int], str]
) -> dict[tuple[Arm, Block], int]:
    """Returns from which source the results of every arm and block are taken.

    Of equal results, which may lack columns that older code did not write, those with the most
    columns are taken, or the first ones.

    Raises:
      UserError: if two sources hold different results of one arm and block.
    """
    seen: dict[tuple[Arm, Block], tuple[int, list[Record]]] = {}
    for at, source in enumerate(sources):
        for key, own in _by_arm_and_block(source.summary, tags, at).items():
            first, before = seen.setdefault(key, (at, own))
            if not _alike(before, own):
                raise UserError(
                    f"{sources[first].folder} and {source.folder} hold different results of "
                    f"{key[0].name!r} with {key[1]}: leave one of them out of `workdir`"
                )
            if len(own[0]) > len(before[0]):
                seen[key] = at, own
    return {key: at for key, (at, _) in seen.items()}


def _alike(one: Sequence[Record], other: Sequence[Record]) -> bool:
    """Returns whether records are equal in the columns that both have."""
    return len(one) == len(other) and all(
        all(value == b[name] for name, value in a.items() if name in b)
        for a, b in zip(one, other, strict=True)
    )


def _folds(sources: Sequence[Source]) -> int:
    """Returns the number of folds of each seed; of runs of the library, what their records have."""
    recorded = max(source.manifest.run.data.eval_folds for source in sources)
    return recorded or max(int(r[FOLD]) for source in sources for r in source.summary)


def _with_all_folds(
    merged: Mapping[str, list[Record]], arms: Sequence[Arm], folds: int
) -> tuple[dict[str, list[Record]], tuple[str, ...]]:
    """Leaves out what lacks folds; returns the rest, and a line that says so if there was any.

    Raises:
      UserError: if nothing of an arm is left.
    """
    lacking = by_seed.incomplete(merged["summary"], folds)
    found = {
        table: [r for r in records if by_seed.evaluation_of(r) not in lacking]
        for table, records in merged.items()
    }
    for arm in set(arms) - set(map(arm_of, found["summary"])):
        raise UserError(
            f"no seed of {arm.name!r} has all of its {folds} folds: run the experiment to its end"
        )
    return found, tuple(filter(None, [by_seed.remark_of(lacking, merged["summary"], folds)]))


def source_of(folder: pathlib.Path, *, clients: bool = True) -> Source:
    """Reads one workdir; of a run that has not ended, the arms and blocks that have all rounds.

    Args:
      folder: of a script, or of `Result.save`.
      clients: whether it must have records of clients. Without, there are none of them where the
        file is missing, as in results that are kept small.

    Returns:
      What it holds.

    Raises:
      UserError: if it holds no results, or damaged ones.
    """
    names = ("metrics", "summary", "sizes")
    ended = any((folder / f"{name}.csv").exists() for name in names)
    # Tables get their names when the run ends.
    end = "" if ended or not (folder / "summary.csv.partial").exists() else ".partial"
    paths = {name: folder / f"{name}.csv{end}" for name in names}
    metrics: list[Record] = []
    if clients or paths["metrics"].exists():
        metrics = read_records(paths["metrics"], ("accuracy",), ("client", "split"))
    summary = read_records(paths["summary"], SUMMARY_NUMBERS)
    sizes: list[Record] = []
    if paths["sizes"].exists():
        columns = ("global_accuracy", "local_accuracy", "size", "level")
        sizes = read_records(paths["sizes"], columns)
    found = Source(folder, manifest.read_manifest(folder), metrics, summary, sizes)
    return _with_all_rounds(found) if end else found


def _with_all_rounds(found: Source) -> Source:
    """Leaves out the arms and blocks of a run that have not all rounds yet, and says so."""
    last = str(found.manifest.run.training.num_rounds)
    begun = {(arm_of(record), block_of(record)) for record in found.summary}
    done = {(arm_of(r), block_of(r)) for r in found.summary if r["round"] == last}
    if not done:
        raise UserError(
            f"{found.folder}: the run there has not ended, and no arm has all rounds yet: wait, or "
            "run the same command again if it was stopped"
        )

    def kept(records: Sequence[Record]) -> list[Record]:
        return [record for record in records if (arm_of(record), block_of(record)) in done]

    return dataclasses.replace(
        found,
        metrics=kept(found.metrics),
        summary=kept(found.summary),
        sizes=kept(found.sizes),
        not_ended=f"{found.folder.name}: the run has not ended; of {len(begun)} pairs of arm and "
        f"seed or fold that began, the {len(done)} with all rounds are read.",
    )


def same_settings(one: Source, other: Source) -> bool:
    """Returns whether two workdirs differ only in seeds, policies and methods, as far as is known.

    Args:
      one: a workdir.
      other: another one.

    Returns:
      False too if their data, model or budget differ.
    """
    try:
        _check_alike(one, other)
    except UserError:
        return False
    return not _unlike(one.settings(""), other.settings(""))


def check_budgets(first: Source, other: Source) -> None:
    """Refuses two workdirs that differ in more than the budget.

    Args:
      first: a workdir.
      other: a workdir of another budget.

    Raises:
      UserError: naming what differs.
    """
    _check_alike(first, other, but="budget")
    if first.methods != other.methods:
        methods = [", ".join(own.methods) for own in (first, other)]
        raise UserError(
            f"{first.folder} has {methods[0]} and {other.folder} {methods[1]}: compare budgets of "
            "one method"
        )
    for method in first.methods:
        one, two = (own.settings(method) for own in (first, other))
        for name in _unlike(one, two):
            raise UserError(
                f"`{name}` is {_text(one[name])} in {first.folder} and {_text(two[name])} in "
                f"{other.folder}: compare budgets of one study"
            )


def _check_alike(first: Source, other: Source, but: str = "") -> None:
    """Raises, naming what differs, unless two workdirs can be compared, but for one field."""
    here, there = first.manifest.data_sha256, other.manifest.data_sha256
    common = set(here) & set(there)
    for seed in sorted(common):
        if here[seed] != there[seed]:
            raise UserError(
                f"{other.folder} has other data than {first.folder} ({named_block(seed)}, by their "
                "hashes): compare runs of one data set"
            )
    known = first.config, other.config
    fields = _ALIKE if common else {"data": tuple(known[0].get("data", {})), **_ALIKE}
    for room, names in fields.items():
        one, two = (own.get(room, {}) for own in known)
        for name in names:
            known_of_both = name != but and None not in (one.get(name), two.get(name))
            if known_of_both and one[name] != two[name]:
                raise UserError(
                    f"`{name}` is {_text(one[name])} in {first.folder} and {_text(two[name])} in "
                    f"{other.folder}: compare runs of one data set, model and budget"
                )
    _check_models(first, other, data_too=not common)


def _check_models(first: Source, other: Source, *, data_too: bool) -> None:
    """Raises if two workdirs have other supernets, as far as is known, or other data."""
    one, two = first.manifest.model, other.manifest.model
    widths = [_supernet_width(own) for own in (first, other)]
    # A supernet of another width has other units, and is another arm.
    groups = (one.get("groups"), two.get("groups"))
    if widths[0] == widths[1] and None not in groups and groups[0] != groups[1]:
        raise UserError(
            f"the supernet has the units {groups[0]} in {first.folder} and {groups[1]} in "
            f"{other.folder}: compare runs of one model"
        )
    here, there = _of_data(one), _of_data(two)
    for name in here if data_too else ():
        if name in there and here[name] != there[name]:
            raise UserError(
                f"{other.folder} has other data than {first.folder} ({name}: {there[name]}, "
                f"not {here[name]}): compare runs of one data set"
            )


def _of_data(model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is known of the data of a run of the library and is the same for all seeds.

    Vocabularies come from the training examples of a seed, so numbers of tokens may differ.
    """
    if "classes" not in model:
        return {}
    classes, tokens = model["classes"], model.get("tokens", 0)
    return {
        "inputs": "tokens" if tokens else "numbers",
        "classes": "tokens" if tokens and classes == tokens else classes,
        "shape of an example": model.get("input_shape"),
        "SHA-256 of the clients' names": model.get("clients_sha256"),
    }


def _plain_arms(sources: Sequence[Source]) -> list[Arm]:
    """Returns every method and policy of the records."""
    return list(dict.fromkeys(arm_of(record) for own in sources for record in own.summary))


def _places(arm: Arm, sources: Sequence[Source]) -> dict[int, int]:
    """Returns for each source that has an arm the first one that ran it with the same settings."""
    place: dict[int, int] = {}
    for at, source in enumerate(sources):
        if any(arm_of(record) == arm for record in source.summary):
            own = source.settings(arm.method)
            firsts = sorted(set(place.values()))
            same = (b for b in firsts if not _unlike(sources[b].settings(arm.method), own))
            place[at] = next(same, at)
    return place


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Returns the names of settings that are known of both and differ."""
    return [name for name in one if name in other and one[name] != other[name]]


def _by_arm_and_block(
    records: Sequence[Record], tags: Mapping[tuple[Arm, int], str], at: int
) -> dict[tuple[Arm, Block], list[Record]]:
    """Gathers the records of every arm and block of a source."""
    found: dict[tuple[Arm, Block], list[Record]] = {}
    for record in _tagged(records, tags, at):
        found.setdefault((arm_of(record), block_of(record)), []).append(record)
    return found


def _tagged(
    records: Sequence[Record], tags: Mapping[tuple[Arm, int], str], at: int
) -> list[Record]:
    """Adds the folder that sets the arm of a record apart."""
    return [{**record, FOLDER: tags.get((arm_of(record), at), "")} for record in records]


def folder_names(folders: Sequence[pathlib.Path]) -> list[str]:
    """Returns a short name of every folder: the end of its path that no other one has.

    Args:
      folders: different ones.

    Returns:
      The names.
    """
    parts = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts))):
        names = ["/".join(own[-count:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return list(map(str, folders))


def _levels(
    sources: Sequence[Source], tags: Mapping[tuple[Arm, int], str]
) -> dict[Arm, tuple[float, ...]]:
    """Returns the levels of policy levels of every arm, where they are known."""
    found = {}
    for (arm, at), tag in tags.items():
        known = sources[at].config.get("allocation", {}).get("levels")
        if arm.policy == "levels" and known is not None:
            found[arm._replace(folder=tag)] = tuple(map(float, known))
    return found


def _hiding(sources: Sequence[Source], tags: Mapping[tuple[Arm, int], str]) -> frozenset[Arm]:
    """Returns the arms whose objective hides classes."""
    names = {name for name, make in OBJECTIVES.items() if make().own_classes}

    def hides(settings: Mapping[str, Any]) -> bool:
        # An objective of the user's has a name of its own, and its options are recorded.
        options = str(settings.get("objective_options", ""))
        return settings.get("objective") in names or "own_classes=True" in options

    return frozenset(
        arm._replace(folder=tag)
        for (arm, at), tag in tags.items()
        if hides(sources[at].settings(arm.method))
    )


def _supernets(sources: Sequence[Source], tags: Mapping[tuple[Arm, int], str]) -> dict[Arm, float]:
    """Returns the width of the supernet of every arm."""
    return {
        arm._replace(folder=tag): _supernet_width(sources[at]) for (arm, at), tag in tags.items()
    }


def _supernet_width(source: Source) -> float:
    """Returns the width of a workdir's supernet; 1 if nothing is known of it."""
    return float(source.settings("").get("supernet_width", 1))


def _scores(
    sources: Sequence[Source], tags: Mapping[tuple[Arm, int], str]
) -> dict[Arm, dict[Block, Mapping[str, float]]]:
    """Returns the scores of clients of every arm, where they are recorded."""
    found: dict[Arm, dict[Block, Mapping[str, float]]] = {}
    for (arm, at), tag in tags.items():
        own = sources[at].manifest.scores.get(f"{arm.method}:{arm.policy}", {})
        of_arm = found.setdefault(arm._replace(folder=tag), {})
        of_arm |= {named_block(name): of for name, of in own.items()}
    return {arm: own for arm, own in found.items() if own}


def _differences(sources: Sequence[Source], names: Sequence[str]) -> list[str]:
    """Writes which settings of the workdirs differ, one line each; the first few."""
    counts = collections.Counter(method for source in sources for method in source.methods)
    # What the parts of a shared method say is compared by method, as it is, not as it was chosen.
    shared = all(any(counts[method] > 1 for method in source.methods) for source in sources)
    parts = {n for own in sources for of in own.manifest.methods.values() for n in of if shared}
    common = [{n: v for n, v in own.settings("").items() if n not in parts} for own in sources]
    lines = dict.fromkeys(_differing(list(zip(names, common, strict=True))))
    for method in counts:
        folders = [
            (name, source.settings(method))
            for name, source in zip(names, sources, strict=True)
            if method in source.methods
        ]
        policies = {
            frozenset(r["policy"] for r in source.summary if r["method"] == method)
            for source in sources
            if method in source.methods
        }
        if len(policies) > 1:  # Other policies have other options: these are the arms themselves.
            folders = [
                (name, {n: v for n, v in own.items() if n != "policy_options"})
                for name, own in folders
            ]
        lines |= dict.fromkeys(_differing(folders))
    if len(lines) > _MOST:
        return [*list(lines)[:_MOST], f"{len(lines) - _MOST} more settings differ; see run.json."]
    return list(lines)


def _differing(folders: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Writes a line for each setting that is known of several folders and differs."""
    lines = []
    for name in dict.fromkeys(name for _, own in folders for name in own):
        found: dict[str, list[str]] = {}
        for folder, own in folders:
            if name in own:
                found.setdefault(_text(own[name]), []).append(folder)
        if len(found) > 1 and max(map(len, found)) > _LONGEST:
            groups = "; ".join(", ".join(own) for own in found.values())
            lines.append(f"{name} differs between {groups}; see run.json.")
        elif len(found) > 1:
            each = "; ".join(f"{value} in {', '.join(own)}" for value, own in found.items())
            lines.append(f"{name} differs: {each}.")
    return lines


def _unrecorded(sources: Sequence[Source], names: Sequence[str]) -> list[str]:
    """Says of which runs of the library the optimizer cannot be compared with that of others."""
    library = [source.manifest.script == LIBRARY for source in sources]
    lacking = [
        name
        for name, source, own in zip(names, sources, library, strict=True)
        if own
        and _OPTIMIZER not in source.manifest.settings
        # Runs of the library are compared by the functions that the optimizer is made of.
        and not (all(library) and "client_update" in source.settings(source.methods[0]))
    ]
    if len(sources) < 2 or not lacking:
        return []
    return [f"settings of the client optimizer are not recorded in {', '.join(lacking)}."]


def _text(value: Any) -> str:
    """Writes a value of a configuration as a flag has it."""
    if value is None:
        return "not given"
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value)) or "none"
    return number_text(value) if isinstance(value, float) else str(value)
