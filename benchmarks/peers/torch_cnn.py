"""HeteroFL's CNN in PyTorch: ten narrow clients, SGD with momentum, 20 steps of ten images.

`python -m benchmarks.peers.torch_cnn --batches=cnn.npz`
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

from typing import Any

from benchmarks.peers import federated  # Before PyTorch itself: it tells if there is none.

# isort: split
import torch


class Network(torch.nn.Module):
    """Four stages of convolution, scaler, norm and ReLU with pooling between, and a linear head.

    Args:
      channels: of every stage.
      width: share of the channels that is kept; activations are divided by it.
      num_classes: classes.
    """

    def __init__(self, channels: tuple[int, ...], width: float, num_classes: int):
        super().__init__()
        before = (3, *channels)
        self.width = width
        self.convolutions = torch.nn.ModuleList(
            torch.nn.Conv2d(below, above, 3, padding=1)
            for below, above in zip(before, channels, strict=False)
        )
        # No running statistics: a static norm has none while it trains.
        self.norms = torch.nn.ModuleList(
            torch.nn.BatchNorm2d(number, track_running_stats=False) for number in channels
        )
        self.head = torch.nn.Linear(channels[-1], num_classes)

    def forward(self, images: Any) -> Any:
        """Returns logits `[B, K]` of images `[B, 3, height, width]`."""
        stages = zip(self.convolutions, self.norms, strict=True)
        for stage, (convolution, norm) in enumerate(stages):
            if stage:
                images = torch.nn.functional.max_pool2d(images, 2)
            images = torch.relu(norm(convolution(images) / self.width))
        return self.head(images.mean((2, 3)))


def loss(network: Any, inputs: Any, targets: Any) -> Any:
    """Returns the mean cross-entropy.

    Args:
      network: the client's.
      inputs: images `[B, 3, height, width]`.
      targets: classes `[B]`.

    Returns:
      A scalar.
    """
    return torch.nn.functional.cross_entropy(
        network(inputs), targets, ignore_index=federated.IGNORED
    )


def main() -> None:
    """Times rounds and prints their seconds."""
    given = federated.arguments(main.__doc__)
    batches = federated.load(given.batches)

    def build(sizes: tuple[int, ...]) -> Network:
        return Network(sizes, sizes[-1] / batches.full[-1], batches.num_classes)

    def optimizer(parameters: Any) -> Any:
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)

    federated.run(given, batches, build, optimizer, loss)


if __name__ == "__main__":
    main()
