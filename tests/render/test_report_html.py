"""The page of a report: what it says, that it needs nothing else, and that it can be read by everyone."""

import csv
import re
import shlex
import shutil
from collections.abc import Iterator
from io import BytesIO, StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from markupsafe import Markup
from PIL import Image

from made_up import bench, cpu_bench, cuda_bench, eager, evaluation, everything, fitness, ratio, row
from made_up_parity import bad, good, lower
from support import Cli
from toolkit.records import LABELS, Bound, FailureRecord, Report, Scenario, SkipRecord
from toolkit.render.files.latency_csv import latency_csv
from toolkit.render.page import report_page
from toolkit.render.page.charts import tick_rate, tick_seconds
from toolkit.render.page.judging import heat
from toolkit.render.page.scales import Axis, log_axis, share_axis, stepped_axis
from toolkit.render.page.series import Styles, grouped
from toolkit.render.page.side_by_side import letters
from toolkit.render.page.svg import Style, element, marker
from toolkit.render.words.answer import answer
from toolkit.render.words.saved import SavedReport, short_names
from toolkit.render.words.speeds import frontier, rated_rows
from toolkit.system.environment import new_report
from toolkit.system.files import write_record

HOSTILE = """</title><script>alert(1)</script>"'><img src=x onerror=alert(2)>{{ 7*7 }}<!--&amp;"""


def page_of(*reports: Report) -> Any:
    return html.document_fromstring(text_of(*reports))


def text_of(*reports: Report) -> str:
    return report_page([SavedReport(f"{number}.json", report) for number, report in enumerate(reports)])


def words_of(element: Any) -> str:
    return " ".join(element.text_content().split())


def section_of(page: Any, id: str) -> Any:
    (heading,) = page.xpath(f"//*[@id='{id}']")
    return heading.getparent()


def headings(page: Any) -> list[tuple[int, str]]:
    return [(int(each.tag[1]), words_of(each)) for each in page.xpath("//h1|//h2|//h3|//h4|//h5|//h6")]


class TestAnswer:
    def test_the_same_winner_at_every_batch_size_is_named_once(self) -> None:
        assert answer(cpu_bench()) == (
            "At every batch size the fastest verified format is onnx: 18.7 µs at batch 1 (2.87 × eager), "
            "184 µs at batch 64 (2.54 × eager) and 2.76 ms at batch 1,024 (2.24 × eager); "
            "the machine was fit (VALID)."
        )

    def test_devices_and_lower_precision_have_winners_of_their_own(self) -> None:
        said = answer(cuda_bench())
        assert "on cpu is onnx" in said
        assert "on cuda is eager-cudagraph" in said
        assert "of reduced precision on cuda is onnx" in said

    def test_many_batch_sizes_are_told_by_the_first_and_the_last(self) -> None:
        rows = [each for size in range(1, 6) for each in (eager(batch_size=size), row(batch_size=size))]
        assert answer(bench(*rows)) == (
            "At every batch size the fastest verified format is onnx: 20.0 µs at batch 1 to 20.0 µs at batch 5; "
            "the machine was fit (VALID)."
        )

    def test_rows_that_cannot_be_told_apart_are_named(self) -> None:
        both = bench(eager(), row(2e-5, ratio(2.5)), row(2.01e-5, ratio(2.49), format="other", target="o"))
        assert "(2.50 × eager, cannot be told apart from other)" in answer(both)

    def test_a_speed_that_may_be_eager_s_own_is_no_gain(self) -> None:
        said = answer(bench(eager(2.01e-5), row(2e-5, ratio(1.01, "CANNOT TELL"))))
        assert said.startswith(
            "The fastest verified format is onnx, 20.0 µs at batch 1 (cannot be told apart from eager);"
        )

    @pytest.mark.parametrize(
        ("report", "words"),
        [
            (everything(), "1 of 3 artifacts does not match the reference: model.torch-export (row independence)"),
            (new_report("parity").model_copy(update={"parity": (good(), good("b.onnx"))}), "All 2 artifacts compute"),
            (new_report("parity").model_copy(update={"parity": (good(),)}), "model.ts.pt computes the reference's"),
            (new_report("parity").model_copy(update={"parity": (bad(),)}), "1 of 1 artifacts does not match"),
            (new_report("doctor"), "fmnist-tk doctor ended without a failure."),
            (bench(eager(), fitness=fitness(noisy=True)), "the machine was NOISY, so read the speeds with care"),
            (cpu_bench(interrupted=True), "it was interrupted"),
        ],
    )
    def test_it_says_what_went_wrong(self, report: Report, words: str) -> None:
        assert words in answer(report)

    def test_lower_precision_that_passes_is_not_said_to_be_the_same_function(self) -> None:
        passed = good("model.int8.onnx", declared="int8")
        said = answer(new_report("parity").model_copy(update={"parity": (passed,)}))
        assert said == "model.int8.onnx keeps the reference's accuracy in int8."


class TestAxes:
    @given(st.lists(st.floats(1e-9, 1e6), min_size=1))
    def test_a_logarithmic_axis_holds_its_values_in_order_and_has_ticks_inside(self, values: list[float]) -> None:
        for axis in (log_axis("", values, tick_seconds), stepped_axis("", values, str)):
            places = [axis.place(each) for each in sorted(values)]
            assert all(0 < each < 1 for each in places)
            assert places == sorted(places)
            assert 1 <= len(axis.ticks) <= 7
            assert all(axis.low <= tick * (1 + 1e-9) and tick <= axis.high * (1 + 1e-9) for tick, _ in axis.ticks)
            assert all(one < other for (one, _), (other, _) in pairwise(axis.ticks))

    @given(st.floats(0, 1), st.floats(0, 1))
    def test_a_linear_axis_holds_its_values_and_stays_within_what_is_possible(self, one: float, other: float) -> None:
        low, high = min(one, other), max(one, other)
        axis = share_axis("", low, high, str)
        assert 0 <= axis.low <= low <= high <= axis.high <= 1
        assert axis.place(low) <= axis.place(high)
        assert all(axis.low - 1e-9 <= tick <= axis.high + 1e-9 for tick, _ in axis.ticks)
        assert axis.ticks

    def test_equal_ratios_are_equally_far_apart(self) -> None:
        axis = Axis("", 1, 100, ())
        assert [axis.place(each) for each in (1, 10, 100, 0.1, 1000)] == [0, 0.5, 1, 0, 1]

    def test_ticks_are_round_numbers_with_units(self) -> None:
        ticks = log_axis("", [2e-5, 9e-5], tick_seconds).ticks
        assert [text for _, text in ticks] == ["20 µs", "30 µs", "50 µs", "70 µs", "100 µs"]
        narrow = log_axis("", [2.4e-3, 2.6e-3], tick_seconds).ticks
        assert [text for _, text in narrow] == ["2.2 ms", "2.4 ms", "2.6 ms", "2.8 ms"]
        assert [tick_rate(each) for each in (500, 20_000, 1e6)] == ["500", "20 k", "1 M"]
        assert [tick_seconds(each) for each in (5e-7, 1e-6, 1e-3, 0.2, 3)] == [
            "500 ns",
            "1 µs",
            "1 ms",
            "200 ms",
            "3 s",
        ]


@pytest.fixture(scope="module")
def page() -> Any:
    return page_of(everything())


class TestPage:
    def test_the_parts_come_in_the_order_of_questions(self, page: Any) -> None:
        assert headings(page) == [
            (1, f"fmnist-tk run on {everything().machine.cpu}"),
            (2, "Latency and throughput"),
            (2, "Distribution of latencies"),
            (2, "Distance to the machine’s limit"),
            (2, "Accuracy against latency"),
            (2, "Parity"),
            (2, "Confusion matrix"),
            (2, "Wrong images"),
            (2, "The machine"),
            (2, "Skips, failures and notes"),
            (2, "How to reproduce"),
        ]

    def test_nothing_is_loaded_from_elsewhere_and_no_script_can_run(self, page: Any) -> None:
        assert not page.xpath("//script|//link|//iframe|//object|//form|//base")
        assert all(each.startswith("data:image/png;base64,") for each in page.xpath("//@src"))
        assert all(each.startswith("#") for each in page.xpath("//@href"))
        assert not re.search(r"url\(|@import", text_of(everything()))
        (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
        assert policy.startswith("default-src 'none'")
        assert "script" not in policy

    def test_every_link_leads_somewhere_and_no_id_is_there_twice(self, page: Any) -> None:
        several = page_of(everything(), cpu_bench(), new_report("doctor"))
        for each in (page, several):
            ids = each.xpath("//@id")
            assert len(ids) == len(set(ids))
            assert {link.removeprefix("#") for link in each.xpath("//@href")} <= set(ids)
            assert set(each.xpath("//@aria-labelledby")) <= set(ids)

    def test_tables_are_tables(self, page: Any) -> None:
        tables = page.xpath("//table")
        assert len(tables) > 10
        for table in tables:
            assert words_of(table.find("caption"))
            heads = table.xpath("./thead/tr/th[@scope='col']")
            for line in table.xpath("./tbody/tr"):
                assert len(line) == len(heads)
                assert line[0].get("scope") == "row"
            region = table.getparent()
            assert (region.get("role"), region.get("tabindex")) == ("group", "0")

    def test_every_chart_is_an_image_with_a_name_and_stands_beside_a_table(self, page: Any) -> None:
        charts = page.xpath("//figure/svg")
        assert len(charts) == 2 + 3 + 3 + 2
        assert all(each.get("role") == "img" and len(each.get("aria-label")) > 20 for each in charts)
        assert len(set(page.xpath("//figure/svg/@aria-label"))) == len(charts)
        for part in ("speed", "spread", "limit", "frontier"):
            assert section_of(page, part).xpath(".//table")

    def test_marks_tell_their_values_under_the_pointer(self, page: Any) -> None:
        tips = [words_of(each) for each in section_of(page, "speed").find_class("tip")]
        assert len(tips) == 2 * 12
        (first,) = [tip for tip in tips if tip.startswith("onnx, batch 1p50")]
        assert re.fullmatch(r"onnx, batch 1p50 18\.7 µs ±1\.0 %95 %: 18\.\d µs to 18\.\d µs", first)

    def test_the_tables_are_those_of_the_terminal(self, page: Any, tmp_path: Path, cli: Cli) -> None:
        write_record(everything(), tmp_path / "r.json")
        shown = cli("report", tmp_path / "r.json", "--details").out
        for caption in page.xpath("//*[@id='speed']/..//caption/span/text()"):
            assert caption.strip() in " ".join(shown.split()), caption

    @pytest.mark.parametrize(
        ("calls", "known"), [(3, [3]), (4, [2, 3, 4]), (10, [1, 2, 3, 4, 5]), (100, [0, 1, 2, 3, 4, 5, 6])]
    )
    def test_a_quantile_is_told_where_ten_calls_lie_beyond_it(self, calls: int, known: list[int]) -> None:
        """Twelve rounds of so many calls: p1, p10, p25, p50, p75, p90 and p99."""
        (table,) = section_of(page_of(bench(row(calls=calls))), "spread").xpath(".//table")
        cells = [words_of(each) for each in table.xpath("./tbody/tr/*")]
        assert cells[2:4] == [str(12 * calls) if calls < 100 else "1,200", "12"]
        assert [number for number, word in enumerate(cells[4:11]) if word != "—"] == known

    def test_a_confusion_matrix_is_shaded_by_the_share_of_its_row(self, page: Any) -> None:
        first, second = section_of(page, "confusion").xpath(".//table[@class='confusion']")
        assert [words_of(each) for each in first.xpath("./thead//th")] == ["actual", *LABELS, "right"]
        cells = [words_of(each) for each in first.xpath("./tbody/tr[1]/*")]
        assert cells == ["T-shirt/top", "91", "9", *["·"] * 8, "91.0 %"]
        assert "model.onnx, model.torchscript" in words_of(first.find("caption"))
        assert words_of(second.find("caption")).endswith(": model.torch-export")
        shades = [each.get("class").split() for each in first.xpath("./tbody/tr[1]/td")[:3]]
        assert [next(word for word in each if word.startswith("h")) for each in shades] == ["h9", "h3", "h0"]

    @given(st.integers(0, 1000), st.integers(0, 1000))
    def test_more_images_are_not_paler_and_one_is_never_invisible(self, one: int, other: int) -> None:
        total = max(one, other, 1)
        assert (heat(one, total) <= heat(other, total)) or one > other
        assert (heat(one, total) > 0) == (one > 0)
        assert heat(total, total) == 9

    def test_wrong_images_are_pictures_of_their_pixels(self, page: Any) -> None:
        images = section_of(page, "wrong").xpath(".//li")
        assert [words_of(each) for each in images] == ["Shirt 90.0 % is T-shirt/top", "Pullover 80.0 % is Dress"]
        with urlopen(images[0].xpath("./img/@src")[0]) as data, Image.open(BytesIO(data.read())) as picture:
            assert (picture.size, picture.mode) == ((28, 28), "L")
            assert [picture.getpixel((x, 5)) for x in (0, 1, 27)] == [0, 9, 243]

    def test_failures_tell_cause_and_command(self, page: Any) -> None:
        (failure,) = section_of(page, "parity").xpath(".//ul[@class='failures']/li")
        for words in ("✗ model.torch-export", "row independence", "also failed", "fmnist-tk parity exported/model."):
            assert words in words_of(failure)

    def test_it_says_how_to_do_it_again(self, page: Any) -> None:
        again = words_of(section_of(page, "again"))
        assert "fmnist-tk run --batch 1,64,1024" in again
        assert "fmnist-tk run --batch 1,64,1024 --seed 7" in again
        given_seed = everything(arguments=("bench", "--seed", "7", "-o", "it's.json"))
        commands = [words_of(each) for each in section_of(page_of(given_seed), "again").xpath(".//pre")]
        assert commands == ["fmnist-tk bench --seed 7 -o 'it'\"'\"'s.json'"]
        assert "does not tell the words of its command" in words_of(section_of(page_of(cpu_bench()), "again"))

    def test_what_is_not_there_is_told_with_the_command_that_gives_it(self) -> None:
        page = page_of(new_report("doctor"))
        assert [text for _, text in headings(page)][1:] == [
            "The machine",
            "Skips, failures and notes",
            "Not in this report",
            "How to reproduce",
        ]
        lines = [words_of(each) for each in section_of(page, "missing").xpath(".//li")]
        assert len(lines) == 7
        assert all("fmnist-tk " in line for line in lines)
        assert "missing" not in page_of(everything()).xpath("//@id")

    def test_shares_of_a_noisy_machine_that_are_too_good_are_left_out(self) -> None:
        fast = row(1e-5, bound=Bound(seconds=2e-5, kind="memory"))
        found = section_of(page_of(bench(eager(), fast, fitness=fitness(noisy=True))), "limit")
        assert "Shares above 100 % are left out" in words_of(found)
        assert "200 %" not in words_of(found)
        assert "200 %" in words_of(section_of(page_of(bench(eager(), fast)), "limit"))

    @pytest.mark.parametrize(
        "report",
        [
            new_report("parity").model_copy(update={"parity": (good(), bad(), lower())}),
            cuda_bench(),
            bench(),
            bench(row(0.0, rounds=row(2e-5).rounds[:1], estimate=None)),
            bench(*(row(2e-5 * size, batch_size=size) for size in (1, 2, 3, 5, 8, 16, 32, 64, 128, 256))),
            bench(eager(), row(scenario=Scenario(kind="paced", interval_s=0.01))),
        ],
    )
    def test_every_kind_of_report_is_a_page(self, report: Report) -> None:
        page = page_of(report)
        assert words_of(page.xpath("//*[@class='lead']")[0]) == answer(report)
        assert not {"nan", "inf", "None"} & set(re.findall(r"\w+", " ".join(page.xpath("//svg//@*|//td//text()"))))


def with_words(word: str) -> Report:
    """A report in which every text that it may choose freely is this word."""
    report = everything()
    rows = tuple(each.model_copy(update={"target": word, "no_energy": word}) for each in report.latency)
    parity = tuple(
        each.model_copy(
            update={
                "target": f"{number}/{word}",
                "runtime": word,
                "checks": tuple(check.model_copy(update={"detail": word, "probe": word}) for check in each.checks),
            }
        )
        for number, each in enumerate(report.parity)
    )
    machine = report.machine.model_copy(update={"cpu": word, "system": word, "python": word, "versions": {word: word}})
    return report.model_copy(
        update={
            "command": word,
            "tool_version": word,
            "arguments": (word, word),
            "latency": tuple(
                each.model_copy(update={"format": word}) if each.format == "onnx" else each for each in rows
            ),
            "parity": parity,
            "machine": machine,
            "notes": (word,),
            "skips": (SkipRecord(what=word, reason=word, remedy=word),),
            "failures": (FailureRecord(target=word, format=word, device="cpu", reason=word),),
        }
    )


def tags_of(page: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.tag, tuple(sorted(each.keys()))) for each in page.iter() if isinstance(each.tag, str)]


@pytest.mark.parametrize("count", [1, 2])
def test_no_word_of_a_report_becomes_markup(count: int) -> None:
    def page(word: str) -> Any:
        return html.document_fromstring(report_page([SavedReport(word, with_words(word))] * count))

    found = page(HOSTILE)
    assert tags_of(found) == tags_of(page("harmless"))
    assert not list(found.iter(html.etree.Comment))
    for place in ("//dd", "//li", "//caption", "//svg//text", "//th", "//td"):
        assert any(" ".join(HOSTILE.split()) in words_of(each) for each in found.xpath(place)), place
    assert any(shlex.quote(HOSTILE) in each.text_content() for each in found.xpath("//pre"))


class TestSeveral:
    def test_they_stand_side_by_side_and_then_each(self) -> None:
        page = page_of(cpu_bench(), cuda_bench(), new_report("doctor"))
        levels = headings(page)
        assert [text[:2] for level, text in levels if level == 2] == ["Si", "A:", "B:", "C:"]
        assert all(other - one <= 1 for (one, _), (other, _) in pairwise(levels))
        overview, rows = page.xpath("//*[@id='together']/..//table")
        assert [words_of(each) for each in overview.xpath("./tbody/tr/td[1]")] == ["0.json", "1.json", "2.json"]
        heads = [words_of(each) for each in rows.xpath("./thead//th")]
        assert heads == ["batch", "format", "A: p50", "B: p50"]

    def test_the_same_row_is_found_in_each(self) -> None:
        slower = cpu_bench(latency=tuple(each for each in cpu_bench().latency if each.format != "onnx"))
        page = page_of(cpu_bench(), slower)
        (table,) = page.xpath("//*[@id='together']/..//table")[1:]
        cells = [[words_of(one) for one in each] for each in table.xpath("./tbody/tr")]
        lines = {each[1]: each for each in cells if each[0] == "1"}
        assert lines["onnx"][-1] == "—"
        assert lines["eager"][-1] == lines["eager"][-2] != "—"
        names = page.xpath("//*[@id='together']/..//figure[1]//*[@class='name']/text()")
        assert names == ["eager", "torch-export", "torchscript"]

    def test_two_files_of_a_format_are_two_rows(self) -> None:
        """One report has both, so the file tells them apart, there and in the other report."""
        files = [row(target="a.onnx"), row(9e-5, target="b.onnx")]
        page = page_of(bench(eager(), *files), bench(eager(target="elsewhere"), files[1]))
        (table,) = page.xpath("//*[@id='together']/..//table")[1:]
        cells = [[words_of(one) for one in each] for each in table.xpath("./tbody/tr")]
        assert [each[1] for each in cells] == ["eager", "onnx, a.onnx", "onnx, b.onnx"]
        assert [[one != "—" for one in each[2:]] for each in cells] == [[True, True], [True, False], [True, True]]
        assert cells[1][2] != cells[2][2]
        names = page.xpath("//*[@id='together']/..//figure[1]//*[@class='name']/text()")
        assert names == ["eager", "onnx, b.onnx"]

    def test_accuracy_is_told_where_a_report_has_it(self) -> None:
        (table,) = page_of(everything(), cpu_bench()).xpath("//*[@id='together']/..//table")[1:]
        assert [words_of(each) for each in table.xpath("./thead//th")][2:] == ["A: p50", "A: accuracy", "B: p50"]

    def test_reports_without_a_row_in_common_say_so(self) -> None:
        one, other = bench(eager(batch_size=1)), bench(eager(batch_size=2))
        assert "No two of these reports have a row in common" in words_of(page_of(one, other))
        assert "None of these reports has timed anything" in words_of(
            page_of(new_report("doctor"), new_report("doctor"))
        )

    def test_letters_go_on_after_z(self) -> None:
        names = letters(703)
        assert (names[0], names[25], names[26], names[27], names[701], names[702]) == (
            "A",
            "Z",
            "AA",
            "AB",
            "ZZ",
            "AAA",
        )
        assert len(set(names)) == 703

    def test_files_of_the_same_name_are_told_apart(self) -> None:
        assert short_names(["a/r.json", "b/r.json", "c/d.json", "c/d.json"]) == [
            "a/r.json",
            "b/r.json",
            *2 * ["d.json"],
        ]


class TestSeries:
    def test_rows_are_told_apart_by_what_differs_and_by_no_more(self) -> None:
        assert list(grouped(cpu_bench())) == ["eager", "onnx", "torch-export", "torchscript"]
        assert list(grouped(cuda_bench())) == [
            "eager, cpu, float32",
            "eager, cuda, float32",
            "eager-cudagraph, cuda, float32",
            "onnx, cpu, float32",
            "onnx, cuda, float32",
            "onnx, cuda, tf32",
        ]
        two = bench(row(target="a.onnx"), row(target="b.onnx"))
        assert list(grouped(two)) == ["onnx, a.onnx", "onnx, b.onnx"]

    def test_a_series_looks_the_same_in_every_report_of_a_page(self) -> None:
        styles = Styles.of([cpu_bench(), bench(row(format="aaa", target="aaa"))])
        assert [styles[name].number for name in ("eager", "aaa", "onnx", "torch-export", "torchscript")] == [
            0,
            1,
            2,
            3,
            4,
        ]
        assert styles["new"].number == 5
        assert styles["new"] is styles["new"]

    def test_an_element_escapes_what_is_in_it(self) -> None:
        drawn = element("text", "<&>", Markup("<b/>"), class_='"', text_anchor="end", x=1.26, y=2)
        assert drawn == '<text class="&#34;" text-anchor="end" x="1.3" y="2">&lt;&amp;&gt;<b/></text>'

    def test_a_page_of_many_series_styles_each_of_them(self) -> None:
        """The colours are fewer than the series: a class that the style does not know would draw nothing."""
        formats = [row(format=f"format-{number}", target=f"{number}") for number in range(7)]
        page = page_of(bench(eager(), *formats))
        drawn = {name for each in page.xpath("//svg//@class") for name in each.split()}
        (style,) = page.xpath("//style/text()")
        rules = set(re.findall(r"\.([a-z][a-z0-9-]*)", re.sub(r"\{[^{}]*\}", " ", style)))
        plain = {"name", "value", "inside"} - rules  # as any text of a chart
        assert drawn - plain <= rules
        lines = [each.get("class") for each in page.xpath("//ul[@class='legend']//path[contains(@class, 'line')]")]
        assert len(lines) == 8 * len(page.xpath("//ul[@class='legend']"))

    def test_thirty_series_differ_in_colour_or_in_dash_and_marker(self) -> None:
        looks = {(Style(number).name, str(marker(0, 0, Style(number)))) for number in range(1, 31)}
        assert len(looks) == len({name for name, _ in looks}) == 30
        assert [Style(number).name for number in (0, 1, 5, 6, 7)] == ["s0 d0", "s1 d1", "s5 d5", "s1 d0", "s2 d1"]


def test_the_frontier_is_what_nothing_beats_in_both() -> None:
    rows = [eager(5e-5), row(1e-5, format="fast", target="fast"), row(2e-5, format="good", target="good")]
    rows += [row(4e-5, format="same", target="same"), row(3e-5, format="bad", target="bad")]
    parity = tuple(
        good(f"x/{name}", format=name, evaluation=evaluation(right))
        for name, right in (("fast", 80), ("good", 92), ("bad", 85), ("same", 92))
    )
    rated = rated_rows(bench(*rows, parity=parity, evaluation=evaluation(91)))
    assert {each.row.format: each.accuracy for each in rated} == {
        "eager": 0.91,
        "fast": 0.8,
        "good": 0.92,
        "same": 0.92,
        "bad": 0.85,
    }
    assert [each.row.format for each in frontier(rated)] == ["fast", "good"]
    assert rated_rows(cpu_bench()) == []


class TestCsv:
    def read(self, *reports: Report) -> list[dict[str, str]]:
        text = latency_csv([SavedReport(f"{number}.json", report) for number, report in enumerate(reports)])
        return list(csv.DictReader(StringIO(text)))

    def test_there_is_a_line_for_each_row_with_the_numbers_of_the_record(self) -> None:
        report = everything()
        lines = self.read(report, cuda_bench())
        assert len(lines) == len(report.latency) + len(cuda_bench().latency)
        for line, record in zip(lines, report.latency, strict=False):
            assert float(line["p50_s"]) == record.median_s
            assert float(line["throughput_images_per_s"]) == record.throughput_images_per_s
            assert (line["format"], int(line["batch_size_images"])) == (record.format, record.batch_size)
            assert line["role"] == record.role
            assert line["accuracy"] == (
                "" if record.role == "control" else {"torch-export": "0.6"}.get(record.format, "0.91")
            )
        assert {line["file"] for line in lines} == {"0.json", "1.json"}
        baseline = next(line for line in lines if line["format"] == "eager")
        assert (baseline["ratio_to_eager"], baseline["verdict"], baseline["p99_s"][:1]) == ("1.0", "baseline", "5")

    def test_what_is_not_known_is_empty_and_units_stand_in_the_names(self) -> None:
        (line,) = self.read(bench(row(estimate=None, bound=None, calls=1, rounds=row().rounds[:1])))
        assert all(line[name] == "" for name in ("p50_low_s", "p99_s", "bound_s", "share_of_limit", "ratio_to_eager"))
        assert not [name for name in line if re.search(r"(_time|latency|memory|energy|throughput|p\d+)$", name)]

    @pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r="])
    def test_no_text_becomes_a_formula_of_a_spreadsheet(self, begin: str) -> None:
        (line,) = self.read(bench(row(target=f"{begin}cmd|'/C calc'!A0")))
        assert line["target"].startswith(("'", "\N{REPLACEMENT CHARACTER}"))


class TestCommand:
    @pytest.fixture
    def saved(self, in_empty_folder: Path) -> Path:
        write_record(cpu_bench(), in_empty_folder / "bench.json")
        write_record(everything(), in_empty_folder / "all.json")
        write_record(new_report("doctor"), in_empty_folder / "doctor.json")
        return in_empty_folder

    def test_the_suffix_says_what_is_written_and_no_table_is_shown(self, saved: Path, cli: Cli) -> None:
        outcome = cli("report", "bench.json", "-o", "r.html", "-o", "r.md", "-o", "new/r.CSV", "-o", "r.json")
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err.splitlines() == ["Wrote r.html", "Wrote r.md", "Wrote new/r.CSV", "Wrote r.json"]
        assert (saved / "r.html").read_text().startswith("<!DOCTYPE html>")
        assert (saved / "r.md").read_text().startswith("## ✅ Bench: 12 rows")
        assert (saved / "new/r.CSV").read_text().startswith("file,created_at,")
        assert (saved / "r.json").read_text() == (saved / "bench.json").read_text()
        assert cli("report", "bench.json", "-o", "q.html", "--quiet").err == ""
        assert (saved / "q.html").read_text() == (saved / "r.html").read_text()

    @pytest.mark.parametrize("form", ["html", "md", "csv", "json"])
    def test_a_format_goes_to_stdout_and_nothing_else_does(self, form: str, saved: Path, cli: Cli) -> None:
        outcome = cli("report", "bench.json", "--format", form, "-o", f"r.{form}")
        assert outcome.out == (saved / f"r.{form}").read_text()

    def test_the_exit_code_is_that_of_the_commands(self, saved: Path, cli: Cli) -> None:
        assert cli("report", "all.json", "-o", "r.html").code == 1
        assert cli("report", "bench.json", "all.json", "--format", "html").code == 1
        assert cli("report", "bench.json", "doctor.json", "--quiet") == type(cli("--version"))(0, "", "")
        write_record(cpu_bench(interrupted=True), saved / "cut.json")
        assert cli("report", "bench.json", "cut.json", "-o", "r.html").code == 130

    def test_several_are_shown_one_after_the_other(self, saved: Path, cli: Cli) -> None:
        outcome = cli("report", "bench.json", "doctor.json")
        assert [line for line in outcome.out.splitlines() if line.startswith("== ")] == [
            "== bench.json",
            "== doctor.json",
        ]
        assert "torch-export" in outcome.out
        assert [
            line
            for line in cli("report", "bench.json", "doctor.json", "--format", "md").out.splitlines()
            if line.startswith("# ")
        ] == ["# bench.json", "# doctor.json"]

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["bench.json", "-o", "r.pdf"], "--output r.pdf: its name must end in one of .html"),
            (["bench.json", "-o", "bench.json"], "are the same file"),
            (["doctor.json", "-o", "r.csv"], "nothing was in doctor.json; pass a report of bench, run or predict"),
            (["bench.json", "doctor.json", "--json"], "JSON is of one report, not of 2; pass one FILE"),
            (["bench.json", "--format", "pdf"], "--format pdf: no such format of reports; choose one of html"),
            (["bench.json", "--json", "--format", "md"], "leave one of them out"),
            (["--schema", "bench.json"], "--schema is of every report, not of bench.json; leave FILE out"),
            (["--schema", "-o", "s.html"], "--schema is JSON, not s.html"),
            (["--schema", "--format", "md"], "--schema is JSON, not md"),
            (["bench.json", "none.json"], "none.json: cannot be read"),
            ([], "report needs a FILE"),
        ],
    )
    def test_bad_input_is_one_line_and_writes_nothing(
        self, arguments: list[str], reason: str, saved: Path, cli: Cli
    ) -> None:
        before = {path: path.read_bytes() for path in saved.iterdir()}
        outcome = cli("report", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert reason in outcome.err
        assert len(outcome.err.splitlines()) == 1
        assert {path: path.read_bytes() for path in saved.iterdir()} == before

    def test_one_file_that_cannot_be_written_keeps_none_of_the_others_from_it(
        self, saved: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from toolkit.cli import report as module
        from toolkit.errors import OutputError

        real = module.write_bytes

        def full(path: Path, data: bytes) -> None:
            if path.suffix == ".html":
                raise OutputError(path, "no space")
            real(path, data)

        monkeypatch.setattr(module, "write_bytes", full)
        outcome = cli("report", "bench.json", "-o", "r.html", "-o", "r.md")
        assert outcome.code == 2
        assert (saved / "r.md").exists()

    def test_a_shown_report_keeps_the_words_of_its_own_command(self, saved: Path, cli: Cli) -> None:
        assert cli("doctor", "-o", "d.json", "--quiet").code == 0
        assert cli("report", "d.json", "--json").report.arguments == ("doctor", "-o", "d.json", "--quiet")
        assert cli("report", "doctor.json", "--json").report.arguments == ()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "one.html").write_text(text_of(everything()), encoding="utf-8")
    (folder / "three.html").write_text(text_of(everything(), cuda_bench(), new_report("doctor")), encoding="utf-8")
    (folder / "hostile.html").write_text(text_of(with_words(HOSTILE)), encoding="utf-8")
    (folder / "long.html").write_text(text_of(with_words("a" * 200)), encoding="utf-8")
    return folder


class Visit:
    """A page that was opened in a window of its own, and what it complained of or asked for."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def edges(table: Any) -> tuple[bool, bool]:
    """Say whether the left and the right edge of a table are in the shadow that says that it goes on there."""
    picture = Image.open(BytesIO(table.screenshot())).convert("L")
    middle = picture.getpixel((picture.width // 2, 2))
    left, right = (picture.getpixel((place, 2)) for place in (1, picture.width - 2))
    return left < middle - 40, right < middle - 40


@pytest.mark.browser
class TestBrowser:
    @pytest.mark.parametrize("name", ["one", "three", "hostile", "long"])
    def test_it_asks_for_nothing_complains_of_nothing_and_fits_a_phone(
        self, name: str, browser: Any, pages: Path
    ) -> None:
        path = pages / f"{name}.html"
        with Visit(browser, path, width=360) as visit:
            assert visit.complaints == []
            assert [url for url in visit.requests if not url.startswith("data:")] == [path.as_uri()]
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
            visit.page.set_viewport_size({"width": 1280, "height": 800})
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= 1280

    def test_a_phone_shows_the_answer_then_a_chart_then_a_table_whose_verdicts_can_be_reached(
        self, browser: Any, pages: Path
    ) -> None:
        with Visit(browser, pages / "one.html", width=360) as visit:
            page = visit.page
            first = [page.locator(each).first.bounding_box() for each in (".lead", "figure", ".scroll", "#machine")]
            assert [box["y"] for box in first] == sorted(box["y"] for box in first)
            answer, chart = first[:2]
            assert answer["y"] < 100
            assert chart["y"] + chart["height"] < 800  # no scrolling yet
            table = page.locator(".scroll").first
            verdict = table.get_by_text("verdict", exact=True)
            right = table.bounding_box()["x"] + table.bounding_box()["width"]
            assert verdict.bounding_box()["x"] > right
            more = [edges(table)]
            table.evaluate("element => { element.scrollLeft = element.scrollWidth; }")
            more.append(edges(table))
            assert verdict.bounding_box()["x"] + verdict.bounding_box()["width"] <= right
            assert more == [(False, True), (True, False)]

    @pytest.mark.parametrize(("name", "scheme"), [("three", "light"), ("one", "dark")])
    def test_axe_finds_nothing(self, name: str, scheme: str, browser: Any, pages: Path) -> None:
        from axe_playwright_python.sync_playwright import Axe

        with Visit(browser, pages / f"{name}.html", scheme=scheme) as visit:
            found = Axe().run(visit.page)
            assert found.violations_count == 0, found.generate_report()

    def test_dark_is_dark_and_paper_is_white(self, browser: Any, pages: Path) -> None:
        def ground(visit: Visit) -> int:
            colour = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(map(int, re.findall(r"\d+", colour)[:3]))

        with Visit(browser, pages / "one.html", scheme="dark") as visit:
            assert ground(visit) < 120
            visit.page.emulate_media(media="print")
            assert ground(visit) == 3 * 255
            assert len(visit.page.pdf(format="A4")) > 10_000
        with Visit(browser, pages / "one.html") as visit:
            assert ground(visit) > 700

    def test_the_keyboard_reaches_the_answer_every_link_and_every_table(self, browser: Any, pages: Path) -> None:
        with Visit(browser, pages / "one.html", width=360) as visit:
            page = visit.page
            reached = []
            for _ in range(page.locator("a, [tabindex='0']").count()):
                page.keyboard.press("Tab")
                reached.append(
                    page.evaluate(
                        "(() => { const e = document.activeElement, s = getComputedStyle(e);"
                        " return [e.className || e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
                    )
                )
            assert reached[0][0] == "skip"
            assert sum(name == "scroll" for name, _, _ in reached) == page.locator("table").count()
            assert all(style == "solid" and width >= 2 for _, style, width in reached)
            page.locator(".skip").focus()
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.id") == "main"
            table = page.locator(".scroll").first
            table.focus()
            page.keyboard.press("ArrowRight")
            for _ in range(100):  # it scrolls smoothly
                if table.evaluate("element => element.scrollLeft") > 0:
                    break
                page.wait_for_timeout(20)
            assert table.evaluate("element => element.scrollLeft") > 0

    def test_the_pointer_shows_values(self, browser: Any, pages: Path) -> None:
        with Visit(browser, pages / "one.html") as visit:
            hint = visit.page.locator("#speed ~ .charts figure:first-child .hint").last
            assert hint.locator(".tip").is_hidden()
            hint.scroll_into_view_if_needed()
            reach = hint.locator(".reach").bounding_box()
            assert reach
            visit.page.mouse.move(reach["x"] + reach["width"] / 2, reach["y"] + reach["height"] / 2)
            assert hint.locator(".tip").is_visible()
            box = hint.locator(".tip").bounding_box()
            assert box
            chart = visit.page.locator("#speed ~ .charts svg").first.bounding_box()
            assert chart
            assert chart["x"] - 2 <= box["x"]
            assert box["x"] + box["width"] <= chart["x"] + chart["width"] + 2
