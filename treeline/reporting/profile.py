"""The page that shows a table: one offline HTML file with every column's counts, distribution and tie to the target."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd

from treeline.data.quality import as_numbers
from treeline.data.values import as_categories

BINS, BARS, WIDTH, HEIGHT = 30, 8, 300, 60
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}
.facts{display:flex;flex-wrap:wrap;gap:.6rem 2rem;margin:1rem 0}.facts div{min-width:6rem}
.facts b{display:block;font-size:1.25rem}.warn{background:#fff6e0;border-left:4px solid #e0a800;padding:.4rem .8rem;
margin:.4rem 0}.table{overflow-x:auto}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.45rem .7rem .45rem 0;border-bottom:1px solid #e4e4e4;vertical-align:top}
th{font-weight:600}td.n{text-align:right;white-space:nowrap}.dim{color:#777;font-size:.85rem}
svg text{font:11px system-ui,sans-serif;fill:#333}.bar{background:#e8edf5;width:7rem;height:.8rem;display:inline-block}
.bar i{display:block;height:100%;background:#4c72b0}@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}
"""


def profile_page(
    name: str,
    frame: pd.DataFrame,
    kinds: Mapping[str, str],
    reasons: Mapping[str, str],
    left_out: Mapping[str, str],
    target: str,
    classes: Sequence[object],
    knowledge: Mapping[str, float],
    facts: Mapping[str, str],
    warnings: Sequence[str],
) -> str:
    """Make the page.

    Args:
        name: of the table.
        frame: the training rows; nothing of the test rows is shown.
        kinds: of the columns that the model reads.
        reasons: why each is of its kind.
        left_out: the other columns, and why.
        target: the column to predict.
        classes: the labels; empty for regression.
        knowledge: how much of the target each column tells by itself, from 0 to 1.
        facts: a few words under a heading each, at the top.
        warnings: sentences.

    Returns:
        HTML without any link to elsewhere.
    """
    rows = []
    for column in sorted(kinds, key=lambda each: -knowledge.get(each, 0.0)):
        rows.append(_row(column, frame[column], kinds[column], reasons.get(column, ""), knowledge.get(column)))
    goal = _row(target, frame[target], "category" if classes else "number", "the target", None)
    out = "".join(f"<tr><td>{escape(each)}</td><td>{escape(why)}</td></tr>" for each, why in left_out.items())
    heads = (
        '<tr><th>column</th><th>kind</th><th class="n">missing</th><th class="n">different</th>'
        "<th>distribution</th><th>tells of the target</th></tr>"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(name)}: profile</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{escape(name)}</h1><p class='dim'>The training rows as Treeline reads them.</p><div class='facts'>"
        + "".join(f"<div><b>{escape(value)}</b>{escape(key)}</div>" for key, value in facts.items())
        + "</div>"
        + "".join(f'<p class="warn">{escape(each)}</p>' for each in warnings)
        + f"<h2>Target</h2><div class='table'><table>{heads}{goal}</table></div>"
        + f"<h2>Columns</h2><div class='table'><table>{heads}{''.join(rows)}</table></div>"
        + "<p class='dim'>What a column tells of the target: a small decision tree on this column alone, "
        "cross-validated on at most 5,000 rows; for classes the share of the balanced error of guessing that it "
        "avoids, for numbers R², or the squared rank correlation. Free text is not judged.</p>"
        + (f"<h2>Left out</h2><table><tr><th>column</th><th>why</th></tr>{out}</table>" if out else "")
        + "</body></html>\n"
    )


def _row(name: str, column: pd.Series, kind: str, reason: str, share: float | None) -> str:
    values = None if kind in ("category", "high_cardinality", "boolean") else as_numbers(column, kind)
    missing = float(column.isna().mean() if values is None else np.isnan(values).mean())
    picture = _histogram(values, kind) if values is not None else _bars(column, kind)
    tells = (
        ""
        if share is None or kind == "text"
        else f'<span class="bar"><i style="width:{share:.0%}"></i></span> {share:.2f}'
    )
    return (
        f"<tr><td>{escape(name)}</td><td>{kind}<br><span class='dim'>{escape(reason)}</span></td>"
        f'<td class="n">{missing:.1%}</td><td class="n">{column.nunique():,}</td>'
        f"<td>{picture}</td><td>{tells}</td></tr>"
    )


def _histogram(values: np.ndarray, kind: str) -> str:
    """Draw numbers or moments between their 1st and 99th hundredth, with the ends and the median below."""
    present = values[~np.isnan(values)]
    if not len(present):
        return ""
    low, high = (
        np.percentile(present, [1, 99]) if len(np.unique(present[:1000])) > 10 else (present.min(), present.max())
    )
    counts = np.histogram(present, BINS, (low, high if high > low else low + 1))[0]
    step = WIDTH / BINS
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{HEIGHT * (1 - count / counts.max()):.1f}" width="{step - 1:.1f}" '
        f'height="{HEIGHT * count / counts.max():.1f}" fill="#4c72b0"/>'
        for i, count in enumerate(counts)
        if count
    )
    ends = [_spell(value, kind) for value in (present.min(), np.median(present), present.max())]
    places = zip(("start", "middle", "end"), (0, WIDTH / 2, WIDTH), ends, strict=True)
    labels = "".join(
        f'<text x="{x}" y="{HEIGHT + 13}" text-anchor="{anchor}">{escape(label)}</text>' for anchor, x, label in places
    )
    return f'<svg width="{WIDTH}" height="{HEIGHT + 17}" role="img">{bars}{labels}</svg>'


def _bars(column: pd.Series, kind: str) -> str:
    """Draw the commonest levels; of free text, say how long it is."""
    if kind == "text":
        words = pd.Series(as_categories(column)).dropna().head(5000).str.split().map(len)
        return f"{words.median():.0f} words in the middle, {words.max():.0f} at most"
    counts = pd.Series(as_categories(column)).value_counts()
    shown = counts.head(BARS)
    bars = "".join(
        f'<rect x="0" y="{16 * i}" width="{(WIDTH - 140) * count / shown.max():.1f}" height="12" fill="#4c72b0"/>'
        f'<text x="{(WIDTH - 140) * count / shown.max() + 5:.1f}" y="{16 * i + 10}">'
        f"{escape(str(level)[:20])} {count / len(column):.0%}</text>"
        for i, (level, count) in enumerate(shown.items())
    )
    more = f'<br><span class="dim">and {len(counts) - len(shown):,} more</span>' if len(counts) > len(shown) else ""
    return f'<svg width="{WIDTH}" height="{16 * len(shown)}" role="img">{bars}</svg>{more}'


def _spell(value: float, kind: str) -> str:
    if kind == "datetime":
        return str(pd.Timestamp(value, unit="s").strftime("%Y-%m-%d"))
    return f"{value:.4g}"
