"""A forecast for people and programs: text, JSON, Markdown, a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..forecast import Forecast


def laid_out(forecast: Forecast, form: str, language: str) -> str:
    """The forecast as text, json, md or html."""
    if form == "json":
        from .as_json import as_json

        return as_json(forecast)
    if form == "md":
        from .as_markdown import as_markdown

        return as_markdown(forecast, language)
    if form == "html":
        from .as_html import as_html

        return as_html(forecast, language)
    from .as_text import as_text

    return as_text(forecast, language)
