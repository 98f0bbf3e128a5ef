"""The workloads in PyTorch, and a plain loop over their clients."""
