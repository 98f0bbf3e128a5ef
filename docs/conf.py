"""The documentation site: Sphinx with MyST. `make site` builds it, and executes its notebooks."""

import sys
from pathlib import Path

import hasa_jax

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "hasa_jax"
author = "The hasa_jax authors"
project_copyright = author
version = release = hasa_jax.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "executed",
    "outside_links",
    "public_names",
]

html_theme = "sphinx_book_theme"
html_title = f"hasa_jax {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"show_toc_level": 2}

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
# Pages with code cells are notebooks: they run as the site is built, and an error, or anything on
# standard error, ends the build. The code blocks of other pages are run by the tests.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "error"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
python_use_unqualified_type_names = True
nitpicky = True
# Links of the pages and of the list of public names are checked. Types in signatures are those of
# other packages, or have the name of the module that defines them.
nitpick_ignore_regex = [("py:(?!obj$).*", ".*"), ("py:obj", "(?!hasa_jax).*")]
