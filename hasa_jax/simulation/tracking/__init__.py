"""Trackers: where a run can be watched and compared, beside its own files."""

from collections.abc import Callable

from hasa_jax.simulation.tracking.mlflow_store import MlflowStore
from hasa_jax.simulation.tracking.store import Store
from hasa_jax.simulation.tracking.tensorboard_store import TensorBoardStore
from hasa_jax.simulation.tracking.tracker import Tracker
from hasa_jax.simulation.tracking.wandb_store import WandbStore

STORES: dict[str, Callable[[], Store]] = {
    "mlflow": MlflowStore,
    "tensorboard": TensorBoardStore,
    "wandb": WandbStore,
}
"""What each tracker writes to."""

__all__ = ["STORES", "MlflowStore", "Store", "TensorBoardStore", "Tracker", "WandbStore"]
