"""The page a person reads: one offline HTML file about a model, with pictures inside and no links to elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import pandas as pd

STYLE = """
body{font:16px/1.55 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem 1.2rem 4rem;color:#222;
background:#fff}
h1{font-size:1.7rem;line-height:1.25;margin:.6rem 0}h2{font-size:1.2rem;margin:2.4rem 0 .6rem;padding-bottom:.2rem;
border-bottom:2px solid #e8edf5}.verdict{border-left:6px solid;padding:.5rem 1rem;margin:1rem 0;background:#f5f8f5}
.promote{border-color:#3a8f4f}.hold,.refuse{border-color:#c9820a;background:#fff8ec}.refuse{border-color:#b33a3a}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;margin:.5rem 0}dt{color:#666}dd{margin:0;
overflow-wrap:anywhere}.table{overflow-x:auto;margin:.6rem 0}table{border-collapse:collapse;font-size:.92rem}
td,th{text-align:left;padding:.3rem .9rem .3rem 0;border-bottom:1px solid #e6e6e6;white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%;height:auto;display:block;
margin:.8rem 0}
pre{background:#f4f6f9;padding:.7rem .9rem;overflow-x:auto;font-size:.85rem;border-radius:4px}p{margin:.5rem 0}
.warn{background:#fff6e0;border-left:4px solid #e0a800;padding:.35rem .8rem}.dim{color:#666;font-size:.9rem}
@media(max-width:40rem){dl{grid-template-columns:1fr;gap:0}dt{margin-top:.4rem}body{font-size:15px}}
@media print{body{max-width:none;padding:0}h2{break-after:avoid}img,tr,pre{break-inside:avoid}pre{white-space:pre-wrap}
.table{overflow:visible}}
"""


@dataclass
class Section:
    """A part of the card: a heading, and pieces of HTML under it, added one by one.

    Attributes:
        title: the heading.
        pieces: of HTML; everything in them has been escaped.
    """

    title: str
    pieces: list[str] = field(default_factory=list)

    def text(self, *sentences: str, style: str = "") -> "Section":
        """Add a paragraph."""
        mark = f' class="{style}"' if style else ""
        self.pieces.append(f"<p{mark}>{escape(' '.join(sentences))}</p>")
        return self

    def facts(self, facts: Mapping[str, object]) -> "Section":
        """Add names with their values; those without a value are left out."""
        rows = "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if str(value) != ""
        )
        self.pieces.append(f"<dl>{rows}</dl>")
        return self

    def table(self, table: pd.DataFrame, most: int = 20) -> "Section":
        """Add the first rows of a table; numbers have four digits that tell something."""
        numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
        head = "".join(
            f"<th{' class=n' if number else ''}>{escape(str(name))}</th>"
            for name, number in zip(table.columns, numeric, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f"<td{' class=n' if number else ''}>{escape(_spell(value))}</td>"
                for value, number in zip(row, numeric, strict=True)
            )
            + "</tr>"
            for row in table.head(most).itertuples(index=False)
        )
        self.pieces.append(f'<div class="table"><table><tr>{head}</tr>{body}</table></div>')
        if len(table) > most:
            self.text(f"The first {most} of {len(table)} rows.", style="dim")
        return self

    def picture(self, png: bytes, what: str) -> "Section":
        """Add a picture, with what it shows in words for those who cannot see it."""
        data = base64.b64encode(png).decode()
        self.pieces.append(f'<img alt="{escape(what)}" src="data:image/png;base64,{data}">')
        return self

    def code(self, code: str) -> "Section":
        """Add lines to copy."""
        self.pieces.append(f"<pre>{escape(code)}</pre>")
        return self


def card(title: str, decision: str, verdict: str, sections: Sequence[Section]) -> str:
    """Make the page.

    Args:
        title: of the page.
        decision: `promote`, `hold` or `refuse`, for the colour of the verdict.
        verdict: what was decided and why, in a sentence or two.
        sections: those without pieces are left out.
    """
    body = "".join(
        f"<section><h2>{escape(each.title)}</h2>{''.join(each.pieces)}</section>" for each in sections if each.pieces
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>'
        f'<h1>{escape(title)}</h1><p class="verdict {decision}">{escape(verdict)}</p>{body}</body></html>\n'
    )


def _spell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
