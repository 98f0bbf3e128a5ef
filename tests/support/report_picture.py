"""The picture of a report in the README: `python -m tests.support.report_picture WORKDIR PNG`.

It needs Chromium and Playwright, as the browser test of the report does.
"""

import io
import pathlib
import sys
import tempfile

from PIL import Image
from playwright.sync_api import sync_playwright

from experiments.analysis import results
from experiments.analysis.report.page import page_of
from experiments.rooms import ComparisonConfig
from tests.support.browser import ARGUMENTS, CHROMIUM

WIDTH = 1100

SHORTER = """
#headline, #tables, #ledger, #settings, #origin, #remarks, footer, .tools, .hint, .skip,
#pictures > :not(h2, #picture-accuracy), #pictures h2 { display: none; }
#pictures { border-top: 1px solid var(--line); }
section h2 { margin-top: 1.5rem; }
.picture { margin-bottom: 1rem; }
"""
"""What the picture leaves out: it has the verdict, the curves and one client."""


def take(workdir, client):
    """Returns the picture of a report, without some parts, as an image of 256 colours."""
    text = page_of([results.source_of(workdir)], ComparisonConfig())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = pathlib.Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": WIDTH, "height": 800})
        page.goto(path.as_uri())
        page.add_style_tag(content=SHORTER)
        page.locator("#client").select_option(label=client)
        content = page.screenshot(full_page=True)
        browser.close()
    image = Image.open(io.BytesIO(content)).convert("RGB")
    method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    return image.quantize(256, method=method, dither=dither)


if __name__ == "__main__":
    folder, target = map(pathlib.Path, sys.argv[1:])
    take(folder, "Towards Data Science").save(target, optimize=True)
