"""Tables in every medium: what is shown, and that no text in them is obeyed."""

import csv as csv_files
import dataclasses
import io
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from experiments.analysis.markdown import WIDTH
from experiments.analysis.rendering import csv, html, latex, markdown, terminal
from experiments.analysis.table import Cell, Table

HOSTILE = "50 %_a&b~c ± {x}^2 \\input|<b>\x1b[2J=é東"
TABLE = Table(
    "headline",
    "Mean at round 3",
    ("policy", "mean %", "p Holm", "verdict"),
    (
        (Cell("uniform"), Cell("13.50 ± 0.50", 13.5), Cell(""), Cell("reference")),
        (
            Cell("a_b"),
            Cell("15.25 [9, 21]", 15.25, bold=True),
            Cell("0.001", 0.0012),
            Cell("better"),
        ),
        (Cell(HOSTILE), Cell("-1.00 ± 0.50", -1.0), Cell("n/a"), Cell("worse ≠")),
    ),
    ("Below 5 %.",),
)


def test_rows_have_a_cell_for_each_header():
    with pytest.raises(ValueError, match="table t: 1 cells below 2 headers"):
        Table("t", "", ("a", "b"), ((Cell("x"),),))
    assert TABLE.at_right == (False, True, True, False)
    assert TABLE.cell("a_b", "p Holm").value == 0.0012
    with pytest.raises(KeyError, match="no row 'c' with a column 'mean %'"):
        TABLE.cell("c", "mean %")


def test_terminal():
    lines = terminal.render(TABLE).splitlines()
    assert lines[0] == "Mean at round 3:"
    assert [line.split() for line in lines[4:6]] == [
        ["uniform", "13.50", "±", "0.50", "reference"],
        ["a_b", "15.25", "[9,", "21]", "*", "0.001", "better"],
    ]
    assert "\x1b" not in "\n".join(lines)
    assert lines[-1] == "- Below 5 %."


def test_a_wide_table_is_broken_into_tables_that_fit_a_terminal():
    """Names are broken, and columns that do not fit stand below with the names again."""
    headers = ("arm", *(f"column {number}" for number in range(12)))
    rows = tuple(
        (Cell(name), *[Cell("13.50 ± 0.50", 13.5)] * 12) for name in ("short", 7 * "long name ")
    )
    lines = terminal.render(Table("t", "Wide", headers, rows)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert sum(line.startswith("arm ") for line in lines) == 3
    heads = " ".join(line for line in lines if line.startswith("arm "))
    assert all(header in heads for header in headers)
    # A table without rows or columns is no fault.
    assert "arm" in terminal.render(Table("t", "Empty", ("arm",), ()))


def test_markdown():
    lines = markdown.render(TABLE).splitlines()
    assert lines[2].split("|")[1:-1][1].strip() == "mean %"
    assert lines[3].count(":|") == 2
    assert "**15.25 [9, 21]**" in lines[5]
    assert r"50 %\_a&amp;b\~c ± {x}^2 \\input\|&lt;b&gt;" in lines[6]
    assert len({line.count("|") - line.count(r"\|") for line in lines[2:7]}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<0.001", "<0.001"),
        ("15.25 [+9, -2.5]", "15.25 [+9, -2.5]"),
        ("<b>", "&lt;b&gt;"),
        ("[9](x)", r"\[9\](x)"),
        ("[9][x]", r"\[9\]\[x\]"),
        ("50 [2 of 3]", "50 [2 of 3]"),
        ("[a]", r"\[a\]"),
    ],
)
def test_numbers_need_no_escapes_and_names_do(text, expected):
    assert markdown.escape(text) == expected


def test_a_star_in_a_cell_begins_nothing_between_spaces():
    assert markdown.cell_text(Cell("a - b *")) == "a - b *"
    assert markdown.cell_text(Cell("a * b")) == "a * b"
    assert markdown.cell_text(Cell("* b* *c*")) == r"\* b\* \*c\*"


def test_latex_by_hand():
    expected = r"""\begin{table*}
\centering
\caption{Mean at round 3.}
\label{tab:headline}
\footnotesize\setlength{\tabcolsep}{3pt}
\begin{tabular}{lrrl}
\toprule
policy & mean \% & p Holm & verdict \\
\midrule
uniform & 13.50 $\pm$ 0.50 &  & reference \\
a\_b & \textbf{15.25 {[}9, 21{]}} & 0.001 & better \\
50 \%\_a\&b\textasciitilde{}c $\pm$ \{x\}\textasciicircum{}2 \textbackslash{}input$|$$<$b$>$\textbackslash{}x1b{[}2J=é\texttt{U+6771} & $-$1.00 $\pm$ 0.50 & n/a & worse $\neq$ \\
\bottomrule
\end{tabular}
\par\smallskip Below 5 \%.
\end{table*}"""  # noqa: E501
    assert latex.render(TABLE) == expected


def test_what_one_of_two_columns_holds_takes_one():
    narrow = Table("n", "Mean", ("arm", "mean %"), ((Cell("a" * 40), Cell("1.0", 1.0)),))
    assert latex.render(narrow).startswith("\\begin{table}\n")
    wide = dataclasses.replace(narrow, rows=((Cell("a" * 46), Cell("1.0", 1.0)),))
    assert latex.render(wide).startswith("\\begin{table*}\n")
    assert latex.render(wide).endswith("\\end{table*}")


def test_a_long_table_is_several_in_latex():
    rows = tuple((Cell(f"name{number}"), Cell("1.00", 1.0)) for number in range(2 * 45 + 1))
    text = latex.render(Table("headline", "Mean", ("arm", "mean %"), rows, ("A note.",)))
    parts = text.split(r"\begin{table}")[1:]
    assert [part.count("name") for part in parts] == [45, 45, 1]
    captions = [rf"\caption{{Mean, part {number} of 3.}}" for number in (1, 2, 3)]
    assert all(caption in part for caption, part in zip(captions, parts, strict=True))
    assert [r"\label{tab:headline}" in part for part in parts] == [True, False, False]
    assert ["A note." in part for part in parts] == [False, False, True]
    assert all(r"\begin{tabular}{lr}" in part for part in parts)


def test_letters_that_latex_stops_at_are_codes():
    letters = "\u0126\u0127\u0138\u013f\u0140\u0149\u0166\u0167\u017f"
    codes = (rf"\texttt{{U+{ord(letter):04X}}}" for letter in letters)
    assert latex.escape(letters, longest=100) == "".join(codes)
    assert latex.escape("Łódź, Åse") == "Łódź, Åse"


def test_signs_are_those_of_mathematics():
    assert latex.escape("[-0.50, +1] of a-1") == "{[}$-$0.50, +1{]} of a-1"


LONG = "a_method_of_a_name_that_nobody_would_ever_give:policy@" + "score" * 8
WIDE = Table(
    "wide",
    f"About {LONG}",
    ("policy", "mean %", "Δ mean", f"p of {LONG}", "verdict"),
    tuple(
        (
            *(Cell(name), Cell("13.91 ± 0.50", 13.91), Cell("-0.30 ± 0.55", -0.3)),
            *(Cell("0.239", 0.239), Cell("not told apart at 10 seeds")),
        )
        for name in ("uniform", LONG)
    ),
    (f"{LONG} is long.",),
)


def test_long_names_are_broken_where_a_latex_table_is_too_wide():
    text = latex.render(WIDE)
    assert r"\parbox[t]{" in text
    assert r"a\_\allowbreak{}method\_\allowbreak{}of" in text
    # Without punctuation, a piece is of ten letters.
    assert r"scorescore\allowbreak{}scorescore" in text
    # Numbers stay as they are, and so do short names.
    assert r"& 13.91 $\pm$ 0.50 & $-$0.30 $\pm$ 0.55 & 0.239 &" in text
    assert "\nuniform &" in text
    # Nothing is broken where the table fits.
    assert "parbox" not in latex.render(TABLE)


def test_broken_rows_take_more_of_a_page():
    rows = tuple((Cell(LONG), *row[1:]) for row in WIDE.rows[:1] * 30)
    text = latex.render(dataclasses.replace(WIDE, rows=rows))
    assert text.count(r"\begin{table*}") > 1
    assert text.count("13.91") == 30


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("options", ["", "[twocolumn]"])
def test_latex_compiles(options, tmp_path):
    every = (
        "".join(map(chr, range(32, 127)))
        + "".join(map(chr, range(0xA0, 0x180)))
        + "±Δ≠→≤≥\u00d7\u2212…\u2019\u2013\u03b1\u0416\U0001f642"
    )
    other = Table("other", every, (every, "n"), ((Cell(every), Cell("+1.00", 1.0)),), (every,))
    narrow = Table("n", "Mean", ("arm", "mean %"), ((Cell("uniform: " * 5), Cell("1", 1.0)),))
    tables = [TABLE, other, WIDE, narrow]
    (tmp_path / "table.tex").write_text(latex.document(tables), encoding="utf-8")
    (tmp_path / "main.tex").write_text(
        rf"\documentclass{options}{{article}}\usepackage[T1]{{fontenc}}\usepackage{{booktabs}}"
        r"\begin{document}\input{table}\end{document}",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert "Overfull" not in said
    assert (tmp_path / "main.pdf").stat().st_size > 5000


def test_csv_has_all_digits_and_the_texts():
    lines = list(csv_files.reader(io.StringIO(csv.render(TABLE))))
    assert lines[0] == ["policy", "mean %", "mean % (shown)", "p Holm", "p Holm (shown)", "verdict"]
    assert lines[1] == ["uniform", "13.5", "13.50 ± 0.50", "", "", "reference"]
    assert lines[2] == ["a_b", "15.25", "15.25 [9, 21]", "0.0012", "0.001", "better"]
    # Numbers of ours need no apostrophe to be no formula; names do.
    assert lines[3][2] == "\N{MINUS SIGN}1.00 ± 0.50"
    gain = (Cell("=1+1"), Cell("+0.30 ± 0.55", 0.3))
    assert (
        csv.render(Table("t", "", ("a", "b"), (gain,))).splitlines()[1] == "'=1+1,0.3,0.30 ± 0.55"
    )
    assert csv.render(Table("t", "", ("a", "b"), ())) == "a,b\n"


class Read(HTMLParser):
    """Collects elements and their texts."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if data.strip():
            self.found.append(data)


def test_html():
    reader = Read()
    reader.feed(html.document([TABLE]))
    assert r"50 %_a&b~c ± {x}^2 \input|<b>\x1b[2J=é東" in reader.found
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("b") == 0
    assert tags.count("strong") == 1
    assert tags.count("tr") == 4
    values = [own["data-value"] for _, own in reader.tags if "data-value" in own]
    assert values == ["13.5", "15.25", "0.0012", "-1.0"]
    # A page needs nothing from elsewhere.
    assert not {"link", "script", "img"} & set(tags)
