# SPDX-License-Identifier: Apache-2.0
"""python make.py: typeset the held-out set anew into pages/ with its truth in truth.jsonl (see README.md for what it needs)."""
import csv
import io
import json
import pathlib
import re
import subprocess
import sys

import pikepdf

import charts
import typesetters as by
from contents import Contents

HERE = pathlib.Path(__file__).resolve().parent
PAGES = HERE / "pages"
WORK = HERE / "work"
A4, LETTER, A5 = (595, 842), (612, 792), (420, 595)
MAKERS = {"html": by.by_weasyprint, "office": by.by_office, "typst": by.by_typst, "latex": by.by_latex, "groff": by.by_groff}
TEXT, TABLE, MARKDOWN, CHART = ("Read the text.", "Extract the table as CSV.", "Extract the table as Markdown.",
                                "Extract the chart as CSV.")
truth = []


def as_csv(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().rstrip("\n")


def say(name, kind, prompt, **more):
    truth.append({"document": name, "page": 1, "kind": kind, "maker": name.split("-")[1], "prompt": prompt, **more})


def finish(source, name):
    """Into pages/, compressed, without dates."""
    with pikepdf.open(source) as pdf:
        if len(pdf.pages) != 1:
            raise SystemExit(f"{name}: {len(pdf.pages)} pages")
        if "/Info" in pdf.trailer:
            del pdf.trailer["/Info"]
        for k in ("/Metadata", "/StructTreeRoot", "/MarkInfo", "/Outlines", "/Names"):
            if k in pdf.Root:
                del pdf.Root[k]
        pdf.save(PAGES / (name + ".pdf"), object_stream_mode=pikepdf.ObjectStreamMode.generate, compress_streams=True,
                 recompress_flate=True, deterministic_id=True)
    pathlib.Path(source).unlink()


def typeset(name, **page):
    source = WORK / (name + ".pdf")
    page.setdefault("paper", A4)
    page.setdefault("margin", (60, 60, 70, 70))
    MAKERS[name.split("-")[1]](page, source)
    finish(source, name)


# ---- what is printed, from the source and checked against it

def bare(s):
    for a, b in (("ﬁ", "fi"), ("ﬂ", "fl"), ("ﬀ", "ff"), ("ﬃ", "ffi"), ("‐", "-"), ("•", ""), ("–", "-"), ("ﬅ", "ft"), ("’", "'"), ("“", '"'), ("”", '"'), ("\xad", "-")):
        s = s.replace(a, b)
    return re.sub(r"\s", "", s)


def poppler(name, *options):
    return subprocess.run(["pdftotext", *options, PAGES / (name + ".pdf"), "-"], capture_output=True, check=True,
                          text=True).stdout


def printed(name, want):
    """The lines of the page in the order of the source `want`, a list of blocks."""
    lines = [" ".join(s.replace("\xad", "-").split()) for s in poppler(name, "-raw").split("\n")]
    lines = [s for s in lines if s.strip("\f ")]
    out, at, flat = [], 0, bare("".join(want))
    left = lines[:]
    while at < len(flat):
        for s in left:
            b = bare(s)
            if b and flat.startswith(b, at):
                at += len(b)
            elif b.endswith("-") and flat.startswith(b[:-1], at):
                at += len(b) - 1
            else:
                continue
            out.append(s)
            left.remove(s)
            break
        else:
            sys.stderr.write(f"{name}: does not go on with {flat[at:at + 60]!r}; left: {left[:6]}\n")
            return None
    if [s for s in left if bare(s)]:
        sys.stderr.write(f"{name}: not in the source: {left}\n")
    return "\n".join(out)


def words(name):
    return [(m[5], [float(x) for x in m.groups()[:4]]) for m in re.finditer(
        r'<word xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">(.*?)</word>', poppler(name, "-bbox"))]


def locate(name, phrases, size, most=2):
    """Boxes in 0..999 of phrases that stand on the page once, by the words of the text layer."""
    page = words(name)
    w, h = (float(x) for x in re.search(r'<page width="([\d.]+)" height="([\d.]+)"', poppler(name, "-bbox")).groups())
    flat = re.sub(r"[-\xad\u2010] ", "", " ".join(s for s, _ in page) + " ")
    for phrase in phrases:
        parts = phrase.split()
        found = [i for i in range(len(page) - len(parts) + 1) if [p[0] for p in page[i:i + len(parts)]] == parts]
        once = len(re.findall(rf"(?<!\w){re.escape(phrase)}(?!\w)", flat)) == 1  # nor with a comma or a hyphen
        if len(found) != 1 or not once or most == 0 or not phrase.isascii() or re.search(r"[&<>\"]", phrase):
            continue
        boxes = [b for _, b in page[found[0]:found[0] + len(parts)]]
        if max(b[1] for b in boxes) - min(b[1] for b in boxes) > 2:
            continue
        x0, y0, x1, y1 = min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)
        say(name, "locate", f"Locate {phrase}.", box=[round(x0 / w * 999, 1), round(y0 / h * 999, 1), round(x1 / w * 999, 1),
                                                      round(y1 / h * 999, 1)])
        most -= 1


# ---- kinds of pages

def contents(name, seed, page):
    return Contents(seed, page.get("font") == "cm", name.split("-")[1] == "latex")


def text_page(name, seed, size=10, columns=1, paragraphs=6, heading=2, items=0, ordered=False, note=False, **page):
    c = contents(name, seed, page)
    blocks, want = [], [page["header"]] if page.get("header") else []
    maker = name.split("-")[1]
    for k in range(paragraphs):
        if heading and k % heading == 0:
            s = c.heading()
            blocks.append(("h", s))
            want.append(s)
        s = c.paragraph(c.r.randint(2, 5))
        blocks.append(("p", s))
        want.append(s)
        if items and k == paragraphs // 2:
            i = [c.item() for _ in range(items)]
            blocks.append(("ol" if ordered else "li", i))
            want += [(f"{n + 1}." if ordered else "") + s for n, s in enumerate(i)]
    if note:
        s = "1 " + c.sentence()
        blocks.append(("note", s))
        want[-1] += "1" if maker in ("latex", "typst", "office") else ""
        want.append(s)
    if page.get("footer"):
        want.append(page["footer"])
    typeset(name, size=size, columns=columns, blocks=blocks, **page)
    lines = printed(name, want)
    if lines:
        say(name, "text", TEXT, answer=lines)
        long_words = sorted({w for w in re.findall(r"[A-Za-z]{6,}", lines)})
        c.r.shuffle(long_words)
        locate(name, long_words, page)


def table_page(name, seed, what, n, style, size=10, above=0, caption=True, markdown=False, **page):
    c = contents(name, seed, page)
    align, rows = getattr(c, what)(n)
    blocks = [("h", c.heading())] * bool(above) + [("p", c.paragraph(2)) for _ in range(above)]
    if caption:
        blocks.append(("caption", f"Table {c.r.randint(1, 19)}. {c.heading()}"))
    blocks.append(("table", align, rows, style))
    blocks += [("p", c.paragraph(3))] * bool(above)
    typeset(name, size=size, blocks=blocks, headless=what == "parameters", **page)
    check_cells(name, rows)
    if markdown:
        lines = ["| " + " | ".join(r) + " |" for r in rows]
        say(name, "markdown", MARKDOWN, answer="\n".join(lines[:1] + ["|" + "---|" * len(rows[0])] + lines[1:]))
    else:
        say(name, "table", TABLE, answer=as_csv(rows))
    cells = [s for row in rows[1:] for s in row[:2] if len(s) > 5]
    c.r.shuffle(cells)
    locate(name, cells, page, 1)


def check_cells(name, rows):
    flat = bare(poppler(name, "-raw"))
    missing = [s for row in rows for s in row if not all(bare(w) in flat for w in s.split())]
    if missing:
        sys.stderr.write(f"{name}: not on the page: {missing}\n")


def chart_page(name, seed, n, shown=True, size=(420, 260), **how):
    c = Contents(seed, name.split("-")[1] in ("grap", "pgfplots"))
    pairs = c.chart(n)
    draw = {"matplotlib": charts.by_matplotlib, "gnuplot": charts.by_gnuplot, "grap": charts.by_grap,
            "pgfplots": charts.by_pgfplots}[name.split("-")[1]]
    draw(pairs, WORK / (name + ".pdf"), size, shown=shown, **how)
    finish(WORK / (name + ".pdf"), name)
    say(name, "chart" if shown else "chart-axis", CHART, answer=as_csv(pairs))


def mixed_page(name, seed, what, n, style, bars, draw, size=10, **page):
    """Text, a table and a chart on one page."""
    c = contents(name, seed, page)
    align, rows = getattr(c, what)(n)
    pairs = c.chart(bars)
    picture = WORK / (name + ("-chart.pdf" if "latex" in name else ".svg"))
    draw(pairs, picture)
    blocks = [("h", c.heading()), ("p", c.paragraph(4)), ("table", align, rows, style), ("p", c.paragraph(3)),
              ("picture", str(picture), 330), ("p", c.paragraph(3))]
    typeset(name, size=size, blocks=blocks, **page)
    picture.unlink()
    say(name, "table", TABLE, answer=as_csv(rows))
    say(name, "chart", CHART, answer=as_csv(pairs))


def blank_page(name, style):
    css = {"empty": "", "rules": "<hr><div style='height:220pt'></div><hr><div style='height:90pt'></div><hr>",
           "frame": "<div style='border:1pt solid;height:600pt'></div>",
           "form": "<table style='border-collapse:collapse;width:100%'>" + ("<tr>" + "<td style='border:.6pt solid;height:24pt'></td>" * 4 + "</tr>") * 14 + "</table>",
           "grey": "<div style='background:#ddd;height:300pt'></div><div style='background:#888;height:12pt;margin-top:40pt'></div>",
           "lines": ("<div style='border-bottom:.4pt solid #999;height:22pt'></div>") * 26}[style]
    by.weasyprint.HTML(string=f"<style>@page{{size:A4;margin:60pt}}</style>{css}").write_pdf(WORK / (name + ".pdf"))
    finish(WORK / (name + ".pdf"), name)
    for prompt in (TEXT, TABLE):
        say(name, "blank", prompt, answer="")


def everything():
    texts()
    tables()
    drawings()


def texts():
    text_page("text-html-1", 101, font="Carlito", size=11, leading=1.35)
    text_page("text-html-2", 102, font="Vollkorn", size=9.5, columns=2, justify=True, hyphens=True, paragraphs=10, header="Annals of the valley", footer="17")
    text_page("text-html-3", 103, font="Karla", size=8, columns=3, paragraphs=12, paper=LETTER, margin=(40, 40, 50, 50))
    text_page("text-html-4", 104, font="Gillius ADF", size=13, items=3, paragraphs=4, margin=(90, 70, 90, 90))
    text_page("text-html-5", 105, font="Junicode Two Beta", size=12, justify=True, paragraphs=5, leading=1.5, css="p{text-indent:1.4em;margin:0}")
    text_page("text-groff-1", 111, font="T", size=10, indent=14, justify=True, hyphens=True, header="NOTES AND QUERIES", footer="- 4 -")
    text_page("text-groff-2", 112, font="P", size=11, columns=2, paragraphs=8, margin=(50, 50, 80, 80))
    text_page("text-groff-3", 113, font="N", size=9, items=4, ordered=True, paper=A5, margin=(40, 40, 50, 50), paragraphs=5)
    text_page("text-groff-4", 114, font="H", size=8, columns=3, justify=True, hyphens=True, paragraphs=11, margin=(36, 36, 60, 60))
    text_page("text-typst-1", 121, font="Lato", size=10, items=4, note=True, footer="Page 3 of 12")
    text_page("text-typst-2", 122, font="Charis SIL", size=9, columns=2, justify=True, hyphens=True, paragraphs=9)
    text_page("text-typst-3", 123, font="Quattrocento", size=14, paragraphs=3, margin=(100, 80, 100, 100))
    text_page("text-typst-4", 124, font="C059", size=7.5, columns=2, paragraphs=10, paper=LETTER, header="Supplement to the report of the survey")
    text_page("text-latex-1", 131, font="cm", size=10, justify=True, hyphens=True, note=True, footer="231", margin=(110, 110, 110, 110))
    text_page("text-latex-2", 132, font="charter", size=12, items=3, ordered=True, header="Chapter 2. The lower valley")
    text_page("text-latex-3", 133, font="bookman", size=9, columns=2, justify=True, hyphens=True, paragraphs=9)
    text_page("text-latex-4", 134, font="newcent", size=8, justify=True, parskip=4, paragraphs=8, margin=(60, 200, 70, 70))
    text_page("text-office-1", 141, font="PT Sans", size=11, items=4, footer="2")
    text_page("text-office-2", 142, font="TeX Gyre Schola", size=10, columns=2, justify=True, paragraphs=8, hyphens=True)
    text_page("text-office-3", 143, font="Andika", size=9, paragraphs=7, note=True, header="Minutes", margin=(70, 120, 80, 80))


def tables():
    table_page("table-html-1", 201, "stations", 9, "grid", font="Quattrocento", size=10)
    table_page("table-html-2", 202, "budget", 12, "zebra", font="Lato", size=9, above=1)
    table_page("table-html-3", 203, "staff", 10, "dark", font="Carlito", size=10.5, padding="4pt 9pt")
    table_page("table-html-4", 204, "remarks", 9, "grid", font="Vollkorn", size=9, valign="middle", above=1)
    table_page("table-html-5", 205, "months", 12, "rows", font="PT Sans", size=8, padding="2pt 5pt")
    table_page("table-html-6", 206, "parameters", 9, "none", font="Junicode Two Beta", size=12, caption=False)
    table_page("table-html-7", 207, "stations", 30, "zebra", font="Karla", size=10, caption=False, padding="3pt 12pt")
    table_page("table-groff-1", 211, "birds", 10, "grid", font="T", size=10)
    table_page("table-groff-2", 212, "tests", 8, "box", font="H", size=9, above=2)
    table_page("table-groff-3", 213, "remarks", 7, "grid", font="P", size=10)
    table_page("table-groff-4", 214, "timetable", 12, "none", font="N", size=11, above=1)
    table_page("table-groff-5", 215, "invoice", 9, "booktabs", font="T", size=12, margin=(50, 50, 80, 70))
    table_page("table-typst-1", 221, "invoice", 11, "booktabs", font="Charis SIL", size=10)
    table_page("table-typst-2", 222, "remarks", 8, "rows", font="Gillius ADF", size=10, above=1)
    table_page("table-typst-3", 223, "staff", 9, "grid", font="C059", size=8, paper=LETTER)
    table_page("table-typst-4", 224, "birds", 18, "dark", font="Quattrocento", size=11, inset="x: 9pt, y: 5pt")
    table_page("table-typst-5", 225, "tests", 9, "none", font="TeX Gyre Schola", size=10, above=2)
    table_page("table-latex-1", 231, "stations", 8, "booktabs", font="cm", size=10, above=2)
    table_page("table-latex-2", 232, "months", 10, "none", font="mathptmx", size=9)
    table_page("table-latex-3", 233, "remarks", 7, "booktabs", font="charter", size=10, above=1)
    table_page("table-latex-4", 234, "invoice", 14, "grid", font="palatino", size=11, stretch=1.4)
    table_page("table-latex-5", 235, "staff", 8, "box", font="newcent", size=9, above=1)
    table_page("table-office-1", 241, "budget", 10, "grid", font="Vollkorn", size=11)
    table_page("table-office-2", 242, "timetable", 14, "none", font="PT Sans", size=10)
    table_page("table-office-3", 243, "remarks", 8, "rows", font="Carlito", size=10)
    table_page("table-office-4", 244, "birds", 12, "zebra", font="Andika", size=9, above=1)
    table_page("markdown-html-1", 251, "birds", 8, "grid", font="Carlito", size=11, markdown=True)
    table_page("markdown-typst-1", 252, "stations", 7, "booktabs", font="PT Sans", size=10, markdown=True, above=1)
    table_page("markdown-latex-1", 253, "tests", 6, "rows", font="cm", size=10, markdown=True)
    table_page("markdown-groff-1", 254, "budget", 8, "box", font="T", size=10, markdown=True)
    table_page("markdown-office-1", 255, "staff", 7, "grid", font="Quattrocento", size=10, markdown=True)


def drawings():
    chart_page("chart-matplotlib-1", 301, 6, font="DejaVu Sans")
    chart_page("chart-matplotlib-2", 302, 5, font="Carlito", across=True, points=11, colour="#c0504d", title="Pairs counted")
    chart_page("chart-matplotlib-3", 303, 8, font="Lato", style=1, points=9, size=(480, 240))
    chart_page("chart-matplotlib-4", 304, 4, shown=False, font="PT Sans", grid=True, points=10)
    chart_page("chart-matplotlib-5", 305, 7, font="C059", across=True, style=1, points=9, colour="#888888")
    chart_page("chart-gnuplot-1", 311, 6, font="Lato", size=(560, 300))
    chart_page("chart-gnuplot-2", 312, 5, font="TeX Gyre Schola", points=11, colour="#7f3b08", title="Visitors")
    chart_page("chart-gnuplot-3", 313, 7, font="Carlito", pattern=True, size=(640, 330))
    chart_page("chart-gnuplot-4", 314, 5, shown=False, font="PT Sans")
    chart_page("chart-grap-1", 321, 6, font="H")
    chart_page("chart-grap-2", 322, 5, font="T", points=11, size=(360, 240))
    chart_page("chart-pgfplots-1", 331, 5)
    chart_page("chart-pgfplots-2", 332, 6, across=True, size=(380, 260), points=10)
    chart_page("chart-pgfplots-3", 333, 5, shown=False)
    small = (330, 190)
    mixed_page("mixed-html-1", 341, "budget", 6, "zebra", 5, lambda p, o: charts.svg(p, o, small, "Lato"), font="Lato")
    mixed_page("mixed-html-2", 342, "birds", 7, "grid", 6, lambda p, o: charts.svg(p, o, small, "C059", across=False, colour="#555"), font="C059", size=9.5)
    mixed_page("mixed-typst-1", 343, "tests", 6, "booktabs", 5, lambda p, o: charts.svg(p, o, small, "Carlito", across=False), font="Carlito", size=11)
    mixed_page("mixed-latex-1", 344, "stations", 6, "booktabs", 6, lambda p, o: charts.by_gnuplot(p, o, (520, 260), "Karla", points=9), font="mathptmx")
    mixed_page("mixed-latex-2", 345, "timetable", 6, "grid", 5, lambda p, o: charts.by_matplotlib(p, o, small, "Gillius ADF", across=True), font="charter")
    for k, style in enumerate(("empty", "rules", "frame", "form", "grey", "lines")):
        blank_page(f"blank-html-{k + 1}", style)


def main():
    PAGES.mkdir(exist_ok=True)
    WORK.mkdir(exist_ok=True)
    for old in PAGES.glob("*.pdf"):
        old.unlink()
    everything()
    for old in WORK.glob("*"):
        if old.is_file():
            old.unlink()
    with open(HERE / "truth.jsonl", "w", encoding="utf-8") as f:
        for t in truth:
            f.write(json.dumps(t, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
