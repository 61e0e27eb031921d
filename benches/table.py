"""Figures of rounds, and how they are shown: medians with the smallest and the largest, and the ratio round by round."""
from dataclasses import dataclass, field
from statistics import median


def number(value):
    if value == 0:
        return "0"
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 100 or value < 10 else f"{value:.1f}"


def spread(values, unit=""):
    if not values:
        return "–"
    middle = f"{number(median(values))}{unit}"
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} – {number(max(values))})"


@dataclass
class Row:
    """One figure of both. `times` is the aim as a ratio, `at_most` as a bound on ours."""

    what: str
    unit: str
    more_is_better: bool = True
    times: float = None
    at_most: float = None
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)

    def add(self, ours, theirs=None):
        self.ours.append(ours)
        if theirs is not None:
            self.theirs.append(theirs)

    def ratios(self):
        """How many times better we are, in each round."""
        pairs = [(a, b) if self.more_is_better else (b, a) for a, b in zip(self.ours, self.theirs)]
        return [a / b for a, b in pairs if b]

    def aim(self):
        wanted = []
        if self.times:
            wanted.append(f"≥ {number(self.times)} ×")
        if self.at_most is not None:
            wanted.append(f"≤ {number(self.at_most)} {self.unit}".strip())
        return ", ".join(wanted)

    def reached(self):
        """None where there is no aim, or nothing was measured."""
        if not self.ours or not self.aim():
            return None
        far_enough = not self.times or (self.ratios() and median(self.ratios()) >= self.times)
        return bool(far_enough and (self.at_most is None or median(self.ours) <= self.at_most))

    def cells(self):
        verdict = {None: "", True: "yes", False: "**no**"}[self.reached()]
        what = f"{self.what}, {self.unit}" if self.unit else self.what
        return [what, spread(self.ours), spread(self.theirs), spread(self.ratios(), " ×"), self.aim(), verdict]


HEAD = ["", "Strongroom", "OpenBao", "better by", "aim", "reached"]


def markdown(rows):
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def text(rows):
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)
