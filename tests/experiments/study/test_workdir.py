"""A workdir is of one run: its configuration, its data, its devices, and one process."""

import dataclasses
import json

import pytest

from experiments.config import RunConfig, to_json, with_fields
from experiments.study import manifest, workdir
from experiments.study.arm import arms_of_compare
from experiments.study.kept import digests_of
from experiments.study.manifest import Manifest
from hasa_jax import UserError

CODE = {"versions": {"jax": "1"}, "git_commit": "abc"}
HERE = {"backend": "cpu", "devices": 1, "client_block": 1, "modes": {"hasa:hasa": "masked"}}


def run_of(script="train", **values):
    return Manifest(
        script=script,
        config=manifest.recorded(with_fields(RunConfig(), values)),
        data_sha256={"0": "d0"},
        execution=HERE,
        code=CODE,
    )


@pytest.fixture
def folder(tmp_path):
    """A run of every default that has begun."""
    workdir.open_workdir(str(tmp_path), run_of())
    manifest.write_manifest(tmp_path, run_of())
    (tmp_path / workdir.CHECKPOINTS).mkdir()
    (tmp_path / "metrics.csv").write_text("mine")
    return tmp_path


def test_run_json_and_back(tmp_path):
    run = dataclasses.replace(
        run_of(levels=(1, 0.5)), methods={"hasa": {"norm": "static"}}, began_with=(CODE,)
    )
    manifest.write_manifest(tmp_path, run)
    assert manifest.read_manifest(tmp_path) == run
    assert manifest.read_manifest(tmp_path).run.allocation.levels == (1.0, 0.5)
    found = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert found["device"]
    assert found["cpu_count"]
    assert found["config"]["training"]["num_rounds"] == 15
    assert "flags" not in found


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1]",
        '{"script": "train", "config": {}}',
        '{"script": 1, "config": {}, "data_sha256": {}}',
        '{"script": "train", "config": {"data": 1}, "data_sha256": {}}',
        '{"script": "train", "config": {"data": {"colour": 1}}, "data_sha256": {}}',
        '{"script": "train", "config": {"training": {"num_rounds": 0}}, "data_sha256": {}}',
        '{"script": "train", "config": [], "data_sha256": {}}',
        '{"script": "train", "config": {}, "data_sha256": {}, "execution": 1}',
        '{"script": "train", "config": {}, "data_sha256": {}, "switches": 1}',
        '{"script": "train", "config": {}, "data_sha256": {}, "baseline": {"0": {"clients": 1}}}',
        '{"script": "train", "config": {}, "data_sha256": {}, "baseline": {"0": 1}}',
        '{"script": "a", "config": {}, "data_sha256": {}, "scores": {"a:b": {"0": {"c": "x"}}}}',
        '{"script": "a", "config": {}, "data_sha256": {}, "scores": {"a:b": {"0": 1}}}',
    ],
)
def test_damaged_run_json(content, tmp_path):
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        manifest.read_manifest(tmp_path)


def test_missing_run_json(tmp_path):
    with pytest.raises(UserError, match=r"run\.json does not exist: name a workdir"):
        manifest.read_manifest(tmp_path)


def test_what_a_run_does_not_record_has_its_default(tmp_path):
    text = '{"script": "compare", "config": {}, "data_sha256": {}}'
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    assert manifest.read_manifest(tmp_path).run == RunConfig()


def test_scores_are_recorded_by_their_content(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("client,score\na,1\n")
    recorded = manifest.recorded(with_fields(RunConfig(), {"score_path": str(path)}))
    assert len(recorded["allocation"]["score_path"]) == 64
    full = to_json(RunConfig())["reporting"]
    assert "workdir" in full
    assert "workdir" not in recorded["reporting"]


def test_default_workdirs_differ_by_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {workdir.open_workdir("", run_of(seed=seed))[0] for seed in (0, 1, 1)}
    assert len(folders) == 2
    assert all(str(folder).startswith("runs/train-") for folder in folders)


def test_the_same_run_goes_on(folder):
    assert workdir.open_workdir(str(folder), run_of()) == (folder, run_of())
    same = run_of(workdir="elsewhere", checkpoint_every=3, tracker=("csv", "tensorboard"))
    assert workdir.open_workdir(str(folder), same)[0] == folder


def test_another_configuration_is_refused(folder):
    with pytest.raises(UserError, match=r"\(budget=0\.5 there, 0\.7 here\)"):
        workdir.open_workdir(str(folder), run_of(budget=0.7))
    many = run_of(budget=0.7, w_min=0.3, seed=4, alpha=1, norm="group")
    with pytest.raises(UserError, match="and 2 more"):
        workdir.open_workdir(str(folder), many)
    with pytest.raises(UserError, match="script=train there, compare here"):
        workdir.open_workdir(str(folder), dataclasses.replace(run_of(), script="compare"))


def test_a_refused_run_leaves_a_folder_free(tmp_path):
    manifest.write_manifest(tmp_path, run_of())
    assert workdir.open_workdir(str(tmp_path), run_of(budget=0.7))[0] == tmp_path


@pytest.mark.parametrize(
    ("there", "here", "further"),
    [
        ({"num_rounds": 10}, {"num_rounds": 20}, True),
        ({"num_rounds": 20}, {"num_rounds": 10}, False),
        # The last round of the shorter run is evaluated only there.
        ({"num_rounds": 12}, {"num_rounds": 20}, False),
        ({"num_rounds": 10, "dynamic": True}, {"num_rounds": 20, "dynamic": True}, False),
        ({"num_rounds": 10, "distillation": 1}, {"num_rounds": 20, "distillation": 1}, False),
        ({"num_rounds": 10}, {"num_rounds": 20, "budget": 0.7}, False),
    ],
)
def test_more_rounds_go_on_where_nothing_depends_on_their_number(there, here, further, folder):
    manifest.write_manifest(folder, run_of(**there))
    if further:
        assert workdir.open_workdir(str(folder), run_of(**here))[0] == folder
        return
    with pytest.raises(UserError, match=r"num_rounds=\d+ there, \d+ here"):
        workdir.open_workdir(str(folder), run_of(**here))


def test_more_rounds_in_another_mode_are_another_run(folder):
    manifest.write_manifest(folder, run_of(num_rounds=10))
    sliced = {**HERE, "modes": {"hasa:hasa": "sliced"}}
    more = dataclasses.replace(run_of(num_rounds=20), execution=sliced)
    with pytest.raises(UserError, match="`execution` auto chooses sliced"):
        workdir.open_workdir(str(folder), more)


def test_a_run_that_goes_on_has_the_programs_that_it_began_with(folder):
    assert workdir.bucket_shares(str(folder / "none")) == workdir.bucket_shares("") == {}
    shares = {"hasa:hasa": 0.25}
    run = dataclasses.replace(run_of(num_rounds=10), execution={**HERE, "bucket_shares": shares})
    manifest.write_manifest(folder, run)
    assert workdir.bucket_shares(str(folder)) == shares
    others = {**HERE, "bucket_shares": {"hasa:hasa": 0.125}, "quick": {"hasa:hasa": False}}
    longer = dataclasses.replace(run_of(num_rounds=20), execution=others)
    assert workdir.open_workdir(str(folder), longer)[0] == folder


@pytest.fixture
def compared(tmp_path):
    """A workdir of compare that has begun: two policies of HASA, two seeds."""
    workdir.make_folder(tmp_path)
    run = run_of("compare", policies=("uniform", "hasa"), num_seeds=2)
    modes = {"hasa:uniform": "masked", "hasa:hasa": "masked"}
    run = dataclasses.replace(run, execution={**HERE, "modes": modes})
    manifest.write_manifest(tmp_path, run)
    (tmp_path / workdir.CHECKPOINTS).mkdir()
    return tmp_path


def config_of(folder, **values):
    return with_fields(RunConfig(), {"workdir": folder, **values})


@pytest.mark.parametrize(
    ("values", "arms", "seeds"),
    [
        ({"policies": ("uniform", "hasa")}, ["hasa:uniform", "hasa:hasa"], 3),
        ({"policies": ("full",), "num_seeds": 1}, ["hasa:uniform", "hasa:hasa", "hasa:full"], 2),
        ({"policies": ("hasa",), "num_seeds": 5}, ["hasa:uniform", "hasa:hasa"], 5),
        (
            {"methods": ("fjord:hasa", "hasa:uniform"), "num_seeds": 2},
            ["hasa:uniform", "hasa:hasa", "fjord:hasa"],
            2,
        ),
        (
            {"method": "fjord", "policies": ("uniform",)},
            ["hasa:uniform", "hasa:hasa", "fjord:uniform"],
            3,
        ),
    ],
)
def test_a_workdir_of_compare_gets_more_arms_and_seeds(values, arms, seeds, compared):
    config = config_of(compared, **values)
    config, found = workdir.grown(config, arms_of_compare(config, set(values)))
    assert [":".join(arm) for arm in found] == arms
    assert config.comparison.num_seeds == seeds
    assert arms_of_compare(config, frozenset()) == found
    # The same command again finds all of them there.
    run = run_of("compare", **{**vars(config.comparison), "method": config.method.method})
    _, merged = workdir.open_workdir(str(compared), run)
    manifest.write_manifest(compared, merged)
    assert workdir.grown(config, found) == (config, found)


def test_what_else_differs_in_a_workdir_of_compare_is_named(compared):
    base = {"policies": ("uniform",), "num_seeds": 2}
    with pytest.raises(UserError, match=r"\(budget=0\.5 there, 0\.7 here\)"):
        workdir.open_workdir(str(compared), run_of("compare", budget=0.7, **base))
    # Programs are built for the data of the first seed.
    with pytest.raises(UserError, match=r"\(seed=0 there, 1 here\)"):
        workdir.open_workdir(str(compared), run_of("compare", seed=1, **base))
    with pytest.raises(UserError, match=r"\(script=compare there, train here\)"):
        workdir.open_workdir(str(compared), run_of())


@pytest.mark.parametrize(
    ("per_program", "mode", "arm", "refused"),
    [
        (2, "sliced", "hasa:full", True),
        (2, "masked", "hasa:full", False),
        (2, "sliced", "fjord:full", False),
        (1, "sliced", "hasa:full", False),
    ],
)
def test_arms_that_would_change_a_shared_program_are_refused(
    per_program, mode, arm, refused, compared
):
    modes = {"hasa:uniform": mode, "hasa:hasa": mode}
    base = {"policies": ("uniform", "hasa"), "num_seeds": 2, "seeds_per_program": per_program}
    run = dataclasses.replace(run_of("compare", **base), execution={**HERE, "modes": modes})
    manifest.write_manifest(compared, run)
    more = dataclasses.replace(run, execution={**HERE, "modes": {**modes, arm: mode}})
    assert workdir.open_workdir(str(compared), run)[0] == compared
    if not refused:
        assert workdir.open_workdir(str(compared), more)[0] == compared
        return
    with pytest.raises(UserError, match="share a program, whose sums hasa:full would change"):
        workdir.open_workdir(str(compared), more)


def test_an_arm_is_there_once_by_any_name(compared):
    config = config_of(compared, policies=("hasa@label_divergence",))
    with pytest.raises(UserError, match="named twice"):
        workdir.grown(config, arms_of_compare(config, {"policies"}))


def test_a_workdir_whose_own_method_is_not_there_is_refused(compared):
    """The command names no method of its own, so the line is of the workdir."""
    place = "nowhere_at_all.methods:mine"
    run = run_of("compare", policies=("uniform", "hasa"), num_seeds=2, own_method=(place,))
    manifest.write_manifest(compared, run)
    config = config_of(compared, policies=("full",))
    with pytest.raises(UserError) as raised:
        workdir.grown(config, arms_of_compare(config, {"policies"}))
    message = str(raised.value)
    assert message.startswith(f"workdir {compared} holds a method of your own, {place}, which")
    assert "there is no module 'nowhere_at_all'" in message
    assert "PYTHONPATH" in message
    assert "`own_method" not in message


def test_only_a_workdir_of_compare_grows(folder, tmp_path):
    config = config_of(folder)
    arms = arms_of_compare(config, frozenset())
    assert workdir.grown(config, arms) == (config, arms)
    for other in ("", str(tmp_path / "new")):
        config = config_of(other)
        assert workdir.grown(config, arms) == (config, arms)


def test_what_is_new_is_said(compared, capsys):
    execution = {**HERE, "modes": {"hasa:uniform": "masked", "hasa:full": "masked"}}
    run = run_of("compare", policies=("uniform", "full"), num_seeds=4)
    workdir.open_workdir(str(compared), dataclasses.replace(run, execution=execution))
    assert capsys.readouterr().out == (
        f"workdir {compared} has hasa:uniform, hasa:hasa of 2 seeds; new: hasa:full, 4 seeds\n"
    )


def test_other_switches_are_refused(folder):
    under = {"JAX_DEFAULT_PRNG_IMPL": "rbg"}
    other = dataclasses.replace(run_of(), switches=under)
    with pytest.raises(UserError, match="JAX_DEFAULT_PRNG_IMPL is unset there, rbg here"):
        workdir.open_workdir(str(folder), other)
    manifest.write_manifest(folder, other)
    assert manifest.read_manifest(folder).switches == under
    assert workdir.open_workdir(str(folder), other)[0] == folder
    with pytest.raises(UserError, match="rbg there, unset here"):
        workdir.open_workdir(str(folder), run_of())


def test_checkpoints_are_not_passed_over(folder):
    with pytest.raises(UserError, match="holds checkpoints, which a run with `checkpoint_every=0`"):
        workdir.open_workdir(str(folder), run_of(), keeps_checkpoints=False)
    (folder / workdir.CHECKPOINTS).rmdir()
    assert workdir.open_workdir(str(folder), run_of(), keeps_checkpoints=False)[0] == folder


@pytest.mark.parametrize(
    ("change", "keeps", "kept"),
    [
        ("", True, True),
        ("", False, False),
        ("other rows", True, False),
        ("unfinished", True, False),
    ],
)
def test_results_that_lost_their_checkpoints_are_said(change, keeps, kept, folder, capsys):
    """They are kept where run.json vouches for the finished tables."""
    run = dataclasses.replace(run_of(), tables=digests_of(folder))
    manifest.write_manifest(folder, run)
    workdir.open_workdir(str(folder), run_of())
    assert "start over" not in capsys.readouterr().out
    (folder / workdir.CHECKPOINTS).rmdir()
    if change == "other rows":
        (folder / "metrics.csv").write_text("others")
    elif change == "unfinished":
        (folder / "metrics.csv").rename(folder / "metrics.csv.partial")
    other = dataclasses.replace(run_of(), code={**CODE, "git_commit": "def"})
    _, found = workdir.open_workdir(str(folder), other, keeps_checkpoints=keeps)
    printed = capsys.readouterr().out.splitlines()
    over = f"workdir {folder} has results and no checkpoints: all of its runs start over"
    stay = "runs that are complete in its finished tables are kept, and others start over"
    assert printed[0] == (f"workdir {folder} has no checkpoints: {stay}" if kept else over)
    # What is kept is of the code that it ran with.
    assert found.began_with == ((CODE,) if kept else ())
    assert found.tables == (run.tables if kept else {})


def test_notes_of_data_that_have_none_now_are_not_kept(folder):
    notes = {"0": ["never measures"], "1": ["16 were left out"]}
    manifest.write_manifest(folder, dataclasses.replace(run_of(), data_notes=notes))
    assert workdir.open_workdir(str(folder), run_of())[1].data_notes == {"1": notes["1"]}


def test_run_json_keeps_what_it_has_of_other_seeds(folder):
    two = {"0": {"mean_accuracy": 0.1}, "1": {"mean_accuracy": 0.2}}
    baseline = {seed: {**own, "worst_accuracy": 0, "tail_accuracy": 0} for seed, own in two.items()}
    scores = {"hasa:hasa": {"0": {"a": 0.1}, "1": {"a": 0.2}}}
    before = dataclasses.replace(
        run_of(), data_sha256={"0": "d0", "1": "d1"}, baseline=baseline, scores=scores
    )
    manifest.write_manifest(folder, before)
    own = {"0": baseline["0"]}
    now = dataclasses.replace(run_of(), baseline=own, scores={"hasa:hasa": {"0": {"a": 0.3}}})
    _, run = workdir.open_workdir(str(folder), now)
    assert run.data_sha256 == {"0": "d0", "1": "d1"}
    assert run.baseline == baseline
    assert run.scores == {"hasa:hasa": {"0": {"a": 0.3}, "1": {"a": 0.2}}}


def test_other_data_are_refused(folder):
    other = dataclasses.replace(run_of(), data_sha256={"0": "other"})
    with pytest.raises(UserError, match=r"other data \(seed 0, by its hash in run\.json\)"):
        workdir.open_workdir(str(folder), other)
    another_seed = dataclasses.replace(run_of(), data_sha256={"1": "other"})
    assert workdir.open_workdir(str(folder), another_seed)[0] == folder


def test_other_devices_are_recorded_and_reported_once_there_are_checkpoints(folder, capsys):
    now = {**HERE, "processes": 4, "devices": 2}
    other = dataclasses.replace(run_of(), execution=now)
    _, run = workdir.open_workdir(str(folder), other)
    assert capsys.readouterr().out == (
        "this run began on other devices (devices 1; here devices 2, processes 4), where sums are "
        "in another order: results agree to rounding, not to the bit\n"
    )
    (began,) = run.began_on
    assert began == {"backend": "cpu", "devices": 1, "client_block": 1}
    manifest.write_manifest(folder, run)
    _, again = workdir.open_workdir(str(folder), other)
    assert again.began_on == (began,)
    assert capsys.readouterr().out == ""
    (folder / workdir.CHECKPOINTS).rmdir()
    assert workdir.open_workdir(str(folder), other)[1].began_on == ()


def test_other_code_is_recorded_and_reported(folder, capsys):
    new = {"versions": {"jax": "2"}, "git_commit": "def"}
    _, run = workdir.open_workdir(str(folder), dataclasses.replace(run_of(), code=new))
    assert run.began_with == (CODE,)
    assert "began with other code or versions" in capsys.readouterr().out
    manifest.write_manifest(folder, run)
    _, again = workdir.open_workdir(str(folder), dataclasses.replace(run_of(), code=new))
    assert again.began_with == (CODE,)
    assert capsys.readouterr().out == ""


def test_results_without_run_json_are_refused(tmp_path):
    (tmp_path / "summary.csv").write_text("mine")
    with pytest.raises(UserError, match=r"holds results without a run\.json"):
        workdir.open_workdir(str(tmp_path), run_of())


def test_a_folder_is_for_one_at_a_time(tmp_path):
    first = workdir.reserved(tmp_path)
    with first, pytest.raises(UserError, match=f"another process runs in workdir {tmp_path}"):
        workdir.reserved(tmp_path).__enter__()
    with workdir.reserved(tmp_path):
        pass
