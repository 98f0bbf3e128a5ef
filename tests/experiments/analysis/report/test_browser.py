"""The report in a headless Chromium: by keyboard, 400 pixels wide, and without a network."""

import pytest

from tests.experiments.analysis.report.populations import HOSTILE, NAMES
from tests.support.browser import ARGUMENTS, CHROMIUM

pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="there is no Chromium on this machine: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        own = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield own
        own.close()


@pytest.fixture(scope="module")
def page(browser, report):
    """The open report; what it asks for and complains of is gathered in `page.said`."""
    own = browser.new_page(viewport={"width": 1200, "height": 900})
    own.set_default_timeout(5000)
    own.said, own.asked = [], []
    own.on("console", lambda message: own.said.append(message.text))
    own.on("pageerror", lambda error: own.said.append(str(error)))
    own.on("dialog", lambda dialog: own.said.append(dialog.message))
    own.on("request", lambda request: own.asked.append(request.url))
    own.goto(report.as_uri())
    yield own
    assert own.said == []
    assert own.asked == [report.as_uri()]
    own.close()


def cells(page, table, column):
    """Returns the shown texts of a column of a table."""
    lines = page.locator(f"#{table} tbody tr:not([hidden])").all()
    return [line.locator("th, td").nth(column).inner_text() for line in lines]


def reach(page, selector):
    """Presses Tab until an element has the focus, as a reader without a mouse does."""
    page.evaluate("document.activeElement.blur()")
    page.evaluate(
        "selector => document.querySelector(selector).closest('section, div').scrollIntoView()",
        selector,
    )
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_rows_and_pictures_are_there(page):
    assert len(cells(page, "table-headline", 0)) == 3
    assert len(cells(page, "table-clients", 0)) == 3 * len(NAMES)
    sizes = page.evaluate(
        "[...document.querySelectorAll('.plot svg')].map(own => own.getBoundingClientRect())"
        ".map(own => [own.width, own.height])"
    )
    assert len(sizes) >= 3 + 2 + 2
    assert all(width > 20 and height > 8 for width, height in sizes)


def test_names_are_shown_as_texts(page):
    assert page.title() == "3 policies on synthetic_titles"
    options = page.locator("#client option").all_inner_texts()
    assert options[2:5] == list(HOSTILE[:3])
    page.locator("#client").select_option(index=3)
    assert page.locator("#client-name").inner_text() == HOSTILE[1]
    assert page.locator("img, b").count() == 0


def test_a_table_is_sorted_by_keyboard(page):
    before = cells(page, "table-headline", 0)
    reach(page, "#table-headline thead th:nth-child(2) button")
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"
    head = page.locator("#table-headline thead th:nth-child(2)")
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert cells(page, "table-headline", 0) == ["inverse_hasa", "uniform", "hasa"]
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert cells(page, "table-headline", 0) == ["hasa", "uniform", "inverse_hasa"]
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "none"
    assert cells(page, "table-headline", 0) == before


def test_tables_are_filtered_by_keyboard(page):
    count = page.locator("#filter-count")
    every = count.inner_text()
    reach(page, "#filter")
    page.keyboard.type("bergen HASA")
    assert set(cells(page, "table-clients", 0)) == {"Bergen"}
    assert cells(page, "table-headline", 0) == []
    assert count.inner_text().startswith("2 of ")
    for _ in "bergen HASA":
        page.keyboard.press("Backspace")
    assert count.inner_text() == every


def test_a_client_is_chosen_by_keyboard(page):
    page.locator("#client").select_option(index=0)
    reach(page, "#client")
    page.keyboard.press("ArrowDown")
    assert page.locator("#client-name").inner_text() == "Aachen"
    curves = page.locator("#client-curves svg").get_attribute("aria-label")
    assert "Aachen" in curves
    reach(page, "#client-next")
    page.keyboard.press("Enter")
    assert page.locator("#client-name").inner_text() == HOSTILE[0]
    reach(page, "#client-find")
    page.keyboard.type("中文")
    assert page.locator("#client-count").inner_text() == f"1 of {len(NAMES)} clients"
    assert page.locator("#client-name").inner_text().startswith("中文")
    page.keyboard.press("Control+A")
    page.keyboard.type("no such client")
    assert page.locator("#client-count").inner_text().endswith("none has this in its name")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    assert page.locator("#client option").count() == len(NAMES)


def test_the_numbers_of_a_client_are_those_of_the_table(page):
    page.locator("#client").select_option(label="Bergen")
    lines = page.locator("#table-clients tbody tr").filter(has_text="Bergen").all()
    said = [line.locator("td").nth(3).inner_text() for line in lines]
    assert cells(page, "client-arms", 2) == said


def test_ranks_are_those_among_all_clients(page):
    page.locator("#client").select_option(index=1)
    known = page.evaluate("JSON.parse(document.getElementById('clients-data').textContent)")
    headers = page.locator("#client-arms thead th").all_inner_texts()
    (place,) = (n for n, text in enumerate(headers) if text.startswith("Rank at round"))
    expected = [f"{own[1]} of {len(NAMES)}" for own in known["rank"]]
    assert known["ranked"] == [len(NAMES)] * 3
    assert page.locator(f"#client-arms td:nth-child({place + 1})").all_inner_texts() == expected


def test_every_control_has_a_name_and_every_box_the_focus(page):
    nameless = page.evaluate(
        "[...document.querySelectorAll('input, select, button, summary, [role=region]')]"
        ".filter(own => !(own.labels?.length || own.getAttribute('aria-label')"
        " || own.textContent.trim())).map(own => own.outerHTML)"
    )
    assert nameless == []
    unreached = page.evaluate(
        "[...document.querySelectorAll('.box, pre, .plot[role]')]"
        ".filter(own => own.tabIndex !== 0).length"
    )
    assert unreached == 0


def test_a_telephone_scrolls_tables_and_not_the_page(page):
    page.set_viewport_size({"width": 400, "height": 800})
    page.locator("#client").select_option(index=len(NAMES) - 1)
    page.evaluate("document.querySelectorAll('details').forEach(own => { own.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    inside = page.evaluate(
        "[...document.querySelectorAll('.box')].some(own => own.scrollWidth > own.clientWidth)"
    )
    assert inside
    page.set_viewport_size({"width": 1200, "height": 900})
