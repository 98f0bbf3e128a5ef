"""Methods of a user's own: they join by the place of a function, and are told by their source."""

import itertools
import json
import os
import subprocess
import sys

import pytest

from experiments.config import RunConfig, with_fields
from experiments.study.method import describe, method_of, parts_of
from experiments.study.own_methods import own_methods, refuse_other_source
from hasa_jax import UserError
from tests.docs import documents
from tests.support import small
from tests.support.scripts import ROOT, VECTORS, environment_of, records_of, run

NUMBERS = itertools.count()
OWN = '''
import dataclasses
import sys
import hasa_jax as hj
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.projection import project

def _widths(stats, budget, key):
    return project(stats.num_examples ** 0.5, stats, budget)

def sparse():
    """Units of one draw for all clients, widths by the root of the amount of data."""
    return dataclasses.replace(
        hj.methods.federated_dropout(),
        name="sparse",
        summary="mine",
        extraction=hj.extraction.random(shared=True),
        policy=Policy(_widths, name="root"),
        proximal=0.25,
    )

def clash():
    return hj.methods.fjord()

def no_method():
    return 3

def badly_called():
    return dataclasses.replace(sparse(), name="a:b")

def twin():
    return dataclasses.replace(sparse(), summary="other")

def raises():
    raise ValueError("of mine")

def ends():
    sys.exit(5)

number = 3
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module outside the package; every test has another one."""
    name = f"own_method_{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def config_of(place, **values):
    return with_fields(RunConfig(), {"own_method": (place,), **values})


def test_a_method_of_a_file_keeps_its_own_parts(module):
    config = config_of(f"{module}:sparse", budget=0.5)
    (own,) = own_methods(config.method.own_method).values()
    parts = parts_of(config, "sparse")
    made = method_of(config, "sparse", parts.policy, ("one", "two"))
    assert (made.name, made.policy.name, made.proximal) == ("sparse", "root", 0.25)
    # The very objects, with the options that the user gave them.
    assert made.extraction is own.method.extraction
    assert made.policy is own.method.policy
    assert made.objective is own.method.objective


def test_flags_change_the_parts_of_ones_own_method(module):
    config = config_of(
        f"{module}:sparse", extraction="prefix", objective="masked_cross_entropy", proximal=2.0
    )
    made = method_of(config, "sparse", "inverse_hasa@entropy", ("one", "two"))
    assert (made.extraction.name, made.proximal) == ("prefix", 2.0)
    assert made.objective.name == "masked_cross_entropy"
    assert made.policy.name == "inverse_hasa"
    assert made.score is not None


def test_run_json_says_where_it_comes_from(module):
    found = describe(config_of(f"{module}:sparse"), "sparse", small.dataset())
    assert found["own_method"] == f"{module}:sparse"
    assert len(found["source_sha256"]) == 64
    assert "source_sha256" not in describe(config_of(f"{module}:sparse"), "hasa", small.dataset())


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("clash", "makes method 'fjord', which is a published one"),
        ("no_method", "returns int, not a hasa_jax.Method"),
        ("badly_called", "must have only letters"),
        ("raises", r"raises cannot be called without arguments \(ValueError: of mine\)"),
        ("ends", r"ends cannot be called without arguments \(SystemExit: 5\)"),
        ("number", "has no function 'number'"),
        ("missing", "has no function 'missing'"),
    ],
)
def test_what_is_no_method_is_refused(module, factory, words):
    with pytest.raises(UserError, match=words):
        own_methods([f"{module}:{factory}"])


def test_modules_that_cannot_be_imported_are_refused(tmp_path, module):
    with pytest.raises(UserError, match="there is no module 'nowhere_at_all'"):
        own_methods(["nowhere_at_all.methods:mine"])
    (tmp_path / f"{module}_broken.py").write_text("import not_there_either\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot be imported .*No module named 'not_there_either'"):
        own_methods([f"{module}_broken:mine"])
    (tmp_path / f"{module}_ends.py").write_text("import sys\nsys.exit()\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot be imported \(SystemExit: "):
        own_methods([f"{module}_ends:mine"])
    with pytest.raises(UserError, match="both make method 'sparse'"):
        own_methods([f"{module}:sparse", f"{module}:twin"])


@pytest.mark.parametrize("place", ["mine", "a:b:c", "a/b:f", ":f", "a:"])
def test_a_place_is_a_module_and_a_factory(place):
    with pytest.raises(UserError, match="write module:factory"):
        config_of(place)


def test_only_published_and_own_names_are_methods():
    for values in ({"methods": ("mine",)}, {"method": "mine"}):
        with pytest.raises(UserError, match="mine"):
            with_fields(RunConfig(), values)


def test_other_source_is_refused(tmp_path):
    here = {"sparse": {"source_sha256": "a" * 64}, "hasa": {}}
    refuse_other_source(tmp_path, here, here)
    refuse_other_source(tmp_path, here, {"hasa": {}})
    other = {"sparse": {"source_sha256": "b" * 64}}
    with pytest.raises(UserError, match=r"'sparse' from other source .SHA-256 aaaaaaaa there"):
        refuse_other_source(tmp_path, here, other)


@pytest.mark.slow
def test_it_is_compared_trained_and_grows_a_workdir(tmp_path, module):
    flags = [*VECTORS, f"--workdir={tmp_path / 'w'}", "--num_seeds=1", "--num_rounds=1"]
    done = run("compare", *flags, "--methods=fedavg:uniform")
    assert (done.returncode, done.stderr) == (0, "")
    own = [f"--own_method={module}:sparse"]
    done = run("compare", *flags, "--methods=sparse,sparse:uniform", *own)
    assert (done.returncode, done.stderr) == (0, "")
    arms = {(r["method"], r["policy"]) for r in records_of(tmp_path / "w" / "summary.csv")}
    assert arms == {("fedavg", "uniform"), ("sparse", "root"), ("sparse", "uniform")}
    content = json.loads((tmp_path / "w" / "run.json").read_text(encoding="utf-8"))
    assert content["methods"]["sparse"]["own_method"] == f"{module}:sparse"
    assert content["config"]["method"]["own_method"] == [f"{module}:sparse"]
    # What is there needs its module again, also without being named.
    done = run("compare", *flags, "--methods=fedavg:uniform")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("train", *VECTORS, "--method=sparse", *own, f"--workdir={tmp_path / 't'}")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("train", *VECTORS, *own, f"--workdir={tmp_path / 't2'}")
    assert done.returncode == 2
    assert "makes method 'sparse', which does not run: name it in --methods" in done.stderr


def test_the_method_of_the_documents_is_one(tmp_path, monkeypatch):
    (block,) = documents.blocks(ROOT / "docs" / "benchmark.md", "python")
    assert block.startswith("# my_methods.py")
    (tmp_path / "my_methods.py").write_text(block, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = own_methods(["my_methods:magnitude"])
    assert found["magnitude"].method.extraction.name == "neuron_importance"


@pytest.mark.slow
def test_a_run_with_other_source_is_refused(tmp_path, module):
    def train():
        flags = [*VECTORS, "--method=sparse", "--num_rounds=1", f"--own_method={module}:sparse"]
        command = [sys.executable, "-m", "experiments.train", *flags, f"--workdir={tmp_path / 'w'}"]
        paths = os.pathsep.join([str(ROOT), str(tmp_path)])
        environment = {**environment_of(), "PYTHONPATH": paths}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = train()
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write("# one more line\n")
    done = train()
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "holds runs of method 'sparse' from other source" in line
