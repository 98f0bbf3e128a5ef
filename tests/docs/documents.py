"""The documents of the repository, and what is in them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")))


def text_of(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    """Lists the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)


def is_notebook(page):
    """Whether the site executes the page as it is built; the tests run the blocks of all others."""
    return text_of(page).startswith("---\nfile_format: mystnb\n")


def cells(page):
    """Lists the code cells of a notebook."""
    return re.findall(
        r"^```\{code-cell\} python\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE
    )


def prose(page):
    """Returns a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def module_blocks(page):
    """Returns the Python blocks that begin with the path of a file, by that path."""
    named = [re.match(r"# (hasa_jax/\S+\.py)\n", block) for block in blocks(page, "python")]
    return {m[1]: b for m, b in zip(named, blocks(page, "python"), strict=True) if m}


def run(source, name, names=None):
    """Runs a block, and returns the names that it leaves."""
    names = {} if names is None else names
    exec(compile(source, name, "exec"), names)
    return names


def commands(page):
    """Lists the words of every `python -m ...` in a page, continued lines and inline code too."""
    inline = re.findall(r"`(python -m [^`\n]+)`", text_of(page))
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").split("\n")
    lines = [line[line.index("python -m ") :] for line in lines if "python -m " in line]
    return [shlex.split(line.split(";")[0], comments=True) for line in [*inline, *lines]]
