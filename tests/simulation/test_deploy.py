"""A deployed subnet computes what the client's subnet computes inside the supernet."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import hasa_jax as hj
from hasa_jax.client.batches import mixed_batches
from hasa_jax.client.calibration import calibrate
from hasa_jax.execution.broadcast import broadcast_to
from hasa_jax.execution.layout import Slot
from hasa_jax.execution.subnets import masked_subnet
from hasa_jax.simulation.deploy import deploy, deployed_moments
from hasa_jax.simulation.round_inputs import prepare
from hasa_jax.supernet import label_rows, losses
from hasa_jax.supernet.subnet import forward
from tests.support import small

SIZES = {"mlp": (3, 5), "cnn": (8, 12)}
EXECUTION = hj.Execution("masked", client_block=1, mesh="clients:1")


def model_of(method, kind):
    exits = 2 if method.extraction.all_exits else 1
    if kind == "mlp":
        return hj.models.mlp(hidden=6, layers=exits, exits=exits)
    return hj.models.cnn(hidden=2, exits=exits)


@dataclasses.dataclass(frozen=True)
class Setting:
    """An algorithm whose clients 1 and 2 have two sizes, and a state with random parameters."""

    algorithm: hj.FederatedAlgorithm
    state: hj.ServerState

    @property
    def train(self):
        return self.algorithm.trial.dataset.train

    def taken(self, client):
        """Returns the deployed module, its parameters and its moments."""
        size = int(self.algorithm.allocation.sizes[client])
        place = (self.algorithm.program, self.state, self.train, client, size)
        return *deploy(*place), deployed_moments(*place)


def setting_of(method, kind):
    """Builds a method on a model, without any training."""
    dataset = small.dataset((7, 30, 12, 3), "perceptron" if kind == "mlp" else kind)
    algorithm = hj.build(
        method, model_of(method, kind), dataset, key=small.KEY, execution=EXECUTION
    )
    one, other = SIZES[kind]
    sizes = np.array([one, one, other, one])
    allocation = dataclasses.replace(algorithm.allocation, sizes=sizes)
    trial = algorithm.trial._replace(allocation=allocation)
    generator = np.random.default_rng(0)
    shapes = algorithm.program.model.shapes
    params = jax.tree.map(lambda x: jnp.float32(0.5 * generator.normal(size=x.shape)), shapes)
    state = hj.ServerState(params, (), jnp.int32(5), small.KEY)
    return Setting(dataclasses.replace(algorithm, trial=trial), state)


@functools.partial(jax.jit, static_argnums=0)
def inside(program, state, train, slot, inputs):
    """Returns the logits of every exit of a subnet at full size, with zeros outside it."""
    model = program.model
    sent = broadcast_to(slot.client, slot.local, model, state, train, program.training.batch_size)
    subnet = masked_subnet(model, program.extraction, sent, slot, prepare(program, state))
    moments = calibrate(subnet, train, mixed_batches(state.key, train)) if model.moments else None
    return forward(subnet, subnet.params, inputs, moments=moments)[0]


def slot_of(program, client, size):
    shape = program.extraction.shape(program.model, size)
    return Slot(
        entry=jnp.int32(0),
        client=jnp.int32(client),
        local=jnp.int32(client),
        width=jnp.float32(shape.width),
        kept={group: jnp.int32(count) for group, count in shape.kept},
        exits=jnp.int32(shape.exits),
        weight=jnp.float32(1),
        steps=jnp.int32(0),
        hostile=jnp.bool_(False),
    )


def assert_deploys(method, kind, clients=(1,)):
    """Compares logits, and accuracy and loss on the clients' test examples."""
    setting = setting_of(method, kind)
    algorithm, program = setting.algorithm, setting.algorithm.program
    # What is taken out is the subnet at the state's own round.
    found = algorithm.evaluate(setting.state, draw="next")
    test = algorithm.trial.dataset.test
    classes = np.asarray(label_rows.present_classes(setting.train))
    for client in clients:
        size = int(algorithm.allocation.sizes[client])
        slot = slot_of(program, client, size)
        own = slice(*test.offsets[client : client + 2])
        inputs, targets = test.inputs[own], test.targets[own]
        module, params, moments = setting.taken(client)
        variables = {"params": params} | ({"moments": moments} if moments else {})
        output = jax.jit(module.apply)(variables, inputs)
        exits = output if isinstance(output, tuple) else (output,)
        expected = inside(program, setting.state, setting.train, slot, inputs)
        # Exits that the client does not have are computed at full size, and not deployed.
        assert len(exits) == int(slot.exits) <= len(expected)
        for logits, reference in zip(exits, expected, strict=False):
            np.testing.assert_allclose(logits, reference, rtol=1e-4, atol=1e-5)
        logits = exits[-1]
        if method.objective.own_classes:
            logits = losses.hide_classes(logits, classes[client])
        logits = np.asarray(logits, np.float64)
        hits = np.argmax(logits, axis=-1) == targets
        assert found.accuracy[client] == pytest.approx(hits.mean())
        entropy = np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(len(targets)), targets]
        assert found.loss[client] == pytest.approx(entropy.mean(), rel=1e-4)
    return setting


# They differ from hasa in nothing that is deployed.
ALIKE = {"coordinate_median", "fedavg", "trimmed_mean"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else [])
        for name in sorted(hj.METHODS)
    ],
)
def test_every_method_deploys_what_it_evaluates(name):
    # Of these, clients of two sizes: they hold other units, or have other exits.
    clients = (1, 2) if name in ("fedrolex", "scalefl") else (1,)
    setting = assert_deploys(hj.METHODS[name](), "mlp", clients)
    program = setting.algorithm.program
    if program.extraction.order is not None:
        shapes = {leaf.shape for leaf in jax.tree.leaves(setting.taken(1)[1])}
        assert not any(6 in shape[-1:] for shape in shapes), "the parameters are narrow"


def test_scalefl_divides_by_the_width_in_evaluation_too():
    method = dataclasses.replace(hj.methods.scalefl(), norm="none")
    assert method.scaler == "always"
    setting = setting_of(method, "mlp")
    module, params, _ = setting.taken(1)
    assert 0 < module.width < 1
    inputs = setting.train.inputs[:3]
    scaled = module.apply({"params": params}, inputs)
    unscaled = module.clone(width=1.0).apply({"params": params}, inputs)
    assert small.max_difference(scaled, unscaled) > 1e-3


@pytest.mark.slow
def test_static_norms_of_images_are_deployed_with_their_moments():
    setting = assert_deploys(hj.methods.heterofl(), "cnn")
    _, params, moments = setting.taken(1)
    assert jax.tree.leaves(moments)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) < sum(
        leaf.size for leaf in jax.tree.leaves(setting.state.params)
    )


def test_a_subnet_is_saved_and_loaded_by_orbax(tmp_path):
    _, params, _ = setting_of(hj.methods.fedrolex(), "mlp").taken(1)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "subnet", params)
        checkpointer.wait_until_finished()
        loaded = checkpointer.restore(tmp_path / "subnet", jax.eval_shape(lambda: params))
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    small.assert_trees_equal(loaded, params)
