"""The frame of every page a person reads: one offline HTML file in one style, with pictures inside, linking nowhere."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import pandas as pd

from treeline.data.sentences import figure

MAX_CELL_CHARS = 60  # characters of a value in a table of values
STYLE = """
body{font:16px/1.55 system-ui,sans-serif;margin:0 auto;max-width:64rem;padding:1rem 1.2rem 4rem;color:#222;
background:#fff;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.25;margin:.6rem 0}h2{font-size:1.2rem;margin:2.4rem 0 .6rem;padding-bottom:.2rem;
border-bottom:2px solid #e8edf5}p{margin:.5rem 0}.dim{color:#666;font-size:.9em}
.warn{background:#fff6e0;border-left:4px solid #e0a800;padding:.35rem .8rem}
.verdict{border-left:6px solid;padding:.5rem 1rem;margin:1rem 0;background:#f5f8f5}.promote{border-color:#3a8f4f}
.hold,.refuse{border-color:#c9820a;background:#fff8ec}.refuse{border-color:#b33a3a}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;margin:.5rem 0}dt{color:#666}dd{margin:0}
dl.tiles{display:flex;flex-wrap:wrap;gap:.6rem 2rem;margin:1rem 0}.tiles div{display:flex;flex-direction:column-reverse}
.tiles dt{margin:0}.tiles dd{font-size:1.25rem;font-weight:600}
.table{overflow-x:auto;margin:.6rem 0}table{border-collapse:collapse;font-size:.92rem;overflow-wrap:normal}
td,th{text-align:left;padding:.3rem .9rem .3rem 0;border-bottom:1px solid #e6e6e6;white-space:nowrap;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.wrap{white-space:normal;overflow-wrap:anywhere;min-width:8rem;max-width:24rem}
td .dim{display:block;line-height:1.3}
pre{background:#f4f6f9;padding:.7rem .9rem;overflow-x:auto;font-size:.85rem;border-radius:4px;overflow-wrap:normal}
img{max-width:100%;height:auto;display:block;margin:.8rem 0}
svg{display:block}svg text{font:11px system-ui,sans-serif;fill:#333}svg rect{fill:#4c72b0}svg line{stroke:#999}
svg .median{stroke:#c44e52;stroke-width:1.5}
.share{background:#e8edf5;width:5rem;height:.8rem;display:inline-block}
.share i{display:block;height:100%;background:#4c72b0}
@media(max-width:40rem){body{font-size:15px}dl{grid-template-columns:1fr;gap:0}dt{margin-top:.4rem}}
@media print{body{max-width:none;padding:0;font-size:12px}h2{break-after:avoid}img,tr,pre,svg{break-inside:avoid}
pre{white-space:pre-wrap;overflow-wrap:anywhere}.table{overflow:visible}table{font-size:.8rem}
td,th{white-space:normal;padding-right:.5rem}img{max-height:11cm;width:auto}td.wrap{min-width:5rem}svg{width:16rem;height:auto}.share{width:3rem}
.warn,.verdict,.share,.share i,pre,svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


@dataclass
class Section:
    """A part of a page: a heading, and pieces of HTML under it, added one by one.

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
        """Add the first rows of a table; numbers have at least four digits, missing ones are blank."""
        numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in table.dtypes]
        heads = [(str(name), "n" if number else "") for name, number in zip(table.columns, numeric, strict=True)]
        rows = ([escape(spell(value)) for value in row] for row in table.head(most).itertuples(index=False))
        self.pieces.append(boxed_table(heads, rows))
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


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Make a page.

    Args:
        title: of the page, not escaped.
        lead: HTML between the title and the first section, escaped; may be empty.
        sections: those without pieces are left out.

    Returns:
        A whole HTML document that loads nothing from elsewhere.
    """
    body = "".join(
        f"<section><h2>{escape(each.title)}</h2>{''.join(each.pieces)}</section>" for each in sections if each.pieces
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{escape(title)}</h1>{lead}{body}</body></html>\n"
    )


def card(title: str, decision: str, verdict: str, sections: Sequence[Section]) -> str:
    """Make the card of a model.

    Args:
        title: of the page.
        decision: `promote`, `hold` or `refuse`, for the colour of the verdict.
        verdict: what was decided and why, in a sentence or two.
        sections: those without pieces are left out.
    """
    return page(title, f'<p class="verdict {escape(decision)}">{escape(verdict)}</p>', sections)


def boxed_table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """Spell a table as HTML, in a box of its own that scrolls where the page is narrower than the table.

    Args:
        heads: name, not escaped, and style of each column: `n` for numbers, `wrap` for long words, else empty.
        rows: of cells, a cell a column, which are HTML already.
    """
    styles = [f' class="{style}"' if style else "" for _, style in heads]
    head = "".join(f"<th{style}>{escape(name)}</th>" for (name, _), style in zip(heads, styles, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{style}>{cell}</td>' for cell, style in zip(row, styles, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def spell(value: object) -> str:
    """Spell a value for a page: four digits that tell something, nothing for NaN, and a long text cut short."""
    if isinstance(value, float):
        return figure(value) if value == value else ""
    text = str(value)
    return text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 1] + "…"


def shorten(parameter: object) -> str:
    """Spell a parameter, logged as text or not, in four digits where it is a number with more."""
    try:
        return f"{float(str(parameter)):.4g}"
    except ValueError:
        return str(parameter)
