"""The titles in PyTorch: a narrow LSTM for each client, Adam, one epoch.

`python -m benchmarks.peers.torch_titles --batches=titles.npz`
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

from typing import Any

from benchmarks.peers import federated  # Before PyTorch itself: it tells if there is none.

# isort: split
import torch

_EMBEDDING = 128


class LanguageModel(torch.nn.Module):
    """An embedding, one LSTM layer, and a linear head.

    Args:
      num_tokens: input ids.
      num_classes: words that can be predicted.
      hidden: units of the LSTM.
    """

    def __init__(self, num_tokens: int, num_classes: int, hidden: int):
        super().__init__()
        self.embedding = torch.nn.Embedding(num_tokens, _EMBEDDING)
        self.lstm = torch.nn.LSTM(_EMBEDDING, hidden, batch_first=True)
        self.head = torch.nn.Linear(hidden, num_classes)

    def forward(self, tokens: Any) -> Any:
        """Returns logits `[B, T, K]` of tokens `[B, T]`."""
        return self.head(self.lstm(self.embedding(tokens))[0])


def loss(network: Any, inputs: Any, targets: Any) -> Any:
    """Returns the mean cross-entropy over the targets that have one.

    Args:
      network: the client's.
      inputs: tokens `[B, T]`.
      targets: words `[B, T]`.

    Returns:
      A scalar.
    """
    logits = network(inputs)
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=federated.IGNORED
    )


def main() -> None:
    """Times rounds and prints their seconds."""
    given = federated.arguments(main.__doc__)
    batches = federated.load(given.batches)

    def build(sizes: tuple[int, ...]) -> LanguageModel:
        return LanguageModel(batches.num_tokens, batches.num_classes, sizes[0])

    def optimizer(parameters: Any) -> Any:
        # Fused is the fastest of PyTorch's ways to write this loop on CPUs.
        return torch.optim.Adam(parameters, lr=0.01, fused=True)

    federated.run(given, batches, build, optimizer, loss)


if __name__ == "__main__":
    main()
