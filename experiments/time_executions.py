"""Front door of `experiments.analysis.execution_times`: `python -m experiments.time_executions`."""

from experiments.analysis import execution_times
from experiments.study import app

if __name__ == "__main__":
    app.run_app(execution_times.main)
