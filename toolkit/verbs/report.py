"""Report: what commands have saved, read again and told in other forms. Nothing is run or measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.bench.engine.journal import read_saved
from toolkit.errors import UsageError
from toolkit.records import Report, to_json
from toolkit.render.words.saved import SavedReport
from toolkit.system.arguments import checked

#: What reports can be told as: a page, Markdown, a line per timed row or picture, or the report itself.
Form = Literal["html", "md", "csv", "json"]


@dataclass(frozen=True)
class Reports:
    """Saved reports.

    Attributes:
        saved: Each with the name of its file, in the order in which they were named.
    """

    saved: tuple[SavedReport, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing has failed in any of them."""
        return all(each.report.passed for each in self.saved)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or a kill has ended one of them."""
        return any(each.report.interrupted for each in self.saved)

    def text(self, form: Form) -> str:
        """Return all of them as one text.

        Args:
            form: ``html``, a page; ``md``; ``csv``, of what was timed or predicted; or ``json``, of one report.

        Raises:
            UsageError: If the form holds one report and there are several, or they have nothing that it could hold.
        """
        # Imported only here: a page takes jinja2, and most forms are not asked for.
        if form == "html":
            from toolkit.render.page import report_page

            return report_page(self.saved)
        if form == "md":
            from toolkit.render.files.markdown import reports_markdown

            return reports_markdown(self.saved)
        if form == "json":
            return to_json(self._only("JSON"))
        return self._csv()

    def _csv(self) -> str:
        from toolkit.render.files.latency_csv import latency_csv
        from toolkit.render.files.prediction_files import predictions_csv

        if any(each.report.latency for each in self.saved):
            return latency_csv(self.saved)
        if any(each.report.predictions or each.report.unreadable for each in self.saved):
            return predictions_csv(self._only("CSV of pictures"))
        names = ", ".join(each.file for each in self.saved)
        raise UsageError(
            f"CSV holds what was timed or predicted, and nothing was in {names}",
            "pass a report of bench, run or predict",
        )

    def _only(self, what: str) -> Report:
        if len(self.saved) > 1:
            raise UsageError(f"{what} is of one report, not of {len(self.saved)}", "pass one FILE")
        return self.saved[0].report


@checked
def read_reports(reports: str | Path | Report | Sequence[str | Path | Report]) -> Reports:
    """Read what commands have saved, to look at it or to tell it in another form.

    Args:
        reports: JSON that a command wrote, the ``.partial`` of a bench that was killed, a report, or several of these.

    Returns:
        Them, with ``passed``, ``interrupted``, and ``text(form)`` for a page, Markdown, CSV or JSON.

    Raises:
        ReportError: If a file cannot be read, is no report, or is one of another version.
        UsageError: If there is none.

    Example:
        >>> import toolkit
        >>> from pathlib import Path
        >>> reports = toolkit.read_reports([toolkit.check_machine(), toolkit.check_parity("out", "model.pth")])
        >>> reports.passed
        True
        >>> Path("both.html").write_text(reports.text("html"), encoding="utf-8") > 0
        True
    """
    several = [reports] if isinstance(reports, str | Path | Report) else reports
    if not several:
        raise UsageError("report needs a FILE:", "pass the JSON that a command wrote, such as exported/report.json")
    return Reports(tuple(_read(each, number) for number, each in enumerate(several, start=1)))


def _read(report: str | Path | Report, number: int) -> SavedReport:
    if isinstance(report, Report):
        return SavedReport(f"{report.command} {number}", report)
    return SavedReport(str(report), read_saved(Path(report)))
