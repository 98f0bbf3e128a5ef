"""A small nnx module that several tests share."""

from flax import nnx


def linear(inputs, outputs, names, rngs):
    """Makes an affine map whose axes have names."""
    kernel = nnx.with_partitioning(nnx.initializers.lecun_normal(), names)
    bias = nnx.with_partitioning(nnx.initializers.normal(0.1), names[1:])
    return nnx.Linear(inputs, outputs, kernel_init=kernel, bias_init=bias, rngs=rngs)


class MLP(nnx.Module):
    """Two hidden layers of different sizes, one of them in a list."""

    def __init__(self, first=12, second=8, num_classes=None, *, rngs):
        self.enter = linear(4, first, (None, "first"), rngs)
        self.layers = nnx.List([linear(first, second, ("first", "second"), rngs)])
        self.head = linear(second, num_classes, ("second", "classes"), rngs)

    def __call__(self, x):
        x = nnx.relu(self.enter(x))
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return self.head(x)
