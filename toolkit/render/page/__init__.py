"""Reports as one page of HTML that needs nothing but itself.

No script runs and no request leaves it: the policy in its head forbids both. Jinja escapes what comes from a report;
only charts are markup, and `toolkit.render.page.svg` escapes there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from toolkit.plain import plain
from toolkit.records import Report
from toolkit.render.page.blocks import Missing, Section, kind_of, section, tone_of
from toolkit.render.page.facts import again, gaps, machine, of_some_commands
from toolkit.render.page.judging import judging_sections
from toolkit.render.page.series import Styles
from toolkit.render.page.side_by_side import letters, side_by_side
from toolkit.render.page.timing import timing_sections
from toolkit.render.words.answer import answer
from toolkit.render.words.saved import SavedReport, moment, short_names

__all__ = ["report_page"]


@dataclass(frozen=True)
class _View:
    """A report as the template draws it.

    Attributes:
        id: Begins the ids of its sections.
        title: Of its heading.
        verdict: Whether it passed, in a word, with the tone of that.
        answer: The sentence that comes first.
        facts: Short ones, beside the title.
        sections: In order.
    """

    id: str
    title: str
    verdict: tuple[str, str]
    answer: str
    facts: tuple[str, ...]
    sections: tuple[Section, ...]


def report_page(saved: Sequence[SavedReport]) -> str:
    """Return a page of one report, or of several side by side and then each: a whole document, for UTF-8."""
    styles = Styles.of(each.report for each in saved)
    several = len(saved) > 1
    names = letters(len(saved)) if several else [""]
    views = [
        _view(each, file, name, styles)
        for each, file, name in zip(saved, short_names([each.file for each in saved]), names, strict=True)
    ]
    blocks = section("together", "Side by side", side_by_side(saved)).blocks if several else ()
    title = f"{len(saved)} reports of fmnist-tk" if several else views[0].title
    template = _environment().get_template("page.html.jinja")
    return template.render(title=title, views=views, blocks=blocks, several=several)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("toolkit.render.page"),
        autoescape=True,
        finalize=lambda value: plain(value) if type(value) is str else value,  # what is markup stays as it is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"kind": kind_of, "tone": tone_of}
    return environment


def _view(saved: SavedReport, file: str, name: str, styles: Styles) -> _View:
    report = saved.report
    subject = f"fmnist-tk {report.command} on {report.machine.cpu}"
    return _View(
        id=f"{name.lower()}-" if name else "",
        title=f"{name}: {subject}" if name else subject,
        verdict=("passed", "good") if report.passed else ("failed", "bad"),
        answer=answer(report),
        facts=(file, moment(report), f"fmnist-tk {report.tool_version}"),
        sections=tuple(_sections(report, styles)),
    )


def _sections(report: Report, styles: Styles) -> Iterator[Section]:
    """Yield what the report has, what was measured before where that was, then in a line each what it has not."""
    yield from of_some_commands(report)
    parts = [*timing_sections(report, styles), *judging_sections(report)]
    yield from (part for part in parts if not part.is_missing)
    yield section("machine", "The machine", machine(report))
    yield section("gaps", "Skips, failures and notes", gaps(report))
    missing = [
        replace(block, title=part.title)
        for part in parts
        for block in part.blocks
        if part.is_missing and isinstance(block, Missing)
    ]
    if missing:
        yield Section("missing", "Not in this report", (tuple(missing),))
    yield section("again", "How to reproduce", again(report))
