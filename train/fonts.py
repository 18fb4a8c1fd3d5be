# SPDX-License-Identifier: Apache-2.0
"""Which typefaces the generator may use: every installed family that has the whole of ASCII.

Families in HELD are never trained on; evaluation uses only them.
"""
import functools
import re
import subprocess

import uharfbuzz
from fontTools.ttLib import TTCollection, TTFont

from words import ASCII, CHARSET

HELD = ("Carlito", "Lato", "Vollkorn", "PT Sans", "Quattrocento", "TeX Gyre Schola", "C059", "Charis SIL",
        "Gillius ADF", "Karla")
# decorative, all-capitals, symbols, or of another script's proportions
SKIP = re.compile(r"Math|Caps|Smallcaps|Initials|Keyboard|Dunhill|Chorus|Z003|D050000L|Thin|Hairline|ExtraLight|"
                  r"Extra Light|Symbols|Size|Integrals|NonUnicode|Variants|Purisa|Sawasdee|Ubuntu|Music|Arabic|"
                  r"Hebrew|Urdu|Nushu|Lao|Thai|Monoisome|Quotation|Unslanted|Upright Italic|Goudy Bookletter|"
                  r"LM (Roman|Sans|Mono) [5-7]$|Latin Modern|Karla Tamil|Noto (Sans|Serif) (?!Display)|Tlwg|Black|"
                  r"Gentium Alt|GentiumAlt|Emoji|Comfortaa Light|Heavy|Junicode|M PLUS|Mplus|Monoid$")
# office and typesetting defaults come up more often in the world, hence here too
WEIGHT = {"Liberation Sans": 8, "Liberation Serif": 8, "DejaVu Sans": 5, "DejaVu Serif": 4, "Arimo": 2, "Nimbus Sans": 4,
          "Nimbus Roman": 4, "LM Roman 10": 4, "LM Roman 12": 3, "CMU Serif": 2, "Liberation Mono": 3,
          "DejaVu Sans Mono": 3, "FreeSans": 2, "FreeSerif": 2, "Open Sans": 3, "Roboto": 3, "Noto Sans": 3,
          "Noto Serif": 3, "Caladea": 3, "Inter": 2, "Nimbus Mono PS": 2, "Liberation Sans Narrow": 2,
          "TeX Gyre Termes": 2, "TeX Gyre Heros": 2, "TeX Gyre Pagella": 2, "P052": 2}


def _cmap(path):
    if path.endswith((".ttc", ".otc")):
        return TTCollection(path, lazy=True).fonts[0].getBestCmap() or {}
    return TTFont(path, lazy=True).getBestCmap() or {}


@functools.lru_cache(1)
def families():
    """{family: set of the characters of CHARSET it can print}, of the installed fonts."""
    out = subprocess.run(["fc-list", ":lang=en", "family", "style", "file"], check=True, capture_output=True, text=True)
    files = {}
    for line in sorted(out.stdout.splitlines()):
        path, _, rest = line.partition(": ")
        names, _, style = rest.partition(":style=")
        if not path.lower().endswith((".ttf", ".otf", ".ttc")):
            continue
        name = names.split(",")[-1].replace("\\-", "-")
        plain = re.match(r"(Regular|Book|Roman|Light|Medium|Normal|Retina)?[0-9]*(,|$)", style)
        if not SKIP.search(name) and (name not in files or plain):
            files[name] = path
    result = {}
    for name, path in sorted(files.items()):
        try:
            have = _cmap(path)
        except Exception:  # a broken font is not worth stopping for
            continue
        if all(ord(c) in have for c in ASCII):
            result[name] = {c for c in CHARSET if ord(c) in have}
    return result


@functools.lru_cache(64)
def shaping_face(family, bold, italic):
    """The face of the file that fontconfig takes for a style, or None."""
    pattern = family.replace("-", "\\-") + (":bold" if bold else "") + (":italic" if italic else "")
    path = subprocess.run(["fc-match", "-f", "%{file}", pattern], check=True, capture_output=True, text=True).stdout
    if not path.lower().endswith((".ttf", ".otf")):
        return None
    return uharfbuzz.Face(uharfbuzz.Blob.from_file_path(path))


def split(held):
    """(names, weights) of the training or of the held-out families."""
    names = [n for n in families() if any(n == h or n.startswith(h + " ") for h in HELD) == held]
    if not names:
        raise SystemExit("no usable fonts: run setup.sh")
    return names, [1 if held else WEIGHT.get(n, 1) for n in names]


if __name__ == "__main__":
    for flag in (False, True):
        print("held out:" if flag else "training:", ", ".join(split(flag)[0]))
