"""Every flag of the scripts; the library itself knows none."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from typing import NoReturn

import jax
from absl import app, flags

from hasa_jax.aggregation import AGGREGATIONS
from hasa_jax.allocation import POLICIES
from hasa_jax.base import UserError
from hasa_jax.budget import PROJECTIONS
from hasa_jax.costs import BUDGET_UNITS
from hasa_jax.datasets import DATASETS
from hasa_jax.execution import EXECUTIONS
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.heterogeneity import SCORES
from hasa_jax.models import MODELS
from hasa_jax.simulation import CLIENT_WEIGHTS

FLAGS = flags.FLAGS

CLIENT_OPTIMIZERS = ("adam", "sgd")
SERVER_OPTIMIZERS = ("adam", "sgd", "yogi")

# Data.
flags.DEFINE_enum("dataset", "synthetic_titles", sorted(DATASETS), "Where the text comes from.")
flags.DEFINE_string("data_path", "", "CSV file of the titles data set.")
flags.DEFINE_string("text_column", "title", "Column that holds the text.")
flags.DEFINE_string("client_column", "publication", "Column that tells the client.")
flags.DEFINE_integer("vocab_size", 3000, "Most words in the vocabulary; 0 for all.", 0)
flags.DEFINE_integer("min_count", 2, "Fewest occurrences of a word of the vocabulary.", 1)
flags.DEFINE_integer("max_length", 16, "Words of a title that are read.", 1)
flags.DEFINE_integer("num_titles", 2000, "Titles of the synthetic data set.", 1)
flags.DEFINE_float(
    "heterogeneity", 0.5, "How far clients of the synthetic data set differ.", 0.0, 1.0
)

# Allocation.
flags.DEFINE_enum("score", "label_divergence", sorted(SCORES), "Heterogeneity score.")
flags.DEFINE_enum("policy", "hasa", sorted(POLICIES), "Allocation policy of train.")
flags.DEFINE_list(
    "policies",
    ["uniform", "hasa", "inverse_hasa"],
    "Allocation policies of compare; differences are taken to the first.",
)
flags.DEFINE_list(
    "widths", [], "Widths of policy fixed, one a client; titles' clients are in alphabetical order."
)
flags.DEFINE_list(
    "capacities", [], "Widest width of every client's device, as for widths; w_max if empty."
)
flags.DEFINE_float("budget", 0.5, "Size-weighted mean cost B, in (0, 1].")
flags.DEFINE_enum("budget_unit", "width", BUDGET_UNITS, "What the budget counts.")
flags.DEFINE_enum("budget_projection", "exact", PROJECTIONS, "How widths are scaled to B.")
flags.DEFINE_float("w_min", 0.2, "Narrowest width.")
flags.DEFINE_float("w_max", 0.8, "Widest width.")

# Subnets and their mean.
flags.DEFINE_enum("extraction", "prefix", sorted(EXTRACTIONS), "Which units a width keeps.")
flags.DEFINE_enum(
    "execution",
    "masked",
    sorted(EXECUTIONS),
    "masked: one program for all widths, at the cost of full ones; sliced: compute follows the "
    "budget, at the cost of compiling each width.",
)
flags.DEFINE_enum("aggregation", "coverage", AGGREGATIONS, "Denominator of the server's mean.")
flags.DEFINE_enum("client_weights", "examples", CLIENT_WEIGHTS, "Weights of the server's mean.")

# Model.
flags.DEFINE_enum("model", "lstm", sorted(MODELS), "Supernet.")
flags.DEFINE_integer("embed_dim", 32, "Size of the word embedding.", 1)
flags.DEFINE_integer("hidden_dim", 64, "Units of the supernet.", 1)
flags.DEFINE_bool("scaler", False, "Divide hidden states by the width while training.")

# Training.
flags.DEFINE_integer("num_rounds", 15, "Communication rounds.", 1)
flags.DEFINE_integer("local_epochs", 1, "Passes over a client's data in a round.", 1)
flags.DEFINE_integer("batch_size", 32, "Examples of a local batch.", 1)
flags.DEFINE_enum("client_optimizer", "adam", CLIENT_OPTIMIZERS, "Local optimizer.")
flags.DEFINE_float("client_lr", 0.01, "Learning rate of the clients.")
flags.DEFINE_float("client_adam_eps", 1e-8, "Term that keeps the clients' Adam from dividing by 0.")
flags.DEFINE_enum("server_optimizer", "sgd", SERVER_OPTIMIZERS, "Takes the mean update.")
flags.DEFINE_float("server_lr", 1.0, "Learning rate of the server.")
flags.DEFINE_integer("seed", 0, "First seed.", 0)
flags.DEFINE_integer("num_seeds", 3, "Matched seeds of compare: seed, seed + 1, ...", 1)

# Reporting.
flags.DEFINE_integer("eval_every", 5, "Rounds between evaluations.", 1)
flags.DEFINE_float("tail_fraction", 0.25, "Share of clients in the tail.", 0.0, 1.0)
flags.DEFINE_string("workdir", "", "Where results go; runs/<script>-<hash of flags> if empty.")
flags.DEFINE_bool("tensorboard", False, "Also write TensorBoard events (tracking extra).")

NOT_OF_THE_RUN = frozenset({"workdir", "tensorboard"})
"""Flags that change no result."""


@flags.multi_flags_validator(
    ["client_lr", "client_adam_eps", "server_lr"], message="learning rates must be above 0, eps too"
)
def _positive(values: dict[str, float]) -> bool:
    return all(value > 0 for value in values.values())


_FLOATS = (
    "heterogeneity",
    "budget",
    "w_min",
    "w_max",
    "client_lr",
    "client_adam_eps",
    "server_lr",
    "tail_fraction",
)


@flags.multi_flags_validator(list(_FLOATS), message="numbers must be finite")
def _finite(values: dict[str, float]) -> bool:
    return all(math.isfinite(value) for value in values.values())


@flags.multi_flags_validator(
    ["seed", "num_seeds"], message="seeds must stay below 2**32, beyond which keys repeat"
)
def _distinct_seeds(values: dict[str, int]) -> bool:
    return values["seed"] + values["num_seeds"] <= 2**32


@flags.validator(
    "policies", message=f"must be one or more of {','.join(sorted(POLICIES))}, each once"
)
def _known_policies(values: list[str]) -> bool:
    return bool(values) and set(values) <= set(POLICIES) and len(set(values)) == len(values)


def values_of_the_run() -> dict[str, object]:
    """Returns the flags that decide a run's results, sorted by name."""
    own = FLAGS.get_flags_for_module(sys.modules[__name__])
    return {
        f.name: f.value for f in sorted(own, key=lambda f: f.name) if f.name not in NOT_OF_THE_RUN
    }


def numbers(name: str) -> list[float]:
    """Reads a list flag as numbers.

    Args:
      name: the flag.

    Returns:
      The numbers.

    Raises:
      UserError: if an item is no number.
    """
    items: list[str] = FLAGS[name].value or []
    try:
        values = [float(item) for item in items]
    except ValueError as error:
        raise UserError(f"--{name}={','.join(items)}: {error}") from None
    if not all(math.isfinite(value) for value in values):
        raise UserError(f"--{name}={','.join(items)}: numbers must be finite")
    return values


def run_app(main: Callable[[], None]) -> None:
    """Parses the flags and runs a script; bad input ends in one line and exit status 2."""

    def fail(message: object) -> NoReturn:
        print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
        sys.exit(2)

    def parse(argv: list[str]) -> list[str]:
        try:
            return FLAGS(argv)
        except (flags.Error, OSError, UnicodeDecodeError) as error:
            fail(error)

    def guarded(argv: list[str]) -> None:
        if len(argv) > 1:
            fail(f"unexpected argument {argv[1]!r}: flags are written --name=value")
        try:
            main()
        except (UserError, OSError) as error:
            fail(error)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            fail("out of memory: lower --batch_size or --hidden_dim")
        except KeyboardInterrupt:
            fail("interrupted; run the same command again to start over")

    # JAX tells of every accelerator that it does not find; a user's error should stand alone.
    logging.getLogger("jax").setLevel(logging.WARNING)
    # --help of a script shows the flags of this module, which the script is all about.
    for flag in FLAGS.get_flags_for_module(sys.modules[__name__]):
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(guarded, flags_parser=parse)
