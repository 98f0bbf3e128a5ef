"""What a fresh process does: it imports no TensorFlow, and makes the same token ids."""

import hashlib
import os
import pathlib
import subprocess
import sys

import numpy as np

from hasa_jax.datasets.texts import encoded
from hasa_jax.datasets.tfds import tfds
from tests.support import prepared

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = """
import pathlib, shutil, sys
from hasa_jax.datasets.tfds import tfds
folder = pathlib.Path(sys.argv[1])
for _ in range(2):
    tfds("shapes", folder)
    print(sorted({"tensorflow", "tensorflow_datasets"} & set(sys.modules)))
    shutil.rmtree(folder / "hasa_jax")
from tests.datasets.test_fresh_process import digest
print(digest())
"""


def digest():
    """A hash of token ids."""
    generator = np.random.default_rng(3)
    words = ("river", "rivers", "stone", "stones", "cloud", "cloudy", "the", "of", "under")
    texts = [" ".join(generator.choice(words, generator.integers(1, 12))) for _ in range(120)]
    ids, num_tokens = encoded(np.array(texts, object), np.arange(0, 120, 2), 50, 9)
    return hashlib.sha256(ids.tobytes() + bytes([num_tokens])).hexdigest()


def test_a_fresh_process(tmp_path):
    folder = prepared.prepare(tmp_path / "data", {"train": prepared.shapes(6)})
    tfds("shapes", folder)
    # An empty package called tensorflow is on the path.
    (tmp_path / "path" / "tensorflow").mkdir(parents=True)
    (tmp_path / "path" / "tensorflow" / "__init__.py").write_text("", encoding="utf-8")
    before = dict(os.environ)
    others = {
        "PYTHONPATH": f"{ROOT}:{tmp_path / 'path'}",
        "PYTHONHASHSEED": "5",
        "RAYON_NUM_THREADS": "5",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        cwd=ROOT,
        env=before | others,
        capture_output=True,
        text=True,
        check=True,
    )
    # Saved arrays are read without TFDS, prepared files are read without TensorFlow. Token ids do
    # not depend on the number of threads or on the hashes of texts.
    assert done.stdout.splitlines() == ["[]", "['tensorflow_datasets']", digest()]
    # TFDS recommends OpenCV; nothing else is written.
    assert [line for line in done.stderr.splitlines() if "OpenCV" not in line] == []
    assert dict(os.environ) == before
