"""Front door of `experiments.analysis.need`: `python -m experiments.need`."""

from experiments.analysis import need
from experiments.study import app

if __name__ == "__main__":
    app.run_app(need.main)
