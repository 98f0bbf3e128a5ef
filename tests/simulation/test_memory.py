"""Predicted memory, against what XLA allots, and what is said when it is not there."""

import dataclasses
import functools
import itertools
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution import MODES
from hasa_jax.simulation import cohorts, memory
from tests.support import small

MIB = 2**20
SGD = optax.sgd(0.1)


def setting(model, data, mode, block, optimizer, *, trials=1, stream=False, **options):
    """Returns a program, trials whose subnets are full and half, and their sizes."""
    options = {"batch_size": 16, **options}
    program = small.program(model, data, mode, client_block=block, optimizer=optimizer, **options)
    execution = dataclasses.replace(program.execution, stream=stream)
    program = dataclasses.replace(program, execution=execution)
    finest = max(model.groups.values())
    sizes = np.where(np.arange(data.num_clients) % 2, -(-finest // 2), finest)
    dataset = hj.FederatedDataset(data, data, data, tuple(map(str, sizes)))
    return program, [small.trial(program, dataset, sizes=sizes)] * trials, sizes


def need_of(*arguments, **options):
    return memory.memory_need(*setting(*arguments, **options))


def allotted(program, trials, sizes):
    """Returns the bytes of a round: arguments, results and what XLA holds in between."""
    (trial,), data = trials, trials[0].dataset.train
    layout = cohorts.training_layout(program, trials, sizes)
    cohort = cohorts.stack([cohorts.draw(program, layout, trial, 0)])
    state = jax.eval_shape(functools.partial(small.initial, program))
    found = hj.scan_rounds.lower(program, state, data, cohort).compile().memory_analysis()
    return (
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        + found.temp_size_in_bytes
        - found.alias_size_in_bytes
    )


def middle():
    """A net and clients large enough that what every program holds beside them is little."""
    return small.mlp(first=256, second=256), small.client_data((60, 70, 33, 20))


def images(build, **fields):
    stages = dict.fromkeys(small.STAGES, 32)
    return build(side=16, **stages, **fields), small.client_data((60, 70, 33, 20), "cnn")


def texts(build, **fields):
    return build(**fields), small.client_data((60, 70, 33, 20), "lstm")


CASES = {
    "small mlp": lambda: (small.mlp(), small.client_data()),
    "small lstm": lambda: (small.lstm(), small.client_data(kind="lstm")),
    "middle": middle,
    "lstm": lambda: texts(small.lstm, hidden=96),
    "transformer": lambda: texts(small.transformer, embed=64, feedforward=128),
    "cnn": lambda: images(small.cnn, norm="batch"),
    "resnet18": lambda: images(small.resnet18, norm="static"),
}
QUICK = {
    ("small mlp", "masked", 1),
    ("small lstm", "masked", 4),
    ("middle", "masked", 4),
    ("middle", "sliced", 1),
}


@pytest.mark.parametrize(
    ("case", "mode", "block"),
    [
        pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow)
        for one in itertools.product(CASES, MODES, (1, 4))
    ],
)
def test_the_need_is_what_the_compiler_allots(case, mode, block):
    """Two is what the module promises, for any shapes and versions of the compiler."""
    model, data = CASES[case]()
    batch_size = 4 if case.startswith("small") else 32
    made = setting(model, data, mode, block, optax.adam(0.01), batch_size=batch_size)
    ratio = memory.memory_need(*made).total / allotted(*made)
    print(f"{case}, {mode}, {block}: {ratio:.2f}")
    assert 0.5 < ratio < 2


def test_a_robust_mean_holds_every_update():
    made = setting(*middle(), "sliced", 1, SGD, method=small.plain(robust="median"))
    need = memory.memory_need(*made)
    assert need.sums == 2 * 4 * need.inserted
    plain = need_of(*middle(), "sliced", 1, SGD)
    assert need.total - plain.total == 7 * plain.sums


@pytest.mark.slow
def test_the_need_of_a_robust_mean_is_what_the_compiler_allots():
    made = setting(*middle(), "sliced", 1, SGD, method=small.plain(robust="median"))
    assert 0.5 < memory.memory_need(*made).total / allotted(*made) < 2


def middle_need(optimizer=None, mode="sliced", block=2, **options):
    return need_of(*middle(), mode, block, optimizer or SGD, **options)


def test_parts_are_counted_from_shapes():
    model, data = middle()
    need = middle_need()
    supernet = sum(leaf.size * 4 for leaf in jax.tree.leaves(model.shapes))
    # Training, validation and test examples are the same here.
    split = data.inputs.nbytes + data.targets.nbytes + data.offsets.nbytes
    assert need.data == 3 * split
    # Beside the parameters, the state is a round and a key, and Adam's a count.
    assert need.server == 2 * (supernet + 12)
    assert need.gradients == supernet
    assert need.params == 2 * supernet
    assert middle_need(mode="masked").params == supernet
    assert need.optimizer == 0
    assert middle_need(optax.adam(0.1)).optimizer == 2 * supernet + 4
    assert supernet < need.sums == need.inserted < 2 * supernet
    assert need.per_block == 2 * need.per_lane
    assert need.total == need.data + need.server + need.sums + need.per_block
    evaluated = dataclasses.replace(need, evaluation=need.sums + need.per_block + 5)
    assert evaluated.total == need.total + 5


def test_weights_by_label_are_as_large_as_the_kernels():
    model, data = small.lstm(), small.client_data(kind="lstm")
    need = need_of(model, data, "sliced", 2, SGD, method=small.plain(label_split=True))
    assert need.sums == 2 * sum(leaf.size * 4 for leaf in jax.tree.leaves(model.shapes))


def test_needs_grow_with_what_they_are_made_of():
    need = middle_need()
    assert middle_need(block=4).total - need.total == 2 * need.per_lane
    assert middle_need(batch_size=32).activations == pytest.approx(2 * need.activations, rel=0.01)
    # Hidden layers, read twice each and half of the time as signs, and the logits.
    assert need.activations >= 16 * (2 * 256 + small.NUM_CLASSES) * 4
    assert middle_need(local_epochs=3).batches == 3 * need.batches
    assert middle_need(trials=2).total - need.total == need.data + need.server


def test_trials_are_shared_out_over_devices():
    one, both = (middle_need(trials=2, mesh=f"seeds:{devices}") for devices in (1, 2))
    assert one.data + one.server == 2 * (both.data + both.server)
    program, _, _ = setting(*middle(), "masked", 1, SGD, mesh="clients:2")
    assert [len(memory.devices_of(program, trials)) for trials in (1, 2, 3)] == [2, 2, 2]


def test_streams_hold_the_examples_of_a_round_only():
    _, data = middle()
    all_data = middle_need(clients_per_round=2)
    need = middle_need(clients_per_round=2, stream=True)
    drawn = need.data - 2 * data.offsets.nbytes
    per_example = data.inputs[0].nbytes + data.targets[0].nbytes
    examples = data.num_examples
    pairs = {2 * per_example * int(a + b) for a, b in itertools.combinations(examples, 2)}
    assert drawn in pairs
    same = {"data": all_data.data, "process": all_data.process}
    assert dataclasses.replace(need, **same) == all_data
    static = small.perceptron(norm="static")
    with pytest.raises(hj.UserError, match="static norms"):
        need_of(static, small.client_data(kind="perceptron"), "masked", 1, SGD, stream=True)


@pytest.mark.parametrize("name", sorted(hj.METHODS))
def test_every_method_has_a_need(name):
    method = hj.METHODS[name]()
    exits = {"exits": 2, "exit_blocks": (1, 2)} if method.extraction.all_exits else {}
    model = small.perceptron(hidden=48, norm=method.norm, scaler=method.scaler, **exits)
    data = small.client_data(kind="perceptron")
    for mode in MODES if method.extraction.order is not None else ("masked",):
        need = need_of(model, data, mode, 1, SGD, method=method, batch_size=64)
        assert need.activations > need.gradients > 0


def device(platform="gpu", stats=None):
    return SimpleNamespace(platform=platform, memory_stats=lambda: stats)


NEED = memory.MemoryNeed(
    data=100 * MIB,
    server=8 * MIB,
    sums=8 * MIB,
    params=8 * MIB,
    gradients=4 * MIB,
    optimizer=8 * MIB,
    activations=38 * MIB,
    batches=0,
    inserted=8 * MIB,
    evaluation=20 * MIB,
    lanes=10,
    programs=300 * MIB,
    records=4 * MIB,
    process=200 * MIB,
)


def test_a_need_is_described_in_one_line():
    assert NEED.per_lane == 58 * MIB
    assert NEED.describe() == (
        "696.0 MiB = data 100.0 MiB, server 8.0 MiB, and to train sums 8.0 MiB, 10 x 58.0 MiB for "
        "clients (params 8.0 MiB, gradients 4.0 MiB, optimizer 8.0 MiB, activations 38.0 MiB, "
        "batches 0.0 MiB, inserted 8.0 MiB), or to evaluate 20.0 MiB"
    )
    assert NEED.describe_process([device("cpu")] * 2) == (
        "about 1.9 GiB at most = 200.0 MiB that it holds now, 300.0 MiB to compile, 4.0 MiB for "
        "cohorts and records, 2 x 696.0 MiB for arrays of devices"
    )
    # The arrays of an accelerator are not in the memory of the process.
    assert NEED.describe_process([device()]).startswith("about 504.0 MiB at most = 200.0 MiB")
    large = dataclasses.replace(NEED, data=2048 * MIB)
    assert large.describe().startswith("2.6 GiB = data 2.0 GiB, server 8.0 MiB")


@pytest.mark.parametrize(
    ("available", "devices", "said"),
    [
        (500, [device()], "use `client_block` 6, then a smaller `batch_size`, then"),
        (500, [device()] * 2, "a device needs about 696.0 MiB, but 500.0 MiB are available: use"),
        (150, [device()], "use `stream`, which keeps only a round's examples on the device, then"),
        (150, [device()], "then `client_block` 2, then"),
        (100, [device()], "then `client_block` 1, then a smaller `batch_size`"),
        (1000, [device("cpu")] * 2, "2 host devices, which share one memory, need about 1.4 GiB"),
        (1000 - 1, [device("cpu")], "a device needs about 696.0 MiB and 304.0 MiB to compile and"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_way_out(available, devices, said):
    with pytest.raises(hj.UserError) as caught:
        memory.check_fits(NEED, available * MIB, devices)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_streaming_can_be_enough():
    with pytest.raises(hj.UserError) as caught:
        memory.check_fits(dataclasses.replace(NEED, data=2048 * MIB), 1024 * MIB, [device()])
    assert "`client_block`" not in str(caught.value)


def test_what_fits_passes():
    memory.check_fits(NEED, 696 * MIB, [device()])
    memory.check_fits(NEED, 696 * MIB, [device()] * 8)
    memory.check_fits(NEED, None, [device()])
    memory.check_fits(NEED, (2 * 696 + 304) * MIB, [device("cpu")] * 2)


def test_a_host_without_room_for_records_says_what_to_change():
    need = dataclasses.replace(NEED, records=2**40)
    with pytest.raises(hj.UserError, match="use fewer `eval_clients`, or another `eval_every`"):
        memory.check_fits(need, 2**34, [device("cpu")])


def test_an_evaluation_without_room_is_refused():
    need = dataclasses.replace(NEED, evaluation=2**40)
    with pytest.raises(hj.UserError, match=r"or to evaluate 1024\.0 GiB"):
        memory.check_fits(need, 2**34, [device()])


def test_records_and_cohorts_are_counted():
    made = setting(*middle(), "masked", 1, SGD)

    def records(num_rounds=1, **reporting):
        options = hj.Reporting(**reporting)
        need = memory.memory_need(*made, num_rounds=num_rounds, reporting=options)
        return need.records

    assert records(10**9, eval_every=1) > 2**33
    assert records(10**9, eval_every=10**9) > 2**33
    assert records(100, eval_every=1) > records(100, eval_every=1, eval_clients=2)


@pytest.mark.parametrize("options", [{"batch_size": 2**31}, {"local_epochs": 10**12}])
def test_batches_beyond_the_indices_are_refused(options):
    with pytest.raises(hj.UserError, match=r"too large: lower `batch_size` or `local_epochs`"):
        middle_need(**options)


def test_static_norms_are_evaluated_with_the_batches_of_calibration():
    data = small.client_data((200, 100, 30, 20), kind="perceptron")
    needs = [
        need_of(small.perceptron(hidden=512, norm=norm), data, "masked", 1, SGD, batch_size=4)
        for norm in ("layer", "static")
    ]
    # Of 256 examples and not of 4.
    assert needs[1].evaluation > needs[0].evaluation + 200 * 512 * 4


def test_programs_grow_with_their_operations():
    def programs(model, kind, mode="masked", **options):
        return need_of(model, small.client_data(kind=kind), mode, 1, SGD, **options).programs

    net = programs(small.mlp(), "mlp")
    assert programs(small.mlp(first=64), "mlp") == pytest.approx(net, rel=0.1)
    assert programs(small.mlp(), "mlp", "sliced") > net
    assert programs(small.supernet("cnn group"), "cnn") > net + 4 * 28 * MIB
