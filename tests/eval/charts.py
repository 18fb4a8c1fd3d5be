# SPDX-License-Identifier: Apache-2.0
"""Bar charts drawn by several programs. Each function writes a PDF of its own size; `pairs` are (label, value as printed),
`shown` says whether the values stand at the bars."""
import os
import pathlib

import matplotlib

matplotlib.use("pdf")
import matplotlib.pyplot as plt  # noqa: E402

from typesetters import groff, run  # noqa: E402


def by_matplotlib(pairs, out, size, font, shown=True, across=False, points=9, colour="#4472c4", title=None, grid=False, style=0):
    plt.rcParams.update({"pdf.fonttype": 42, "font.family": font, "font.size": points, "svg.hashsalt": "x"})
    fig, ax = plt.subplots(figsize=(size[0] / 72, size[1] / 72))
    labels, values = [p[0] for p in pairs], [float(p[1]) for p in pairs]
    if across:
        bars = ax.barh(labels, values, color=colour, height=.62)
        ax.invert_yaxis()
    else:
        bars = ax.bar(labels, values, color=colour, width=.62, edgecolor="black" if style else None)
    if shown:
        ax.bar_label(bars, labels=[p[1] for p in pairs], padding=2)
        (ax.set_xlim if across else ax.set_ylim)(0, max(values) * 1.15)
    if grid:
        ax.grid(axis="x" if across else "y", linewidth=.4, color="#bbb")
        ax.set_axisbelow(True)
    if style == 1:
        (ax.set_xticks if across else ax.set_yticks)([])
        ax.spines[["top", "right", "bottom" if across else "left"]].set_visible(False)
    if title:
        ax.set_title(title)
    fig.tight_layout()
    fig.savefig(out, metadata={"CreationDate": None})
    plt.close(fig)


def by_gnuplot(pairs, out, size, font, shown=True, points=10, colour="#3a7d44", title=None, pattern=False):
    top = max(float(v) for _, v in pairs) * 1.18
    script = [f"set terminal pdfcairo size {size[0] / 72:.3f}in,{size[1] / 72:.3f}in font '{font},{points * 2}' fontscale .5",
              f"set output '{out}'", "set style data histogram", "set boxwidth .7", f"set yrange [0:{top:.4g}]", "set xtics nomirror",
              f"set style fill {'pattern 4' if pattern else 'solid .8'} border lc rgb 'black'", "unset key", "set grid y" if not shown else ""]
    if title:
        script.append(f'set title "{title}"')
    script.append("$d << E")
    script += [f'"{a}" {v} {k} "{v}"' for k, (a, v) in enumerate(pairs)]
    script.append("E")
    script.append(f"plot $d using 2:xtic(1) with histogram lc rgb '{colour}'"
                  + (", $d using 3:2:4 with labels offset 0,.6 notitle" if shown else ""))
    run("gnuplot", data="\n".join(script).encode())


def by_grap(pairs, out, size, font, shown=True, points=10):
    top = max(float(v) for _, v in pairs) * 1.2
    t = [f".pl {size[1]}p", ".po 20p", f".fam {font}", f".ps {points}", ".sp 10p", ".G1",
         f"frame ht {size[1] / 72 - .9:.2f} wid {size[0] / 72 - 1.2:.2f} top invis right invis",
         f"coord x 0.3,{len(pairs) + .7} y 0,{top:.4g}", "ticks bottom off"]
    if shown:
        t.append("ticks left off")
    for k, (a, v) in enumerate(pairs):
        t += [f"bar up {k + 1} ht {v} wid .6 fill .3", f'"{a}" below at {k + 1},0']
        if shown:
            t.append(f'"{v}" above at {k + 1},{v}')
    t += [".G2", ""]
    pic = run("grap", data="\n".join(t).encode())
    groff(pic.decode(), size, out)


def by_pgfplots(pairs, out, size, shown=True, across=False, points=9):
    names = ",".join("{" + a + "}" for a, _ in pairs)
    key = "y" if across else "x"
    t = (r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\usepackage{mathptmx,anyfontsize,pgfplots}"
         r"\pgfplotsset{compat=1.17}\usepackage[paperwidth=%dpt,paperheight=%dpt,margin=6pt]{geometry}\pagestyle{empty}"
         r"\begin{document}\fontsize{%d}{%d}\selectfont\noindent\begin{tikzpicture}\begin{axis}[width=%dpt,height=%dpt,"
         r"symbolic %s coords={%s},%stick=data,%s,%smin=0,enlarge %s limits=.12,%s]\addplot%s coordinates {%s};"
         r"\end{axis}\end{tikzpicture}\end{document}") % (
        size[0], size[1], points, points * 1.2, size[0] - 20, size[1] - 20, key, names, key,
        "xbar,bar width=9pt,y dir=reverse" if across else "ybar,bar width=14pt", "x" if across else "y", key,
        "nodes near coords,enlarge %s limits={upper,value=.2},/pgf/number format/.cd,fixed,fixed zerofill,precision=%d,1000 sep={}" % (
            "x" if across else "y", len(pairs[0][1].partition(".")[2])) if shown else "ymajorgrids",
        "[fill=black!35]" if not across else "[fill=white]",
        " ".join(f"({v},{{{a}}})" if across else f"({{{a}}},{v})" for a, v in pairs))
    source = pathlib.Path(out).with_suffix(".tex")
    source.write_text(t, encoding="utf-8")
    run("pdflatex", "-interaction=nonstopmode", "-halt-on-error", source.name, cwd=source.parent)
    for e in (".tex", ".aux", ".log"):
        source.with_suffix(e).unlink()


def svg(pairs, out, size, font, shown=True, across=True, points=9, colour="#b5482a"):
    """For an HTML page."""
    w, h = size
    top, n = max(float(v) for _, v in pairs), len(pairs)
    s = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" font-family="{font}" font-size="{points}">']
    if across:
        left = 6 + max(len(a) for a, _ in pairs) * points * .58
        row = h / n
        for k, (a, v) in enumerate(pairs):
            x = (w - left - 40) * float(v) / top
            y = row * (k + .5)
            s.append(f'<text x="{left - 5:.1f}" y="{y + points * .35:.1f}" text-anchor="end">{a}</text>'
                     f'<rect x="{left:.1f}" y="{y - row * .32:.1f}" width="{x:.1f}" height="{row * .64:.1f}" fill="{colour}"/>')
            if shown:
                s.append(f'<text x="{left + x + 4:.1f}" y="{y + points * .35:.1f}">{v}</text>')
    else:
        column, foot = w / n, points * 1.7
        for k, (a, v) in enumerate(pairs):
            y = (h - foot - points * 1.6) * float(v) / top
            x = column * (k + .5)
            s.append(f'<text x="{x:.1f}" y="{h - points * .5:.1f}" text-anchor="middle">{a}</text>'
                     f'<rect x="{x - column * .33:.1f}" y="{h - foot - y:.1f}" width="{column * .66:.1f}" height="{y:.1f}" fill="{colour}"/>')
            if shown:
                s.append(f'<text x="{x:.1f}" y="{h - foot - y - 3:.1f}" text-anchor="middle">{v}</text>')
        s.append(f'<line x1="0" y1="{h - foot:.1f}" x2="{w}" y2="{h - foot:.1f}" stroke="#000" stroke-width=".7"/>')
    pathlib.Path(out).write_text("".join(s) + "</svg>", encoding="utf-8")
    return os.path.abspath(out)
