"""`foretune explain`: the page about files and names, in the format that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import refuse
from ..facts import Facts
from ..formats.model_config import model_file
from ..params.declare import Words
from ..params.run import Run, parameters
from ..text import sentence_list
from .entry import distinct, find, of_run
from .page import Group, Page, explained_entries, explained_run
from .planned import Planned, plan_of

FORMATS = ("text", "md", "json", "html")


def explain(
    run: Run | None,
    names: Sequence[str] = (),
    *,
    language: str = "en",
    format: str = "text",
    everything: bool = False,
    facts: Facts | None = None,
    title: str = "foretune explain",
) -> str:
    """A run with all its values, or single parameters in depth, in a run or without one.

    Args:
        run: as written; None where no file is given.
        names: parameters, keys and their other names; none for the whole run.
        format: text, md, json or html.
        everything: the unimportant ones too.
        facts: what was measured of the run's data.
    """
    if format not in FORMATS:
        raise refuse(
            what=f"--format {format} is none that `foretune explain` writes",
            where="command line",
            why=f"it writes {sentence_list(FORMATS)}",
            fix="take one of them",
        )
    planned = None if run is None else _planned(run, facts)
    page = _page(planned, names, everything)
    return laid_out(page, language=language, format=format, everything=everything, title=title)


def _planned(run: Run, facts: Facts | None) -> Planned:
    return plan_of(run, model_file(run), facts)


def _page(planned: Planned | None, names: Sequence[str], everything: bool) -> Page:
    if names:
        pages = [_asked(name, planned) for name in names]
        groups = tuple(group for page in pages for group in page.groups)
        return Page(groups=groups, assumed=pages[0].assumed)
    if planned is None:
        return explained_entries(map(of_run, parameters()), deep=False)
    return explained_run(planned, everything=everything)


def _asked(name: str, planned: Planned | None) -> Page:
    """What goes by a name; of a key that many families have, that of the model that is here."""
    found = find(name)
    entries = found.entries
    if planned is not None and planned.family is not None:
        family = type(planned.family)
        if any(entry.section is family for entry in entries):
            entries = tuple(one for one in entries if one.owner in (None, family))
    page = explained_entries(distinct(entries), planned)
    first, *rest = page.groups or (Group("", Words("", ""), ()),)
    if found.gone is not None:
        first = replace(first, gone=(name, found.gone))
    if found.stands_for is not None:
        means = Words(f"{name}: {found.stands_for}.", f"{name}：{found.stands_for.zh}。")
        first = replace(first, remarks=(means,))
    return replace(page, groups=(first, *rest)) if page.groups or found.gone else page


def laid_out(page: Page, *, language: str, format: str, everything: bool, title: str) -> str:
    """A page in one of the formats."""
    if format == "json":
        from .as_json import json_text

        return json_text(page, language)
    if format == "md":
        from .as_markdown import markdown

        return markdown(page, language)
    if format == "html":
        from .as_html import html

        return html(page, language, title)
    from .as_text import Text

    return "\n".join(Text(language, everything=everything).lines(page))
