"""Front door of `experiments.analysis.by_size`: `python -m experiments.by_size`."""

from experiments.analysis import by_size
from experiments.study import app

if __name__ == "__main__":
    app.run_app(by_size.main)
