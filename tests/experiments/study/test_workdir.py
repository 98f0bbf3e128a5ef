"""A workdir is of one run: its configuration, its data, its devices, and one process."""

import dataclasses
import json

import pytest

from experiments.config import RunConfig, to_json, with_fields
from experiments.study import manifest, workdir
from experiments.study.manifest import Manifest
from hasa_jax import UserError

CODE = {"versions": {"jax": "1"}, "git_commit": "abc"}
HERE = {"backend": "cpu", "devices": 1, "client_block": 1, "modes": {"hasa:hasa": "masked"}}


def run_of(**values):
    return Manifest(
        script="train",
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
    same = run_of(workdir="elsewhere", checkpoint_every=3, tensorboard=True)
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


def test_other_data_are_refused(folder):
    other = dataclasses.replace(run_of(), data_sha256={"0": "other"})
    with pytest.raises(UserError, match=r"other data \(seed 0, by its hash in run\.json\)"):
        workdir.open_workdir(str(folder), other)
    another_seed = dataclasses.replace(run_of(), data_sha256={"1": "other"})
    assert workdir.open_workdir(str(folder), another_seed)[0] == folder


def test_other_devices_are_refused_once_there_are_checkpoints(folder):
    other = dataclasses.replace(run_of(), execution={**HERE, "devices": 2, "client_block": "all"})
    with pytest.raises(UserError, match="began on cpu with `host_devices=1` `client_block=1`"):
        workdir.open_workdir(str(folder), other)
    (folder / workdir.CHECKPOINTS).rmdir()
    assert workdir.open_workdir(str(folder), other)[0] == folder


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
