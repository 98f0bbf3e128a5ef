"""Workdirs read and merged: what matches is merged, what differs is named."""

import dataclasses
import json
import os
import shutil

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from experiments.analysis import results, tables
from experiments.analysis.results import Arm
from experiments.config import RunConfig, with_fields
from experiments.rooms import ComparisonConfig
from experiments.study.block import Block, blocks_of
from experiments.study.manifest import recorded
from experiments.study.method import describe, method_of
from hasa_jax import UserError
from hasa_jax.simulation.described import described
from tests.experiments.analysis.workdirs import record, records, write, write_csv
from tests.support.scripts import run

NAMES = ("a\nb", "=1+1", "x|<script>\x1b[2J", "../c", "'-2")


def read(*folders):
    return results.read(list(folders))


def changed(folder, change):
    """Changes run.json."""
    path = folder / "run.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    change(found)
    path.write_text(json.dumps(found), encoding="utf-8")


def test_seeds_are_merged(tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1, 0.2]) + records("hasa", [0.2, 0.3]))
    two = write(tmp_path / "b", records("hasa", [0.4], 2) + records("uniform", [0.3], 2))
    found = read(one, two)
    assert found.arms == (Arm("hasa", "uniform"), Arm("hasa", "hasa"))
    assert [r["seed"] for r in found.summary if r["policy"] == "hasa"] == ["0", "1", "2"]
    assert found.remarks == ()
    text = tables.text_of(found, ComparisonConfig())
    assert "3 matched seeds" in text
    assert "+10.00 ± 0.00" in text


def test_folds_are_merged_by_seed_and_fold(tmp_path):
    """A file without the column is of code that had no folds."""
    one, two = (
        write(
            tmp_path / name,
            [record("uniform", seed, 0.1 * fold, fold=fold) for fold in (1, 2)],
            {"data": {"eval_folds": 2}},
            data_sha256={f"{seed}.{fold}": f"{seed} {fold}" for fold in (1, 2)},
        )
        for seed, name in enumerate("ab")
    )
    found = read(one, two)
    assert [results.block_of(r) for r in found.summary] == list(blocks_of((0, 1), 2))
    assert found.folds == 2
    old = read(write(tmp_path / "old"))
    assert old.folds == 0
    assert {results.block_of(r).fold for r in old.summary} == {0}
    with pytest.raises(UserError, match=r"`eval_folds` is 2 in .*a and 0 in .*old"):
        read(one, tmp_path / "old")
    text = (one / "summary.csv").read_text(encoding="utf-8")
    (one / "summary.csv").write_text(text.replace(",2\n", ",x\n"), encoding="utf-8")
    with pytest.raises(UserError, match="line 3: column 'fold' holds 'x'"):
        read(one)


def test_policies_and_methods_are_merged(tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1, 0.2]))
    other = [own | {"method": "fjord"} for own in records("uniform", [0.2, 0.4])]
    found = read(one, write(tmp_path / "b", records("hasa", [0.2, 0.3]) + other))
    assert [arm.name for arm in found.arms] == ["hasa:uniform", "hasa:hasa", "fjord:uniform"]
    assert "| fjord:uniform" in tables.text_of(found, ComparisonConfig())


def test_equal_results_are_there_once_and_different_ones_are_refused(tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1, 0.2]))
    two = write(tmp_path / "b", records("uniform", [0.2], first_seed=1))
    found = read(one, two)
    assert len(found.summary) == 2
    assert len(found.metrics) == 4
    three = write(tmp_path / "c", records("uniform", [0.21], first_seed=1))
    with pytest.raises(UserError, match="different results of 'hasa:uniform' with seed 1"):
        read(one, three)


def test_equal_results_with_one_more_column_are_those_with_it(tmp_path):
    """Older code wrote fewer columns; the order of arms and records is that of the first."""
    old = records("uniform", [0.1, 0.2]) + records("hasa", [0.2, 0.3])
    new = [own | {"updates": "9"} for own in records("uniform", [0.1, 0.2])]
    one, two = write(tmp_path / "old", old), write(tmp_path / "new", new)
    for folders in ((one, two), (two, one)):
        found = read(*folders)
        assert len(found.summary) == 4
        assert len(found.metrics) == 8
        assert [r.get("updates") for r in found.summary if r["policy"] == "uniform"] == ["9", "9"]
        assert found.arms == (Arm("hasa", "uniform"), Arm("hasa", "hasa"))
    other = [own | {"worst_accuracy": "0.7"} for own in new]
    with pytest.raises(UserError, match="different results of 'hasa:uniform' with seed 0"):
        read(one, write(tmp_path / "other", other))


def of_rounds(policy, rounds, seeds):
    """Records of one arm at some rounds, with accuracies that rise by .1 at each."""
    return [
        record(policy, seed, 0.1 * round + 0.01 * seed + 0.02 * (policy == "hasa"), round=round)
        for seed in seeds
        for round in rounds
    ]


def test_rounds_that_a_seed_of_an_arm_lacks_are_left_out_and_counted(tmp_path):
    """Merged workdirs of another `eval_every`: all numbers are over all seeds."""
    one = of_rounds("uniform", (1, 2, 3), (0, 1)) + of_rounds("hasa", (1, 2, 3), (0, 1))
    two = of_rounds("uniform", (2,), (2, 3)) + of_rounds("hasa", (2,), (2, 3))
    found = read(write(tmp_path / "a", one), write(tmp_path / "b", two))
    assert found.rounds == (2,)
    text = tables.text_of(found, ComparisonConfig())
    assert "4 matched seeds" in text
    assert "+2.00 ± 0.00" in text
    line = (
        "Left out: 2 of 3 rounds, as not every arm was evaluated at them at each of its seeds; "
        "hasa:hasa with seed 2 lacks round 1."
    )
    assert line in " ".join(text.split()).replace("- ", "")
    assert read(tmp_path / "a").rounds == (1, 2, 3)
    assert read(tmp_path / "a").partial_rounds == ""
    apart = of_rounds("hasa", (3,), (0, 1)) + of_rounds("uniform", (2,), (0, 1))
    with pytest.raises(UserError, match="no round was evaluated of all arms at each of their see"):
        tables.text_of(read(write(tmp_path / "c", apart)), ComparisonConfig())


@pytest.mark.parametrize("column", ["split", "client"])
def test_records_of_clients_without_a_name_or_split_are_refused(column, tmp_path):
    folder = write(tmp_path)
    text = (folder / "metrics.csv").read_text(encoding="utf-8")
    (folder / "metrics.csv").write_text(text.replace(f",{column}", ",x", 1), encoding="utf-8")
    with pytest.raises(UserError, match=f"metrics.csv has no column '{column}'"):
        read(folder)


@pytest.mark.parametrize("column", ["width", "size"])
def test_widths_of_clients_are_numbers_or_empty(column, tmp_path):
    folder = write(tmp_path)
    lines = results.read_records(folder / "metrics.csv", ("accuracy",))
    write_csv(folder / "metrics.csv", [{**line, column: ""} for line in lines])
    assert read(folder).metrics[0][column] == ""
    write_csv(folder / "metrics.csv", [{**line, column: "abc"} for line in lines])
    with pytest.raises(UserError, match=f"line 2: column '{column}' holds 'abc'"):
        read(folder)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"allocation": {"budget": 0.4}}, r"`budget` is 0.5 in .*a and 0.4 in .*b"),
        ({"allocation": {"budget_unit": "macs"}}, "`budget_unit` is width"),
        ({"model": {"hidden_dim": 9}}, "`hidden_dim` is "),
        ({"model": {"model": "mlp"}}, "`model` is lstm"),
        ({"training": {"num_rounds": 99}}, "`num_rounds` is "),
        ({"reporting": {"tail_fraction": 0.5}}, "`tail_fraction` is 0.25"),
        ({"reporting": {"scored_draw": "next"}}, "`scored_draw` is last"),
    ],
)
def test_another_model_or_budget_is_refused(config, expected, tmp_path):
    one = write(tmp_path / "a", config={"model": {"model": "lstm"}})
    two = write(tmp_path / "b", config={"model": {"model": "lstm"}} | config)
    with pytest.raises(UserError, match=expected) as caught:
        read(one, two)
    assert "\n" not in str(caught.value)


def test_other_data_are_refused(tmp_path):
    one, two = write(tmp_path / "a"), write(tmp_path / "b")
    changed(two, lambda found: found["data_sha256"].update({"1": "other"}))
    with pytest.raises(UserError, match=r"has other data than .* \(seed 1, by their hashes\)"):
        read(one, two)
    # Without a seed in common, the fields decide.
    three = write(tmp_path / "c", records("uniform", [0.3], 5), {"data": {"num_clients": 3}})
    with pytest.raises(UserError, match=r"`num_clients` is 10 in .*a and 3 in .*c"):
        read(one, three)
    four = write(tmp_path / "d", records("uniform", [0.3], 5))
    assert len(read(one, four).summary) == 5


def test_other_settings_make_other_arms(tmp_path):
    one = write(tmp_path / "plain", records("uniform", [0.1, 0.2]))
    two = write(
        tmp_path / "clipped", records("uniform", [0.2, 0.4]), {"method": {"robust": "norm_clip"}}
    )
    found = read(one, two)
    assert [arm.name for arm in found.arms] == ["hasa:uniform (plain)", "hasa:uniform (clipped)"]
    assert found.remarks == ("robust differs: not given in plain; norm_clip in clipped.",)
    text = tables.text_of(found, ComparisonConfig(reference="clipped"))
    assert "| plain " in text
    assert "- robust differs: not given in plain; norm\\_clip" not in text
    assert "- robust differs: not given in plain; norm_clip in clipped." in text
    # A method that only one of them has needs no folder.
    other = [own | {"method": "fjord"} for own in records("uniform", [0.2, 0.4])]
    three = write(tmp_path / "other", other, {"method": {"robust": "norm_clip"}})
    assert [arm.folder for arm in read(one, three).arms] == ["", ""]


def test_exits_may_differ(tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1]))
    other = [own | {"method": "scalefl"} for own in records("levels", [0.2])]
    found = read(one, write(tmp_path / "b", other, {"model": {"exits": 4}}))
    assert found.remarks == ("exits differs: 1 in a; 4 in b.",)


def test_many_differences_are_counted(tmp_path):
    fields = {"client_lr": 0.5, "batch_size": 9, "local_epochs": 3, "client_momentum": 0.5}
    fields |= {"server_lr": 2.0, "client_clip_norm": 1.0, "lr_decay": 0.2}
    found = read(write(tmp_path / "a"), write(tmp_path / "b", config={"training": fields}))
    assert len(found.remarks) == 6
    assert found.remarks[-1] == "2 more settings differ; see run.json."


def test_rounds_are_those_of_all_arms(tmp_path):
    one = write(tmp_path / "a", [record(round=r) for r in (2, 4, 6)])
    two = write(tmp_path / "b", [record("hasa", round=r) for r in (3, 6)])
    assert read(one, two).rounds == (6,)
    three = write(tmp_path / "c", [record("hasa", round=5)])
    with pytest.raises(UserError, match="no round was evaluated of all arms"):
        tables.text_of(read(one, three), ComparisonConfig())


def test_folders_have_the_shortest_names_that_tell_them_apart(tmp_path):
    one, two = tmp_path / "x" / "run", tmp_path / "y" / "run"
    assert results.folder_names([one, two]) == ["x/run", "y/run"]
    assert results.folder_names([one, tmp_path / "z"]) == ["run", "z"]
    assert results.folders_of(f"{one},{two},{one}") == [one, two]
    with pytest.raises(UserError, match="one or more folders"):
        results.folders_of("")


def test_a_pipe_is_no_file_of_results(tmp_path):
    for name in ("metrics.csv", "run.json"):
        folder = write(tmp_path / name)
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(UserError, match="is a pipe, a device or a socket"):
            read(folder)


def test_a_long_name_is_read(tmp_path):
    folder = write(tmp_path)
    text = (folder / "metrics.csv").read_text(encoding="utf-8")
    (folder / "metrics.csv").write_text(text.replace(",a,", f",{'x' * 200_000},"), encoding="utf-8")
    assert len(read(folder).metrics[0]["client"]) == 200_000


def test_names_come_back_as_they_were(tmp_path):
    from hasa_jax.simulation.writers import CsvWriter

    folder = write(tmp_path / "w", records("uniform", [0.1]))
    writer = CsvWriter(folder)
    front = records("uniform", [0.1])[0]
    clients = [{"client": name, "split": "validation", "accuracy": 0.5} for name in NAMES]
    writer.write("metrics", [front | own for own in clients])
    writer.publish()
    assert [own["client"] for own in read(folder).metrics] == list(NAMES)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("metrics.csv", None, "does not exist"),
        ("run.json", None, "does not exist"),
        ("summary.csv", "", "no rows"),
        ("summary.csv", "cut", "line 2: column 'aggregation' holds None"),
        ("summary.csv", b"\xff\xfe\x00", "is damaged"),
        ("summary.csv", "a,b\n1,2\n", "has no column"),
        ("summary.csv", "word", "line 2: column 'round' holds 'x'"),
        ("summary.csv", "budget", "line 2: column 'budget_executed' holds 'half'"),
        ("summary.csv", "long", "line 2: too many cells"),
        ("metrics.csv", "examples", "line 2: column 'num_examples' holds 'many'"),
    ],
)
def test_damaged_results_are_refused(name, content, match, tmp_path):
    write(tmp_path)
    path = tmp_path / name
    text = path.read_text(encoding="utf-8")
    if content is None:
        path.unlink()
    elif content == "cut":
        path.write_text(text.splitlines()[0] + "\nhasa,uniform,pre", encoding="utf-8")
    elif content == "word":
        path.write_text(text.replace(",3,", ",x,"), encoding="utf-8")
    elif content == "long":
        path.write_text(text.replace(",0.5\n", ",0.5,1\n", 1), encoding="utf-8")
    elif content == "budget":
        path.write_text(text.replace(",0.5\n", ",half\n", 1), encoding="utf-8")
    elif content == "examples":
        path.write_text(text.replace(",40,", ",many,"), encoding="utf-8")
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=match):
        read(tmp_path)


@pytest.fixture(scope="module")
def runs():
    """Runs of the library: HASA on two seeds, FedAvg on one of them."""
    generator = np.random.default_rng(0)
    arrays = {
        name: (generator.normal(size=(40, 6)), generator.integers(0, 3, 40)) for name in NAMES
    }
    found = {}
    for method, seed in (("hasa", 0), ("hasa", 1), ("fedavg", 1)):
        key = jax.random.key(seed)
        found[f"{method}{seed}"] = hj.simulate(
            hj.METHODS[method](),
            hj.models.mlp(hidden=4),
            hj.from_arrays(arrays, key),
            num_rounds=2,
            key=key,
            client_optimizer=optax.sgd(0.1),
            execution=hj.Execution("masked", mesh="clients:1"),
            reporting=hj.Reporting(eval_every=1, levels={"1": 4, "0.5": 2}),
        )
    return found


@pytest.fixture(scope="module")
def saved(runs, tmp_path_factory):
    """The folders of the runs."""
    folder = tmp_path_factory.mktemp("saved")
    for name, result in runs.items():
        result.save(folder / name)
    return folder


def with_method(result, seed=None, **parts):
    """A run as it would be of another method, with the same records."""
    program = result.program
    method = dataclasses.replace(program.method, **parts)
    trial = result.trial if seed is None else result.trial._replace(key=jax.random.key(seed))
    program = dataclasses.replace(program, method=method)
    return dataclasses.replace(result, program=program, trial=trial)


def with_rule(result, seed=None, **parts):
    """A run as it would be with other local training, with the same records."""
    result = with_method(result, seed)
    rule = result.program.rule._replace(**parts)
    return dataclasses.replace(result, program=dataclasses.replace(result.program, rule=rule))


def test_runs_of_the_library_are_read_and_merged(saved):
    folders = [saved / name for name in ("hasa0", "hasa1", "fedavg1")]
    done = run("tables", f"--workdir={','.join(map(str, folders))}")
    assert (done.returncode, done.stderr) == (0, "")
    # Of seeds 0 and 1 of one method, the other has seed 1.
    assert "1 matched seed." in done.stdout
    for name in ("hasa", "fedavg", "majority "):
        assert name in done.stdout
    found = read(*folders)
    assert found.remarks == ()
    # The reader of arrays makes spaces of line breaks.
    assert {own["client"] for own in found.metrics} == {"a b", *NAMES[1:]}
    assert sorted(found.baselines) == [Block(0), Block(1)]
    assert {own["level"] for own in found.sizes} == {"1", "0.5"}
    (manifest,) = (results.source_of(saved / "hasa1").manifest,)
    assert manifest.methods["hasa"]["extraction"] == "prefix"
    assert manifest.run.training.num_rounds == 2


@pytest.mark.parametrize("policy", ["uniform", "hasa"])
def test_options_of_another_policy_are_no_other_setting(saved, tmp_path, policy):
    other = shutil.copytree(saved / "hasa1", tmp_path / "other")
    for path in other.glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("\nhasa,hasa,", f"\nhasa,{policy},"), encoding="utf-8")
    run_json = json.loads((other / "run.json").read_text(encoding="utf-8"))
    run_json["methods"]["hasa"] |= {"policy_options": "others", "policy": policy}
    (other / "run.json").write_text(json.dumps(run_json), encoding="utf-8")
    said = [line for line in read(saved / "hasa0", other).remarks if "policy_options" in line]
    # The same policy with other options is another arm, and a line says what sets it apart.
    assert bool(said) == (policy == "hasa")


def test_pictures_of_runs_of_the_library_are_drawn(saved):
    workdir = f"--workdir={saved / 'hasa0'},{saved / 'hasa1'}"
    for script in ("plots", "by_size"):
        done = run(script, workdir)
        assert (done.returncode, done.stderr) == (0, "")
    assert (saved / "hasa0" / "merged_by_size.png").stat().st_size > 5000
    text = (saved / "hasa0" / "merged_by_size.md").read_text(encoding="utf-8")
    assert "Local and global accuracy at round 2" in text


def test_a_saved_run_is_not_overwritten_and_lacks_no_column(saved, tmp_path):
    with (saved / "hasa0" / "summary.csv").open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
    assert header[:5] == ["method", "policy", "extraction", "aggregation", "seed"]
    assert header[5:7] == ["fold", "round"]
    assert sorted(path.name for path in (saved / "fedavg1").iterdir()) == [
        "metrics.csv",
        "run.json",
        "sizes.csv",
        "summary.csv",
        "timings.csv",
    ]


def test_models_of_the_library_are_compared_by_their_units(saved, tmp_path):
    source = results.source_of(saved / "hasa0")
    assert list(source.manifest.model["groups"].values()) == [4]
    folders = [
        write(tmp_path / policy, records(policy, [0.1]), script="simulate", model=model)
        for policy, model in (("uniform", {"groups": {"h": 7}}), ("hasa", {"groups": {"h": 8}}))
    ]
    with pytest.raises(UserError, match=r"the units {'h': 7} in .*uniform and {'h': 8} in .*hasa"):
        read(*folders)


def test_what_a_run_of_the_library_does_not_know_is_not_compared(tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1]), {"training": {"client_lr": 0.5}})
    two = write(tmp_path / "b", records("hasa", [0.1]), script="simulate")
    found = read(one, two)
    assert found.remarks == ("settings of the client optimizer are not recorded in b.",)
    assert len(found.arms) == 2
    changed(two, lambda run: run.update(settings={"client_optimizer": "adam", "client_lr": 0.5}))
    assert read(one, two).remarks == ()
    changed(two, lambda run: run.update(settings={"client_optimizer": "adam", "client_lr": 0.1}))
    assert read(one, two).remarks == ("client_lr differs: 0.5 in a; 0.1 in b.",)


OTHER_METHODS = {
    "score": {"score": hj.SCORES["entropy"]()},
    "smoothing": {"score": hj.SCORES["label_divergence"](alpha=2.0)},
    "w_max": {"budget": hj.BudgetSpec(projection="paper", w_min=0.4, w_max=0.6)},
    "projection": {"budget": hj.BudgetSpec()},
    "capacities": {"budget": hj.BudgetSpec(projection="paper", capacities=(0.5,) * len(NAMES))},
    "extraction": {"extraction": hj.EXTRACTIONS["prefix"](levels=(0.5,))},
    "trim": {"trim": 0.3},
    "proximal": {"proximal": 0.1},
    "label_split": {"label_split": True},
}


@pytest.mark.parametrize("parts", OTHER_METHODS.values(), ids=OTHER_METHODS)
def test_methods_of_the_library_with_other_options_are_other_arms(parts, runs, saved, tmp_path):
    other = with_method(runs["hasa0"], 7, **parts).save(tmp_path / "other")
    found = read(saved / "hasa0", other)
    assert [arm.folder for arm in found.arms] == ["hasa0", "other"]
    assert found.remarks
    assert all("differs" in line for line in found.remarks)
    same = with_method(runs["hasa0"], 7).save(tmp_path / "same")
    assert [arm.folder for arm in read(saved / "hasa0", same).arms] == [""]


def test_levels_of_the_library_are_known(runs, tmp_path):
    folders = []
    for seed, dynamic in ((3, False), (4, True)):
        policy = hj.POLICIES["levels"]((1, 0.5), dynamic=dynamic)
        folders.append(with_method(runs["hasa0"], seed, policy=policy).save(tmp_path / f"{seed}"))
    found = read(*folders)
    assert set(found.levels.values()) == {(1.0, 0.5)}
    assert [arm.folder for arm in found.arms] == ["3", "4"]
    assert "dynamic differs: False in 3; True in 4." in found.remarks


@pytest.mark.parametrize("optimizer", [optax.sgd(1e-5), optax.adam(0.1)])
def test_optimizers_of_the_library_make_other_arms(optimizer, runs, saved, tmp_path):
    other = with_rule(runs["hasa0"], 7, optimizer=optimizer).save(tmp_path / "other")
    found = read(saved / "hasa0", other)
    assert [arm.folder for arm in found.arms] == ["hasa0", "other"]
    assert found.remarks == ("client_update differs between hasa0; other; see run.json.",)


def test_settings_that_the_user_states_make_other_arms(runs, tmp_path):
    folders = [
        with_method(runs["hasa0"], seed).save(tmp_path / name, settings)
        for seed, name, settings in (
            (3, "a", {"client_optimizer": "sgd", "warm_up": 0}),
            (4, "b", {"client_optimizer": "sgd", "warm_up": 5}),
            (5, "c", {"client_optimizer": "sgd", "warm_up": 5}),
        )
    ]
    found = read(*folders)
    assert [arm.folder for arm in found.arms] == ["a", "b"]
    assert found.remarks == ("warm_up differs: 0 in a; 5 in b, c.",)


def test_one_method_from_a_script_and_from_the_library_is_one_arm(runs, saved, tmp_path):
    config = with_fields(RunConfig(), {"num_rounds": 2})
    parts = {"hasa": describe(config, "hasa", runs["hasa0"].trial.dataset)}
    parts["hasa"]["extraction_options"] = described(
        method_of(config, "hasa", "hasa", ()).extraction
    )
    summary = records("hasa", [0.3], 7)
    of_model = {"model": {"groups": {"hidden/0": 4}}}
    script = write(tmp_path / "s", summary, recorded(config), methods=parts, **of_model)
    found = read(saved / "hasa0", script)
    assert [arm.name for arm in found.arms] == ["hasa:hasa"]
    assert found.remarks == ("settings of the client optimizer are not recorded in hasa0.",)
    exact = with_method(runs["hasa0"], budget=hj.BudgetSpec()).save(tmp_path / "exact")
    found = read(exact, script)
    assert [arm.folder for arm in found.arms] == ["exact", "s"]
    assert found.remarks[0] == "projection differs: exact in exact; paper in s."


def test_projections_of_older_workdirs_are_compared(tmp_path):
    own = {"allocation": {"budget_projection": "exact"}}
    one = write(tmp_path / "a", records("hasa", [0.1]), own)
    for projection, folders in (("exact", [""]), ("paper", ["a", "b"])):
        parts = {"hasa": {"policy": "hasa", "projection": projection}}
        two = write(tmp_path / "b", records("hasa", [0.1], 5), methods=parts)
        assert [arm.folder for arm in read(one, two).arms] == folders


@pytest.mark.parametrize("script", ["compare", "simulate"])
def test_a_script_and_the_library_with_other_models_are_refused(script, saved, tmp_path):
    summary = records("hasa", [0.3], 7)
    rounds = {"training": {"num_rounds": 2}}
    for groups in ({"hidden/0": 8}, {"embed": 8, "feedforward": 8}):
        model = {"groups": groups}
        other = write(tmp_path / "other", summary, rounds, script=script, model=model)
        with pytest.raises(UserError, match=r"the supernet has the units {'hidden/0': 4} in"):
            read(saved / "hasa0", other)
    # Supernets of another width are other arms.
    narrow = rounds | {"method": {"supernet_width": 0.5}}
    model = {"groups": {"hidden/0": 2}}
    other = write(tmp_path / "other", summary, narrow, script=script, model=model)
    assert (
        "supernet_width differs: 1 in hasa0; 0.5 in other." in read(saved / "hasa0", other).remarks
    )


OF_DATA = {"classes": 3, "tokens": 0, "input_shape": [6], "clients_sha256": "a"}
TEXTS = {"classes": 50, "tokens": 50, "input_shape": [9], "clients_sha256": "a"}


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (OF_DATA, {"classes": 4}, "classes: 4, not 3"),
        (OF_DATA, {"input_shape": [7]}, r"shape of an example: \[7\], not \[6\]"),
        (OF_DATA, {"tokens": 9}, "inputs: tokens, not numbers"),
        (OF_DATA, {"clients_sha256": "b"}, "SHA-256 of the clients' names: b, not a"),
        (TEXTS, {"classes": 2}, "classes: 2, not tokens"),
        (TEXTS, {"classes": 60, "tokens": 60}, ""),
    ],
)
def test_data_of_the_library_are_compared_without_a_common_seed(own, other, expected, tmp_path):
    folders = [
        write(tmp_path / name, records("hasa", [0.3], seed), script="simulate", model=model)
        for name, seed, model in (("a", 1, own), ("b", 2, own | other))
    ]
    if not expected:
        assert len(read(*folders).summary) == 2
        return
    with pytest.raises(UserError, match=rf"b has other data than .*a \({expected}\)"):
        read(*folders)


def test_remarks_say_which_parts_differ(tmp_path):
    config = {"method": {"robust": None}}
    folders = [
        write(tmp_path / name, records("hasa", [0.1], seed), config, methods={"hasa": parts})
        for name, seed, parts in (
            ("a", 1, {"robust": "none", "objective": "cross_entropy"}),
            ("b", 2, {"robust": "none", "objective": "masked_cross_entropy"}),
        )
    ]
    found = read(*folders)
    assert [arm.folder for arm in found.arms] == ["a", "b"]
    line = "objective differs: cross_entropy in a; masked_cross_entropy in b."
    assert found.remarks == (line,)
    # Another method has other parts anyway, so only what the user chose is said.
    other = [own | {"method": "fjord"} for own in records("hasa", [0.1], 3)]
    chosen = {"method": {"robust": "norm_clip"}}
    parts = {"fjord": {"robust": "norm_clip", "objective": "self_distillation"}}
    third = write(tmp_path / "c", other, chosen, methods=parts)
    line = "robust differs: not given in a; norm_clip in c."
    assert read(folders[0], third).remarks == (line,)


def test_sizes_are_merged(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        folder = write(tmp_path / name, records("levels", [0.1], seed))
        own = {"level": "0.5", "size": 4, "global_accuracy": 0.1, "local_accuracy": 0.2}
        write_csv(folder / "sizes.csv", [record("levels", seed) | own])
    assert [own["seed"] for own in read(tmp_path / "a", tmp_path / "b").sizes] == ["0", "1"]


def test_of_a_run_that_has_not_ended_what_has_all_rounds_is_read(tmp_path):
    rounds = {"uniform": (2, 4), "hasa": (2,)}
    summary = [
        record(policy, seed, 0.1 * round, round=round)
        for seed in (0, 1)
        for policy, own in rounds.items()
        for round in (own if seed == 0 else (*own, 4)[:2])
    ]
    folder = write(tmp_path / "w", summary, {"training": {"num_rounds": 4}})
    ended = read(folder)
    for name in ("summary", "metrics"):
        path = folder / f"{name}.csv"
        # The last line is being written.
        (folder / f"{name}.csv.partial").write_text(f"{path.read_text()}hasa,has", encoding="utf-8")
        path.unlink()
    found = read(folder)
    assert found.remarks == (
        "w: the run has not ended; of 4 pairs of arm and seed or fold that began, the 3 with all "
        "rounds are read.",
    )
    for table in ("summary", "metrics"):
        assert list(getattr(found, table)) == [
            own for own in getattr(ended, table) if (own["policy"], own["seed"]) != ("hasa", "0")
        ]


def test_of_a_run_that_has_just_begun_nothing_is_read(tmp_path):
    folder = write(tmp_path / "w", [record(round=2)], {"training": {"num_rounds": 4}})
    for name in ("summary", "metrics"):
        (folder / f"{name}.csv").rename(folder / f"{name}.csv.partial")
    with pytest.raises(UserError, match=r"w: the run there has not ended, and no arm has all"):
        read(folder)
