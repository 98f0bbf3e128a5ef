"""Makes the references again: `python -m tests.experiments.analysis.pictures.remake`."""

import pathlib
import tempfile

from experiments.analysis.pictures import style
from tests.experiments.analysis.pictures import examples, test_pictures


def main():
    """Draws every example; look at each of them before you commit it."""
    test_pictures.REFERENCE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in examples.drawn(pathlib.Path(folder)).items():
            target = test_pictures.REFERENCE / f"{name}.png"
            style.save(figure, target, dpi=test_pictures.DPI)


if __name__ == "__main__":
    main()
