# SPDX-License-Identifier: Apache-2.0
"""The same pages by several typesetters: a page is a dict of settings and a list of blocks, and each function here
writes it as one PDF through a program of its own.

Blocks: ("h", text), ("p", text), ("li" or "ol", items), ("table", align, rows, style), ("picture", file, width in pt),
("note", text): a footnote; ("caption", text), ("gap", pt). Settings: font, size, columns, margin (left, right, top,
bottom in pt), paper (width, height), header, footer, justify, hyphens, leading.
Styles of tables: grid, rows, booktabs, zebra, none, dark, box."""
import html
import os
import pathlib
import subprocess

import typst
import weasyprint

MULTI = "p"  # the column of sentences


def run(*command, cwd=None, data=None):
    done = subprocess.run(command, cwd=cwd, input=data, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr.decode()[-2000:]}{done.stdout.decode(errors='replace')[-2000:]}")
    return done.stdout


# ---- HTML and CSS

CSS = {
    "grid": "td,th{border:.6pt solid #000}",
    "rows": "td,th{border-bottom:.5pt solid #888}",
    "booktabs": "table{border-top:1.2pt solid;border-bottom:1.2pt solid} tr:first-child td,tr:first-child th{border-bottom:.6pt solid}",
    "zebra": "tr:nth-child(even) td{background:#e8ecf2} th{border-bottom:1pt solid #456}",
    "none": "",
    "dark": "th{background:#2c3e50;color:#fff} td{border-bottom:.4pt solid #ccc}",
    "box": "table{border:1pt solid} td:first-child,th:first-child{border-right:.6pt solid} th{border-bottom:.6pt solid}",
}


def as_html(p, office=False):
    w, h = p["paper"]
    left, right, top, bottom = p["margin"]
    esc = html.escape
    style = [f"@page{{size:{w}pt {h}pt;margin:{top}pt {right}pt {bottom}pt {left}pt;"
             + "".join(f"@{side}-center{{content:{css_string(p[key])};font:{p['size'] - 1}pt '{p['font']}'}}"
                       for side, key in (("top", "header"), ("bottom", "footer")) if p.get(key)) + "}",
             f"body{{font:{p['size']}pt/{p.get('leading', 1.25)} '{p['font']}';margin:0;"
             f"text-align:{'justify' if p.get('justify') else 'left'};hyphens:{'auto' if p.get('hyphens') else 'manual'}}}",
             f"h2{{font-size:{p['size'] * 1.35:.1f}pt;margin:.7em 0 .35em;text-align:left;font-weight:bold;line-height:1.2}} p{{margin:0 0 .55em}}",
             "ul,ol{margin:.2em 0 .6em;padding-left:1.6em}",
             "table{border-collapse:collapse;margin:.4em 0} td,th{padding:%s;text-align:left;vertical-align:%s}"
             % (p.get("padding", "2.5pt 7pt"), p.get("valign", "top")),
             "th{font-weight:bold}", ".note{float:footnote}", ".c{columns:%d;column-gap:18pt}" % p.get("columns", 1),
             p.get("css", "")]
    body = []
    for b in p["blocks"]:
        if b[0] == "h":
            body.append(f"<h2>{esc(b[1])}</h2>")
        elif b[0] in ("p", "caption"):
            body.append(f"<p>{esc(b[1])}</p>")
        elif b[0] in ("li", "ol"):
            tag = "ul" if b[0] == "li" else "ol"
            body.append(f"<{tag}>" + "".join(f"<li>{esc(s)}</li>" for s in b[1]) + f"</{tag}>")
        elif b[0] == "note":
            body.append(f'<div class="foot"><p>{esc(b[1])}</p></div>')
            style.append(f".foot{{border-top:.5pt solid;margin-top:14pt;padding-top:4pt;font-size:{p['size'] - 1.5}pt}}")
        elif b[0] == "gap":
            body.append(f'<div style="height:{b[1]}pt"></div>')
        elif b[0] == "picture":
            body.append(f'<p><img src="file://{os.path.abspath(b[1])}" style="width:{b[2]}pt"></p>')
        elif b[0] == "table":
            style.append(CSS[b[3]])
            name = {"l": "left", "r": "right", "c": "center", "p": "left"}
            rows = []
            attr = ' border="1" cellspacing="0"' if office and b[3] == "grid" else ' border="0" cellspacing="0"' if office else ""
            for i, row in enumerate(b[2]):
                tag = "th" if i == 0 and not p.get("headless") else "td"
                rows.append("<tr>" + "".join(
                    f'<{tag} style="text-align:{name[a]}{";width:34%" if a == MULTI else ""}"'
                    + (f' align="{name[a]}"' if office else "") + f">{esc(c) or '&nbsp;' if office else esc(c)}</{tag}>"
                    for a, c in zip(b[1], row)) + "</tr>")
            body.append(f"<table{attr}>" + "".join(rows) + "</table>")
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><style>{"".join(style)}</style></head><body>'
            f'<div class="c">{"".join(body)}</div></body></html>')


def css_string(s):
    return "'" + s.replace("\\", "\\\\").replace("'", "\\'") + "'"


def by_weasyprint(p, out):
    weasyprint.HTML(string=as_html(p)).write_pdf(out)


# ---- LibreOffice, by way of its own flat format

def by_office(p, out):
    source = pathlib.Path(out).with_suffix(".fodt")
    source.write_text(fodt(p), encoding="utf-8")
    run("soffice", "--headless", f"-env:UserInstallation=file:///{source.parent.resolve()}/office", "--convert-to",
        "pdf:writer_pdf_Export", "--outdir", str(source.parent), str(source))
    source.unlink()


def fodt(p):
    esc = html.escape
    w, h = p["paper"]
    left, right, top, bottom = p["margin"]
    body, styles, n = [], [], 0
    align = {"l": "L", "r": "R", "c": "C", "p": "L"}
    border = {"grid": "0.6pt solid #000000"}
    notes = 0
    for b in p["blocks"]:
        if b[0] == "h":
            body.append(f'<text:p text:style-name="H">{esc(b[1])}</text:p>')
        elif b[0] in ("p", "caption"):
            body.append(f'<text:p text:style-name="P">{esc(b[1])}</text:p>')
        elif b[0] in ("li", "ol"):
            for k, s in enumerate(b[1]):
                mark = "•" if b[0] == "li" else f"{k + 1}."
                body.append(f'<text:p text:style-name="I">{mark}<text:tab/>{esc(s)}</text:p>')
        elif b[0] == "gap":
            body.append('<text:p text:style-name="P"/>' * max(1, int(b[1] / p["size"] / 1.5)))
        elif b[0] == "note":
            notes += 1
            mark, _, text = b[1].partition(" ")
            tail = (f'<text:note text:id="n{notes}" text:note-class="footnote"><text:note-citation text:label="{mark}">{mark}'
                    f'</text:note-citation><text:note-body><text:p text:style-name="N">{esc(text)}</text:p>'
                    '</text:note-body></text:note></text:p>')
            last = max(i for i, s in enumerate(body) if s.startswith('<text:p text:style-name="P">'))
            body[last] = body[last][:-len("</text:p>")] + tail
        elif b[0] == "table":
            n += 1
            width = w - left - right
            share = [(2.6 if a == MULTI else max(len(row[j]) for row in b[2]) ** .7 / 2.6) for j, a in enumerate(b[1])]
            styles.append(f'<style:style style:name="T{n}" style:family="table"><style:table-properties style:width="{width}pt" '
                          'table:align="left"/></style:style>')
            for j, s in enumerate(share):
                styles.append(f'<style:style style:name="T{n}c{j}" style:family="table-column"><style:table-column-properties '
                              f'style:column-width="{width * s / sum(share):.1f}pt"/></style:style>')
            for i in range(len(b[2])):
                fill = (' fo:background-color="#dddddd"' if (b[3] == "zebra" and i % 2) or (b[3] == "dark" and i == 0) else "")
                line = border.get(b[3])
                edge = f'fo:border="{line}"' if line else (
                    f'fo:border="none" fo:border-bottom="0.5pt solid #000000"' if b[3] == "rows" or
                    (b[3] == "booktabs" and i in (0, len(b[2]) - 1)) else 'fo:border="none"')
                styles.append(f'<style:style style:name="T{n}r{i}" style:family="table-cell"><style:table-cell-properties '
                              f'fo:padding="{p.get("pad", 2.5)}pt" {edge}{fill}/></style:style>')
            rows = ["".join(f'<table:table-cell table:style-name="T{n}r{i}"><text:p text:style-name="{align[a]}'
                            f'{"b" if i == 0 and not p.get("headless") else ""}">{esc(c)}</text:p></table:table-cell>'
                            for a, c in zip(b[1], row)) for i, row in enumerate(b[2])]
            body.append(f'<table:table table:style-name="T{n}">' +
                        "".join(f'<table:table-column table:style-name="T{n}c{j}"/>' for j in range(len(b[1]))) +
                        "".join(f"<table:table-row>{r}</table:table-row>" for r in rows) + "</table:table>")
    size, columns = p["size"], p.get("columns", 1)
    just = "justify" if p.get("justify") else "start"

    def para(name, extra, text="", parent=None):
        return (f'<style:style style:name="{name}" style:family="paragraph"><style:paragraph-properties {extra} '
                f'fo:hyphenation-ladder-count="no-limit"/><style:text-properties style:font-name="F" fo:font-size="{size}pt" '
                f'fo:hyphenate="{"true" if p.get("hyphens") else "false"}" fo:language="en" fo:country="GB" '
                f'fo:hyphenation-remain-char-count="2" fo:hyphenation-push-char-count="2" {text}/></style:style>')
    autos = [para("P", f'fo:text-align="{just}" fo:margin-bottom="5pt" fo:line-height="{p.get("leading", 1.15) * 87:.0f}%"'),
             para("H", 'fo:margin-top="9pt" fo:margin-bottom="4pt"', 'fo:font-weight="bold"').replace(
                 f'fo:font-size="{size}pt"', f'fo:font-size="{size * 1.35:.1f}pt"'),
             para("I", 'fo:margin-left="16pt" fo:text-indent="-16pt" fo:margin-bottom="2pt"').replace(
                 "/><style:text", '><style:tab-stops><style:tab-stop style:position="16pt"/></style:tab-stops>'
                 "</style:paragraph-properties><style:text"),
             para("N", 'fo:margin-left="14pt" fo:text-indent="-14pt"').replace(f'fo:font-size="{size}pt"', f'fo:font-size="{size - 1.5}pt"')]
    for a, v in (("L", "start"), ("R", "end"), ("C", "center")):
        autos += [para(a, f'fo:text-align="{v}"'), para(a + "b", f'fo:text-align="{v}"', 'fo:font-weight="bold"')]
    foot = "".join(f'<style:{t}><text:p text:style-name="C">{esc(p[t])}</text:p></style:{t}>'
                   for t in ("header", "footer") if p.get(t))
    bands = "".join(f'<style:{t}-style><style:header-footer-properties fo:min-height="24pt" '
                    f'fo:margin-{"bottom" if t == "header" else "top"}="10pt"/></style:{t}-style>'
                    for t in ("header", "footer") if p.get(t))
    section = ""
    inside = "".join(body)
    if columns > 1:
        section = (f'<style:style style:name="S" style:family="section"><style:section-properties text:dont-balance-text-columns="true">'
                   f'<style:columns fo:column-count="{columns}" fo:column-gap="18pt"/></style:section-properties></style:style>')
        inside = f'<text:section text:style-name="S" text:name="s">{inside}</text:section>'
    spaces = " ".join(f'xmlns:{k}="urn:oasis:names:tc:opendocument:xmlns:{v}:1.0"' for k, v in (
        ("office", "office"), ("style", "style"), ("text", "text"), ("table", "table"), ("fo", "xsl-fo-compatible"),
        ("svg", "svg-compatible")))
    return (f'<?xml version="1.0" encoding="UTF-8"?><office:document {spaces} office:version="1.2" '
            'office:mimetype="application/vnd.oasis.opendocument.text"><office:font-face-decls>'
            f'<style:font-face style:name="F" svg:font-family="\'{p["font"]}\'"/></office:font-face-decls>'
            f'<office:automatic-styles>{"".join(autos + styles)}{section}<style:page-layout style:name="L1">'
            f'<style:page-layout-properties fo:page-width="{w}pt" fo:page-height="{h}pt" fo:margin-left="{left}pt" '
            f'fo:margin-right="{right}pt" fo:margin-top="{top}pt" fo:margin-bottom="{bottom}pt"/>{bands}</style:page-layout>'
            f'</office:automatic-styles><office:master-styles><style:master-page style:name="Standard" style:page-layout-name="L1">'
            f'{foot}</style:master-page></office:master-styles><office:body><office:text>{inside}</office:text></office:body>'
            '</office:document>')


# ---- Typst

def by_typst(p, out):
    w, h = p["paper"]
    left, right, top, bottom = p["margin"]

    def q(s):
        return '#text("' + s.replace("\\", "\\\\").replace('"', '\\"') + '")'
    t = [f"#set page(width: {w}pt, height: {h}pt, margin: (left: {left}pt, right: {right}pt, top: {top}pt, bottom: {bottom}pt), "
         f"columns: {p.get('columns', 1)}"
         + (f", header: align(center)[#set text(size: {p['size'] - 1}pt);{q(p['header'])}]" if p.get("header") else "")
         + (f", footer: align(center)[#set text(size: {p['size'] - 1}pt);{q(p['footer'])}]" if p.get("footer") else "") + ")",
         f'#set text(font: "{p["font"]}", size: {p["size"]}pt, lang: "en", hyphenate: {"true" if p.get("hyphens") else "false"})',
         "#set smartquote(enabled: false)",
         f'#set par(justify: {"true" if p.get("justify") else "false"}, leading: {p.get("leading", 1.25) - .72:.2f}em, spacing: 1.0em)']
    for b in p["blocks"]:
        if b[0] == "h":
            t.append(f"#block(above: 1.2em, below: .8em)[#text(size: 1.35em, weight: \"bold\")[{q(b[1])}]]")
        elif b[0] in ("p", "caption"):
            t.append(q(b[1]) + "\n")
        elif b[0] in ("li", "ol"):
            t.append("\n".join(("- " if b[0] == "li" else "+ ") + q(s) for s in b[1]) + "\n")
        elif b[0] == "note":
            mark, _, text = b[1].partition(" ")
            t[-1] = t[-1].rstrip() + f"#footnote[{q(text)}]\n"
        elif b[0] == "gap":
            t.append(f"#v({b[1]}pt)")
        elif b[0] == "picture":
            t.append(f'#image("{os.path.basename(b[1])}", width: {b[2]}pt)')
        elif b[0] == "table":
            stroke = {"grid": ".6pt", "rows": "(x: none, y: .5pt + luma(120))", "booktabs": "none", "zebra": "none", "none": "none",
                      "dark": "(x: none, y: .4pt + luma(200))", "box": "none"}[b[3]]
            fill = {"zebra": "(x, y) => if calc.odd(y) { luma(232) }",
                    "dark": '(x, y) => if y == 0 { rgb("#2c3e50") }'}.get(b[3], "none")
            name = {"l": "left", "r": "right", "c": "center", "p": "left"}
            cells = []
            for i, row in enumerate(b[2]):
                if b[3] == "booktabs" and i < 2:
                    cells.append(f"table.hline(stroke: {1.2 if i == 0 else .6}pt),")
                for c in row:
                    s = q(c) if c else ""
                    if i == 0 and not p.get("headless"):
                        s = f"#text(weight: \"bold\"{', fill: white' if b[3] == 'dark' else ''})[{s}]"
                    cells.append(f"[{s}],")
            if b[3] == "booktabs":
                cells.append("table.hline(stroke: 1.2pt),")
            widths = ", ".join("1fr" if a == MULTI else "auto" for a in b[1])
            t.append(f"#table(columns: ({widths}), align: ({', '.join(name[a] for a in b[1])}), stroke: {stroke}, fill: {fill}, "
                     f"inset: ({p.get('inset', 'x: 6pt, y: 3.5pt')}),\n" + "\n".join(cells) + ")")
            if b[3] == "box":
                t[-1] = "#box(stroke: 1pt, inset: 2pt)[" + t[-1] + "]"
    source = pathlib.Path(out).with_suffix(".typ")
    source.write_text("\n".join(t), encoding="utf-8")
    typst.compile(str(source), output=str(out), root=str(source.parent))
    source.unlink()


# ---- LaTeX

LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
         "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "“": "``", "”": "''", "’": "'", "€": r"\texteuro{}",
         "°": r"\textdegree{}", "²": r"\textsuperscript{2}", "³": r"\textsuperscript{3}"}


def tex(s):
    return "".join(LATEX.get(c, c) for c in s)


def by_latex(p, out):
    w, h = p["paper"]
    left, right, top, bottom = p["margin"]
    size = p["size"]
    columns = p.get("columns", 1)
    t = [r"\documentclass{article}\usepackage[utf8]{inputenc}",
         "" if p["font"] == "cm" else r"\usepackage[T1]{fontenc}\usepackage{%s}" % p["font"],
         r"\usepackage{textcomp,booktabs,array,graphicx,multicol,xcolor,colortbl,anyfontsize,fancyhdr}",
         r"\usepackage[paperwidth=%dpt,paperheight=%dpt,left=%dpt,right=%dpt,top=%dpt,bottom=%dpt]{geometry}"
         % (w * 72.27 / 72, h * 72.27 / 72, left, right, top, bottom),
         r"\usepackage[english]{babel}" if p.get("hyphens") else r"\hyphenpenalty=10000\exhyphenpenalty=10000",
         r"\pagestyle{fancy}\fancyhf{}\renewcommand{\headrulewidth}{%s}" % ("0.4pt" if p.get("header") else "0pt"),
         r"\fancyhead[C]{%s}\fancyfoot[C]{%s}" % (tex(p.get("header", "")), tex(p.get("footer", ""))),
         "" if p.get("justify") else r"\raggedright", r"\setlength{\tabcolsep}{%spt}" % p.get("tabcolsep", 6),
         r"\renewcommand{\arraystretch}{%s}" % p.get("stretch", 1.15),
         r"\emergencystretch=3em\setlength{\columnsep}{18pt}" + p.get("preamble", ""),
         r"\begin{document}\fontsize{%s}{%.1f}\selectfont\sloppy" % (size, size * p.get("leading", 1.2))]
    if p.get("parskip"):
        t.append(r"\setlength{\parindent}{0pt}\setlength{\parskip}{%spt}" % p["parskip"])
    if not p.get("justify"):
        t.append(r"\raggedright")
    if columns > 1:
        t.append(r"\begin{multicols}{%d}" % columns)
    for b in p["blocks"]:
        if b[0] == "h":
            t.append(r"\par\medskip\noindent{\fontsize{%.1f}{%.1f}\selectfont\bfseries %s\par}\nopagebreak\smallskip" % (size * 1.35, size * 1.7, tex(b[1])))
        elif b[0] in ("p", "caption"):
            t.append(tex(b[1]) + r"\par")
        elif b[0] in ("li", "ol"):
            env = "itemize" if b[0] == "li" else "enumerate"
            t.append(r"\begin{%s}" % env + "".join(r"\item " + tex(s) + "\n" for s in b[1]) + r"\end{%s}" % env)
        elif b[0] == "note":
            mark, _, text = b[1].partition(" ")
            last = max(i for i, s in enumerate(t) if s.endswith(r"\par"))
            t[last] = t[last][:-4] + r"\footnote{%s}\par" % tex(text)
        elif b[0] == "gap":
            t.append(r"\vspace{%spt}" % b[1])
        elif b[0] == "picture":
            t.append(r"\par\noindent\includegraphics[width=%spt]{%s}\par" % (b[2], b[1]))
        elif b[0] == "raw":
            t.append(b[1])
        elif b[0] == "table":
            kinds = {"l": "l", "r": "r", "c": "c", "p": r">{\raggedright\arraybackslash}p{%.0fpt}" % (.36 * (w - left - right))}
            bar = "|" if b[3] == "grid" else ""
            spec = bar + bar.join(kinds[a] for a in b[1]) + bar
            if b[3] == "box":
                spec = "|" + kinds[b[1][0]] + "|" + "".join(kinds[a] for a in b[1][1:]) + "|"
            rows = [" & ".join((r"\textbf{%s}" if i == 0 and p.get("bold", True) and not p.get("headless") else "%s") % tex(c) for c in row) + r" \\"
                    for i, row in enumerate(b[2])]
            if b[3] == "zebra":
                rows = [(r"\rowcolor[gray]{.9}" if i % 2 else "") + r for i, r in enumerate(rows)]
            if b[3] in ("grid", "rows"):
                rows = [r"\hline " + r for r in rows] + [r"\hline"]
            if b[3] == "box":
                rows = [r"\hline " + rows[0], r"\hline " + rows[1]] + rows[2:] + [r"\hline"]
            if b[3] == "booktabs":
                rows = [r"\toprule " + rows[0], r"\midrule " + rows[1]] + rows[2:] + [r"\bottomrule"]
            t.append(r"\par\noindent\begin{tabular}{%s}" % spec + "\n".join(rows) + r"\end{tabular}\par\smallskip")
    if columns > 1:
        t.append(r"\end{multicols}")
    t.append(r"\end{document}")
    folder = pathlib.Path(out).parent
    source = pathlib.Path(out).with_suffix(".tex")
    source.write_text("\n".join(t), encoding="utf-8")
    run("pdflatex", "-interaction=nonstopmode", "-halt-on-error", source.name, cwd=folder)
    for e in (".tex", ".aux", ".log"):
        source.with_suffix(e).unlink()


# ---- groff: troff with tbl, and pic or grap where a block brings them

def by_groff(p, out):
    w, h = p["paper"]
    left, right, top, bottom = p["margin"]
    size, columns = p["size"], p.get("columns", 1)

    def q(s):
        s = s.replace("\\", "\\e")
        return "\\&" + s if s[:1] in ".'" else s
    length = w - left - right
    gutter = 18
    column = (length - gutter * (columns - 1)) / columns
    t = [f".pl {h}p", f".po {left}p", f".ll {column:.1f}p", f".fam {p['font']}", f".ps {size}", f".vs {size * p.get('leading', 1.2):.2f}p",
         ".ad b" if p.get("justify") else ".ad l", ".hy 4" if p.get("hyphens") else ".nh", ".nr col 0 1", ".nr cols %d" % columns,
         ".de CB", ".ie \\\\n+[col]<\\\\n[cols] \\{.  po +%.1fp" % (column + gutter), "'  sp |%sp" % top, ".\\}", ".el \\{'  bp", ".\\}", "..",
         f".wh -{bottom}p CB", f".sp |{top}p"]
    if p.get("header"):
        t[-1:] = [f".sp |{top - 26}p", f".lt {length}p", f".tl ''{q(p['header'])}''", f".sp |{top}p"]
    for b in p["blocks"]:
        if b[0] == "h":
            t += [".sp .6v", ".ne 3v", ".ft B", f".ps +{max(1, round(size * .3))}", q(b[1]), ".br", ".ps", ".ft R", ".sp .3v"]
        elif b[0] in ("p", "caption"):
            t += [f".ti {p.get('indent')}p"] * bool(p.get("indent")) + [q(b[1]), ".br"] + [".sp .4v"] * (not p.get("indent"))
        elif b[0] in ("li", "ol"):
            for k, s in enumerate(b[1]):
                t += [".in 18p", ".ti -18p", ".ta 18p", ("\\(bu" if b[0] == "li" else f"{k + 1}.") + "\t" + q(s), ".br", ".in 0"]
        elif b[0] == "note":
            t += [".sp .5v", "\\l'60p'", ".br", ".ps -2", q(b[1]), ".br", ".ps"]
        elif b[0] == "gap":
            t += [f".sp {b[1]}p"]
        elif b[0] == "raw":
            t += [b[1]]
        elif b[0] == "table":
            option = {"grid": "allbox", "box": "box"}.get(b[3], "")
            t += [".TS", f"{option} tab(@);"]
            kinds = {"l": "l", "r": "r", "c": "c", "p": "lw(%.0fp)" % (.34 * length)}
            spec = " ".join(kinds[a] for a in b[1])
            bar = " ".join(kinds[a] + (" |" if b[3] == "box" and j == 0 else "") for j, a in enumerate(b[1]))
            head = " ".join(kinds[a] + ("" if p.get("headless") else "fB") + (" |" if b[3] == "box" and j == 0 else "") for j, a in enumerate(b[1]))
            t += [head, (bar if b[3] == "box" else spec) + "."]
            for i, row in enumerate(b[2]):
                if (b[3] in ("booktabs", "box") and i == 1) or (b[3] == "booktabs" and i == 0) or (b[3] == "rows" and i):
                    t.append("_")
                t.append("@".join("T{\n" + q(c) + "\nT}" if a == MULTI and i else q(c) for a, c in zip(b[1], row)))
            if b[3] == "booktabs":
                t.append("_")
            t += [".TE", ".sp .3v"]
    if p.get("footer"):
        t += [".wh -%dp CB" % bottom, f".po {left}p", f".sp |{h - bottom + 20}p", f".lt {length}p", f".tl ''{q(p['footer'])}''"]
        t[t.index(f".wh -{bottom}p CB")] = f".wh -{bottom}p CB"
        k = len(t) - 5
        t[k] = ".ch CB"
    groff("\n".join(t), (w, h), out)


def groff(source, paper, out):
    """By way of PostScript: gropdf does not cut fonts down to what is used."""
    ps = run("groff", "-Kutf8", "-t", "-p", "-Tps", f"-P-p{paper[1] / 72:.3f}i,{paper[0] / 72:.3f}i", data=source.encode())
    pathlib.Path(out).write_bytes(run("ps2pdf", "-dPDFSETTINGS=/prepress", f"-dDEVICEWIDTHPOINTS={paper[0]}",
                                      f"-dDEVICEHEIGHTPOINTS={paper[1]}", "-dFIXEDMEDIA", "-", "-", data=ps))
