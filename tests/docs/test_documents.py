"""What the documents show must run, and what they name must exist."""

import importlib
import importlib.util
import inspect
import itertools
import pickle
import re
import types
from pathlib import Path

import jax
import numpy as np
import pytest

import hasa_jax as hj
from experiments import config
from experiments.flags import config_from_flags
from hasa_jax.datasets.files.cifar10 import CLASSES, cifar10
from hasa_jax.datasets.skew import client_sizes
from tests.docs import documents
from tests.docs.documents import PAGES, README, ROOT
from tests.support import written

EXTENDING = ROOT / "docs/extending.md"
EXAMPLES = documents.module_blocks(EXTENDING)
# What scripts take beside the fields of the configuration.
COMMON_FLAGS = {"flagfile", "help", "helpfull"}
# Pages with Python blocks whose names or results a test of their own reads.
DATA = ROOT / "docs/data.md"
OF_OWN_TESTS = (README, EXTENDING, DATA, ROOT / "docs/models.md")
NOTEBOOKS = [page for page in PAGES if documents.is_notebook(page)]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def example(path):
    """Runs an example of docs/extending.md; returns the function that has the name of the file."""
    name = path.rsplit("/", 1)[-1].removesuffix(".py")
    return documents.run(EXAMPLES[path], path)[name]


def arguments_of(test):
    return list(inspect.signature(test).parameters)


def parametrizations(test):
    """Lists the values of a contract test as dicts by argument, without the slow ones."""
    lists = []
    for mark in getattr(test, "pytestmark", ()):
        if mark.name != "parametrize":
            continue
        names, values = mark.args[:2]
        names = names.split(",") if isinstance(names, str) else names
        own = []
        for value in values:
            slow = any(m.name == "slow" for m in getattr(value, "marks", ()))
            value = getattr(value, "values", (value,) if len(names) == 1 else value)
            own += [] if slow else [dict(zip(map(str.strip, names), value, strict=True))]
        lists.append(own)
    return [
        {k: v for part in parts for k, v in part.items()} for parts in itertools.product(*lists)
    ]


def contract_tests(contract):
    """Lists the tests of a contract."""
    return [
        test
        for name, test in vars(contract).items()
        if name.startswith("test_") and isinstance(test, types.FunctionType)
    ]


def put_under_contract(contract, name, like, without=(), **fixtures):
    """Runs every test that a contract has for `like` on `name`; returns how many there are."""
    ran = 0
    for test in contract_tests(contract):
        if test.__name__ in without:
            continue
        wanted = arguments_of(test)
        for arguments in parametrizations(test):
            if arguments.get("name") != like:
                continue
            arguments = fixtures | arguments | {"name": name}
            if set(wanted) <= set(arguments):
                test(**{argument: arguments[argument] for argument in wanted})
                ran += 1
    return ran


# The README.


def test_the_readme_is_short():
    assert len(documents.text_of(README).splitlines()) <= 200


@pytest.fixture(scope="module")
def readme_names():
    """What all Python blocks of the README leave, run one after the other."""
    names = {}
    for block in documents.blocks(README, "python"):
        documents.run(block, "README.md", names)
    return names


def test_the_quickstart_trains(readme_names):
    result = readme_names["result"]
    assert [record["round"] for record in result.records["summary"]] == [5, 10]
    assert result.ledger.width == pytest.approx(0.5, abs=0.03)
    # Four classes, of which site 1 has mostly one.
    assert result.records["summary"][-1]["mean_accuracy"] > 0.4
    assert "budget 0.5 (width)" in result.table()


def test_the_deployed_subnet_is_the_clients_own(readme_names):
    result, logits = readme_names["result"], readme_names["logits"]
    module, test = readme_names["module"], readme_names["dataset"].test
    site = result.trial.dataset.client_names.index("site 3")
    assert module.hidden == result.trial.allocation.sizes[site] < 32
    own = slice(*test.offsets[site : site + 2])
    accuracy = np.mean(np.argmax(logits[own], axis=-1) == test.targets[own])
    last = [
        record["accuracy"]
        for record in result.records["metrics"]
        if (record["round"], record["client"], record["split"]) == (10, "site 3", "test")
    ]
    assert accuracy == pytest.approx(last[0])


def test_the_loop_is_the_run(readme_names):
    state, result = readme_names["state"], readme_names["result"]
    loop, run = (jax.tree.leaves_with_path(each.params) for each in (state, result.state))
    assert [path for path, _ in loop] == [path for path, _ in run]
    for (path, one), (_, other) in zip(loop, run, strict=True):
        assert np.array_equal(one, other), path


def test_the_readme_policy_is_part_of_a_method(readme_names):
    assert readme_names["method"].policy.name == "by_root"
    program = readme_names["result"].program
    allocation = hj.allocate(
        readme_names["dataset"].train,
        program.model,
        policy=readme_names["policy"],
        key=jax.random.key(0),
    )
    assert (np.diff(allocation.sizes) > 0).all()
    assert allocation.sizes[-1] == 32


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_calls_in_the_text_can_be_made(page):
    for call in re.findall(r"`(hj\.[A-Za-z][\w.]*\([^`\n]*\))`", documents.prose(page)):
        if re.search(r"NAME|\((?:dataset|clients|key)\b", call) is None:
            assert eval(call, {"hj": hj}) is not None, call


# Examples of the other pages. Every Python block runs once: in a notebook as the site is built, on
# any other page here.


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page not in OF_OWN_TESTS and documents.blocks(page, "python")],
    ids=name_of,
)
def test_the_blocks_of_a_page_run_one_after_the_other(page, capsys):
    assert not documents.is_notebook(page), (
        "the site runs code cells, and nothing else of a notebook"
    )
    names = {}
    for block in documents.blocks(page, "python"):
        documents.run(block, name_of(page), names)
    assert names


def test_notebooks_have_code_cells():
    assert {page.parent.name for page in NOTEBOOKS} == {"notebooks", "tutorial"}
    for page in NOTEBOOKS:
        assert len(documents.cells(page)) == documents.text_of(page).count("```{code-cell}") > 1


def test_code_blocks_have_a_known_language():
    for page in PAGES:
        for language in re.findall(r"^```(\S.*)$", documents.text_of(page), re.MULTILINE):
            known = ("python", "sh", "text", "toml", "csv", "json", "math", "bibtex")
            assert language in known or language.startswith("{"), f"{name_of(page)}: {language}"


def test_the_own_module_of_docs_models_trains(capsys):
    linen, images, nnx = documents.blocks(ROOT / "docs/models.md", "python")
    names = documents.run(linen, "docs/models.md")
    assert len(names["result"].records["timings"]) == 1
    own = documents.run(images, "docs/models.md", dict(names))
    assert own["result"].subnet("site 2")[1]["Conv_0"]["kernel"].shape == (3, 3, 1, 4)
    documents.run(nnx, "docs/models.md", names)
    assert names["narrow"].enter.kernel.shape[1] < 64
    assert names["logits"].shape == (len(names["dataset"].test.inputs), 3)
    assert "federated_dropout" in capsys.readouterr().out


def test_the_lines_of_docs_data_write_the_authors_files_from_pickles(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    source, target = Path("data/cifar-10-batches-py"), Path("data/cifar10")
    source.mkdir(parents=True)
    generator, expected = np.random.default_rng(0), []
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        images, labels = written.drawn(generator, 10, 3, 32, 32)
        content = {b"data": images.reshape(10, -1), b"labels": labels.tolist()}
        (source / name).write_bytes(written.pickled_by_python_2(content))
        expected.append((images.transpose(0, 2, 3, 1), labels))
    (block,) = documents.blocks(DATA, "python")
    documents.run(block, "docs/data.md")
    written.assert_equal_pools(cifar10(target), written.pool_of(expected, CLASSES))
    # `os.system`, which a plain load would call.
    (source / "test_batch").write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    with pytest.raises(pickle.UnpicklingError, match=r"posix\.system is no part of an array"):
        documents.run(block, "docs/data.md")
    # An array of objects over bytes of one's own would be an array of pointers.
    forged = b"(dS'labels'\ncnumpy\nndarray\n((I1\ntS'O'\nS'AAAAAAAA'\ntRsS'data'\nN s."
    (source / "test_batch").write_bytes(forged.replace(b"N s", b"Ns"))
    with pytest.raises(TypeError, match="Part"):
        documents.run(block, "docs/data.md")


@pytest.mark.parametrize(
    ("num_clients", "num_images"),
    re.findall(r"^\| (\d+) \| ([\d,]+) \|", documents.text_of(DATA), re.MULTILINE),
)
def test_the_sizes_of_synthetic_images_are_those_of_docs_data(num_clients, num_images):
    sizes = client_sizes(int(num_clients), num_images=int(num_images.replace(",", "")))
    tests = [max(1, round(size / 10)) for size in sizes]
    line = f"| {num_clients} | {num_images} | {sizes[0]:,} | {int(np.median(sizes))} | {sizes[-1]}"
    line += f" | {int(np.median(tests))}, {tests[-1]} |"
    assert line in documents.text_of(DATA)


def test_the_example_policy_keeps_the_contract(monkeypatch):
    from tests.contracts import test_policies as contract

    square_root = example("hasa_jax/allocation/policies/square_root.py")
    monkeypatch.setitem(contract.POLICIES, "square_root", square_root)
    monkeypatch.setattr(contract, "BUDGETED", [*contract.BUDGETED, "square_root"])
    assert put_under_contract(contract, "square_root", like="uniform") >= 5
    stats = hj.ClientStats(np.array([100, 400]), np.zeros(2), np.full(2, 0.8))
    widths = square_root().widths(stats, hj.BudgetSpec().bind(np.arange(101) / 100), None)
    assert widths[1] == pytest.approx(2 * widths[0])


def test_the_example_policy_that_measures_keeps_the_contract(monkeypatch):
    from tests.contracts import test_policies as contract

    steepest = example("hasa_jax/allocation/policies/steepest.py")
    monkeypatch.setitem(contract.POLICIES, "steepest", steepest)
    monkeypatch.setattr(contract, "BUDGETED", [*contract.BUDGETED, "steepest"])
    assert put_under_contract(contract, "steepest", like="need") >= 5
    losses = np.array([[3.0, 1.0], [2.0, 1.0], [np.nan, np.nan]])
    measured = hj.Measured(np.array([0.2, 0.8]), losses, np.array([9, 9, 0]), None)
    stats = hj.ClientStats(np.array([100, 100, 4]), np.zeros(3), np.full(3, 0.8), measured)
    widths = steepest().widths(stats, hj.BudgetSpec().bind(np.arange(101) / 100), None)
    np.testing.assert_allclose(widths[:2] / widths[1], [2, 1], rtol=0.1)
    assert widths[2] == pytest.approx(0.2)


def test_the_example_score_keeps_the_contract(monkeypatch):
    from tests.contracts import test_scores as contract
    from tests.support import small

    class_count = example("hasa_jax/allocation/scores/class_count.py")
    monkeypatch.setitem(contract.SCORES, "class_count", class_count)
    data = small.client_data(kind="lstm")
    assert put_under_contract(contract, "class_count", like="entropy", data=data) >= 4


def test_the_example_extraction_keeps_the_contract(monkeypatch):
    from tests.contracts import test_extractions as contract

    personal = example("hasa_jax/extraction/personal.py")
    monkeypatch.setitem(contract.VARIANTS, "personal", personal)
    # It lists by name the extractions whose choice depends on the client.
    without = ["test_clients_of_one_size_hold_the_same_if_by_size"]
    assert put_under_contract(contract, "personal", like="random", without=without) >= 4


def test_the_example_objective_keeps_the_contract(monkeypatch):
    from hasa_jax.client.objectives.objective import LocalStep
    from hasa_jax.client.target_chunks import Targets
    from tests.contracts import test_objectives as contract

    smoothed = example("hasa_jax/client/objectives/smoothed_cross_entropy.py")
    logits = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0], [3.0, 3.0, 3.0]], np.float32)
    step = LocalStep(
        forward=lambda kept: ((logits,), {}),
        targets=Targets(np.array([0, 2, hj.IGNORED]), np.array([True, True, False])),
        drawn=None,
        exits=1,
        present=None,
        round=np.int32(0),
    )
    plain = hj.OBJECTIVES["cross_entropy"]().loss(step)[0]
    log_p = np.asarray(jax.nn.log_softmax(logits))[:2]
    np.testing.assert_allclose(smoothed(0.0).loss(step)[0], plain, rtol=1e-6)
    np.testing.assert_allclose(smoothed(1.0).loss(step)[0], -log_p.mean(), rtol=1e-6)
    monkeypatch.setitem(contract.OBJECTIVES, "smoothed_cross_entropy", smoothed)
    assert put_under_contract(contract, "smoothed_cross_entropy", like="cross_entropy") >= 8


def test_the_example_method_keeps_the_contract(monkeypatch):
    from tests.contracts import test_methods as contract

    important_units = example("hasa_jax/methods/important_units.py")
    assert important_units(levels=(1, 0.5)).policy.name == "levels"
    monkeypatch.setitem(hj.METHODS, "important_units", important_units)
    assert put_under_contract(contract, "important_units", like="federated_dropout") >= 3


def test_the_example_model_keeps_the_contract():
    from tests.contracts import test_models as contract
    from tests.support import small

    tanh_net = example("hasa_jax/models/tanh_net.py")
    assert tanh_net(hidden=9) == tanh_net(hidden=9) != tanh_net(hidden=8)
    dataset = small.dataset(kind="perceptron")
    ran = 0
    for scaler in ("none", "always"):
        model = tanh_net(hidden=9).bind(dataset, norm="none", scaler=scaler)
        for test in contract_tests(contract):
            if arguments_of(test) == ["model"]:
                test(model)
                ran += 1
    assert ran >= 8


def test_the_example_model_of_nnx_keeps_the_contract():
    from tests.contracts import test_models as contract
    from tests.support import small

    dropping_net = example("hasa_jax/models/dropping_net.py")
    model = dropping_net(hidden=9).bind(
        small.dataset(kind="perceptron"), norm="none", scaler="none"
    )
    assert model.draws
    contract.test_masked_equals_sliced(model)
    contract.test_a_smaller_subnet_inside_a_subnet(model)


def test_the_example_data_set_keeps_the_contract():
    from tests.contracts import test_datasets as contract

    rings = example("hasa_jax/datasets/rings.py")

    def make(seed):
        return rings(jax.random.key(seed), num_points=60)

    fixtures, ran = {"make": make, "data": make(0)}, 0
    for test in contract_tests(contract):
        wanted = arguments_of(test)
        if set(wanted) <= set(fixtures):
            test(**{argument: fixtures[argument] for argument in wanted})
            ran += 1
    assert ran >= 5


def test_every_kind_of_example_is_there():
    assert {path.split("/")[1] for path in EXAMPLES} == {
        "allocation", "client", "datasets", "extraction", "methods", "models",
    }  # fmt: skip


def test_contract_tests_that_are_named_exist():
    for name in re.findall(r"`(tests/[\w/]+\.py)`", documents.text_of(EXTENDING)):
        assert (ROOT / name).is_file(), name


# Commands, links, names.


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_name_modules_and_flags_that_exist(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for _, _, module, *arguments in documents.commands(page):
        if module.split(".")[0] not in ("experiments", "benchmarks", "tests"):
            continue
        assert importlib.util.find_spec(module), module
        if not module.startswith("experiments."):
            continue
        names = [word.removeprefix("--").split("=")[0] for word in arguments if word[0] == "-"]
        for name in names:
            assert name in {*config.ROOM_OF, *COMMON_FLAGS}, f"{module} --{name}"
        if not any("$" in word or word.startswith("--help") for word in arguments):
            positional = getattr(importlib.import_module(module), "POSITIONAL", "")
            config_from_flags([module, *arguments], positional)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_inline_flags_exist(page):
    others = {*COMMON_FLAGS, "no-deps"}
    for text in re.findall(r"`([^`\n]+)`", documents.prose(page)):
        if text.startswith("--"):
            for name in re.findall(r"--(?:no)?([a-z_-]+)", text):
                known = name in {*config.ROOM_OF, *others} or f"no{name}" in config.ROOM_OF
                assert known or name.startswith(("bad-input-table", "xla")), text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_pictures_exist(page):
    for target in re.findall(r"\]\(([^)]+)\)", documents.prose(page)):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", documents.text_of(path), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_targets_of_make_exist(page):
    targets = re.findall(r"^([a-z_-]+):", documents.text_of(ROOT / "Makefile"), re.MULTILINE)
    text = documents.text_of(page)
    used = [name for line in re.findall(r"(?:^|`)(make [^`\n]*)", text, re.MULTILINE)
            for name in re.findall(r"\bmake ([a-z_-]+)\b(?! of)", line)]  # fmt: skip
    assert set(used) <= {*targets, "help"}


def test_files_of_flags_run():
    for path in sorted((ROOT / "experiments/configs").glob("*.flags")):
        _, given = config_from_flags(["compare", f"--flagfile={path}"])
        assert given, f"{path} sets nothing"


# The public names.

PUBLIC = (
    "hasa_jax",
    "hasa_jax.methods",
    "hasa_jax.models",
    "hasa_jax.datasets",
    "hasa_jax.extraction",
    "hasa_jax.allocation",
    "hasa_jax.allocation.policies",
    "hasa_jax.allocation.scores",
    "hasa_jax.client.objectives",
)


def sections():
    """Returns the names that docs/api.md lists, by module."""
    parts = re.split(r"^## (\S+)$", documents.text_of(ROOT / "docs/api.md"), flags=re.MULTILINE)
    names = re.compile(r"^- `(\w+)` — \S.*[.]$", re.MULTILINE)
    found = zip(parts[1::2], parts[2::2], strict=True)
    return {module: names.findall(text) for module, text in found}


def test_the_page_of_the_api_lists_the_public_modules():
    assert tuple(sections()) == PUBLIC


@pytest.mark.parametrize("module", PUBLIC)
def test_the_page_of_the_api_lists_the_public_names(module):
    listed = sections()[module]
    assert len(listed) == len(set(listed))
    assert sorted(listed) == sorted(importlib.import_module(module).__all__)
