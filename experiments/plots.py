"""Front door of `experiments.analysis.plots`: `python -m experiments.plots`."""

from experiments.analysis import plots
from experiments.study import app

if __name__ == "__main__":
    app.run_app(plots.main)
