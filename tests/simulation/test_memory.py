"""Predicted memory, against what XLA allots, and what is said when it is not there."""

import dataclasses
import itertools
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.simulation import cohorts, memory
from tests.support import small

MIB = 2**20


def setting(model, data, execution, block, optimizer, batch_size=16, **options):
    """Returns an algorithm and a cohort of whole and half subnets."""
    algorithm = hj.partial_training(
        model,
        execution=hj.EXECUTIONS[execution],
        client_block=block,
        client_optimizer=optimizer,
        batch_size=batch_size,
        **options,
    )
    finest, clients = max(model.groups.values()), np.arange(data.num_clients)
    kept = np.where(clients % 2, -(-finest // 2), finest)
    sizes = data.num_examples
    cohort = algorithm.execution.place(clients, kept, sizes, sizes, batch_size)
    return algorithm, cohort


def allotted(algorithm, data, cohort):
    """Returns the bytes of a round: arguments, results and what XLA holds in between."""
    state = jax.eval_shape(algorithm.init, small.KEY)
    lowered = hj.scan_rounds.lower(algorithm, state, data, cohorts.stacked([cohort]))
    found = lowered.compile().memory_analysis()
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
    ("case", "execution", "block"),
    [
        pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow)
        for one in itertools.product(CASES, hj.EXECUTIONS, (1, 4))
    ],
)
def test_the_need_is_what_the_compiler_allots(case, execution, block):
    """Two is what the module promises, for any shapes and versions of the compiler."""
    model, data = CASES[case]()
    batch_size = 4 if case.startswith("small") else 32
    algorithm, cohort = setting(
        model, data, execution, block, optax.adam(0.01), batch_size=batch_size
    )
    need = memory.memory_need(algorithm, [data], cohort)
    ratio = need.total / allotted(algorithm, data, cohort)
    print(f"{case}, {execution}, {block}: {ratio:.2f}")
    assert 0.5 < ratio < 2


def test_a_robust_mean_holds_every_update():
    model, data = middle()
    algorithm, cohort = setting(model, data, "sliced", 1, optax.sgd(0.1), robust="median")
    need = memory.memory_need(algorithm, [data], cohort)
    assert need.sums == 2 * data.num_clients * need.inserted
    assert 0.5 < need.total / allotted(algorithm, data, cohort) < 2


def need_of(optimizer=None, execution="sliced", block=2, trials=1, **options):
    model, data = middle()
    algorithm, cohort = setting(
        model, data, execution, block, optimizer or optax.sgd(0.1), **options
    )
    return memory.memory_need(algorithm, [data], cohort, trials)


def test_parts_are_counted_from_shapes():
    model, data = middle()
    need = need_of()
    supernet = sum(leaf.size * 4 for leaf in jax.tree.leaves(model.shapes))
    assert need.data == data.inputs.nbytes + data.targets.nbytes + data.offsets.nbytes
    # Beside the parameters, the state is a round and a key, and Adam's a count.
    assert need.server == 2 * (supernet + 12)
    assert need.gradients == supernet
    assert need.params == 2 * supernet
    assert need_of(execution="masked").params == supernet
    assert need.optimizer == 0
    assert need_of(optax.adam(0.1)).optimizer == 2 * supernet + 4
    assert supernet < need.sums == need.inserted < 2 * supernet
    assert need.per_block == 2 * need.per_lane
    assert need.total == need.data + need.server + need.sums + need.per_block


def test_weights_by_label_are_as_large_as_the_kernels():
    model, data = small.lstm(), small.client_data(kind="lstm")
    algorithm, cohort = setting(model, data, "sliced", 2, optax.sgd(0.1), label_split=True)
    need = memory.memory_need(algorithm, [data], cohort)
    assert need.sums == 2 * sum(leaf.size * 4 for leaf in jax.tree.leaves(model.shapes))


def test_needs_grow_with_what_they_are_made_of():
    need = need_of()
    assert need_of(block=4).total - need.total == 2 * need.per_lane
    assert need_of(batch_size=32).activations == pytest.approx(2 * need.activations, rel=0.01)
    # Hidden layers, read twice each and half of the time as signs, and the logits.
    assert need.activations >= 16 * (2 * 256 + small.NUM_CLASSES) * 4
    assert need_of(local_epochs=3).plan == 3 * need.plan
    assert need_of(trials=2).total - need.total == need.data + need.server


@pytest.mark.parametrize("name", sorted(hj.METHODS))
def test_every_method_has_a_need(name):
    method = hj.METHODS[name]
    exits = {"exits": 2, "exit_blocks": (2, 4)} if name == "scalefl" else {}
    model = small.cnn(norm=method.norm, scaler=method.scaler, **exits)
    data, optimizer = small.client_data(kind="cnn"), optax.sgd(0.1)
    algorithm = hj.methods.build(method, model, client_optimizer=optimizer, batch_size=4)
    sizes, kept = data.num_examples, np.full(4, max(model.groups.values()))
    cohort = algorithm.execution.place(np.arange(4), kept, sizes, sizes, 4)
    need = memory.memory_need(algorithm, [data], cohort)
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
    plan=0,
    inserted=8 * MIB,
    lanes=10,
)


def test_a_need_is_told_in_one_line():
    assert NEED.per_lane == 58 * MIB
    assert NEED.describe() == (
        "696.0 MiB = data 100.0 MiB, server 8.0 MiB, sums 8.0 MiB, 10 x 58.0 MiB for clients "
        "(params 8.0 MiB, gradients 4.0 MiB, optimizer 8.0 MiB, activations 38.0 MiB, "
        "plan 0.0 MiB, inserted 8.0 MiB)"
    )
    large = dataclasses.replace(NEED, data=2048 * MIB)
    assert large.describe().startswith("2.6 GiB = data 2.0 GiB, server 8.0 MiB")


@pytest.mark.parametrize(
    ("available", "devices", "said"),
    [
        (500, [device()], "use --client_block=6, then a smaller --batch_size, then"),
        (500, [device()] * 2, "a device needs about 696.0 MiB, but 500.0 MiB are available: use"),
        (150, [device()], "use --stream, which keeps only a round's examples on the device, then"),
        (150, [device()], "then --client_block=2, then"),
        (100, [device()], "then --client_block=1, then a smaller --batch_size"),
        (1000, [device("cpu")] * 2, "2 host devices, which share one memory, need about 1.4 GiB"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_way_out(available, devices, said):
    with pytest.raises(hj.UserError) as caught:
        memory.check_fits(NEED, available * MIB, devices)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_streaming_alone_can_be_enough():
    with pytest.raises(hj.UserError) as caught:
        memory.check_fits(dataclasses.replace(NEED, data=2048 * MIB), 1024 * MIB, [device()])
    assert "--client_block" not in str(caught.value)


def test_what_fits_passes():
    memory.check_fits(NEED, 696 * MIB, [device()])
    memory.check_fits(NEED, 696 * MIB, [device()] * 8)
    memory.check_fits(NEED, None, [device()])
    memory.check_fits(NEED, 2 * 696 * MIB, [device("cpu")] * 2)


def test_accelerators_tell_their_limit():
    assert memory.available_bytes(device(stats={"bytes_limit": 7, "bytes_in_use": 1})) == 7
    assert memory.available_bytes(device()) is None


GROUPS = {
    "version 2": {
        "proc/self/cgroup": "0::/job/one\n",
        "sys/fs/cgroup/job/one/memory.max": "max\n",
        "sys/fs/cgroup/job/memory.max": "5000000\n",
        "sys/fs/cgroup/job/memory.stat": "anon 1000000\nfile 3000000\n",
    },
    "version 1": {
        "proc/self/cgroup": "5:cpu:/else\n4:memory:/one\n0::/\n",
        "sys/fs/cgroup/memory/one/memory.limit_in_bytes": "5000000\n",
        "sys/fs/cgroup/memory/one/memory.stat": "cache 3\nrss 5\ntotal_rss 1000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    },
}


@pytest.mark.parametrize("version", sorted(GROUPS))
def test_hosts_have_what_is_free_of_machine_and_control_group(tmp_path, version):
    physical = memory.available_bytes(device("cpu"), tmp_path)
    assert physical is not None
    assert physical > 2**28
    (tmp_path / "proc").mkdir()
    told = tmp_path / "proc/meminfo"
    told.write_text("MemTotal: 90000 kB\nMemAvailable:    8000 kB\n", encoding="utf-8")
    assert memory.available_bytes(device("cpu"), tmp_path) == 8000 * 1024
    for name, text in GROUPS[version].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert memory.available_bytes(device("cpu"), tmp_path) == 4_000_000
    told.write_text("MemAvailable:    8 kB\n", encoding="utf-8")
    assert memory.available_bytes(device("cpu"), tmp_path) == 8 * 1024


def test_this_machine_has_memory():
    assert (memory.available_bytes(jax.devices("cpu")[0]) or 0) > 2**20
