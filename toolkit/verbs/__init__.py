"""The verbs: what ``import toolkit`` gives and what a command calls is the same function.

Each file is a verb: plain arguments in (paths, names, numbers), a `Report` out. Messages of errors name options as the
command line does: what they call ``--lr`` is ``lr`` here. Whoever has one report of these can look at it: see
`toolkit.render.notebook`.
"""

from toolkit.records import Report
from toolkit.records.report import show_reports

__all__ = ["Report"]


def _text(report: Report) -> str:
    from toolkit.render.notebook import one_screen

    return one_screen(report)


def _html(report: Report) -> str:
    from toolkit.render.notebook import whole_page

    return whole_page(report)


show_reports(_text, _html)
