# SPDX-License-Identifier: Apache-2.0
"""What the synthetic pages say: words, names, numbers, dates, amounts, codes.

One word in ten (by checksum) is held out: it appears only in evaluation.
"""
import random
import string
import zlib

ASCII = "".join(chr(i) for i in range(33, 127))
EXTRA = ("€£¥§°±×÷–—‘’“”•…©®™µ²³½¼·«»¿¡"
         "àáâäãåæçèéêëìíîïñòóôöõøœùúûüýßšžčłřđ"
         "ÀÁÂÄÅÆÇÈÉÊËÍÎÑÓÔÖÕØŒÚÜŠŽČŁ")
CHARSET = ASCII + EXTRA  # what the dense head can name; class 0 is "nothing here"
COMMON = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an "
    "they which one you were her all she there would their we him been has when who will more no if out so "
    "said what up its about into than them can only other new some could time these two may then do first any "
    "my now such like our over man me even most made after also did many before must through back years where "
    "much your way well down should because each just those people how too little state good very make world "
    "still own see men work long get here between both life being under never day same another know while last "
    "might us great old year off come since against go came right used take three total number price amount "
    "date name city rate unit page table figure section value sales cost net per code type level index group "
    "result test data report annual quarter revenue budget share growth change average population area region "
    "north south east west order item quantity description product service customer account balance payment "
    "invoice tax due note summary method model study health energy water school market company country").split()
NAMES = ("Adams Baker Chen Davis Evans Fischer Garcia Haddad Ivanov Jensen Kumar Lopez Meyer Nguyen Olsen Patel "
         "Quinn Rossi Schmidt Tanaka Ueda Vargas Weber Xu Young Zhang Anna Boris Clara Daniel Elena Felix Grace "
         "Hugo Irene Jonas Karen Liam Maria Nora Oscar Paula Ravi Sofia Tomas Ursula Victor Wendy Yusuf Zoe "
         "Müller José François Zoë Søren Núñez Chloé André Gómez Jürgen Renée Håkan Dvořák Łódź").split()
PLACES = ("London Paris Berlin Madrid Rome Vienna Oslo Lima Cairo Tokyo Delhi Lagos Accra Quito Sydney Boston "
          "Denver Austin Seattle Toronto Montréal Zürich München Köln Malmö Genève Bogotá Kraków Lisbon Dublin "
          "Athens Prague Warsaw Helsinki France Germany Spain Italy Austria Norway Peru Egypt Japan India Nigeria "
          "Ghana Ecuador Brazil Canada Mexico China Kenya Chile Poland Greece Ireland Iceland Texas Ohio Maine "
          "Nevada Oregon Kansas").split()
MONTHS = ("January February March April May June July August September October November December").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
UNITS = "kg g mg km m cm mm s ms h min GB MB kB W kW MW kWh V A °C °F m² km² m³ L mL Hz GHz USD EUR GBP pp bp".split()
LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
PUNCT = string.punctuation


def _held(word):
    return zlib.crc32(word.encode()) % 10 == 0


def load_words(path="/usr/share/dict/words"):
    """The system's word list (Debian: wamerican, from SCOWL), split into training and held-out words."""
    with open(path, encoding="utf-8") as f:
        words = [w.strip() for w in f]
    words = [w for w in words if 2 <= len(w) <= 14 and not w.endswith("'s") and all(c in CHARSET for c in w)]
    return [w for w in words if not _held(w)], [w for w in words if _held(w)]


class Words:
    """Random strings of every kind a document prints."""

    def __init__(self, rng: random.Random, held=False):
        self.r = rng
        self.words = load_words()[1 if held else 0]

    def word(self):
        r = self.r
        w = r.choice(COMMON) if r.random() < .3 else r.choice(self.words)
        k = r.random()
        return w if k < .72 else w.capitalize() if k < .95 else w.upper()

    def name(self):
        r = self.r
        k = r.random()
        if k < .35:
            return r.choice(NAMES)
        if k < .6:
            return r.choice(PLACES)
        if k < .7:
            return r.choice(MONTHS)
        return r.choice(self.words).capitalize()

    def random_string(self, n=None):
        r = self.r
        n = n or r.choice([1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10])
        k = r.random()
        if k < .25:
            pool = LOWER
        elif k < .45:
            pool = UPPER
        elif k < .55:
            pool = DIGITS
        elif k < .75:
            pool = LOWER + UPPER + DIGITS
        elif k < .97:
            pool = LOWER + UPPER + DIGITS + PUNCT + PUNCT
        else:
            pool = LOWER + EXTRA + EXTRA
        return "".join(r.choice(pool) for _ in range(n))

    def grouped(self, n):
        """An integer in thousands groups, in the style of several countries."""
        return f"{n:,}".replace(",", self.r.choice(",,,,,,, .'"))

    def amount(self):
        r = self.r
        v = f"{r.random() * 10 ** r.randint(1, 5):,.2f}"
        if r.random() < .3:
            v = v.replace(",", "")
        k = r.random()
        if k < .45:
            return r.choice("$$$€£¥") + v
        if k < .6:
            return v + " " + r.choice(["€", "EUR", "USD", "kr", "CHF"])
        if k < .7:
            return "(" + v + ")"
        if k < .8:
            return "-" + v
        return v

    def date(self):
        r = self.r
        y, m, d = r.randint(1900, 2039), r.randint(1, 12), r.randint(1, 28)
        return r.choice([f"{y}-{m:02d}-{d:02d}", f"{d:02d}.{m:02d}.{y}", f"{m}/{d}/{y}", f"{d:02d}/{m:02d}/{y}",
                         f"{d} {MONTHS[m - 1]} {y}", f"{MONTHS[m - 1][:3]} {d}, {y}", f"{MONTHS[m - 1]} {y}",
                         f"{d} {MONTHS[m - 1][:3]}", f"Q{r.randint(1, 4)} {y}", str(y), f"{y}/{(y + 1) % 100:02d}"])

    def number(self):
        r = self.r
        k = r.random()
        if k < .25:
            return str(r.randint(0, 10 ** r.randint(1, 5)))
        if k < .5:
            return f"{r.random() * 10 ** r.randint(0, 4):.{r.randint(1, 3)}f}"
        if k < .6:
            return r.choice([f"{r.randint(0, 100)}%", f"{r.random() * 100:.1f}%", f"{r.random() * 100:.1f} %"])
        if k < .72:
            return self.grouped(r.randint(1000, 10 ** r.randint(4, 8)))
        if k < .8:
            return self.amount()
        if k < .86:
            return self.date()
        if k < .89:
            return f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}"
        if k < .95:
            return r.choice("---–+±") + str(r.randint(0, 9999) / r.choice([1, 1, 10, 100]))
        return f"{r.randint(1, 999)} {r.choice(UNITS)}"

    def code(self):
        r = self.r
        k = r.random()
        if k < .3:
            return self.random_string(r.randint(1, 3)).upper() + "-" + str(r.randint(1, 99999))
        if k < .4:
            return f"{r.choice(self.words).lower()}@{r.choice(self.words).lower()}.{r.choice(['com', 'org', 'net'])}"
        if k < .5:
            return f"www.{r.choice(self.words).lower()}.{r.choice(['com', 'org', 'eu'])}/{r.choice(self.words).lower()}"
        if k < .6:
            return f"+{r.randint(1, 99)} {r.randint(10, 999)} {r.randint(1000, 999999)}"
        if k < .7:
            return f"v{r.randint(0, 20)}.{r.randint(0, 30)}.{r.randint(0, 9)}"
        if k < .8:
            return f"[{r.randint(1, 99)}]"
        return self.random_string(r.randint(4, 10))

    def token(self, kind):
        """One blank-separated piece of running text."""
        r = self.r
        if kind == "random":
            return self.random_string()
        if kind == "number":
            return self.number().replace(" ", "")
        if kind == "mixed":
            kind = r.choices(["words", "number", "random", "code", "name"], [6, 2, 1, 1, 1])[0]
            if kind in ("code", "name"):
                return self.code().replace(" ", "") if kind == "code" else self.name()
            return self.token(kind)
        w = self.word()
        k = r.random()
        if k < .08:
            w += ","
        elif k < .15:
            w += "."
        elif k < .17:
            w += r.choice(";:?!")
        elif k < .185:
            w = "(" + w + ")"
        elif k < .2:
            q = r.choice(['""', "“”", "''", "‘’", "«»"])
            w = q[0] + w + q[1]
        elif k < .215:
            w += "-" + self.word().lower()
        elif k < .225:
            w += r.choice(["'s", "’s"])
        elif k < .23:
            w += r.choice(["–", "—", "…", "/"]) + self.word()
        elif k < .25:
            w = self.name()
        elif k < .28:
            w = self.number().replace(" ", "")
        return w
