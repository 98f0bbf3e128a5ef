"""What turns the documents into a site, without building it: `make site` does that."""

import importlib.util

import pytest

from tests.docs import documents
from tests.docs.documents import ROOT
from tests.docs.test_documents import PUBLIC


def extension(name):
    """Imports a module of docs/extensions."""
    path = ROOT / f"docs/extensions/{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def names():
    return extension("public_names")


@pytest.fixture(scope="module")
def sections(names):
    return names.sections(documents.text_of(ROOT / "docs/api.md"))


def test_every_public_module_has_a_page():
    pages = [documents.text_of(page) for page in (ROOT / "docs/reference").glob("*.md")]
    assert sorted(pages) == sorted(f"# {module}\n" for module in PUBLIC)


def test_a_name_is_described_once(names, sections):
    home = names.homes(sections)
    assert home["hasa_jax.methods.Method"] == "hasa_jax.Method" == home["hasa_jax.Method"]
    assert home["hasa_jax.allocation.scores.Score"] == "hasa_jax.allocation.scores.Score"
    pages = "".join(names.reference(module, sections[module], home) for module in PUBLIC)
    for kind in ("autoclass", "autofunction"):
        described = [line for line in pages.splitlines() if line.startswith(f".. {kind}::")]
        assert len(described) == len(set(described)) > 10
    for full in set(home.values()):
        assert f":: {full}\n" in pages or f"[{full.removeprefix('hasa_jax.')}](" in pages, full


def test_kinds_of_names(names):
    text = "\nRun:\n\n- `simulate` — trains `num_rounds` rounds.\n- `METHODS` — all `methods`.\n"
    home = names.homes({"hasa_jax": text})
    page = names.reference("hasa_jax", text, home)
    assert page.startswith("# hasa_jax\n\n\n## Run\n")
    assert ".. autofunction:: hasa_jax.simulate\n" in page
    assert ".. py:data:: hasa_jax.METHODS\n\n   all ``methods``." in page


@pytest.mark.parametrize(
    ("link", "at_root", "expected"),
    [
        ("[a](cli.md#b)", False, "[a](cli.md#b)"),
        ("[a](../BUILD_NOTES.md#b)", False, "[a](build_notes.md#b)"),
        ("[a](../tests/x.md)", False, "{download}`a <../tests/x.md>`"),
        ("[a](docs/cli.md)", True, "[a](cli.md)"),
        ("[a](BUILD_NOTES.md#b)", True, "[a](build_notes.md#b)"),
        ("[a](https://b.c/d)", True, "[a](https://b.c/d)"),
        ("![a](docs/b.png)", False, "![a](docs/b.png)"),
    ],
)
def test_links_that_leave_the_documents(link, at_root, expected):
    assert extension("outside_links").rewritten(link, at_root=at_root) == expected


def test_pages_of_the_site_are_in_its_contents():
    tables = {page: documents.blocks(page, r"\{toctree\}") for page in documents.PAGES}
    listed = {
        (page.parent / f"{name}.md").resolve()
        for page, blocks in tables.items()
        for block in blocks
        for name in block.split()
        if not name.startswith(":")
    }
    for page in sorted((ROOT / "docs").rglob("*.md")):
        assert page in listed or page.parent.name == "reference" or page.name == "index.md", page
