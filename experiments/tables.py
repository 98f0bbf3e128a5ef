"""Front door of `experiments.analysis.tables`: `python -m experiments.tables`."""

from experiments.analysis import tables
from experiments.study import app

if __name__ == "__main__":
    app.run_app(tables.main)
