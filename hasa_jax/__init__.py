"""A JAX simulator of model-heterogeneous federated learning."""

from hasa_jax import allocation, datasets, extraction, methods, models
from hasa_jax.allocation import (
    POLICIES,
    SCORES,
    Allocation,
    Budget,
    BudgetSpec,
    ClientStats,
    Ledger,
    Measured,
    Policy,
    allocate,
)
from hasa_jax.base import (
    IGNORED,
    UNKNOWN,
    ClientData,
    ClientReport,
    FederatedDataset,
    PartialSum,
    ServerState,
    UserError,
)
from hasa_jax.client.augmentation import AUGMENTATIONS, augmentation
from hasa_jax.client.objectives import OBJECTIVES, LocalStep, Objective
from hasa_jax.datasets import DATASETS, from_arrays
from hasa_jax.execution.layout import Cohort, Layout
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.methods import METHODS, Method
from hasa_jax.models import MODELS
from hasa_jax.server.faults import Faults
from hasa_jax.simulation.algorithm import FederatedAlgorithm, build
from hasa_jax.simulation.allocating import make_trial
from hasa_jax.simulation.checkpoint import Checkpoints
from hasa_jax.simulation.evaluation import EvaluationResult
from hasa_jax.simulation.options import Execution, Reporting, Training
from hasa_jax.simulation.program import Program, make_program
from hasa_jax.simulation.round import scan_rounds
from hasa_jax.simulation.run import History, run_trials
from hasa_jax.simulation.sampling import SAMPLERS, Availability
from hasa_jax.simulation.simulate import Result, simulate
from hasa_jax.simulation.summary import Summary, summarize
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.writers import CsvWriter, Writer
from hasa_jax.supernet.linen import from_linen
from hasa_jax.supernet.nnx import from_nnx
from hasa_jax.supernet.types import Broadcast, Context, Extraction, Model, ModelSpec, Shape
from hasa_jax.supernet.units import ranked
from hasa_jax.versions import __version__ as __version__

__all__ = [
    "AUGMENTATIONS",
    "DATASETS",
    "EXTRACTIONS",
    "IGNORED",
    "METHODS",
    "MODELS",
    "OBJECTIVES",
    "POLICIES",
    "SAMPLERS",
    "SCORES",
    "UNKNOWN",
    "Allocation",
    "Availability",
    "Broadcast",
    "Budget",
    "BudgetSpec",
    "Checkpoints",
    "ClientData",
    "ClientReport",
    "ClientStats",
    "Cohort",
    "Context",
    "CsvWriter",
    "EvaluationResult",
    "Execution",
    "Extraction",
    "Faults",
    "FederatedAlgorithm",
    "FederatedDataset",
    "History",
    "Layout",
    "Ledger",
    "LocalStep",
    "Measured",
    "Method",
    "Model",
    "ModelSpec",
    "Objective",
    "PartialSum",
    "Policy",
    "Program",
    "Reporting",
    "Result",
    "ServerState",
    "Shape",
    "Summary",
    "Training",
    "Trial",
    "UserError",
    "Writer",
    "allocate",
    "allocation",
    "augmentation",
    "build",
    "datasets",
    "extraction",
    "from_arrays",
    "from_linen",
    "from_nnx",
    "make_program",
    "make_trial",
    "methods",
    "models",
    "ranked",
    "run_trials",
    "scan_rounds",
    "simulate",
    "summarize",
]
