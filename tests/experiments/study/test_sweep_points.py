"""Points of a sweep: every combination, once, each in a folder of its own."""

import itertools

import pytest

from experiments.config import RunConfig
from experiments.flags import config_from_flags
from experiments.rooms import share_of
from experiments.study.sweep_points import sweep_of
from hasa_jax import UserError
from tests.support.scripts import run


def made(*arguments):
    return sweep_of(*config_from_flags(["sweep", "--workdir=w", *arguments]))


def values(sweep):
    return [tuple(point.shown.values()) for point in sweep.points]


def test_every_combination_is_a_point_and_the_last_flag_changes_fastest():
    sweep = made("--vary=budget=.25,.50", "--vary=client_lr=0.1,1e-3,2", "--num_seeds=2")
    # Fields are in the order of the configuration, values in the order of the command.
    assert sweep.fields == ("budget", "client_lr")
    assert values(sweep) == list(itertools.product(["0.25", "0.5"], ["0.1", "0.001", "2"]))
    assert [run.seed for run in sweep.runs] == [0, 1] * 6
    assert [run.point for run in sweep.runs[::2]] == list(sweep.points)
    assert sweep.points[1].config.training.client_lr == 1e-3
    assert len({run.folder for run in sweep.runs}) == 12


def test_the_order_of_the_flags_changes_no_folder():
    one = made("--vary=budget=.25,.5", "--vary=client_lr=.1,1")
    other = made("--vary=client_lr=1.0,0.1", "--vary=budget=.5,.25")
    assert {run.folder for run in one.runs} == {run.folder for run in other.runs}
    assert str(one.runs[0].folder) == "w/budget=0.25+client_lr=0.1+seed=0"


def test_a_value_with_commas_stands_in_quotes():
    sweep = made("--policy=levels", '--vary=levels="1,0.5","1,0.25",1')
    assert values(sweep) == [("1,0.5",), ("1,0.25",), ("1",)]
    assert sweep.points[0].config.allocation.levels == (1.0, 0.5)
    # A comma in the name of a folder would separate workdirs of tables.
    assert all("," not in str(run.folder) for run in sweep.runs)
    assert len({run.folder for run in sweep.runs}) == 9


def test_an_empty_value_leaves_the_flag_as_it_is():
    sweep = made("--norm=layer", "--vary=norm=,batch", "--vary=robust=,median")
    assert values(sweep) == [
        ("layer", "default"), ("layer", "median"), ("batch", "default"), ("batch", "median"),
    ]  # fmt: skip
    assert sweep.points[0].given == {"workdir", "norm"}
    assert sweep.points[3].given == {"workdir", "norm", "robust"}


def test_flags_of_true_and_false_are_varied():
    assert values(made("--vary=label_split=true,false")) == [("true",), ("false",)]


def test_points_of_a_file_are_a_list(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text('client_lr,levels\n0.1,"1,0.5"\n0.2,\n', encoding="utf-8")
    sweep = made(f"--points_path={path}", "--policy=levels", "--levels=1", "--vary=budget=.5,.6")
    assert values(sweep) == [
        ("0.5", "1,0.5", "0.1"), ("0.6", "1,0.5", "0.1"), ("0.5", "1", "0.2"), ("0.6", "1", "0.2"),
    ]  # fmt: skip


def test_without_points_a_sweep_has_its_seeds():
    sweep = made("--seed=5", "--num_seeds=3")
    assert [str(run.folder) for run in sweep.runs] == ["w/seed=5", "w/seed=6", "w/seed=7"]
    assert [run.label for run in sweep.runs] == ["seed=5", "seed=6", "seed=7"]


@pytest.mark.parametrize("number", [1, 2, 3, 7, 20])
def test_shares_are_disjoint_and_are_all(number):
    sweep = made("--vary=client_lr=1,2,3,4", "--num_seeds=3")
    shares = [sweep.share(index, number) for index in range(1, number + 1)]
    folders = [run.folder for share in shares for run in share]
    assert sorted(folders) == sorted(run.folder for run in sweep.runs)
    assert len(set(folders)) == 12
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_run_is_what_its_own_command_runs():
    sweep = made("--vary=client_lr=.1,.2", "--seed=3", "--num_seeds=2", "--shard=2/2", "--dry_run")
    own = sweep.runs[3]
    command = ["train", "--client_lr=.2", "--seed=4", f"--workdir={own.folder}"]
    assert (own.script, own.config, own.given) == ("train", *config_from_flags(command))


@pytest.mark.parametrize("flag", ["--policies=uniform,hasa", "--vary=methods=hasa,fjord"])
def test_runs_of_several_arms_are_those_of_compare(flag):
    own = made(flag).runs[0]
    assert own.script == "compare"
    assert own.config.comparison.num_seeds == 1
    assert len(own.arms) == (2 if "policies" in flag else 1)


def test_values_that_a_folder_cannot_have_are_set_apart_by_a_hash():
    sweep = made("--vary=data_path=a/b,a_b,a:b," + "x" * 300)
    names = [run.folder.name for run in sweep.runs]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 100
    assert all(run.folder.parent.name == "w" for run in sweep.runs)


def test_a_label_is_one_line_whatever_the_value(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text('data_path\n"a\nb"\na\x1b[2Jb\n', encoding="utf-8")
    sweep = made(f"--points_path={path}", "--num_seeds=1")
    assert [run.label for run in sweep.runs] == [
        r"data_path=a\x0ab, seed=0", r"data_path=a\x1b[2Jb, seed=0",
    ]  # fmt: skip
    assert all(run.folder.name.isprintable() for run in sweep.runs)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--vary=client_lr"], "has no values: write NAME=VALUE,VALUE"),
        (["--vary=lr=1,2"], "no flag --lr: did you mean --client_lr"),
        (["--vary=flagfile=a"], "no flag --flagfile"),
        (["--vary=client_lr=1,x"], "could not convert string to float: 'x'"),
        (["--vary=client_lr=1,-1"], "`client_lr` is -1.0"),
        (["--vary=label_split=perhaps"], "label_split"),
        (['--vary=levels="1,0.5'], "double quotes, as in"),
        (["--vary=client_lr=1\n2"], "a line break"),
        (["--vary=seed=1,2"], "`seed` cannot be varied: a sweep runs `num_seeds` seeds"),
        (["--vary=workdir=a,b"], "`workdir` cannot be varied"),
        (["--vary=host_devices=1,2"], "start a sweep for each value"),
        (["--vary=client_lr=1", "--vary=client_lr=2"], "`client_lr` is varied twice"),
        (["--vary=client_lr=1,1.0"], "point client_lr=1 is there twice"),
        (["--vary=num_rounds=,15"], "point num_rounds=15 is there twice"),
        (["--seeds_per_program=2"], "every run of a sweep has one seed"),
        (["--coordinator=auto"], "give each process its share with `shard`"),
        (["--vary=num_processes=1,2"], "every run of a sweep has one process"),
        (["--workdir="], "name their folder by `workdir`"),
        (["--points_path=no.csv"], "no.csv does not exist"),
    ],
)
def test_bad_points_are_refused(arguments, words):
    with pytest.raises(UserError) as caught:
        made(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("lr\n1\n", "no flag --lr"),
        ("client_lr\n", "has a header but no rows"),
        ("", "is empty"),
        ("client_lr,client_lr\n1,2\n", "twice or more"),
        ("client_lr,budget\n1\n", "line 2 of"),
        ("client_lr\n1\nx\n", "line 3 of"),
        ("workdir\na\n", "`workdir` cannot be varied"),
        ("client_lr\n1\n1.0\n", "is there twice"),
    ],
)
def test_bad_files_of_points_are_refused(content, words, tmp_path):
    (tmp_path / "points.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        made(f"--points_path={tmp_path / 'points.csv'}")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/", "a/b", "-1/2", "1/2/3", "", "1 /2"])
def test_bad_shards_are_refused(shard):
    with pytest.raises(UserError, match="write i/n"):
        share_of(shard)


def test_a_shard_is_one_of_some():
    assert share_of("8/8") == (8, 8)
    assert share_of(RunConfig().sweep.shard) == (1, 1)


@pytest.mark.parametrize("flag", ["--vary=client_lr=1,2", "--shard=1/2", "--dry_run"])
@pytest.mark.parametrize("script", ["train", "compare"])
def test_other_scripts_refuse_the_flags_of_a_sweep(script, flag, tmp_path):
    done = run(script, flag, f"--workdir={tmp_path / 'w'}")
    assert done.returncode == 2
    assert "is for sweep: leave it out" in done.stderr
    assert not (tmp_path / "w").exists()
