"""Any bytes, budgets and configurations end in a result or in one line.

Cases that were found stay as examples.
"""

import io
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import hasa_jax as hj
from experiments.config import RunConfig, with_fields
from experiments.study.arm import Arm, arm_of_train
from experiments.study.block import Block
from experiments.study.data import build_dataset
from experiments.study.program import build_allocation, build_programs
from experiments.study.unused import refuse_unused
from hasa_jax.datasets import fingerprint
from hasa_jax.datasets.titles import read_titles
from tests.support import small

MODEL = small.mlp()


def or_one_line(act, *arguments, **options):
    """Returns what is made, or None if it was refused in one line."""
    try:
        return act(*arguments, **options)
    except hj.UserError as error:
        message = str(error)
    assert 10 < len(message) < 2000
    return None


# CSV.

fields = st.text(st.sampled_from('ab 7,"\n\r\0\x85\u2028\xe9<>'), max_size=6)
tables = st.lists(st.lists(fields, max_size=4), max_size=8).map(
    lambda lines: "\n".join(",".join(line) for line in lines)
)
contents = st.one_of(
    st.binary(max_size=200),
    tables.map(lambda table: f"title,publication\n{table}".encode()),
    st.lists(st.tuples(fields, st.sampled_from("NS")), max_size=9).map(
        lambda lines: (
            "title,publication\n" + "".join(f'"{t.replace(chr(34), "")}",{c}\n' for t, c in lines)
        ).encode()
    ),
)


@given(content=contents)
@settings(max_examples=300)
@example(content=b"\xef\xbb\xbftitle,publication\r\na b,N\r\nc d,S\r\n")
def test_any_csv_is_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "titles.csv"
        path.write_bytes(content)
        clients = or_one_line(read_titles, path)
        assert sorted(Path(folder).iterdir()) == [path]
    if clients is not None:
        assert len(clients) >= 2
        assert all(len(title) >= 2 for own in clients.values() for title in own)


# npz.


def packed():
    file = io.BytesIO()
    examples = np.arange(12)
    inputs = np.zeros((12, 2, 2), np.float32)
    np.savez_compressed(file, inputs=inputs, targets=examples % 3, clients=examples % 2)
    return file.getvalue()


PACKED = packed()


@given(
    at=st.integers(0, len(PACKED) - 1),
    bit=st.integers(0, 7),
    keep=st.one_of(st.none(), st.integers(0, len(PACKED))),
)
@settings(max_examples=300)
@example(at=132, bit=0, keep=None)  # A damaged stream of zlib.
@example(at=423, bit=0, keep=None)  # Said to be encrypted.
@example(at=425, bit=2, keep=None)  # Said to be compressed otherwise.
def test_any_damaged_npz_is_read_or_refused(at, bit, keep):
    content = bytearray(PACKED)
    content[at] ^= 1 << bit
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        path.write_bytes(content[:keep])
        dataset = or_one_line(hj.DATASETS["npz"], small.KEY, data_path=path)
    if dataset is not None:
        assert dataset.client_names == ("0", "1")


# Widths and budgets.

shares = st.one_of(st.floats(0.0, 1.0), st.floats(allow_nan=True, allow_infinity=True))


@given(
    policy=st.sampled_from(sorted(hj.POLICIES)),
    sizes=st.lists(st.integers(1, 10**6), min_size=1, max_size=12),
    budget=shares,
    bounds=st.tuples(shares, shares),
    unit=st.sampled_from(["width", "params", "macs"]),
    projection=st.sampled_from(["exact", "paper"]),
    caps=st.one_of(st.none(), st.lists(shares, min_size=1, max_size=12)),
    seed=st.integers(0, 99),
)
@settings(max_examples=300)
def test_any_budget_is_met_or_refused(policy, sizes, budget, bounds, unit, projection, caps, seed):
    count = len(sizes)
    data = hj.ClientData(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.int32),
        np.cumsum([0, *sizes]).astype(np.int32),
        small.NUM_CLASSES,
    )
    options = {"fixed": {"widths": [0.5] * count}}
    made = hj.POLICIES[policy](**options.get(policy, {}))

    def allocated():
        capacities = caps and tuple(caps[i % len(caps)] for i in range(count))
        return hj.allocate(
            data,
            MODEL,
            policy=made,
            scores=np.random.default_rng(seed).random(count),
            key=jax.random.key(seed),
            budget=hj.BudgetSpec(budget, unit, projection, *bounds, capacities),
        )

    allocation = or_one_line(allocated)
    if allocation is None:
        return
    finest = max(MODEL.groups.values())
    assert ((allocation.sizes >= 1) & (allocation.sizes <= finest)).all()
    if not made.budgeted:
        return
    assert (allocation.sizes <= np.floor(allocation.stats.max_widths * finest + 1e-6)).all()
    if projection == "exact":
        assert getattr(allocation.ledger, unit) <= budget + 1e-6


# Configurations.

KNOBS = {
    "budget": st.floats(0.0, 1.2),
    "budget_unit": st.sampled_from(["width", "params", "macs"]),
    "capacities": st.lists(st.floats(0.1, 1.0), min_size=4, max_size=4),
    "client_block": st.integers(0, 9),
    "execution": st.sampled_from(["auto", "masked", "sliced"]),
    "exits": st.integers(1, 3),
    "extraction": st.sampled_from(sorted(hj.EXTRACTIONS)),
    "hidden_dim": st.integers(1, 9),
    "layers": st.integers(1, 3),
    "levels": st.lists(st.sampled_from([1, 0.5, 0.1, 0]), max_size=3),
    "method": st.sampled_from(sorted(hj.METHODS)),
    "model": st.sampled_from([None, "mlp", "lstm"]),
    "num_clients": st.integers(2, 5),
    "num_images": st.integers(1, 60),
    "objective": st.sampled_from(sorted(hj.OBJECTIVES)),
    "policy": st.sampled_from(sorted(hj.POLICIES)),
    "w_max": st.floats(0.0, 1.1),
    "w_min": st.floats(0.0, 1.0),
    "widths": st.lists(st.floats(0.0, 1.1), min_size=4, max_size=4),
}


def built(values):
    """Builds all that a run needs before it trains."""
    usual = {"dataset": "synthetic_images", "image_size": 4, "num_clients": 4}
    config = with_fields(RunConfig(), usual | values)
    arm = arm_of_train(config, values.keys())
    assert isinstance(arm, Arm)
    refuse_unused(config, values.keys(), [arm])
    dataset = build_dataset(config.data, values.keys(), 0)
    programs = build_programs(config, dataset, [arm])
    return dataset, build_allocation(config, programs[arm], dataset, arm, Block(0))


@pytest.mark.filterwarnings("error")
@given(values=st.fixed_dictionaries({}, optional=KNOBS))
@settings(max_examples=60)
def test_any_configuration_is_built_or_refused(values):
    made = or_one_line(built, values)
    if made is not None:
        dataset, allocation = made
        assert len(allocation.sizes) == len(dataset.client_names)
        assert fingerprint(dataset)
