"""What trackers hold of a workdir, read by each tracker's own reader.

`python -m tests.support.read_back NAME FOLDER` prints it: packages of trackers leave files and
processes open until a process ends, so they get one of their own.
"""

import importlib.util
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Read(NamedTuple):
    """One tracked run."""

    name: str
    parameters: dict
    rounds: dict  # {round: {name: value}}


def tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    found = []
    for path in sorted(p for p in Path(folder).iterdir() if p.is_dir()):
        events, rounds = EventAccumulator(str(path)), {}
        events.Reload()
        for name in events.Tags()["scalars"]:
            for event in events.Scalars(name):
                assert name not in rounds.setdefault(event.step, {})
                rounds[event.step][name] = event.value
        content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
        start = HParamsPluginData.FromString(content).session_start_info
        parameters = {n: getattr(v, v.WhichOneof("kind")) for n, v in start.hparams.items()}
        found.append(Read(path.name, parameters, rounds))
    return found


def wandb(folder):
    """Joins the folders of one identity, as `wandb sync` does."""
    found = {}
    for path in sorted(Path(folder).glob("offline-run-*")):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        if not records:  # Its process was killed before it wrote anything.
            continue
        (run,) = [record["run"] for record in records if record["type"] == "run"]
        identity = run["run_id"]
        own = found.setdefault(identity, Read(run["display_name"], run["config"]["update"], {}))
        for record in records:
            if record["type"] == "history":
                step = record["history"]["step"]["num"]
                assert step not in own.rounds
                item = record["history"]["item"]
                own.rounds[step] = {n: v for n, v in item.items() if not n.startswith("_")}
    return list(found.values())


def mlflow(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        where = f"sqlite:///{folder}/mlflow.db"
        client = MlflowClient(tracking_uri=where, registry_uri=where)
        experiment = client.get_experiment_by_name("hasa_jax")
        found = []
        for run in client.search_runs([experiment.experiment_id]):
            rounds = {}
            for name in run.data.metrics:
                for entry in client.get_metric_history(run.info.run_id, name):
                    assert name not in rounds.setdefault(entry.step, {})
                    rounds[entry.step][name] = entry.value
            assert run.info.status == "FINISHED"
            found.append(Read(run.info.run_name, run.data.params, rounds))
    return found


READERS = {"mlflow": mlflow, "tensorboard": tensorboard, "wandb": wandb}
EXACT = {"mlflow": True, "tensorboard": False, "wandb": True}  # TensorBoard's scalars are float32.
NEEDS = {
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "tensorboard": ("tensorboardX", "tensorboard"),
    "wandb": ("wandb",),
}


def need(name):
    """Skips a test without the packages of a tracker."""
    import pytest

    for package in NEEDS[name]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{name} is read back with {package}, which is not installed")


def read(name, folder):
    """Reads the runs of a tracker in a process of its own, sorted by name."""
    command = [sys.executable, "-m", "tests.support.read_back", name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    runs = [Read(*run) for run in json.loads(done.stdout)]
    runs = [run._replace(rounds={int(n): own for n, own in run.rounds.items()}) for run in runs]
    return sorted(runs, key=lambda run: run.name)


if __name__ == "__main__":
    print(json.dumps(READERS[sys.argv[1]](sys.argv[2])))
