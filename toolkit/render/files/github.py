"""Annotations of GitHub Actions: workflow commands that mark what failed in the list of a run's problems."""

from toolkit.plain import plain
from toolkit.records import Report
from toolkit.render.words.bench import failed_clock_check, slowdown_in_words
from toolkit.render.words.parity import Explanation, explain

# As the runner reads them back; % must come first.
_IN_MESSAGE = (("%", "%25"), ("\n", "%0A"))
_IN_PROPERTY = (*_IN_MESSAGE, (":", "%3A"), (",", "%2C"))


def annotations(report: Report) -> list[str]:
    """Return the workflow commands of a report, a line each.

    There is an error for every target that failed parity, every check of the clock that failed, every row that could
    not be measured or is too slow; a warning for a NOISY machine and for every skip.
    """
    slow = [each for each in report.comparisons if each.too_slow]
    clocks = [(record, check) for record in report.self_checks for check in record.checks if not check.passed]
    noise = report.fitness.reasons if report.fitness else ()
    return [
        *(_failed(explanation) for explanation in explain(report.parity)),
        *(_command("error", failed_clock_check(*each), title="The clock is wrong") for each in clocks),
        *(_command("error", failure.reason, title=f"{failure.target} failed") for failure in report.failures),
        *(_command("error", slowdown_in_words(each), title=f"{each.target} is too slow") for each in slow),
        *(_command("warning", f"{each.sentence}; {each.remedy}", title="NOISY machine") for each in noise),
        *(_command("warning", f"{skip.reason}; {skip.remedy}", title=f"Skipped {skip.what}") for skip in report.skips),
    ]


def _failed(explanation: Explanation) -> str:
    message = "\n".join([explanation.cause, *(f"{label}: {text}" for label, text in explanation.lines())])
    return _command("error", message, title=f"Parity of {explanation.target}", file=explanation.record.target)


def _command(name: str, message: str, **properties: str) -> str:
    facts = ",".join(f"{key}={_escaped(value, _IN_PROPERTY)}" for key, value in properties.items())
    return f"::{name} {facts}::{_escaped(message, _IN_MESSAGE)}"


def _escaped(text: str, replacements: tuple[tuple[str, str], ...]) -> str:
    text = plain(text)
    for character, written in replacements:
        text = text.replace(character, written)
    return text
