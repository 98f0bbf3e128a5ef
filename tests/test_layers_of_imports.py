"""Rooms import only lower layers, never in a circle; heavy packages are imported where used."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the bottom to the top: a room imports from lower layers, or from itself.
LAYERS = (
    {"base", "effort", "keys", "machine", "numerics", "versions"},
    {"supernet"},
    {"models", "extraction", "allocation", "datasets"},
    {"client", "server"},
    {"execution"},
    {"methods"},
    {"simulation"},
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}
PUBLIC_FACE = len(LAYERS)  # hasa_jax/__init__.py itself; the eighth layer is experiments.

# Where a third-party package may be imported; every import must be inside a function.
LAZY = {
    "tensorflow_datasets": "hasa_jax.datasets.tfds",
    "orbax": "hasa_jax.simulation.checkpoint",
    "matplotlib": "experiments.analysis",
    "alembic": "hasa_jax.simulation.tracking",
    "mlflow": "hasa_jax.simulation.tracking",
    "sqlalchemy": "hasa_jax.simulation.tracking",
    "tensorboardX": "hasa_jax.simulation.tracking",
    "wandb": "hasa_jax.simulation.tracking",
    "PIL": "hasa_jax.datasets",
    "tokenizers": "hasa_jax.datasets",
    "h5py": "hasa_jax.datasets",
    "jinja2": "experiments.analysis.report",
}


# Slow to import, so a user who only imports the library must not wait for them.
HEAVY = (*LAZY, "flax.nnx", "scipy.stats", "pandas", "tensorflow", "sklearn", "IPython")


class Import(NamedTuple):
    """One imported module: its dotted name, the line, and whether a function imports it."""

    target: str
    line: int
    lazy: bool


def within(module, package):
    return module == package or module.startswith(f"{package}.")


def module_names(root):
    """Returns the path of every module of the two packages, by dotted name."""
    found = {}
    for package in ("hasa_jax", "experiments"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def targets(node, package, modules):
    """Returns the modules that one node imports."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            up = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(up if node.level else []), *filter(None, [node.module])])
            names = [f"{base}.{alias.name}" for alias in node.names]
            return [name if name in modules else base for name in names]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
        case _:
            return []


def imports(module, path, modules):
    """Yields every import of a module, those inside functions and `if` blocks included."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def walk(node, lazy):
        for target in targets(node, package, modules):
            yield Import(target, node.lineno, lazy)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy or inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


def room(module):
    """Returns the module or package right below hasa_jax; empty for hasa_jax itself."""
    return module.split(".")[1] if "." in module else ""


def rank(module):
    return RANKS.get(room(module), -1) if room(module) else PUBLIC_FACE


def layer_problem(module, target):
    """Says what is wrong with `module` importing `target`, one of ours; empty if nothing."""
    if within(module, "experiments"):
        return ""
    if within(target, "experiments"):
        return "the library never imports the experiments"
    if room(module) and room(module) == room(target):
        return ""
    if rank(target) >= rank(module):
        return "imports go to lower layers only"
    return ""


def circles(edges):
    """Returns the modules that import themselves through others, sorted."""
    reached = {module: set(targets) for module, targets in edges.items()}
    changed = True
    while changed:
        changed = False
        for found in reached.values():
            more = set().union(*(reached.get(target, set()) for target in found)) - found
            found |= more
            changed = changed or bool(more)
    return sorted(module for module, found in reached.items() if module in found)


def package_problem(module, found):
    """Says what is wrong with the import of a third-party package; empty if nothing."""
    package = found.target.split(".")[0]
    if package == "absl" and within(module, "hasa_jax"):
        return "the library knows no flags"
    if package in LAZY and not within(module, LAZY[package]):
        return f"only {LAZY[package]} may import it"
    if package in LAZY and not found.lazy:
        return "it must be imported inside the function that uses it"
    return ""


def violations(root):
    """Returns a line for everything wrong with the imports of a source tree."""
    modules = module_names(root)
    edges = {name: set() for name in modules}
    problems = [
        f"{name}: add it to LAYERS"
        for name in modules
        if within(name, "hasa_jax") and room(name) and room(name) not in RANKS
    ]
    for module, path in modules.items():
        for found in imports(module, path, modules):
            edges[module].add(found.target)
            ours = within(found.target, "hasa_jax") or within(found.target, "experiments")
            problem = (
                layer_problem(module, found.target) if ours else package_problem(module, found)
            )
            if problem:
                problems.append(f"{module}:{found.line} imports {found.target}: {problem}")
    return problems + [f"{module}: it imports itself in a circle" for module in circles(edges)]


def write_tree(root, sources):
    for name, source in sources.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")


SOUND = {
    "hasa_jax/__init__.py": "from hasa_jax.client import step\n",
    "hasa_jax/base.py": "import jax\n",
    "hasa_jax/keys.py": "import jax\n",
    "hasa_jax/client/__init__.py": "from hasa_jax import keys\n",
    "hasa_jax/models/__init__.py": "from hasa_jax.models.lstm import LSTM\n",
    "hasa_jax/models/lstm.py": "from . import cells\nfrom ..base import Model\n",
    "hasa_jax/models/cells.py": "",
    "hasa_jax/allocation/__init__.py": "",
    "hasa_jax/execution/__init__.py": "",
    "hasa_jax/simulation/__init__.py": "",
    "hasa_jax/datasets/__init__.py": "",
    "hasa_jax/datasets/tfds/__init__.py": "def load():\n    import tensorflow_datasets as tfds\n",
    "experiments/__init__.py": "",
    "experiments/train.py": "from absl import flags\nimport hasa_jax\n",
}


def test_imports_of_the_project():
    assert {"hasa_jax.base", "experiments.compare"} <= module_names(ROOT).keys()
    assert violations(ROOT) == []


def test_importing_the_library_imports_nothing_heavy():
    code = f"import sys, hasa_jax; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_checker_accepts_a_sound_tree(tmp_path):
    write_tree(tmp_path, SOUND)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("hasa_jax/base.py", "from hasa_jax import models", "base:1 imports hasa_jax.models"),
        ("hasa_jax/base.py", "from . import models", "lower layers only"),
        ("hasa_jax/base.py", "def f():\n    import hasa_jax.models", "hasa_jax.base:2 imports"),
        ("hasa_jax/base.py", "from hasa_jax import step", "imports hasa_jax: imports go to lower"),
        ("hasa_jax/keys.py", "if True:\n    import hasa_jax.client", "lower layers only"),
        ("hasa_jax/keys.py", "import experiments.train", "never imports the experiments"),
        ("hasa_jax/keys.py", "import importlib\nimportlib.import_module('absl')", "knows no flags"),
        ("hasa_jax/models/lstm.py", "from hasa_jax import allocation", "lower layers only"),
        ("hasa_jax/models/lstm.py", "from ..allocation import hasa", "lower layers only"),
        ("hasa_jax/models/lstm.py", "import hasa_jax.client", "lower layers only"),
        ("hasa_jax/models/cells.py", "from hasa_jax.models.lstm import LSTM", "in a circle"),
        ("hasa_jax/client/step.py", "import hasa_jax.execution", "lower layers only"),
        ("hasa_jax/execution/loop.py", "import hasa_jax.simulation", "lower layers only"),
        ("hasa_jax/extra.py", "", "hasa_jax.extra: add it to LAYERS"),
        ("hasa_jax/keys.py", "def f():\n    from absl import flags", "knows no flags"),
        ("hasa_jax/datasets/tfds/read.py", "import tensorflow_datasets", "inside the function"),
        ("hasa_jax/keys.py", "def f():\n    import tensorflow_datasets", "only hasa_jax.datasets"),
        ("hasa_jax/simulation/checkpoint.py", "import orbax.checkpoint", "inside the function"),
        ("hasa_jax/client/step.py", "def f():\n    import orbax", "only hasa_jax.simulation"),
        ("hasa_jax/client/step.py", "def f():\n    import matplotlib", "only experiments"),
        ("experiments/analysis/plots.py", "import matplotlib.pyplot", "inside the function"),
    ],
)
def test_checker_catches(tmp_path, name, source, expected):
    write_tree(tmp_path, {**SOUND, name: source})
    problems = violations(tmp_path)
    assert any(expected in problem for problem in problems), problems
