"""The rooms of a configuration: every field with its default, bounds and meaning.

A default that the library has, too, is read from the library.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from experiments import fields
from experiments.fields import default_of, knob
from hasa_jax.allocation import POLICIES, BudgetSpec
from hasa_jax.allocation.budget import PROJECTIONS
from hasa_jax.allocation.policies.need import NEED_OBJECTIVES
from hasa_jax.allocation.scores import SCORES
from hasa_jax.base import UserError
from hasa_jax.client.augmentation import AUGMENTATIONS
from hasa_jax.client.objectives import OBJECTIVES, multi_exit
from hasa_jax.datasets import (
    DATASETS,
    dataset_builder,
    leaf,
    synthetic_images,
    synthetic_needs,
    synthetic_titles,
    synthetic_topics,
    titles,
)
from hasa_jax.datasets.csv_rows import BAD_ROWS
from hasa_jax.datasets.next_word import WORDS
from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.datasets.partitioned import partitioned
from hasa_jax.datasets.splits import check_folds
from hasa_jax.extraction import EXTRACTIONS, importance, ordered_dropout, random, rolling
from hasa_jax.extraction.importance import GRADIENTS
from hasa_jax.extraction.measures import MEASURES
from hasa_jax.extraction.parameter_groups import THRESHOLDS
from hasa_jax.methods import METHODS
from hasa_jax.methods.method import CLIENT_WEIGHTS, Method
from hasa_jax.models import MODELS, cnn, lstm, mlp, transformer
from hasa_jax.models.exit_head import EXIT_HEADS
from hasa_jax.models.layers import NORMS, SCALERS
from hasa_jax.server.aggregation import AGGREGATIONS
from hasa_jax.server.faults import CORRUPTIONS, Faults
from hasa_jax.server.robust import ROBUST
from hasa_jax.simulation.checkpoint import Checkpoints
from hasa_jax.simulation.draws import DRAWS
from hasa_jax.simulation.options import CLIENT_LEARNING_RATE, Execution, Reporting, Training
from hasa_jax.simulation.program import make_program
from hasa_jax.simulation.sampling import SAMPLERS
from hasa_jax.supernet.costs import BUDGET_UNITS

CLIENT_OPTIMIZERS = ("adam", "sgd")
SERVER_OPTIMIZERS = ("adam", "sgd", "yogi")
SCORED = ("hasa", "inverse_hasa")
"""Policies that follow a score."""
FROM_FILE = "file"
"""The score that is read from a file."""
TRACKERS = ("csv", "mlflow", "tensorboard", "wandb")
"""What shows runs; csv are the tables that every workdir has."""
_KNOWN_SCORES = sorted([*SCORES, FROM_FILE])
TABLE_FORMATS = ("markdown", "latex", "csv", "html")
"""Formats of files of tables."""
PICTURE_FORMATS = ("png", "svg", "pdf")
"""Suffixes of picture files."""


def named_score(policy: str, score: str) -> tuple[str, str]:
    """Splits `policy@score`.

    Args:
      policy: a policy, with or without a score.
      score: that of a policy without one.

    Returns:
      The policy and the score.
    """
    name, _, own = policy.partition("@")
    return name, own or score


def share_of(shard: str) -> tuple[int, int]:
    """Splits `i/n`.

    Args:
      shard: the i-th of n shares, such as 1/8 for the first of eight.

    Returns:
      i, from 1 to n; and n.

    Raises:
      UserError: if it is none.
    """
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    index, number = map(int, found.groups()) if found else (0, 0)
    if not 1 <= index <= number:
        raise UserError(
            f"`shard` is {shard!r}: write i/n for the i-th of n shares, from 1/n to n/n, "
            "such as 1/8"
        )
    return index, number


def number_text(value: float) -> str:
    """Writes a number as short as it can be read back: `1`, `0.5`."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _known_policy(value: str) -> bool:
    """Returns whether a text is a policy, or a scored policy with a score."""
    policy, at, score = value.partition("@")
    return policy in (SCORED if at else POLICIES) and (not at or score in _KNOWN_SCORES)


def _check_policies(values: tuple[str, ...]) -> None:
    """Refuses policies that are unknown, missing or repeated."""
    if not values or not all(map(_known_policy, values)) or len(set(values)) < len(values):
        raise UserError(
            f"`policies={','.join(values)}`: it must be one or more of "
            f"{','.join(sorted(POLICIES))}, each once; {' or '.join(SCORED)} also as policy@score "
            f"with a score of {','.join(_KNOWN_SCORES)}"
        )


def check_methods(values: Sequence[str], *, own: bool) -> None:
    """Refuses methods of compare that are unknown or repeated.

    Args:
      values: methods, or `method:policy`.
      own: whether there are methods of a user's own, whose names only their modules know.

    Raises:
      UserError: naming all of them.
    """
    named = [value.partition(":") for value in values]
    known = all(
        (m in METHODS and (not colon or _known_policy(p)))
        or (own and m.isidentifier() and m not in METHODS)
        for m, colon, p in named
    )
    if not known or len(set(values)) < len(values):
        raise UserError(
            f"`methods={','.join(values)}`: it must be of {','.join(sorted(METHODS))}, each once, "
            f"or method:policy with a policy of {','.join(sorted(POLICIES))} (or policy@score)"
        )


def _check_own_methods(values: Sequence[str]) -> None:
    """Refuses places of methods that are none, or are named twice."""
    for value in values:
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", value):
            raise UserError(
                f"`own_method={value}`: write module:factory, as in my_package.my_module:factory"
            )
    if len(set(values)) < len(values):
        raise UserError(f"`own_method={values[-1]}`: name each method of your own once")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the examples come from, and which client has which."""

    dataset: str = knob(
        "synthetic_titles",
        f"Where the examples come from: {', '.join(sorted(DATASETS))}, or tfds:NAME for any images "
        "or texts with labels of TensorFlow Datasets.",
        common=True,
    )
    data_path: str = knob("", "File of titles or csv (CSV), or of npz.", common=True, path=True)
    data_dir: str = knob(
        "",
        "Folder of published data, of image_folder, of leaf or tff, or of all of tfds:.",
        common=True,
        path=True,
    )
    partition: str | None = knob(
        default_of(partitioned, "partition"),
        "How data of files are dealt out; by default natural where they name clients, else iid.",
        choices=sorted(PARTITIONS),
        common=True,
    )
    num_clients: int = knob(
        default_of(partitioned, "num_clients"),
        "Clients of data that name none.",
        least=2,
        common=True,
    )
    alpha: float = knob(
        default_of(partitioned, "alpha"),
        "Concentration of dirichlet, balanced_dirichlet and quantity.",
    )
    classes_per_client: int = knob(
        default_of(partitioned, "classes_per_client"), "Classes of a client of shards.", least=1
    )
    min_examples: int = knob(
        default_of(partitioned, "min_examples"),
        "Fewest examples of a client of any partition; users of leaf and tff with fewer are "
        "left out.",
        least=1,
    )
    max_clients: int = knob(
        default_of(leaf, "max_clients"),
        "Users of leaf and tff that become clients, drawn at random; 0 for all.",
        least=0,
    )
    max_examples: int = knob(
        default_of(partitioned, "max_examples"),
        "Examples to use, beside tests set apart; 0 for all.",
        least=0,
    )
    max_per_group: int = knob(
        default_of(partitioned, "max_per_group"), "The same of each group; 0 for all.", least=0
    )
    resize: int = knob(
        default_of(partitioned, "resize"),
        "Height and width of images of files; 0 for those of the files.",
        least=0,
    )
    text_column: str | None = knob(
        None, "Column of the text; by default title for titles, text for csv."
    )
    label_column: str | None = knob(None, "Column of the class of csv; by default label.")
    client_column: str | None = knob(
        None, "Column of the client; by default publication for titles, none for csv."
    )
    words: str = knob(
        default_of(titles, "words"),
        "Words of titles: of any language, or only of the letters a to z and digits.",
        choices=WORDS,
    )
    bad_rows: str = knob(
        default_of(titles, "bad_rows"),
        "Rows of titles and csv that cannot be used, and clients of too few: refused, or skipped "
        "and counted.",
        choices=BAD_ROWS,
    )
    vocab_size: int = knob(
        default_of(partitioned, "vocab_size"),
        "Most words, or pieces of words, in the vocabulary; 0 for all.",
        least=0,
    )
    min_count: int = knob(
        default_of(synthetic_titles, "min_count"),
        "Fewest occurrences of a word of the vocabulary.",
        least=1,
    )
    max_length: int = knob(
        default_of(partitioned, "max_length"),
        "Words of a title, or pieces of a text, that are read.",
        least=1,
    )
    eval_folds: int = knob(
        default_of(partitioned, "folds"),
        "Folds of each seed: every example of a client is for test in one of them, and every arm "
        "runs on all of them. 0 for one test part, drawn at random.",
        least=0,
        common=True,
    )
    num_titles: int = knob(
        default_of(synthetic_titles, "num_titles"), "Titles of the synthetic data sets.", least=1
    )
    heterogeneity: float = knob(
        default_of(synthetic_titles, "heterogeneity"),
        "How far clients of synthetic data differ.",
        least=0,
        most=1,
    )
    num_images: int = knob(
        default_of(synthetic_images, "num_images"), "Images of synthetic_images.", least=1
    )
    image_size: int = knob(
        default_of(synthetic_images, "image_size"), "Height and width of its images.", least=1
    )
    num_classes: int = knob(
        default_of(synthetic_images, "num_classes"), "Classes of its images.", least=1
    )
    num_topics: int = knob(
        default_of(synthetic_topics, "num_topics"), "Classes of synthetic_topics.", least=1
    )
    difficulty: float = knob(
        default_of(synthetic_needs, "difficulty"),
        "Share of hard titles of the hard half of the clients of synthetic_needs.",
        least=0,
        most=1,
    )
    inequality: float = knob(
        default_of(synthetic_needs, "inequality"),
        "How unequal the numbers of its clients' training titles are, below 1.",
        least=0,
        most=1,
    )
    score_correlation: float = knob(
        default_of(synthetic_needs, "score_correlation"),
        "Correlation of its clients' heterogeneity with their difficulty: at 1 a score of "
        "heterogeneity shows who needs width, at -1 it misleads.",
        least=-1,
        most=1,
    )
    size_correlation: float = knob(
        default_of(synthetic_needs, "size_correlation"),
        "Correlation of its clients' numbers of training titles with their difficulty.",
        least=-1,
        most=1,
    )
    rare_words: int = knob(
        default_of(synthetic_needs, "rare_words"),
        "Words in the table of its hard titles.",
        least=1,
    )
    frequent_words: int = knob(
        default_of(synthetic_needs, "frequent_words"),
        "Words in the table of its easy titles.",
        least=1,
    )
    test_titles: int = knob(
        default_of(synthetic_needs, "test_titles"), "Test titles of each of its clients.", least=1
    )
    clients_per_kind: int = knob(
        default_of(synthetic_needs, "clients_per_kind"),
        "Its clients of each of eight kinds: easy or hard, like or unlike, small or large.",
        least=1,
    )

    def __post_init__(self) -> None:
        """Refuses bad values, a single fold and unknown data sets."""
        fields.check(self)
        check_folds(self.eval_folds, min(self.eval_folds, 1))
        dataset_builder(self.dataset)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The supernet."""

    model: str | None = knob(
        None,
        "Supernet; by default the data's own: lstm for next words, transformer for labelled texts, "
        "cnn for images, mlp for small images and vectors.",
        choices=sorted(MODELS),
        common=True,
    )
    hidden_dim: int = knob(
        default_of(cnn, "hidden"),
        "Units of lstm and mlp, and of the first stage of cnn and resnet18.",
        least=1,
        common=True,
    )
    embed_dim: int = knob(
        default_of(lstm, "embed"), "Size of the embedding of lstm and transformer.", least=1
    )
    layers: int = knob(default_of(mlp, "layers"), "Layers of lstm, mlp and transformer.", least=1)
    heads: int = knob(
        default_of(transformer, "heads"), "Attention heads of the transformer.", least=1
    )
    head_dim: int = knob(
        default_of(transformer, "head_dim"), "Units of each attention head.", least=1
    )
    feedforward_dim: int = knob(
        default_of(transformer, "feedforward"),
        "Hidden units of the transformer's feed-forward.",
        least=1,
    )
    exits: int = knob(
        default_of(cnn, "exits"), "Exits of the supernet, spread over its depth.", least=1
    )
    exits_after: tuple[int, ...] = knob(
        (),
        "Blocks below every early exit, instead of `exits`: stages of cnn, residual blocks of "
        "resnet18, layers of transformer. The last exit is at full depth.",
        least=1,
    )
    dropout: float = knob(
        default_of(transformer, "dropout"),
        "Probability of a zero in training, below 1, in lstm and transformer; HeteroFL's "
        "Transformer has 0.2.",
        least=0,
        most=0.99,
    )
    exit_head: str = knob(
        default_of(cnn, "exit_head"),
        "Classifier of the early exits of cnn and resnet18: linear, or as ScaleFL published it, "
        "with three convolutions.",
        choices=EXIT_HEADS,
    )
    compute_dtype: str = knob(
        "float32", "Type of the passes; parameters are float32.", choices=("float32", "bfloat16")
    )

    def __post_init__(self) -> None:
        """Refuses bad values."""
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class MethodConfig:
    """The method; what is None is as the method was published."""

    method: str = knob(
        "hasa",
        "Published method, or one of `own_method`; the fields below change parts of it. One of "
        f"{', '.join(sorted(METHODS))}.",
        common=True,
    )
    own_method: tuple[str, ...] = knob(
        (),
        "A method of your own, as MODULE:FACTORY: a function that returns a hasa_jax.Method, in a "
        "module that Python finds. Its name is one of `methods` then. May be given several times.",
        repeats=True,
    )
    extraction: str | None = knob(
        None, "What a size keeps; the method's.", choices=sorted(EXTRACTIONS)
    )
    objective: str | None = knob(
        None, "What clients minimise; the method's.", choices=sorted(OBJECTIVES)
    )
    norm: str | None = knob(None, "Norm of mlp, cnn and resnet18; the method's.", choices=NORMS)
    scaler: str | None = knob(None, "When to divide by the width; the method's.", choices=SCALERS)
    label_split: bool | None = knob(
        None, "Whether clients train only label rows of their own classes and tokens; the method's."
    )
    aggregation: str | None = knob(
        None, "Denominator of the mean; the method's.", choices=AGGREGATIONS
    )
    client_weights: str | None = knob(
        None, "Weights of the mean; the method's.", choices=CLIENT_WEIGHTS
    )
    robust: str | None = knob(
        None,
        "Mean of updates cut to the median norm, without the `trim` extremes of each coordinate, "
        "or the median of each; the method's.",
        choices=ROBUST,
    )
    trim: float = knob(
        Method.trim, "Share that trimmed_mean cuts off at each side.", least=0, most=0.49
    )
    supernet_width: float = knob(
        Method.supernet_width,
        "Share of the model's units that the supernet has. HeteroFL's global model is its largest "
        "level: level e without others is supernet_width 0.0625 with levels 1.",
        above=0,
        most=1,
    )
    proximal: float = knob(Method.proximal, "FedProx's mu.", least=0)
    rolling_step: int = knob(
        default_of(rolling, "step"), "Units that the window of rolling moves a round.", least=1
    )
    shared_units: bool = knob(
        default_of(random, "shared"), "Whether random draws its units once a round for all clients."
    )
    dropout_levels: tuple[float, ...] = knob(
        default_of(ordered_dropout, "levels"), "Widths of ordered_dropout."
    )
    exit_widths: tuple[float, ...] = knob(
        (), "Width at each exit for depth_width; empty for the published ones."
    )
    threshold: str = knob(
        default_of(importance, "threshold"),
        "What shares a threshold of importance.",
        choices=THRESHOLDS,
    )
    importance_gradient: str = knob(
        default_of(importance, "gradient"),
        "Gradient of importance by magnitude: tcb, the paper's, or masked, the plain one of the "
        "released code.",
        choices=GRADIENTS,
    )
    measure: str = knob(
        default_of(importance, "measure"), "What importance means.", choices=sorted(MEASURES)
    )
    distillation: float = knob(
        default_of(multi_exit, "distillation"), "Weight of multi_exit's distillation.", least=0
    )
    temperature: float = knob(
        default_of(multi_exit, "temperature"), "Temperature of multi_exit's distillation.", above=0
    )
    detach_teacher: bool = knob(
        default_of(multi_exit, "detach_teacher"),
        "Whether multi_exit's teacher gets no gradient from the distillation.",
    )

    def __post_init__(self) -> None:
        """Refuses bad values and unknown methods."""
        fields.check(self)
        _check_own_methods(self.own_method)
        if self.method not in METHODS and not self.own_method:
            raise UserError(f"`method` is {self.method!r}: use one of {', '.join(sorted(METHODS))}")


@dataclasses.dataclass(frozen=True)
class AllocationConfig:
    """Which client trains at which width."""

    policy: str | None = knob(
        None,
        "Allocation of widths; by default the method's.",
        choices=sorted(POLICIES),
        common=True,
    )
    budget: float = knob(BudgetSpec.target, "Size-weighted mean cost B, in (0, 1].", common=True)
    budget_unit: str = knob(
        BudgetSpec.unit, "What the budget counts.", choices=BUDGET_UNITS, common=True
    )
    budget_projection: str | None = knob(
        None,
        "How widths are scaled to the budget: exact, or the paper's two passes; the method's.",
        choices=PROJECTIONS,
    )
    w_min: float = knob(BudgetSpec.w_min, "Narrowest width.")
    w_max: float = knob(BudgetSpec.w_max, "Widest width.")
    capacities: tuple[str, ...] = knob(
        (), "Widest width of every client's device, given as `widths` are; empty for `w_max`."
    )
    score: str = knob(
        "label_divergence",
        "Score of heterogeneity that hasa and inverse_hasa follow; file for that of `score_path`.",
        choices=_KNOWN_SCORES,
    )
    score_path: str = knob(
        "", "CSV file of your own scores: client, score, and maybe seed.", path=True
    )
    widths: tuple[str, ...] = knob(
        (),
        "Widths of policy fixed: NAME:WIDTH of every client, a CSV file with columns client and "
        "width, or numbers in the order of the clients, which the run prints.",
    )
    levels: tuple[float, ...] = knob(
        default_of(POLICIES["levels"], "levels"), "Sizes of policy levels, in `budget_unit`."
    )
    level_proportions: tuple[float, ...] = knob(
        (), "Share of the clients at each level; empty for equal shares."
    )
    dynamic: bool = knob(
        default_of(POLICIES["levels"], "dynamic"),
        "Whether policies levels and random draw the widths again in each round.",
    )
    reallocate_every: int = knob(
        default_of(POLICIES["need"], "reallocate_every"),
        "Rounds after which policy need measures the clients' losses and gives new widths.",
        least=2,
    )
    need_objective: str = knob(
        default_of(POLICIES["need"], "objective"),
        "What policy need makes least: the mean loss of all clients, that of the worst one, or of "
        "the worst quarter.",
        choices=NEED_OBJECTIVES,
    )

    def __post_init__(self) -> None:
        """Refuses bad values."""
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How clients and the server train."""

    num_rounds: int = knob(
        default_of(make_program, "num_rounds"),
        "Communication rounds.",
        least=1,
        most=2**31 - 1,
        common=True,
    )
    local_epochs: int = knob(
        Training.local_epochs, "Passes over a client's data in a round.", least=1, common=True
    )
    clients_per_round: int = knob(
        Training.clients_per_round, "Clients drawn for each round; 0 for all.", least=0, common=True
    )
    sampling: str = knob(
        Training.sampling,
        "How they are drawn: uniform; size, in proportion to their examples; availability, among "
        "those that `availability_path` has in the round; power_of_choice, those of `candidates` "
        "with the highest loss.",
        choices=sorted(SAMPLERS),
    )
    candidates: int = knob(
        Training.candidates, "Clients that power_of_choice draws by size, to choose from.", least=0
    )
    availability_path: str = knob(
        "",
        "CSV file of the rounds, from 1, in which clients are available: client, first_round and "
        "last_round, or client and round; fewer available than `clients_per_round` train as they "
        "are.",
        path=True,
    )
    batch_size: int = knob(Training.batch_size, "Examples of a local batch.", least=1, common=True)
    client_optimizer: str = knob("adam", "Local optimizer.", choices=CLIENT_OPTIMIZERS, common=True)
    client_lr: float = knob(
        CLIENT_LEARNING_RATE, "Learning rate of the clients.", above=0, common=True
    )
    client_adam_eps: float = knob(
        1e-8, "Term that keeps the clients' Adam from dividing by 0.", above=0
    )
    client_momentum: float = knob(0.0, "Momentum of the clients' SGD.", least=0, most=1)
    client_weight_decay: float = knob(0.0, "Weight decay of the clients.", least=0)
    client_clip_norm: float = knob(0.0, "Largest norm of a local gradient; 0 for any.", least=0)
    lr_milestones: tuple[float, ...] = knob(
        (), "Rounds after which the clients' learning rate falls."
    )
    lr_decay: float = knob(0.1, "Factor by which it falls.", above=0)
    augment: tuple[str, ...] = knob(
        (),
        "Random changes of training images, new in each pass: crop out of an image that is "
        "padded by an eighth of its side, and flip from left to right.",
        choices=tuple(AUGMENTATIONS),
    )
    server_optimizer: str = knob("sgd", "Takes the mean update.", choices=SERVER_OPTIMIZERS)
    server_lr: float = knob(1.0, "Learning rate of the server.", above=0)
    drop_nonfinite: bool = knob(
        Training.drop_nonfinite,
        "Whether clients whose update is not finite are left out of the round; else the run ends.",
    )

    def __post_init__(self) -> None:
        """Refuses bad values."""
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class FaultsConfig:
    """Clients that fail."""

    client_dropout: float = knob(
        Faults.dropout, "Chance that a client's update is lost in a round.", least=0, most=1
    )
    deadline: float = knob(
        Faults.deadline,
        "Local steps of the supernet that a round has time for; subnets of fewer MACs have time "
        "for more. 0 for no deadline.",
        least=0,
    )
    corrupted: float = knob(
        Faults.corrupted, "Share of the clients that corrupt all their updates.", least=0, most=1
    )
    corruption: str = knob(
        Faults.corruption,
        "What they send: the update times -`corruption_scale`, noise of that deviation, or NaN.",
        choices=CORRUPTIONS,
    )
    corruption_scale: float = knob(Faults.scale, "How strong the corruption is.", least=0)

    def __post_init__(self) -> None:
        """Refuses bad values."""
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class ExecutionConfig:
    """How a run uses the machine."""

    execution: str = knob(
        Execution.mode,
        "masked: one program for all sizes, at the cost of the full one; sliced: compute follows "
        "the budget, at the cost of compiling sizes; auto: sliced where it saves more time "
        "than it costs, and the method cuts units.",
        choices=("auto", "masked", "sliced"),
        common=True,
    )
    client_block: int = knob(
        Execution.client_block,
        "Clients in one vmap; 0 for one on CPUs, else all of a size.",
        least=0,
        decides=False,
    )
    host_devices: int = knob(
        0,
        "Devices that a process splits its CPU into; 0 for one a core, at most 8.",
        least=0,
        decides=False,
    )
    mesh: str = knob(
        Execution.mesh,
        "Devices by what they share: trials of a program, cohorts, or parameters, such as "
        "seeds:2,clients:4 or clients:2,model:2; auto for seeds and clients.",
        decides=False,
    )
    coordinator: str = knob(
        "",
        "Address of process 0, HOST:PORT, where several processes share a run; auto where SLURM, "
        "Open MPI, GKE or a TPU says it. By default there is one process.",
        decides=False,
    )
    num_processes: int = knob(
        0, "Processes that share the run; 0 where `coordinator` is auto.", least=0, decides=False
    )
    process_id: int | None = knob(
        None,
        "Number of this process, from 0; process 0 writes the results.",
        least=0,
        decides=False,
    )
    join_seconds: int = knob(
        300, "How long a process waits for the others to start.", least=1, decides=False
    )
    stream: bool = knob(
        Execution.stream,
        "Whether only the examples of a round's clients are on the device, not all data.",
        decides=False,
    )
    seeds_per_program: int = knob(
        1, "Seeds, or folds of them, that run in one program and share the devices.", least=1
    )
    deterministic_ops: bool = knob(
        True, "Whether GPUs use only kernels with the same bits each time, if slower."
    )
    compilation_cache: str | None = knob(
        None,
        "Folder of compiled programs; by default ~/.cache/hasa_jax/xla, and none if empty.",
        decides=False,
        path=True,
    )

    def __post_init__(self) -> None:
        """Refuses bad values."""
        fields.check(self)


_NARROWEST = 1e-3
"""Least half-width of an interval that a rule may ask for, in points."""


@dataclasses.dataclass(frozen=True)
class ComparisonConfig:
    """What is compared: the arms of the table, and the seeds of each arm."""

    methods: tuple[str, ...] = knob(
        (),
        "Methods of compare, each with its own policy or as method:policy; differences are taken "
        "to the first.",
        common=True,
    )
    policies: tuple[str, ...] = knob(
        ("uniform", "hasa", "inverse_hasa"),
        "Policies of compare where it has no `methods`, or policy@score for another than `score`; "
        "differences are taken to the first.",
        common=True,
    )
    seed: int = knob(0, "First seed.", least=0, common=True)
    num_seeds: int = knob(3, "Matched seeds of compare: seed, seed + 1, ...", least=1, common=True)
    until_halfwidth: float = knob(
        0.0,
        "Half the width, in points, to which compare adds seeds: of the 95 % interval of every "
        "difference of mean accuracy to `reference` at the last round; .001 or more. 0 for "
        "`num_seeds` seeds.",
        least=0,
        decides=False,
    )
    max_seeds: int = knob(
        60, "Most seeds of compare with `until_halfwidth`.", least=2, decides=False
    )
    reference: str = knob(
        "",
        "Arm of the table that others are compared with, as method:policy, or the method or policy "
        "that no other arm has; the first if empty.",
        decides=False,
    )
    matched: str | None = knob(
        None,
        "Unit in which budgets must match for a difference and its p value; by default "
        "`budget_unit`.",
        choices=(*BUDGET_UNITS, "executed"),
        decides=False,
    )

    def __post_init__(self) -> None:
        """Refuses bad values, unknown policies and seeds whose keys repeat."""
        fields.check(self)
        if 0 < self.until_halfwidth < _NARROWEST:
            raise UserError(
                f"`until_halfwidth` is {self.until_halfwidth:g}: use {_NARROWEST:g} points or "
                "more, or 0 for `num_seeds` seeds"
            )
        if self.until_halfwidth and self.seed + self.max_seeds > 2**32:
            raise UserError(
                f"`seed` is {self.seed} and `max_seeds` {self.max_seeds}: seeds must stay below "
                "2**32, beyond which keys repeat"
            )
        if self.seed + self.num_seeds > 2**32:
            raise UserError(
                f"`seed` is {self.seed} and `num_seeds` {self.num_seeds}: seeds must stay below "
                "2**32, beyond which keys repeat"
            )
        _check_policies(self.policies)


@dataclasses.dataclass(frozen=True)
class ReportingConfig:
    """What a run writes, and where."""

    eval_every: int = knob(
        Reporting.eval_every, "Rounds between evaluations.", least=1, common=True
    )
    eval_clients: int = knob(
        Reporting.eval_clients,
        "Clients that are evaluated, drawn once for a seed, the same in all rounds, arms, methods "
        "and folds; 0 for all.",
        least=0,
    )
    scored_draw: str = knob(
        Reporting.draw,
        "Subnets that are evaluated where they change from round to round: those of the last "
        "round, or of the next one, which no client has trained.",
        choices=DRAWS,
    )
    eval_levels: tuple[float, ...] = knob(
        (),
        "Sizes whose accuracy on the test examples of all clients, or of `eval_clients`, goes to "
        "sizes.csv, as fractions of the supernet in `budget_unit`, whether or not clients have "
        "them.",
    )
    tail_fraction: float = knob(
        Reporting.tail_fraction, "Share of clients in the tail.", least=0, most=1
    )
    workdir: str = knob(
        "",
        "Where results go; runs/<script>-<hash of the configuration> if empty.",
        common=True,
        decides=False,
        path=True,
    )
    checkpoint_every: int = knob(
        default_of(Checkpoints, "every"),
        "Rounds between checkpoints, which are taken at evaluations, at the end and at SIGTERM, "
        "SIGINT or SIGHUP; the same command goes on from the latest. 0 for none.",
        least=0,
        decides=False,
    )
    keep_checkpoints: int = knob(
        default_of(Checkpoints, "keep"),
        "Checkpoints of each run that stay.",
        least=1,
        decides=False,
    )
    table_formats: tuple[str, ...] = knob(
        TABLE_FORMATS[:1],
        "Files of tables: some of markdown, latex, csv and html.",
        decides=False,
    )
    check: bool = knob(
        False,
        "Whether rebuild writes nothing, and fails where a file is not what the results give.",
        decides=False,
    )
    pictures: tuple[str, ...] = knob(
        (),
        "Pictures that plots draws, such as accuracy,macs; all that the results can give if empty.",
        decides=False,
    )
    picture_formats: tuple[str, ...] = knob(
        ("png",), "Formats of pictures: some of png, svg and pdf.", decides=False
    )
    tracker: tuple[str, ...] = knob(
        ("csv",),
        "What shows the runs, beside the console: csv, the workdir's own tables, which are always "
        "written; tensorboard (tracking extra), wandb and mlflow (extras of these names), each "
        "with a run for each arm and seed.",
        choices=TRACKERS,
        decides=False,
    )

    def __post_init__(self) -> None:
        """Refuses bad values."""
        fields.check(self)
        levels = self.eval_levels
        if not all(0 < level <= 1 for level in levels) or len(set(levels)) < len(levels):
            given = ",".join(map(number_text, levels))
            raise UserError(f"`eval_levels={given}`: levels are in (0, 1], each of them once")
        if not self.table_formats or set(self.table_formats) - set(TABLE_FORMATS):
            given = ",".join(self.table_formats)
            raise UserError(f"`table_formats={given}`: name some of {','.join(TABLE_FORMATS)}")
        if not self.picture_formats or set(self.picture_formats) - set(PICTURE_FORMATS):
            given = ",".join(self.picture_formats)
            raise UserError(f"`picture_formats={given}`: name some of {','.join(PICTURE_FORMATS)}")


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """Which runs a sweep or a benchmark has, and which of them run here."""

    vary: tuple[str, ...] = knob(
        (),
        "Values of one flag in the runs of sweep, as NAME=VALUE,VALUE; a value with commas stands "
        "in double quotes. Given several times, every combination runs.",
        decides=False,
        repeats=True,
    )
    points_path: str = knob(
        "",
        "CSV file of points of sweep: a flag in each column, a point in each row; an empty cell "
        "leaves the flag as it is. With `vary`, every combination with it runs.",
        decides=False,
        path=True,
    )
    shard: str = knob(
        "1/1",
        "Share of the runs of sweep or benchmark that run here, i/n: the i-th of n, from 1/n to "
        "n/n.",
        decides=False,
    )
    dry_run: bool = knob(
        False,
        "Whether sweep or benchmark only lists its runs and what is there of each.",
        decides=False,
    )
    suite: str = knob(
        "small",
        "What benchmark runs: small, full, or a TOML file of your own, as in experiments/suites/.",
        decides=False,
    )

    def __post_init__(self) -> None:
        """Refuses bad values."""
        fields.check(self)
        share_of(self.shard)


@dataclasses.dataclass(frozen=True)
class AdviceConfig:
    """What advise is asked."""

    clients_path: str = knob(
        "",
        "CSV file of the clients of advise: client, examples, and maybe cap (the widest subnet "
        "that the device holds), cap_params, cap_macs, score and macs_per_second. With a "
        "`dataset`, its clients have the caps of this file.",
        decides=False,
        path=True,
    )
    budgets: tuple[float, ...] = knob(
        (0.25, 0.5, 0.75), "Budgets of advise, in `budget_unit`.", above=0, most=1, decides=False
    )
    image_channels: int = knob(
        3, "Channels of the images of advise with `clients_path`.", least=1, decides=False
    )
    macs_per_second: float = knob(
        0.0,
        "MACs that a device computes in a second, from which advise has seconds; 0 if unknown.",
        least=0,
        decides=False,
    )
    measure_rate: bool = knob(
        False,
        "Whether advise measures it on this machine, which compiles the supernet.",
        decides=False,
    )

    def __post_init__(self) -> None:
        """Refuses bad values."""
        fields.check(self)
        if not self.budgets or len(set(self.budgets)) < len(self.budgets):
            given = ",".join(map(number_text, self.budgets))
            raise UserError(f"`budgets={given}`: name one or more, each of them once")
