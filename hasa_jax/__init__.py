"""A JAX simulator of model-heterogeneous federated learning."""

from hasa_jax.algorithm import FederatedAlgorithm
from hasa_jax.allocation import POLICIES, UNBUDGETED, Allocation, allocate
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
from hasa_jax.datasets import DATASETS, from_arrays
from hasa_jax.evaluation import evaluate, per_client, summarize
from hasa_jax.execution import EXECUTIONS
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.heterogeneity import SCORES
from hasa_jax.methods import METHODS, Method
from hasa_jax.models import MODELS, from_linen
from hasa_jax.objectives import OBJECTIVES
from hasa_jax.partial import partial_training
from hasa_jax.simulation import History, run, run_trials, scan_rounds
from hasa_jax.supernet import Context, Extraction, Model, Objective
from hasa_jax.together import Trial

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
