"""A JAX simulator of model-heterogeneous federated learning."""

from hasa_jax.allocation import POLICIES, UNBUDGETED, Allocation, allocate
from hasa_jax.allocation.scores import SCORES
from hasa_jax.base import (
    IGNORED,
    UNKNOWN,
    ClientData,
    ClientStats,
    Cohort,
    FederatedDataset,
    PartialSum,
    ServerState,
    UserError,
)
from hasa_jax.client.objectives import OBJECTIVES
from hasa_jax.datasets import DATASETS, from_arrays
from hasa_jax.execution import EXECUTIONS
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.execution.seeds import Trial
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.methods.build import partial_training
from hasa_jax.methods.method import METHODS, Method
from hasa_jax.models import MODELS, from_linen
from hasa_jax.simulation.evaluation import evaluate, per_client, summarize
from hasa_jax.simulation.run import History, run, run_trials, scan_rounds
from hasa_jax.supernet.types import Context, Extraction, Model, Objective

__version__ = "0.1.0"

__all__ = [
    "DATASETS",
    "EXECUTIONS",
    "EXTRACTIONS",
    "IGNORED",
    "METHODS",
    "MODELS",
    "OBJECTIVES",
    "POLICIES",
    "SCORES",
    "UNBUDGETED",
    "UNKNOWN",
    "Allocation",
    "ClientData",
    "ClientStats",
    "Cohort",
    "Context",
    "Extraction",
    "FederatedAlgorithm",
    "FederatedDataset",
    "History",
    "Method",
    "Model",
    "Objective",
    "PartialSum",
    "ServerState",
    "Trial",
    "UserError",
    "allocate",
    "evaluate",
    "from_arrays",
    "from_linen",
    "partial_training",
    "per_client",
    "run",
    "run_trials",
    "scan_rounds",
    "summarize",
]
