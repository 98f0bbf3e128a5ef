"""Every flag of the scripts; the library itself knows none."""

from __future__ import annotations

import math
import sys

from absl import flags

from hasa_jax.allocation import POLICIES, UNBUDGETED
from hasa_jax.allocation.budget import PROJECTIONS
from hasa_jax.allocation.scores import SCORES
from hasa_jax.base import UserError
from hasa_jax.client.objectives import OBJECTIVES
from hasa_jax.datasets import DATASETS, dataset_builder
from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.execution import EXECUTIONS
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.extraction.measures import MEASURES
from hasa_jax.extraction.parameter_groups import THRESHOLDS
from hasa_jax.methods.method import METHODS, describe
from hasa_jax.models import MODELS
from hasa_jax.models.layers import NORMS, SCALERS
from hasa_jax.server.aggregation import AGGREGATIONS
from hasa_jax.server.faults import CORRUPTIONS
from hasa_jax.server.robust import ROBUST
from hasa_jax.simulation.cohorts import CLIENT_WEIGHTS
from hasa_jax.supernet.costs import BUDGET_UNITS

FLAGS = flags.FLAGS

CLIENT_OPTIMIZERS = ("adam", "sgd")
SERVER_OPTIMIZERS = ("adam", "sgd", "yogi")

# Data.
flags.DEFINE_string(
    "dataset",
    "synthetic_titles",
    f"Where the examples come from: {', '.join(sorted(DATASETS))}, or tfds:NAME for any images or "
    "texts with labels of TensorFlow Datasets.",
)
flags.DEFINE_string("data_path", "", "File of titles or csv (CSV), or of npz.")
flags.DEFINE_string(
    "data_dir", "", "Folder of published data, of image_folder, or of all of tfds:."
)
flags.DEFINE_enum(
    "partition",
    None,
    sorted(PARTITIONS),
    "How data of files are dealt out; if not given, natural where they tell clients, else iid.",
)
flags.DEFINE_float("alpha", 0.5, "Concentration of dirichlet, balanced_dirichlet and quantity.")
flags.DEFINE_integer("classes_per_client", 2, "Classes of a client of shards.", 1)
flags.DEFINE_integer("min_examples", 10, "Fewest examples of a client of any partition.", 1)
flags.DEFINE_integer("max_examples", 0, "Examples to use, beside tests set apart; 0: all.", 0)
flags.DEFINE_integer("max_per_group", 0, "The same of each group; 0 for all.", 0)
flags.DEFINE_integer("resize", 0, "Height and width of images of files; 0 as they are.", 0)
flags.DEFINE_string("text_column", None, "Column of the text; title for titles, text for csv.")
flags.DEFINE_string("label_column", None, "Column of the class of csv; label if not given.")
flags.DEFINE_string(
    "client_column", None, "Column of the client; publication for titles, none for csv."
)
flags.DEFINE_integer(
    "vocab_size", 3000, "Most words, or pieces of words, in the vocabulary; 0 for all.", 0
)
flags.DEFINE_integer("min_count", 2, "Fewest occurrences of a word of the vocabulary.", 1)
flags.DEFINE_integer("max_length", 16, "Words of a title, or pieces of a text, that are read.", 1)
flags.DEFINE_integer("num_titles", 2000, "Titles of the synthetic data set.", 1)
flags.DEFINE_float(
    "heterogeneity", 0.5, "How far clients of the synthetic data set differ.", 0.0, 1.0
)
flags.DEFINE_integer("num_images", 2000, "Images of synthetic_images.", 1)
flags.DEFINE_integer("image_size", 8, "Height and width of its images.", 1)
flags.DEFINE_integer("num_classes", 10, "Classes of its images.", 1)
flags.DEFINE_integer("num_topics", 7, "Classes of synthetic_topics.", 1)
flags.DEFINE_integer("num_clients", 10, "Clients of data that tell none.", 2)

# Method. What is left open here is as the method was published.
_ALLOCATIONS = sorted({**POLICIES, **UNBUDGETED})
SCORED = ("hasa", "inverse_hasa")
FROM_FILE = "file"
_SCORES = sorted([*SCORES, FROM_FILE])
flags.DEFINE_enum(
    "method",
    "hasa",
    sorted(METHODS),
    "Published combination; flags named in it override it. "
    + " | ".join(f"{name}: {describe(method)}" for name, method in METHODS.items()),
)
flags.DEFINE_list(
    "methods",
    [],
    "Methods of compare, each with its own policy or as method:policy; differences are taken to "
    "the first.",
)
flags.DEFINE_enum("policy", None, _ALLOCATIONS, "Allocation of widths; the method's if not given.")
flags.DEFINE_list(
    "policies",
    ["uniform", "hasa", "inverse_hasa"],
    "Allocations of compare where it has no --methods, or policy@score for another than --score; "
    "differences are taken to the first.",
)
flags.DEFINE_enum("extraction", None, sorted(EXTRACTIONS), "What a width keeps; the method's.")
flags.DEFINE_enum("objective", None, sorted(OBJECTIVES), "What clients minimise; the method's.")
flags.DEFINE_enum("norm", None, NORMS, "Norm of mlp, cnn and resnet18; the method's.")
flags.DEFINE_enum("scaler", None, SCALERS, "When to divide by the width; the method's.")
flags.DEFINE_bool("label_split", None, "Only rows of own classes and tokens; the method's.")
flags.DEFINE_enum("aggregation", None, AGGREGATIONS, "Denominator of the mean; the method's.")
flags.DEFINE_enum("client_weights", None, CLIENT_WEIGHTS, "Weights of the mean; the method's.")
flags.DEFINE_enum(
    "robust",
    None,
    ROBUST,
    "The mean of updates cut to the median norm, without the --trim extremes of each coordinate, "
    "or the median of each; the method's.",
)

# Choices within a method.
flags.DEFINE_integer("rolling_step", 1, "Units that the window of rolling moves a round.", 1)
flags.DEFINE_bool("shared_units", False, "Draw random's units once a round for all clients.")
flags.DEFINE_list("dropout_levels", ["0.2", "0.4", "0.6", "0.8", "1"], "Widths of ordered_dropout.")
flags.DEFINE_list("exit_widths", [], "Width at each exit for depth_width; published ones if empty.")
flags.DEFINE_enum("threshold", "model", THRESHOLDS, "What shares a threshold of importance.")
flags.DEFINE_enum("measure", "magnitude", sorted(MEASURES), "What importance means.")
flags.DEFINE_float("distillation", 0.0, "Weight of multi_exit's distillation.", 0.0)
flags.DEFINE_float("temperature", 3.0, "Temperature of multi_exit's distillation.")
flags.DEFINE_bool("detach_teacher", False, "Whether multi_exit's teacher learns nothing from it.")
flags.DEFINE_float("proximal", 0.0, "FedProx's mu.", 0.0)

# Allocation.
flags.DEFINE_enum(
    "score", "label_divergence", _SCORES, "Heterogeneity score; file for those of --score_path."
)
flags.DEFINE_string("score_path", "", "CSV file of own scores: client, score, and maybe seed.")
flags.DEFINE_list(
    "widths", [], "Widths of policy fixed, one a client; titles' clients are in alphabetical order."
)
flags.DEFINE_list(
    "levels", ["1", "0.5", "0.25", "0.125", "0.0625"], "Sizes of policy levels, in --budget_unit."
)
flags.DEFINE_list("level_proportions", [], "Share of clients at each level; equal if empty.")
flags.DEFINE_bool("dynamic", False, "Deal or draw widths anew each round (levels, random).")
flags.DEFINE_list(
    "capacities", [], "Widest width of every client's device, as for widths; w_max if empty."
)
flags.DEFINE_float("budget", 0.5, "Size-weighted mean cost B, in (0, 1].")
flags.DEFINE_enum("budget_unit", "width", BUDGET_UNITS, "What the budget counts.")
flags.DEFINE_enum("budget_projection", "exact", PROJECTIONS, "How widths are scaled to B.")
flags.DEFINE_float("w_min", 0.2, "Narrowest width.")
flags.DEFINE_float("w_max", 0.8, "Widest width.")

# Execution.
flags.DEFINE_enum(
    "execution",
    "masked",
    ("auto", *sorted(EXECUTIONS)),
    "masked: one program for all widths, at the cost of full ones; sliced: compute follows the "
    "budget, at the cost of compiling each width; auto: sliced where the method cuts units, masked "
    "where it keeps single parameters.",
)
flags.DEFINE_integer("client_block", 0, "Clients in one vmap; 0: one on CPUs, else all.", 0)
flags.DEFINE_bool("stream", False, "Place only a round's clients on the device, not all data.")
flags.DEFINE_integer("seeds_per_program", 1, "Seeds that run together, sharing the devices.", 1)
flags.DEFINE_integer("host_devices", 0, "Devices that share a cohort; 0: all, or 8 CPU cores.", 0)
flags.DEFINE_bool(
    "deterministic_ops", True, "On GPUs, only kernels with the same bits each time, if slower."
)
flags.DEFINE_string(
    "compilation_cache", None, "Folder of compiled programs; ~/.cache/hasa_jax/xla, none if empty."
)

flags.DEFINE_enum(
    "compute_dtype", "float32", ["float32", "bfloat16"], "Type of the passes; parameters: float32."
)

# Model.
flags.DEFINE_enum("model", "lstm", sorted(MODELS), "Supernet.")
flags.DEFINE_integer("embed_dim", 32, "Size of the embedding of lstm and transformer.", 1)
flags.DEFINE_integer(
    "hidden_dim", 64, "Units of lstm and mlp, of the first stage of cnn and resnet18.", 1
)
flags.DEFINE_integer("layers", 1, "Layers of lstm, mlp and transformer.", 1)
flags.DEFINE_integer("heads", 4, "Attention heads of the transformer.", 1)
flags.DEFINE_integer("head_dim", 8, "Units of each attention head.", 1)
flags.DEFINE_integer("feedforward_dim", 64, "Hidden units of the transformer's feed-forward.", 1)
flags.DEFINE_integer("exits", 1, "Exits of the supernet, spread over its depth.", 1)

# Training.
flags.DEFINE_integer("num_rounds", 15, "Communication rounds.", 1, 2**31 - 1)
flags.DEFINE_integer("local_epochs", 1, "Passes over a client's data in a round.", 1)
flags.DEFINE_integer("clients_per_round", 0, "Clients drawn for each round; 0 for all.", 0)
flags.DEFINE_integer("batch_size", 32, "Examples of a local batch.", 1)
flags.DEFINE_enum("client_optimizer", "adam", CLIENT_OPTIMIZERS, "Local optimizer.")
flags.DEFINE_float("client_lr", 0.01, "Learning rate of the clients.")
flags.DEFINE_float("client_adam_eps", 1e-8, "Term that keeps the clients' Adam from dividing by 0.")
flags.DEFINE_float("client_momentum", 0.0, "Momentum of the clients' SGD.", 0.0, 1.0)
flags.DEFINE_float("client_weight_decay", 0.0, "Weight decay of the clients.", 0.0)
flags.DEFINE_float("client_clip_norm", 0.0, "Largest norm of a local gradient; 0 for any.", 0.0)
flags.DEFINE_list("lr_milestones", [], "Rounds after which the clients' learning rate falls.")
flags.DEFINE_float("lr_decay", 0.1, "Factor by which it falls.")
flags.DEFINE_enum("server_optimizer", "sgd", SERVER_OPTIMIZERS, "Takes the mean update.")
flags.DEFINE_float("server_lr", 1.0, "Learning rate of the server.")
flags.DEFINE_integer("seed", 0, "First seed.", 0)
flags.DEFINE_integer("num_seeds", 3, "Matched seeds of compare: seed, seed + 1, ...", 1)

# Clients that fail.
flags.DEFINE_float(
    "client_dropout", 0.0, "Chance that a client's update is lost in a round.", 0.0, 1.0
)
flags.DEFINE_float(
    "deadline",
    0.0,
    "Local steps of the whole supernet that a round has time for; subnets of fewer MACs have time "
    "for more. 0 for no deadline.",
    0.0,
)
flags.DEFINE_float(
    "corrupted", 0.0, "Share of the clients that corrupt all their updates.", 0.0, 1.0
)
flags.DEFINE_enum(
    "corruption",
    "sign_flip",
    CORRUPTIONS,
    "What they send: the update times -corruption_scale, noise of that deviation, or NaN.",
)
flags.DEFINE_float("corruption_scale", 1.0, "How strong the corruption is.", 0.0)
flags.DEFINE_float("trim", 0.2, "Share that trimmed_mean cuts off at each side.", 0.0, 0.49)
flags.DEFINE_bool(
    "drop_nonfinite",
    False,
    "Leave clients whose update is not finite out of the round, instead of ending the run.",
)

# Reporting.
flags.DEFINE_integer("eval_every", 5, "Rounds between evaluations.", 1)
flags.DEFINE_list(
    "eval_levels",
    [],
    "Sizes whose accuracy on the test examples of all clients goes to sizes.csv, as fractions of "
    "the supernet in --budget_unit, whether or not clients have them.",
)
flags.DEFINE_float("tail_fraction", 0.25, "Share of clients in the tail.", 0.0, 1.0)
flags.DEFINE_string("workdir", "", "Where results go; runs/<script>-<hash of flags> if empty.")
flags.DEFINE_integer(
    "checkpoint_every",
    10,
    "Rounds between checkpoints, which are taken at evaluations, at the end and at SIGTERM or "
    "SIGINT; the same command goes on from the latest. 0 for none.",
    0,
)
flags.DEFINE_integer("keep_checkpoints", 2, "Checkpoints of each run that stay.", 1)
flags.DEFINE_bool("tensorboard", False, "Also write TensorBoard events (tracking extra).")

flags.DEFINE_string(
    "reference",
    "",
    "Row of the table that others are compared with, as method:policy, or the method or policy "
    "that tells it from the others; the first if empty.",
)

NOT_OF_THE_RUN = frozenset(
    {
        "checkpoint_every",
        "client_block",
        "compilation_cache",
        "host_devices",
        "keep_checkpoints",
        "reference",
        "stream",
        "tensorboard",
        "workdir",
    }
)
"""Flags that change no result; those of execution are recorded as what they come to."""


@flags.validator("dataset")
def _known_dataset(value: str) -> bool:
    try:
        dataset_builder(value)
    except UserError as error:
        raise flags.ValidationError(str(error)) from None
    return True


@flags.multi_flags_validator(
    ["client_lr", "client_adam_eps", "server_lr", "lr_decay", "temperature"],
    message="learning rates, lr_decay, client_adam_eps and temperature must be above 0",
)
def _positive(values: dict[str, float]) -> bool:
    return all(value > 0 for value in values.values())


_FLOATS = (
    "heterogeneity",
    "distillation",
    "temperature",
    "proximal",
    "client_momentum",
    "client_weight_decay",
    "client_clip_norm",
    "lr_decay",
    "budget",
    "w_min",
    "w_max",
    "client_lr",
    "client_adam_eps",
    "server_lr",
    "tail_fraction",
    "deadline",
    "corruption_scale",
)


@flags.multi_flags_validator(list(_FLOATS), message="numbers must be finite")
def _finite(values: dict[str, float]) -> bool:
    return all(math.isfinite(value) for value in values.values())


@flags.multi_flags_validator(
    ["seed", "num_seeds"], message="seeds must stay below 2**32, beyond which keys repeat"
)
def _distinct_seeds(values: dict[str, int]) -> bool:
    return values["seed"] + values["num_seeds"] <= 2**32


def _known_policy(value: str) -> bool:
    policy, at, score = value.partition("@")
    return policy in (SCORED if at else _ALLOCATIONS) and (not at or score in _SCORES)


@flags.validator(
    "policies",
    message=f"must be one or more of {','.join(_ALLOCATIONS)}, each once; {' or '.join(SCORED)} "
    f"also as policy@score with a score of {','.join(_SCORES)}",
)
def _known_policies(values: list[str]) -> bool:
    return bool(values) and all(map(_known_policy, values)) and len(set(values)) == len(values)


@flags.validator(
    "methods",
    message=f"must be of {','.join(sorted(METHODS))}, each once, or method:policy with a policy "
    f"of {','.join(_ALLOCATIONS)} (or policy@score)",
)
def _known_methods(values: list[str]) -> bool:
    named = [value.partition(":") for value in values]
    known = all(m in METHODS and (not colon or _known_policy(p)) for m, colon, p in named)
    return known and len(set(values)) == len(values)


def values_of_the_run() -> dict[str, object]:
    """Returns the flags that decide a run's results, sorted by name."""
    own = FLAGS.get_flags_for_module(sys.modules[__name__])
    return {
        f.name: f.value for f in sorted(own, key=lambda f: f.name) if f.name not in NOT_OF_THE_RUN
    }
