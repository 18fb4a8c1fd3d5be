# SPDX-License-Identifier: Apache-2.0
"""What the pages of the held-out set say: tables, prose and charts like those of real documents, from fixed seeds and
from lists of their own."""
import random

STATIONS = ("Arnsberg Finnhaven Kilmore Tarbet Oakhampton Vernier Skarholm Lindau Castelverde Moreton Haslach Norrby "
            "Ravenna Tolosa Brixworth Dunmore Ellesmere Puerto-Rey Saint-Aubin Wexcombe Zavala Ystad Querfurt Jaca "
            "Umbertide Inverleith Gotha Ptuj Larvik Nyborg").split()
SURNAMES = ("Abernathy Bianchi Castellan Drummond Eriksen Fairweather Grünwald Hollander Ibsen Jankowski Kowalczyk "
            "Lindqvist Marchetti Nakamura Okonkwo Pemberton Quigley Rasmussen Stavros Thibault Underhill Velasquez "
            "Whitcombe Xenakis Yamamoto Zielinski").split()
GIVEN = ("Agnes Bertram Cecilia Dmitri Edith Fabian Gwendolyn Harald Ingrid Joaquin Kirsten Leopold Mathilda Niels "
         "Ottilie Philippa Rupert Sigrid Theodora Ulrich Vivian Wolfgang").split()
RIVERS = "Ardèche Boyne Coquet Dordogne Ebro Fulda Garonne Havel Inn Jizera Kemi Loire Medway Neckar Orb Po Tagus".split()
GOODS = ("Hex bolts M8|Washers, spring|Copper pipe 22 mm|Cable ties (black)|Wall brackets|Paint, white matt|"
         "Sanding discs|Door hinges|Masonry drill bit|Junction box|LED panel 60x60|Silicone sealant|Pipe clamps|"
         "Safety goggles|Work gloves, L|Extension lead|Gate valve|Roof nails").split("|")
DEPARTMENTS = ("Administration|Archives|Building control|Catering|Environmental health|Finance|Highways|Housing|"
               "Legal services|Libraries|Parks and gardens|Planning|Public relations|Transport|Waste collection|"
               "Youth work").split("|")
BIRDS = ("Avocet|Bearded tit|Common tern|Dunlin|Eider|Fieldfare|Golden plover|Grey heron|Hen harrier|Jackdaw|"
         "Knot|Lapwing|Little egret|Marsh warbler|Nuthatch|Oystercatcher|Pintail|Redshank|Sanderling|Teal").split("|")
TESTS = ("Tensile strength|Elongation at break|Hardness, Shore A|Water absorption|Density|Melt flow index|"
         "Ash content|Flash point|Viscosity at 40 °C|Thermal conductivity").split("|")
UNITS = "MPa|%|pts|%|g/cm³|g/10 min|%|°C|mm²/s|W/mK".split("|")
REMARKS = ("Closed on public holidays|Gauge replaced after the flood of spring|Awaiting approval by the board|"
           "Delivered in two parts, the second late|See the note on page four|Measured with the new instrument|"
           "Estimate; no receipt was kept|Access only by the northern gate|Contract ends with the year|"
           "Repaired twice since the last inspection").split("|")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
LONG_MONTHS = "January February March April May June July August September October November December".split()


def grouped(n, by=","):
    return f"{n:,}".replace(",", by)


class Contents:
    def __init__(self, seed, plain=False, dollars=False):
        """plain: ASCII alone, for typesetters that compose accents; dollars: no euros, for fonts without them."""
        self.r, self.plain, self.dollars = random.Random(seed), plain, dollars or plain

    def ascii(self, s):
        for a, b in zip("üèéö°³²–’", "ueeo 32-'"):
            s = s.replace(a, b)
        return " ".join(s.split())

    def some(self, names, n):
        return [self.ascii(s) if self.plain else s for s in self.r.sample(list(names), n)]

    def person(self):
        return self.some(GIVEN, 1)[0] + " " + self.some(SURNAMES, 1)[0]

    # ---- tables: (alignments, rows); the first row is the header

    def stations(self, n, years=3):
        r = self.r
        first = r.randint(1998, 2019)
        rows = [["Station"] + [str(first + k) for k in range(years)] + ["Change"]]
        for s in self.some(STATIONS, n):
            v = [r.randint(80, 99999) for _ in range(years)]
            rows.append([s] + [grouped(x) for x in v] + [f"{100 * (v[-1] - v[-2]) / v[-2]:+.1f}%"[:8]])
        return "l" + "r" * (years + 1), rows

    def invoice(self, n):
        r = self.r
        rows, total = [["Item", "Article", "Qty", "Unit price", "Amount"]], 0
        for k, s in enumerate(self.some(GOODS, n)):
            q, p = r.randint(1, 60), r.randint(15, 29999)
            total += q * p
            rows.append([str(k + 1), s, str(q), f"{p / 100:.2f}", grouped(q * p // 100) + f".{q * p % 100:02}"])
        rows.append(["", "Total", "", "", grouped(total // 100) + f".{total % 100:02}"])
        return "rlrrr", rows

    def budget(self, n):
        r = self.r
        y = r.randint(2005, 2025)
        rows = [["Department", f"Budget {y}", f"Actual {y}", "Variance"]]
        for s in self.some(DEPARTMENTS, n):
            a, b = r.randint(900, 900000), r.randint(900, 900000)
            rows.append([s, grouped(a), grouped(b), ("-" if b < a else "") + grouped(abs(b - a))])
        return "lrrr", rows

    def birds(self, n):
        r = self.r
        rows = [["Species", "Pairs", "First seen", "Last seen", "Ringed"]]
        for s in self.some(BIRDS, n):
            rows.append([s, str(r.randint(0, 840)), f"{r.randint(1, 28)} {r.choice(MONTHS[:5])}",
                         f"{r.randint(1, 28)} {r.choice(MONTHS[6:])}", r.choice(["yes", "no", "no", "n/a"])])
        return "lrllc", rows

    def tests(self, n):
        r = self.r
        rows = [["Property", "Unit", "Sample A", "Sample B", "Limit"]]
        for k in r.sample(range(len(TESTS)), n):
            t, u = (self.ascii(TESTS[k]), self.ascii(UNITS[k])) if self.plain else (TESTS[k], UNITS[k])
            x = r.uniform(.5, 90)
            rows.append([t, u] + [f"{x * r.uniform(.9, 1.1):.2f}" for _ in "AB"] + [f"{x:.1f}"])
        return "lcrrr", rows

    def staff(self, n):
        r = self.r
        rows = [["Name", "Post", "Since", "Telephone", "Room"]]
        for _ in range(n):
            rows.append([self.person(), r.choice(["Clerk", "Head of section", "Surveyor", "Engineer", "Typist", "Porter"]),
                         f"{r.randint(1, 28):02}.{r.randint(1, 12):02}.{r.randint(1981, 2024)}",
                         f"0{r.randint(20, 99)} {r.randint(100, 999)} {r.randint(1000, 9999)}",
                         r.choice("ABCD") + "-" + str(r.randint(1, 480))])
        return "lllll", rows

    def remarks(self, n):
        """A column of sentences, which stand on several lines."""
        r = self.r
        rows = [["Ref.", "Place", "Date", "Remarks", "Cost"]]
        for s in self.some(STATIONS, n):
            text = " ".join(self.some(REMARKS, r.choice([1, 1, 2])))
            rows.append([f"{r.choice('KLMR')}{r.randint(10, 999)}", s, f"{r.randint(2009, 2025)}-{r.randint(1, 12):02}",
                         text, grouped(r.randint(40, 99000))])
        return "lllpr", rows

    def months(self, n):
        """Many narrow columns of small numbers, some empty."""
        r = self.r
        rows = [["River"] + MONTHS[:8]]
        for s in self.some(RIVERS, n):
            rows.append([s] + ["" if r.random() < .08 else f"{r.uniform(.1, 39):.1f}" for _ in range(8)])
        return "l" + "r" * 8, rows

    def timetable(self, n):
        r = self.r
        rows = [["Train"] + [str(r.randint(100, 999)) for _ in range(4)]]
        t = [r.randint(300, 900) for _ in range(4)]
        for s in self.some(STATIONS, n):
            t = [x + r.randint(3, 25) for x in t]
            rows.append([s] + [f"{x // 60 % 24:02}:{x % 60:02}" for x in t])
        return "lrrrr", rows

    def parameters(self, n):
        """Two columns, no header to speak of."""
        r = self.r
        rows = []
        for s in self.some(DEPARTMENTS + GOODS, n):
            rows.append([s.split(",")[0], r.choice([str(r.randint(1, 5000)), f"{r.uniform(0, 9):.3f}", self.person()])])
        return "lr", rows

    # ---- prose

    def sentence(self):
        r = self.r
        a, b = self.some(STATIONS, 2)
        y, p, q = r.randint(1702, 2024), self.person(), self.person()
        n = r.choice([str(r.randint(2, 99)), grouped(r.randint(1000, 250000)), f"{r.uniform(1, 60):.1f}"])
        river, month = self.some(RIVERS, 1)[0], r.choice(LONG_MONTHS)
        return r.choice([
            f"The bridge over the {river} was opened in {month} {y} after {n} weeks of work.",
            f"In {y} the council of {a} asked {p} to survey every well within {n} km of the town.",
            f"Her report, which ran to {n} pages, was read aloud at {b} and then forgotten.",
            f"No one had expected such a harvest.",
            f"Of the {n} letters that survive, most were written to {p} between {y} and {y + r.randint(1, 30)}.",
            f"It rained for nine days, and the road from {a} to {b} could not be used.",
            f"“I have never seen it so low,” said {p}, who kept the gauge at {a}.",
            f"The price of timber rose by {r.randint(2, 60)}% (see section {r.randint(2, 9)}.{r.randint(1, 9)}), that of slate hardly at all.",
            f"{p} and {q} disagreed about the cause; neither changed his mind.",
            f"By the summer of {y} the mill employed {n} people, half of them from {b}.",
            f"Readers who want the figures alone will find them in the appendix, together with the methods used to obtain them.",
            f"The committee’s decision was unanimous: the archive would stay in {a}.",
            f"At a depth of {n} m the water is clear, cold and perfectly still.",
            f"A second attempt, made in {month} with better equipment, failed for the same reason.",
            f"Whether the {river} ever reached the old harbour is a question for geologists, not for historians.",
            f"Tickets cost €{r.randint(2, 40)}.{r.randint(10, 99)} and can be bought at the gate.",
            f"This was measured again at {r.randint(6, 11)}:{r.randint(10, 59)} on {r.randint(1, 28)} {month}, with no difference worth recording.",
            f"Later editions omit the chapter on {b} without saying why.",
        ])

    def paragraph(self, sentences):
        return " ".join(self.item() for _ in range(sentences))

    def heading(self):
        r = self.r
        return r.choice([f"The {self.some(RIVERS, 1)[0]} and its bridges", f"A visit to {self.some(STATIONS, 1)[0]}",
                         "What the records show", "Methods and instruments", "Results of the second survey",
                         f"Letters to {self.some(SURNAMES, 1)[0]}", "Weather, water and trade", "Notes for visitors",
                         "Prices and wages", "An unfinished inquiry"])

    def item(self):
        s = self.sentence().replace("€", "$" if self.dollars else "€")
        return self.ascii(s.replace("“", "\"").replace("”", "\"")) if self.plain else s

    # ---- charts: (label, value as printed) pairs

    def chart(self, n):
        r = self.r
        kind = r.choice(["year", "month", "place", "river", "department"])
        labels = {"year": lambda: [str(y) for y in range(2024 - n, 2024)], "month": lambda: MONTHS[:n],
                  "place": lambda: self.some([s for s in STATIONS if len(s) < 9], n),
                  "river": lambda: self.some(RIVERS, n),
                  "department": lambda: self.some([s for s in DEPARTMENTS if len(s) < 11], n)}[kind]()
        form = r.choice([lambda: str(r.randint(12, 99)), lambda: str(r.randint(120, 990)),
                         lambda: f"{r.uniform(2, 9.9):.1f}", lambda: f"{r.uniform(10, 99):.1f}"])
        values, seen = [], set()
        while len(values) < n:
            v = form()
            if v not in seen:
                seen.add(v)
                values.append(v)
        return list(zip(labels, values))
