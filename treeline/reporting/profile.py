"""The page that shows a table: one offline HTML file with every column's counts, distribution and tie to the target."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from unicodedata import east_asian_width

import numpy as np
import pandas as pd

from treeline.data.leaks import MAX_WORDS_JUDGED, as_numbers
from treeline.data.problem import Problem
from treeline.data.quality import MAX_ROWS_JUDGED
from treeline.data.values import as_categories
from treeline.reporting.html import Section, boxed_table, page

PICTURE_PX = 300  # width of a picture
BARS_PX = 60  # height of the bars of a histogram
LABEL_PX = 16  # height of a line of labels
CHAR_PX, WIDE_CHAR_PX = 7, 11.5  # mean width of the characters of a label, and of Chinese or Japanese ones
LEVEL_PX = 120  # width of the bar of the commonest category

MAX_BINS = 30  # of a histogram
MAX_DIGITS = 15  # of a label, so that two of them stand side by side
MAX_LEVELS_SHOWN = 8
MIN_DISTINCT_TO_CUT = 11  # distinct values from which a histogram leaves out the outermost hundredths
MAX_VALUES_LOOKED_AT = 5_000  # for their distinctness, or for the words of a text
HEADS = [
    ("column", "wrap"),
    ("distribution", "wrap"),
    ("tells of the target", ""),
    ("missing", "n"),
    ("different", "n"),
]
HOW_TO_READ = (
    "What a column tells of the target: a small decision tree on this column alone, or on the "
    f"{MAX_WORDS_JUDGED} commonest words of a text, cross-validated on at most {MAX_ROWS_JUDGED:,} rows; a category is "
    "judged by the other rows of its level. For classes it is the share of the balanced error of guessing that is "
    "avoided, for numbers R², or the squared rank correlation. The axis of a histogram runs from the smallest value to "
    "the largest, or from the 1st to the 99th percentile where it says what lies beyond."
)
DAY, MINUTE = 86_400, 60  # seconds


def profile_page(
    problem: Problem, train: pd.DataFrame, predictive_power: Mapping[str, float], facts: Mapping[str, str]
) -> str:
    """Make the page.

    Args:
        problem: whose columns, target and warnings are shown.
        train: the training rows, at least one; nothing of the test rows is shown.
        predictive_power: how much of the target each column tells by itself, from 0 to 1; the page has the columns in
            this order, the largest first. A column without one comes last.
        facts: a few words under a heading each, at the top.

    Returns:
        HTML without any link to elsewhere.
    """
    tiles = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items())
    lead = Section("").text("The training rows as Treeline reads them.", style="dim")
    lead.pieces.append(f'<dl class="tiles">{tiles}</dl>')
    for warning in problem.warnings:
        lead.text(warning, style="warn")

    target = _row(train[problem.target], "category" if problem.classes else "number", "the target", None)
    columns = [
        _row(train[name], problem.kinds[name], problem.reasons.get(name, ""), predictive_power.get(name))
        for name in sorted(problem.kinds, key=lambda name: -predictive_power.get(name, 0.0))
    ]
    left_out = [(escape(name), escape(why)) for name, why in problem.left_out.items()]
    sections = [
        Section("Target", [boxed_table(HEADS, [target])]),
        Section("Columns", [boxed_table(HEADS, columns)]).text(HOW_TO_READ, style="dim"),
        Section("Left out", [boxed_table([("column", "wrap"), ("why", "wrap")], left_out)] if left_out else []),
    ]
    return page(f"{problem.table}: profile", "".join(lead.pieces), sections)


def _row(column: pd.Series, kind: str, reason: str, power: float | None) -> list[str]:
    """Spell the cells of a column, in the order of `HEADS`."""
    numbers = as_numbers(column, kind) if kind in ("number", "datetime") else None
    missing = column.isna() if numbers is None else np.isnan(numbers)
    if numbers is not None:
        picture = _histogram(numbers[~np.isnan(numbers)], kind)
    else:
        picture = _words(column) if kind == "text" else _levels(column)
    tells = "" if power is None else f'<span class="share"><i style="width:{power:.0%}"></i></span> {power:.2f}'
    read_as = reason if reason.startswith(kind) else ": ".join(filter(None, (kind, reason)))
    return [
        f'<b>{escape(str(column.name))}</b><span class="dim">{escape(read_as)}</span>',
        picture,
        tells,
        f"{float(np.mean(missing)):.1%}",
        f"{column.nunique():,}",
    ]


# --- numbers and moments


@dataclass(frozen=True)
class _Axis:
    """The horizontal axis of a histogram.

    Attributes:
        low, high: the values at its ends, `low < high`; of moments, seconds since 1970.
        kind: `number` or `datetime`.
    """

    low: float
    high: float
    kind: str

    def place(self, values: np.ndarray | float) -> np.ndarray | float:
        """Give places on the axis: 0 is its left end, 1 its right."""
        return (values - self.low) / (self.high - self.low)

    def spell(self, value: float) -> str:
        """Spell a value so finely that different places look different, as far as 15 digits go."""
        span = self.high - self.low
        if self.kind == "datetime":
            form = "%Y-%m-%d" if span > 3 * DAY else "%Y-%m-%d %H:%M" if span > 3 * MINUTE else "%Y-%m-%d %H:%M:%S"
            return str(pd.Timestamp(value, unit="s").strftime(form))
        decimals = 3 - math.floor(math.log10(span))
        if abs(value) < 1e9 and decimals <= 8:
            return np.format_float_positional(round(value, max(0, decimals)) + 0.0, trim="-")
        scale = math.log10(max(abs(self.low), abs(self.high)) / span)
        return f"{value:.{min(MAX_DIGITS, 4 + max(0, math.ceil(scale)))}g}"


def _histogram(present: np.ndarray, kind: str) -> str:
    """Draw values that are not missing, with the ends of the axis below and the median at its place."""
    if not len(present):
        return ""
    least, most = float(present.min()), float(present.max())
    if least == most:
        return f"always {escape(_Axis(least, least + max(1.0, abs(least)), kind).spell(least))}"
    low, high = least, most
    if len(np.unique(present[:: -(-len(present) // MAX_VALUES_LOOKED_AT)])) >= MIN_DISTINCT_TO_CUT:
        inner_low, inner_high = np.percentile(present, [1, 99])
        if inner_low < inner_high:
            low, high = float(inner_low), float(inner_high)
    axis = _Axis(low, high, kind)
    beyond = [
        f"{name} {axis.spell(value)}" for name, value in (("min", least), ("max", most)) if not low <= value <= high
    ]
    note = f'<span class="dim">beyond the axis: {escape(", ".join(beyond))}</span>' if beyond else ""
    return _histogram_svg(axis, present) + note


def _histogram_svg(axis: _Axis, present: np.ndarray) -> str:
    """Draw the values on an axis: the median's label above the bars, the ends of the axis below, so none can meet."""
    counts = np.histogram(axis.place(present), MAX_BINS, (0, 1))[0]  # of places, for values may be too close for bins
    heights = BARS_PX * counts / counts.max()
    step, floor = PICTURE_PX / MAX_BINS, LABEL_PX + BARS_PX
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{floor - height:.1f}" width="{step - 1:.1f}" height="{height:.1f}"/>'
        for i, height in enumerate(heights)
        if height
    )
    median = float(np.median(present))
    x = PICTURE_PX * float(axis.place(median))
    low, high, label = axis.spell(axis.low), axis.spell(axis.high), f"median {axis.spell(median)}"
    half = _width(label) / 2
    shapes = (
        f'{bars}<line x1="0" y1="{floor}" x2="{PICTURE_PX}" y2="{floor}"/>'
        f'<line class="median" x1="{x:.1f}" y1="{LABEL_PX - 2}" x2="{x:.1f}" y2="{floor + 4}"/>'
        f'<text x="{min(max(x, half), PICTURE_PX - half):.1f}" y="11" text-anchor="middle">{escape(label)}</text>'
        f'<text x="0" y="{floor + LABEL_PX}">{escape(low)}</text>'
        f'<text x="{PICTURE_PX}" y="{floor + LABEL_PX}" text-anchor="end">{escape(high)}</text>'
    )
    return _svg(shapes, floor + LABEL_PX + 4, f"Histogram from {low} to {high}, {label}")


# --- categories and texts


def _levels(column: pd.Series) -> str:
    """Draw how often the commonest categories stand in a column; nothing where every value is missing."""
    counts = pd.Series(as_categories(column)).value_counts()
    shown = counts.head(MAX_LEVELS_SHOWN)
    if shown.empty:
        return ""
    shapes, spelled = [], []
    for i, (level, count) in enumerate(shown.items()):
        width, share = LEVEL_PX * count / counts.max(), count / len(column)
        label = _fit(f"{share:.0%} {level}" if share >= 0.01 else f"<1% {level}", PICTURE_PX - width - 5)
        shapes.append(f'<rect x="0" y="{LABEL_PX * i}" width="{width:.1f}" height="12"/>')
        shapes.append(f'<text x="{width + 5:.1f}" y="{LABEL_PX * i + 10}">{escape(label)}</text>')
        spelled.append(label)
    more = f'<span class="dim">and {len(counts) - len(shown):,} more</span>' if len(counts) > len(shown) else ""
    return _svg("".join(shapes), LABEL_PX * len(shown), "; ".join(spelled)) + more


def _words(column: pd.Series) -> str:
    """Say how long free text is; nothing where every value is missing."""
    words = pd.Series(as_categories(column)).dropna().head(MAX_VALUES_LOOKED_AT).str.split().map(len)
    return f"median {words.median():.0f} words, at most {words.max():.0f}" if len(words) else ""


# --- drawing


def _svg(shapes: str, height: int, what: str) -> str:
    """Frame a drawing, with what it shows in words for those who cannot see it."""
    size = f'width="{PICTURE_PX}" height="{height}" viewBox="0 0 {PICTURE_PX} {height}"'
    return f'<svg {size} role="img" aria-label="{escape(what)}">{shapes}</svg>'


def _width(text: str) -> float:
    """Tell about how wide a label is, in pixels."""
    return sum(WIDE_CHAR_PX if east_asian_width(each) in "WF" else CHAR_PX for each in text)


def _fit(text: str, room: float) -> str:
    """Cut a label that is wider than its room, in pixels."""
    if _width(text) <= room:
        return text
    while _width(text) > room - CHAR_PX:
        text = text[:-1]
    return text + "…"
