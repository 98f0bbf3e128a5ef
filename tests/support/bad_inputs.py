"""Bad inputs and the words that each must be met with: data for `test_bad_input`.

Every case is `(script, make, expected)`: `make` prepares a folder and returns arguments.
`OWN_PROCESS` names the cases that run as users run scripts; the others run in the test's process.
"""

import atexit
import functools
import io
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.scripts import VECTORS, run, small

TITLES = "title,publication\n" + "".join(
    f"the {word} of {other},{client}\n"
    for client in ("North", "South")
    for word in ("art", "joy", "cost")
    for other in ("tea", "rain")
)
EXAMPLES = np.arange(24)
IMAGES = {
    "inputs": np.zeros((24, 4, 4, 1), np.uint8),
    "targets": EXAMPLES % 3,
    "clients": EXAMPLES % 2,
}
TEXTS = "text,label\n" + "".join(
    f"the {word} of {other},{word}\n"
    for _ in range(6)
    for word in ("art", "joy", "cost")
    for other in ("tea", "rain")
)
NEWS = '"1","a title","so it is"\n"2","a title","so be it"\n' * 20
OF_TEXTS = ["--model=transformer", "--num_clients=2"]
OF_IMAGES = ["--model=mlp", "--num_clients=2"]
FINISHED = [*VECTORS, "--embed_dim=4", "--num_rounds=1"]


def titles(content, *arguments):
    """A CSV file of this content."""

    def make(folder):
        path = folder / "titles.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["--dataset=titles", f"--data_path={path}", "--min_count=1", *arguments]

    return make


def texts(content, *arguments):
    """A CSV file of texts and labels, of this content."""

    def make(folder):
        (folder / "texts.csv").write_text(content, encoding="utf-8")
        return ["--dataset=csv", f"--data_path={folder / 'texts.csv'}", *OF_TEXTS, *arguments]

    return make


def news(test, *arguments):
    """AG News with this test file."""

    def make(folder):
        (folder / "train.csv").write_text(NEWS, encoding="utf-8")
        (folder / "test.csv").write_text(test, encoding="utf-8")
        return ["--dataset=ag_news", f"--data_dir={folder}", *OF_TEXTS, *arguments]

    return make


def images(*arguments, **changes):
    """A folder of images, with files put beside them by name, where "__" separates folders."""

    def make(folder):
        for example in EXAMPLES:
            path = folder / "images" / f"class_{example % 2}" / f"{example}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), example, np.uint8)).save(path)
        for name, content in changes.items():
            path = folder / "images" / f"{name.replace('__', '/')}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return ["--dataset=image_folder", f"--data_dir={folder / 'images'}", *OF_IMAGES, *arguments]

    return make


def png(*shape):
    """An image as a file holds it."""
    file = io.BytesIO()
    Image.fromarray(np.zeros(shape, np.uint8)).save(file, "png")
    return file.getvalue()


def npz(*arguments, **changes):
    """An npz file of images, with arrays changed, or left out if None."""

    def make(folder):
        arrays = {name: array for name, array in (IMAGES | changes).items() if array is not None}
        np.savez(folder / "images.npz", **arrays)
        return [
            "--dataset=npz",
            f"--data_path={folder / 'images.npz'}",
            "--model=mlp",
            *arguments,
        ]

    return make


def npz_file(content):
    """A file of these bytes, called an npz file."""

    def make(folder):
        (folder / "images.npz").write_bytes(content(folder) if callable(content) else content)
        return ["--dataset=npz", f"--data_path={folder / 'images.npz'}", "--model=mlp"]

    return make


def tfds(splits, *, features=None, change=lambda folder: None):
    """A folder that TFDS prepared, of images made by `splits`, then changed."""

    def make(folder):
        from tests.support import prepared  # Slow to import, so only these cases wait for it.

        data, others = folder / "data", features(prepared) if features else {}
        prepared.prepare(data, splits(prepared.shapes), prepared.features_of(**others))
        change(data)
        return ["--dataset=tfds:shapes", f"--data_dir={data}", "--model=mlp"]

    return make


def as_tfrecord(folder):
    from tests.support import prepared

    prepared.as_tfrecord(folder)


def cut_off(folder):
    (path,) = folder.rglob("*train.array_record*")
    path.write_bytes(path.read_bytes()[:65536])


def two_labels(prepared):
    return {"other": prepared.features_of()["label"]}


def half_an_npz(folder):
    npz()(folder)
    content = (folder / "images.npz").read_bytes()
    return content[: len(content) // 2]


def one_array(folder):
    np.save(folder / "one.npy", EXAMPLES)
    return (folder / "one.npy").read_bytes()


@functools.cache
def finished(then):
    """A finished run, to be copied."""
    folder = tempfile.TemporaryDirectory(prefix="hasa_jax-tests-")
    atexit.register(folder.cleanup)
    workdir = Path(folder.name) / "w"
    done = run("train", *FINISHED, *then, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir


def after(*arguments, change=lambda workdir: None, script="train", then=()):
    """A finished run in a workdir, changed, and what is asked of it then."""

    def make(folder):
        workdir = shutil.copytree(finished(then), folder / "w")
        change(workdir)
        common = [] if script in ("by_size", "need", "plots", "tables") else [*FINISHED, *then]
        return [*common, *arguments, f"--workdir={workdir}"]

    return make


def write(name, content):
    """Puts a file into a workdir, in place of what is there."""

    def change(workdir):
        path = workdir / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(content(old) if callable(content) else content, encoding="utf-8")

    return change


def checkpoints_are_a_file(folder):
    (folder / "w").mkdir()
    (folder / "w" / "checkpoints").write_text("mine", encoding="utf-8")
    return [f"--workdir={folder / 'w'}"]


def workdir_is_a_file(folder):
    (folder / "taken").write_text("mine", encoding="utf-8")
    return [f"--workdir={folder / 'taken'}"]


def workdir_without_manifest(folder):
    (folder / "metrics.csv").write_text("mine", encoding="utf-8")
    return [f"--workdir={folder}"]


def workdir_of_other_data(folder):
    common = ["--norm=layer", "--num_rounds=1", "--execution=masked", "--mesh=clients:1"]
    arguments = [*npz()(folder), *common, f"--workdir={folder / 'w'}"]
    done = run("train", *small(*arguments), *arguments)
    assert done.returncode == 0, done.stderr
    npz(inputs=IMAGES["inputs"] + 1)(folder)
    return arguments


def without_config(manifest):
    found = json.loads(manifest)
    del found["config"]
    return json.dumps(found)


def with_unknown_field(manifest):
    found = json.loads(manifest)
    found["config"]["data"]["colour"] = "red"
    return json.dumps(found)


def with_a_word(summary):
    """Has the budget of the first record a word."""
    header, first, *others = summary.splitlines()
    cells = first.split(",")
    cells[header.split(",").index("budget_requested")] = "half"
    return "\n".join([header, ",".join(cells), *others, ""])


def scores(content):
    """A file of scores, of this content."""

    def make(folder):
        (folder / "scores.csv").write_text(content, encoding="utf-8")
        return ["--score=file", f"--score_path={folder / 'scores.csv'}"]

    return make


def train(*arguments):
    """Arguments of train that need no files."""
    return "train", lambda folder: list(arguments)


def compare(*arguments):
    """Arguments of compare that need no files."""
    return "compare", lambda folder: list(arguments)


def sweep(*arguments):
    """Arguments of a sweep that needs no files."""
    return "sweep", lambda folder: [*VECTORS, *arguments]


def points(content):
    """A sweep over a file of points, of this content."""

    def make(folder):
        (folder / "points.csv").write_text(content, encoding="utf-8")
        return [*VECTORS, f"--points_path={folder / 'points.csv'}"]

    return make


def traces(content, *arguments):
    """A file of the rounds in which clients are available, of this content."""

    def make(folder):
        (folder / "traces.csv").write_text(content, encoding="utf-8")
        return [
            "--sampling=availability",
            f"--availability_path={folder / 'traces.csv'}",
            *arguments,
        ]

    return make


FLAGS = {
    "unknown flag": (*train("--wdith=1"), "wdith"),
    "flag of another tool": (*train("--lr=.1"), "did you mean --client_lr?"),
    "no flag at all": (*train("hasa"), "'hasa'"),
    "flagfile that is not there": (*train("--flagfile=no.flags"), "no.flags"),
    "unknown method": (*train("--method=best"), "method"),
    "unknown policy": (*train("--policy=best"), "policy"),
    "unknown corruption": (*train("--corrupted=.5", "--corruption=lies"), "corruption"),
    "no number": (*train("--budget=half"), "budget"),
    "not a number": (*train("--tail_fraction=nan"), "finite"),
    "infinite deadline": (*train("--deadline=inf"), "finite"),
    "negative rate": (*train("--client_lr=-1"), "client_lr"),
    "zero rounds": (*train("--num_rounds=0"), "num_rounds"),
    "seed too large": (*train("--seed=4294967296"), "2**32"),
    "chance above 1": (*train("--client_dropout=2"), "client_dropout"),
    "no checkpoint kept": (*train("--keep_checkpoints=0"), "keep_checkpoints"),
    "code in a number": (*train("--budget=__import__('os').getpid()"), "budget"),
    "code in a list": (*train("--policy=fixed", "--widths=exit()"), "--widths"),
    "list without numbers": (*train("--policy=fixed", "--widths=.5,x"), "--widths"),
    "too few widths": (*train("--policy=fixed", "--widths=.5,.5"), "7 clients"),
    "infinite width": (*train("--policy=fixed", "--widths=" + ",".join(["inf"] * 7)), "finite"),
    "too few capacities": (*train("--capacities=.5"), "one a client"),
    "capacity above 1": (*train("--capacities=" + ",".join(["2"] * 7)), "capacit"),
    "no capacities": (*train("--policy=capacity"), "--capacities"),
    "bad levels": (*train("--policy=levels", "--levels=1,2"), "(0, 1]"),
    "shares of levels": (*train("--policy=levels", "--level_proportions=1"), "proportion"),
    "bad milestone": (*train("--lr_milestones=5,soon"), "--lr_milestones"),
    "budget too low": (*train("--budget=.1"), "[0.2000, 0.8000]"),
    "budget of narrow devices": (
        *train("--budget=.7", f"--capacities={','.join(['.6'] * 7)}"),
        "0.6000]",
    ),
    "narrowest above widest": (*train("--w_min=.9"), "w_min"),
    "too large a cohort": (*train("--clients_per_round=8"), "7 clients"),
    "too large a batch": (*train("--batch_size=3000000000"), "too large"),
    "too many epochs": (*train("--local_epochs=1000000000000"), "--local_epochs"),
    "units beyond any memory": (*train("--hidden_dim=1000000000000"), "is too large"),
    "units beyond all integers": (*train(f"--hidden_dim={10**30}"), "is too large"),
    "layers beyond any memory": (*train("--layers=1000000000"), "--layers=1000000000 is too large"),
    "a supernet beyond any memory": (*train("--hidden_dim=1000000"), "the supernet has"),
    "no client of full capacity": (*train("--policy=exclusive"), "capacity is 1"),
    "diverging": (*train(*VECTORS, "--client_optimizer=sgd", "--client_lr=1e38"), "learning rate"),
    "clients that send NaN": (
        *train(*VECTORS, "--corrupted=.3", "--corruption=nan"),
        "--drop_nonfinite",
    ),
}
COMBINATIONS = {
    "momentum of Adam": (*train("--client_momentum=.9"), "client_optimizer sgd"),
    "option of another method": (*train("--rolling_step=2"), "extraction rolling"),
    "option of another mean": (*train("--trim=.1"), "robust trimmed_mean"),
    "corruption of no client": (*train("--corruption=nan"), "corrupted"),
    "drawn widths without a policy that draws": (*train("--dynamic"), "policy levels or random"),
    "depth without exits": (*train("--method=scalefl"), "exits"),
    "too many exits": (*train("--exits=3"), "depth 1"),
    "teacher without draws": (*train("--objective=self_distillation"), "the other way round"),
    "single parameters sliced": (
        *train("--method=fiarse", "--execution=sliced", "--budget_unit=params"),
        "single parameters",
    ),
    "single parameters by width": (*train("--method=fiarse"), "state its budget in params"),
    "model of images on texts": (*train("--model=resnet18"), "use lstm, transformer"),
    "flags of compare": (*train("--methods=fjord"), "is for compare"),
    "unknown policy of many": (*compare("--policies=uniform,best"), "policies"),
    "unknown method of many": (*compare("--methods=hasa,best"), "methods"),
    "unknown policy of a method": (*compare("--methods=hasa:best"), "methods"),
    "one arm twice": (*compare("--methods=hasa,hasa:hasa"), "twice"),
    "policies and methods": (
        *compare("--methods=hasa", "--policies=uniform"),
        "method:policy",
    ),
    "a policy for compare": (*compare("--policy=uniform"), "--policies"),
    "a method and methods": (*compare("--methods=hasa", "--method=fjord"), "method:policy"),
    "unknown reference": (*compare("--reference=best"), "use one of hasa:uniform"),
}
CSV = {
    "CSV without a path": (*train("--dataset=titles"), "--data_path"),
    "CSV that is not there": (*train("--dataset=titles", "--data_path=no.csv"), "no.csv"),
    "CSV that is a folder": (*train("--dataset=titles", "--data_path=."), "directory"),
    "empty CSV": ("train", titles(""), "is empty"),
    "CSV of nothing but a header": ("train", titles("title,publication\n"), "no rows"),
    "CSV without a column": ("train", titles("text,publication\na b,N\n"), "title"),
    "CSV with a column twice": ("train", titles("title,title,publication\n"), "twice"),
    "CSV with too many fields": ("train", titles(TITLES + "a, b,North\n"), "line 14"),
    "CSV without a text": ("train", titles(TITLES + ",North\n"), "line 14"),
    "CSV without a client": ("train", titles(TITLES + "the art, \n"), "line 14"),
    "CSV with an open quote": ("train", titles(TITLES + '"the art,North\n'), "quoting"),
    "CSV with NUL": ("train", titles(TITLES + "the\0art,North\n"), "NUL"),
    "CSV not in UTF-8": ("train", titles(TITLES.encode() + b"\xff\xfe,North\n"), "UTF-8"),
    "CSV of one client": ("train", titles(TITLES.replace("South", "North")), "North"),
    "client of two titles": ("train", titles(TITLES + "a b,East\nc d,East\n"), "East"),
    "column by another name": ("train", titles(TITLES, "--text_column=text"), "text"),
}
NPZ = {
    "npz without a path": (*train("--dataset=npz", "--model=mlp"), "--data_path"),
    "npz that is not there": (*train("--dataset=npz", "--data_path=no.npz"), "no.npz"),
    "npz that is a text": ("train", npz_file(b"hello"), "without objects"),
    "npz cut in half": ("train", npz_file(half_an_npz), "not an npz file"),
    "npz of one array": ("train", npz_file(one_array), "has a single array"),
    "npz without clients": ("train", npz(clients=None), "'clients'"),
    "npz of unequal lengths": ("train", npz(targets=EXAMPLES[:9]), "one entry for each example"),
    "npz of objects": (
        "train",
        npz(clients=np.array([{}] * 24, object)),
        "without objects",
    ),
    "npz with clients in halves": ("train", npz(clients=EXAMPLES / 2), "integer or a text"),
    "npz with targets in halves": ("train", npz(targets=EXAMPLES / 2), "integers"),
    "npz with negative targets": ("train", npz(targets=-EXAMPLES), "targets"),
    "npz of NaN": ("train", npz(inputs=np.full((24, 3), np.nan)), "not finite"),
    "npz of one client": ("train", npz(clients=0 * EXAMPLES), "only one client"),
    "client of two images": (
        "train",
        npz(clients=np.minimum(EXAMPLES // 2, 1) * 0 + (EXAMPLES < 2)),
        "1",
    ),
    "npz for another model": ("train", npz("--model=lstm"), "does not fit"),
    "npz without pixels": ("train", npz("--model=cnn", inputs=np.ones((24, 3))), "does not fit"),
}
UNREAD = {
    "images of texts": (*train("--num_images=9"), "dataset synthetic_images"),
    "titles of images": (
        *train("--dataset=synthetic_images", "--model=mlp", "--num_titles=9"),
        "dataset synthetic_needs or synthetic_titles or synthetic_topics",
    ),
    "partition of invented data": (*train("--partition=iid"), "--partition is read only with"),
    "folder of a file": (*train("--dataset=npz", "--data_dir=."), "--data_dir is read only with"),
    "labels of titles": (*train("--label_column=a"), "dataset csv"),
    "size of texts": ("train", texts(TEXTS, "--resize=8"), "--resize is read only with"),
    "vocabulary of images": ("train", images("--vocab_size=9"), "--vocab_size is read only with"),
    "alpha of equal clients": (
        "train",
        texts(TEXTS, "--alpha=1"),
        "partition balanced_dirichlet or dirichlet or quantity",
    ),
    "classes of dirichlet": (
        "train",
        texts(TEXTS, "--partition=dirichlet", "--classes_per_client=1"),
        "partition shards",
    ),
    "clients of natural clients": (
        "train",
        texts(TEXTS, "--partition=natural", "--client_column=label"),
        "--num_clients is read only with partition",
    ),
}
OWN = {
    "texts without a path": (*train("--dataset=csv", *OF_TEXTS), "--data_path"),
    "texts that are not there": (
        *train("--dataset=csv", "--data_path=no.csv", *OF_TEXTS),
        "no.csv",
    ),
    "texts without labels": ("train", texts("text\nso be it\n"), "'label' is not there"),
    "texts of one label": ("train", texts("text,label\na,1\nb,1\n"), "only one class"),
    "text without words": ("train", texts(TEXTS + "<br>,art\n"), "line 38"),
    "text without a label": ("train", texts(TEXTS + "so be it,\n"), "line 38"),
    "text with a free comma": ("train", texts(TEXTS + "so, be it,art\n"), "line 38"),
    "texts of clients unknown": ("train", texts(TEXTS, "--client_column=who"), "'who'"),
    "texts of too many clients": ("train", texts(TEXTS, "--num_clients=30"), "too few"),
    "texts of too few pieces": ("train", texts(TEXTS, "--vocab_size=4"), "at least"),
    "texts for another model": ("train", texts(TEXTS, "--model=cnn"), "use transformer"),
    "news without a folder": (*train("--dataset=ag_news", *OF_TEXTS), "--data_dir"),
    "news cut off": ("train", news(NEWS[:-3]), "test.csv has no end"),
    "news of a fifth kind": ("train", news(NEWS + '"5","a","b"\n'), "line 41"),
    "news without a description": ("train", news(NEWS + '"1","a"\n'), "line 41"),
    "images without a folder": (*train("--dataset=image_folder", *OF_IMAGES), "--data_dir"),
    "folder that is not there": (
        *train("--dataset=image_folder", "--data_dir=none", *OF_IMAGES),
        "is no folder",
    ),
    "image cut off": ("train", images(class_0__b=png(4, 4)[:40]), "b.png cannot be read"),
    "image that is a text": ("train", images(class_0__b=b"hello"), "b.png cannot be read"),
    "image of another size": ("train", images(class_0__b=png(5, 4)), "5x4"),
    "image outside": ("train", images(b=png(4, 4)), "1 deep"),
    "images within images": ("train", images(class_0__old__b=png(4, 4)), "3 deep"),
}
TFDS = {
    "unknown data set": (*train("--dataset=mnits"), "did you mean mnist?"),
    "no name for TFDS": (*train("--dataset=tfds:../x"), "write tfds:NAME"),
    "TFDS without a folder": (*train("--dataset=tfds:mnist", "--model=mlp"), "--data_dir"),
    "TFDS in a file": (
        *train("--dataset=tfds:mnist", "--data_dir=README.md", "--model=mlp"),
        "README.md is a file",
    ),
    "name that TFDS does not know": (
        *train("--dataset=tfds:mnits", "--data_dir=none", "--model=mlp"),
        "did you mean mnist",
    ),
    "config that TFDS does not know": (
        *train("--dataset=tfds:emnist/roman", "--data_dir=none", "--model=mlp"),
        "configs: balanced",
    ),
    "TFDS in another format": (
        "train",
        tfds(lambda shapes: {"train": shapes(4)}, change=as_tfrecord),
        "only array_record is read",
    ),
    "TFDS cut off": (
        "train",
        tfds(lambda shapes: {"train": shapes(4)}, change=cut_off),
        "damaged or cut off",
    ),
    "TFDS without a train split": (
        "train",
        tfds(lambda shapes: {"test": shapes(4)}),
        "no split train",
    ),
    "TFDS with images of two sizes": (
        "train",
        tfds(lambda shapes: {"train": [*shapes(2), *shapes(2, size=(7, 5, 3))]}),
        "several sizes, such as",
    ),
    "TFDS with two labels": (
        "train",
        tfds(
            lambda shapes: {"train": [{**each, "other": 0} for each in shapes(4)]},
            features=two_labels,
        ),
        "2 features of type ClassLabel",
    ),
    "TFDS with too few images": (
        "train",
        tfds(lambda shapes: {"train": shapes(12)}),
        "12",
    ),
}
FOLDERS = {
    "workdir that is a file": ("train", workdir_is_a_file, "is a file"),
    "workdir in no home": (*train("--workdir=~no-such-user/a"), "names no home folder"),
    "workdir that is not UTF-8": (*train("--workdir=a\udcff"), "is not UTF-8"),
    "workdir with checkpoints to pass over": (
        "train",
        after("--checkpoint_every=0", "--num_rounds=3"),
        "holds checkpoints, which a run with --checkpoint_every=0",
    ),
    "workdir that cannot be": (*train("--workdir=/proc/results"), "cannot be written"),
    "workdir of an unknown run": ("train", workdir_without_manifest, "without a run.json"),
    "workdir of other data": ("train", workdir_of_other_data, "other data"),
    "workdir of another configuration": (
        "train",
        after("--budget=.6"),
        "budget=0.5 there, 0.6 here",
    ),
    "workdir of more rounds": (
        "train",
        after("--num_rounds=1", then=("--num_rounds=2",)),
        "num_rounds=2 there, 1 here",
    ),
    "process of no run": (
        *train("--process_id=1"),
        "--process_id=1 is for processes that share a run: give --coordinator, too",
    ),
    "run.json cut off": (
        "train",
        after(change=write("run.json", lambda old: old[:99])),
        "run.json is damaged",
    ),
    "run.json without a configuration": (
        "train",
        after(change=write("run.json", without_config)),
        "run.json is damaged",
    ),
    "run.json with an unknown field": (
        "train",
        after(change=write("run.json", with_unknown_field)),
        "run.json is damaged",
    ),
    "checkpoints that are a file": ("train", checkpoints_are_a_file, "could not be opened"),
    "no results": (
        "tables",
        lambda folder: [f"--workdir={folder / 'none'}"],
        "does not exist",
    ),
    "no results to draw": (
        "plots",
        lambda folder: [f"--workdir={folder / 'none'}"],
        "does not exist",
    ),
    "results of nothing": (
        "tables",
        after(change=write("metrics.csv", ""), script="tables"),
        "no rows",
    ),
    "results with a word for a number": (
        "tables",
        after(
            change=write("summary.csv", with_a_word),
            script="tables",
        ),
        "'half'",
    ),
    "results without a column": (
        "tables",
        after(
            change=write("summary.csv", lambda old: old.replace("mean_accuracy", "mean")),
            script="tables",
        ),
        "no column 'mean_accuracy'",
    ),
    "table by an unknown arm": ("tables", after("--reference=best", script="tables"), "use one of"),
}
SAMPLING = {
    "sampling that is unknown": (*train("--sampling=best"), "sampling"),
    "size without a number": (*train("--sampling=size"), "set --clients_per_round above 0"),
    "candidates without a choice": (*train("--candidates=3"), "read only with sampling"),
    "fewer candidates than clients": (
        *train("--sampling=power_of_choice", "--clients_per_round=3", "--candidates=2"),
        "--candidates is 2",
    ),
    "traces without a file": (
        *train("--sampling=availability"),
        "name it with --availability_path",
    ),
    "traces unread": (*train("--availability_path=a.csv"), "read only with sampling availability"),
    "traces of an unknown client": ("train", traces("client,round\nAnn,1\n"), "line 2: no client"),
    "traces of round 0": ("train", traces("client,round\nNorth,0\n"), "line 2: a round must be"),
    "traces of words": ("train", traces("client,round\nNorth,soon\n"), "line 2: a round must be"),
    "traces without rounds": ("train", traces("client,day\nNorth,1\n"), "'first_round' is not"),
    "traces that end too early": (
        "train",
        traces("client,first_round,last_round\nNorth,3,2\n"),
        "line 2: first_round 3 is after last_round 2",
    ),
}
SCORES = {
    "score that is unknown": (*compare("--policies=uniform,hasa@luck"), "policy@score"),
    "score of no policy": (*compare("--policies=luck@entropy"), "policy@score"),
    "scores without a file": (*train("--score=file"), "name it with --score_path"),
    "file of scores unread": (*train("--score_path=scores.csv"), "--score_path is read only with"),
    "scores that are not there": (*train("--score=file", "--score_path=no.csv"), "no.csv"),
    "scores without a client": (
        "train",
        scores("client,score\nAnn,1\n"),
        "no finite score of",
    ),
    "scores that are words": ("train", scores("client,score\nAnn,high\n"), "line 2"),
    "scores without a column": (
        "train",
        scores("client,points\nAnn,1\n"),
        "'score' is not there",
    ),
    "scores of one client twice": (
        "train",
        scores("client,score\nAnn,1\nAnn,2\n"),
        "is there twice",
    ),
    "score that nothing reads": (
        *train("--score=entropy", "--policy=uniform"),
        "--score is read only with",
    ),
    "score of a policy without any": (*compare("--policies=uniform@entropy"), "policy@score"),
    "one score twice": (*compare("--policies=hasa,hasa@label_divergence"), "named twice"),
    "level twice": (*train("--eval_levels=1,1.0"), "each of them once"),
    "clients where the data have theirs": (
        *train("--num_clients=3"),
        "--num_clients is read only with",
    ),
    "level above 1": (*train("--eval_levels=1,2"), "levels are in (0, 1]"),
    "level that is a word": (*train("--eval_levels=half"), "--eval_levels=half"),
    "sizes without levels": ("by_size", after(script="by_size"), "--eval_levels"),
    "need of one workdir": ("need", after(script="need"), "two budgets"),
}
BLOCKS = {
    "a single fold": (*train("--eval_folds=1"), "--eval_folds is 1: it must be 0"),
    "folds of fewer than none": (*train("--eval_folds=-3"), "--eval_folds is -3"),
    "more folds than titles": (
        "train",
        titles(TITLES, "--eval_folds=9"),
        "--eval_folds is 9, which needs 9 titles of two or more words of each client; 2 of 2",
    ),
    "folds of official tests": (
        "train",
        news(NEWS, "--eval_folds=5"),
        "authors of these data set 40 examples apart",
    ),
    "a width of intervals for train": (*train("--until_halfwidth=1"), "is for compare"),
    "a width of intervals for a sweep": (
        *sweep("--vary=budget=.5,.6", "--until_halfwidth=1"),
        "--until_halfwidth is for compare",
    ),
    "most seeds without a rule": (
        *compare("--max_seeds=9"),
        "--max_seeds is read only with --until_halfwidth",
    ),
    "a rule for one arm": (
        *compare("--policies=uniform", "--until_halfwidth=1"),
        "--until_halfwidth is of differences",
    ),
    "a rule of one seed": (
        *compare("--num_seeds=1", "--until_halfwidth=1"),
        "an interval needs two seeds",
    ),
    "more seeds than the most": (
        *compare("--num_seeds=9", "--max_seeds=8", "--until_halfwidth=1"),
        "raise --max_seeds",
    ),
    "seeds that fill no program": (
        *compare("--seeds_per_program=2", "--until_halfwidth=1"),
        "--num_seeds is 3: with --until_halfwidth, seeds must fill their programs",
    ),
}
SWEEPS = {
    "sweep of an unknown flag": (*sweep("--vary=lr=1,2"), "did you mean --client_lr?"),
    "sweep of no values": (*sweep("--vary=client_lr"), "write NAME=VALUE,VALUE"),
    "sweep of a word for a number": (*sweep("--vary=client_lr=1,x"), "'x'"),
    "sweep of a value out of bounds": (*sweep("--vary=client_lr=1,-1"), "--client_lr is -1.0"),
    "sweep of an open quote": (*sweep('--vary=levels="1,0.5'), "in double quotes"),
    "sweep of one flag twice": (
        *sweep("--vary=client_lr=1", "--vary=client_lr=2"),
        "--client_lr is varied twice",
    ),
    "sweep of one value twice": (*sweep("--vary=client_lr=1,1.0"), "is there twice"),
    "sweep of seeds as values": (*sweep("--vary=seed=1,2"), "--num_seeds seeds from --seed on"),
    "sweep of devices": (*sweep("--vary=host_devices=1,2"), "start a sweep for each value"),
    "sweep of no folder": (*sweep("--workdir="), "name their folder by --workdir"),
    "sweep in a folder of a run": ("sweep", after(script="sweep"), "holds a run, not a sweep"),
    "sweep in a file": ("sweep", workdir_is_a_file, "is a file"),
    "share that there is not": (*sweep("--shard=9/8"), "--shard is '9/8': write i/n"),
    "share of a share": (*sweep("--shard=1/2/3"), "write i/n"),
    "points that are not there": (*sweep("--points_path=no.csv"), "no.csv does not exist"),
    "points of an unknown flag": ("sweep", points("lr\n1\n"), "did you mean --client_lr?"),
    "points of a bad value": ("sweep", points("client_lr\n1\n-1\n"), "line 3 of"),
    "points without values": ("sweep", points("client_lr\n"), "has a header but no rows"),
    "flag of a sweep": (*train("--vary=client_lr=1,2"), "--vary is for sweep"),
}
OWN_PROCESS = frozenset(
    {
        # Flags.
        "unknown flag",
        "no flag at all",
        "flagfile that is not there",
        "no number",
        "zero rounds",
        "option of another method",
        "unknown policy of many",
        # Files.
        "CSV without a path",
        "CSV with too many fields",
        "npz cut in half",
        "image cut off",
        "scores that are words",
        # Folders.
        "workdir that is a file",
        "workdir that cannot be",
        "run.json cut off",
        "no results",
        "no results to draw",
        # Checkpoints and training.
        "process of no run",
        "checkpoints that are a file",
        "clients that send NaN",
    }
)
"""Cases that run in a process of their own, at least one of each kind of failure."""
CASES = (
    FLAGS
    | COMBINATIONS
    | CSV
    | NPZ
    | UNREAD
    | OWN
    | TFDS
    | FOLDERS
    | SAMPLING
    | SCORES
    | BLOCKS
    | SWEEPS
)
