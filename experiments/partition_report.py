"""Front door of the partition report: `python -m experiments.partition_report`."""

from experiments.analysis import partition_report
from experiments.study import app

if __name__ == "__main__":
    app.run_app(partition_report.main)
