"""Fonts that have the signs of names, and a sentence where none has."""

import io
import warnings

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from treeline.reporting import fonts
from treeline.reporting.fonts import legible, missing_signs


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    fonts._found.cache_clear()


def test_signs_of_the_default_font_need_no_word_and_no_other_font() -> None:
    before = mpl.rcParams["font.family"]
    assert missing_signs(["größe [m²]", "a\nb c", ""]) == ""
    with legible(["größe"]):
        assert mpl.rcParams["font.family"] == before


def test_a_sign_that_no_font_has_is_told_and_drawn_without_a_warning() -> None:
    sign = "\u9ad8" if missing_signs(["\u9ad8"]) else "\U0001f9ff"
    if not missing_signs([sign]):
        pytest.skip("this machine has fonts for every sign that is tried")
    assert missing_signs([f"x{sign}"]).startswith(f"No installed font has a sign of the names, such as {sign!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with legible([sign]):
            figure = Figure()
            figure.suptitle(sign)
            figure.savefig(io.BytesIO(), format="png")


def test_a_font_that_has_the_sign_is_drawn_with(monkeypatch: pytest.MonkeyPatch) -> None:
    (other,) = [font for font in fonts.fontManager.ttflist if font.name == "cmsy10"][:1]
    known = {fonts.findfont(fonts.FontProperties()): frozenset(), other.fname: frozenset([ord("高")])}
    monkeypatch.setattr(fonts, "_has", lambda path: known.get(path, frozenset()))
    assert missing_signs(["高"]) == ""
    assert missing_signs(["高い"]).startswith("No installed font has a sign of the names, such as 'い'")
    with legible(["高"]):
        assert mpl.rcParams["font.family"][-1] == "cmsy10"
