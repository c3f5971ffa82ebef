"""A bench whose workers misbehave in every way, whose disk is full, that is told to stop, and that is killed."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from support import Cli
from toolkit import bench as bench_module
from toolkit.bench import Settings, run_bench
from toolkit.bench.engine import launch, rows
from toolkit.bench.engine.job import Entry, Job
from toolkit.bench.engine.journal import SUFFIX, read_journal
from toolkit.bench.engine.prepare import Prepared
from toolkit.errors import ReportError, UsageError
from toolkit.records import CheckpointRecord, Report, Scenario, read_record

TESTS = Path(__file__).parents[1]
QUICK = Settings(batch_sizes=(1,), threads=(1,), budget_s=0.5, seed=0, against_limits=False, control=False, restarts=0)


@pytest.fixture(autouse=True)
def fake_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", "fake_worker")
    # Workers of this very checkout; one test's process imports this module.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS / "bench", TESTS, TESTS.parent))))


@pytest.fixture(autouse=True)
def no_survivors() -> Iterator[None]:
    """Whatever happened, no process of a worker is left."""
    before = set(psutil.Process().children(recursive=True))
    yield
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=5)
    assert not alive


def entry(target: str, **changes: object) -> Entry:
    values = {
        "target": target,
        "format": "eager" if target == "eager" else "onnx",
        "golden": "",
        "device": "cpu",
        "runtime": "none",
        "runtime_version": "1",
        "verified": True,
        "baseline": target == "eager",
    }
    return Entry.model_validate({**values, **changes})


def prepared(checkpoint: CheckpointRecord, *targets: str | Entry) -> Prepared:
    entries = tuple(each if isinstance(each, Entry) else entry(each) for each in targets)
    return Prepared(checkpoint=checkpoint, entries=entries, skips=())


@pytest.fixture
def bench(bundled, tmp_path: Path) -> Callable[..., Report]:
    def run(*targets: str | Entry, settings: Settings = QUICK, **options: object) -> Report:
        return run_bench(prepared(bundled.record, *targets), settings, tmp_path, **options)  # type: ignore[arg-type]

    return run


def test_rows_are_measured_in_rounds_of_random_order(bench: Callable[..., Report]) -> None:
    report = bench(
        "eager", "50", "200", settings=Settings(batch_sizes=(1, 8), threads=(1,), budget_s=2, seed=3, restarts=0)
    )
    assert report.passed, report.failures
    assert report.bench
    assert report.bench.rounds >= 10
    keys = {(row.target, row.role, row.batch_size) for row in report.latency}
    assert keys == {
        *((name, "row", size) for name in ("eager", "50", "200") for size in (1, 8)),
        *(("eager", "control", size) for size in (1, 8)),
    }
    orders = set()
    for number in range(report.bench.rounds):
        places = {
            (row.target, row.role, row.batch_size): each.place
            for row in report.latency
            for each in row.rounds
            if each.number == number
        }
        assert sorted(places.values()) == list(range(8))
        orders.add(tuple(places.values()))
    assert len(orders) > report.bench.rounds // 2  # drawn anew each time
    fast = next(row for row in report.latency if (row.target, row.batch_size) == ("50", 8))
    assert fast.to_eager
    assert fast.to_eager.ratio == pytest.approx(2, rel=0.01)
    assert fast.to_eager.verdict == "FASTER"
    assert fast.median_s == pytest.approx(50e-6 * 8, rel=0.01)
    assert fast.estimate
    assert fast.estimate.p50_s
    assert fast.estimate.p50_s[0] <= fast.median_s <= fast.estimate.p50_s[1]
    assert report.fitness
    assert [each.verdict for each in report.fitness.controls] == ["SAME", "SAME"]
    assert fast.cold.warmup_calls >= 1
    assert fast.cold.first_call_s == pytest.approx(50e-6 * 8 * 10)
    assert fast.rounds[0].copy_in_s == pytest.approx(1e-7)


@pytest.mark.parametrize("restarts", [0, 1, 2])
def test_workers_are_replaced_in_even_parts_of_the_budget(
    restarts: int, bench: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pids = rows.Row.measure, []

    def measure(self: rows.Row, number: int, *rest: object) -> None:
        pids.append((self.job.entry.target, number, self.pid))
        real(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(rows.Row, "measure", measure)
    report = bench("eager", "50", settings=replace(QUICK, budget_s=2, restarts=restarts))
    assert report.passed, report.failures
    assert report.bench
    for target in ("eager", "50"):
        mine = [(number, pid) for name, number, pid in pids if name == target]
        assert [number for number, _ in mine] == list(range(report.bench.rounds))
        processes = list(dict.fromkeys(pid for _, pid in mine))
        assert len(processes) == restarts + 1
        shares = [sum(pid == each for _, pid in mine) for each in processes]
        assert min(shares) > 0.5 * report.bench.rounds / (restarts + 1)


def test_a_new_worker_that_fails_is_a_failed_row(bench: Callable[..., Report], monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = rows.Row.start, []

    def start(self: rows.Row) -> None:
        started.append(self.number)
        if started.count(self.number) == 2 and self.job.entry.target == "50":
            self.job = self.job.model_copy(update={"entry": entry("50 segv open")})
        real(self)

    monkeypatch.setattr(rows.Row, "start", start)
    report = bench("eager", "50", settings=replace(QUICK, budget_s=1, restarts=1))
    assert [row.target for row in report.latency] == ["eager"]
    assert "SIGSEGV" in report.failures[0].reason


def test_throughput_on_the_cpu_has_a_process_of_one_thread_per_thread(
    bench: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, threads = rows.WorkerProcess, []

    def process(job: Job, log: Path) -> launch.WorkerProcess:
        threads.append(job.threads)
        return real(job, log)

    monkeypatch.setattr(rows, "WorkerProcess", process)
    settings = replace(QUICK, threads=(3,), scenario=Scenario(kind="throughput"))
    (row,) = bench("eager", settings=settings).latency
    assert threads == [1, 1, 1]
    assert row.threads == 3
    assert row.median_s == pytest.approx(100e-6 / 3, rel=0.02)
    assert row.throughput_images_per_s == pytest.approx(3 / 100e-6, rel=0.02)


def test_arrivals_that_no_call_can_keep_up_with_are_a_failed_row(bench: Callable[..., Report]) -> None:
    settings = replace(QUICK, scenario=Scenario(kind="paced", interval_s=80e-6))
    report = bench("eager", "50", settings=settings)
    assert [row.target for row in report.latency] == ["50"]
    assert "it cannot keep up: a call takes 0.0001 s, and one arrives every 8e-05 s; choose a lower" in str(
        report.failures
    )


def test_the_same_seed_draws_the_same_order(bench: Callable[..., Report]) -> None:
    first, second = (bench("eager", "50", "60") for _ in range(2))
    for a, b in zip(first.latency, second.latency, strict=True):
        count = min(len(a.rounds), len(b.rounds))
        assert [each.place for each in a.rounds[:count]] == [each.place for each in b.rounds[:count]]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("50 segv open", "the worker was killed by SIGSEGV"),
        ("50 segv measure 3", "the worker was killed by SIGSEGV"),
        ("50 exit warm", "the worker ended with exit code 3: out of luck"),
        ("50 cut open", "the worker ended with exit code 0"),
        ("50 quiet finish", "the worker ended with exit code 0"),
        ("50 nonsense measure", "its answer makes no sense"),
        ("50 fault open", "CUDA out of memory"),
        ("50 fault measure 2", "CUDA out of memory"),
        ("50 wrong warm", "its outputs are off by 9"),
        ("50 wrong finish", "after it was timed its outputs are off by 9"),
    ],
)
def test_a_worker_that_fails_is_a_failed_row_and_the_others_go_on(
    target: str, reason: str, bench: Callable[..., Report]
) -> None:
    report = bench("eager", target, "60")
    assert [row.target for row in report.latency] == ["eager", "60"]
    (failure,) = report.failures
    assert (failure.target, failure.batch_size, failure.threads) == (target, 1, 1)
    assert reason in failure.reason
    assert not report.passed
    assert {len(row.rounds) for row in report.latency} == {report.bench and report.bench.rounds}


@pytest.mark.parametrize("how", ["hang open", "hang measure 2", "hold measure"])
def test_a_worker_that_hangs_is_killed_with_its_children(
    how: str, bench: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_OPEN_TIMEOUT_S", 3.0)
    monkeypatch.setattr(rows, "_CALLS_TIMEOUT_S", 1.0)
    report = bench("eager", f"50 {how}")
    assert [row.target for row in report.latency] == ["eager"]
    assert "no answer within" in report.failures[0].reason  # and `no_survivors` looks for its children


def test_a_worker_that_is_killed_from_outside_is_a_failed_row(
    bench: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, killed = rows.Row.measure, []

    def measure(self: rows.Row, number: int, *rest: object) -> None:
        if number == 2 and self.job.entry.target == "50":
            assert self.pid
            os.kill(self.pid, signal.SIGKILL)
            killed.append(self.pid)
        real(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(rows.Row, "measure", measure)
    report = bench("eager", "50", "60")
    assert killed
    assert [row.target for row in report.latency] == ["eager", "60"]
    assert report.failures[0].reason == "the worker was killed by SIGKILL"


def test_an_unverified_row_is_timed_and_says_what_is_wrong_with_it(bench: Callable[..., Report]) -> None:
    report = bench("eager", entry("50 wrong warm", verified=False), entry("60 wrong finish", verified=False))
    assert [bool(row.mismatch) for row in report.latency] == [False, True, True]
    assert [each.format for each in report.fastest] == ["eager"]


def test_a_row_whose_threads_go_on_spinning_says_so(bench: Callable[..., Report]) -> None:
    report = bench("eager", "50 spin measure 2")
    assert [row.settled for row in report.latency] == [True, False]


def test_when_every_row_fails_there_is_a_report_all_the_same(bench: Callable[..., Report]) -> None:
    report = bench("eager quiet open", "50 segv warm")
    assert report.latency == ()
    assert len(report.failures) == 2
    assert report.fitness


def test_a_budget_that_is_too_small_says_how_much_is_needed(bench: Callable[..., Report]) -> None:
    with pytest.raises(UsageError) as caught:
        bench("eager", "50", settings=replace(QUICK, budget_s=0.001))
    assert caught.value.reason.startswith("--budget 0.001:")


def test_few_rounds_are_told(bench: Callable[..., Report]) -> None:
    report = bench("eager", "50000", settings=replace(QUICK, budget_s=0.2))
    assert report.bench
    assert 1 <= report.bench.rounds < 10
    assert any(
        "rounds that intervals want fitted into the budget of 0.2 s; pass --budget" in each for each in report.notes
    )


def test_a_disk_that_is_full_costs_the_journal_and_not_the_run(
    bench: Callable[..., Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / f"bench.{os.getpid()}{SUFFIX}"
    full.symlink_to("/dev/full")
    report = bench("eager", "50")
    assert report.passed
    assert report.bench
    assert report.bench.rounds >= 10
    assert any("could not be kept on disk" in each and "No space left" in each for each in report.notes)


def test_rounds_are_on_disk_as_soon_as_they_are_finished(
    bench: Callable[..., Report], tmp_path: Path, cli: Cli
) -> None:
    found: list[str] = []

    def watch(measured: object, done: int, planned: int) -> None:
        if done == 3:
            (journal,) = tmp_path.glob(f"*{SUFFIX}")
            found.append(journal.read_text())

    report = bench("eager", "50", journal=tmp_path / "result.json.partial", watch=watch)
    assert report.passed
    assert [each.name for each in tmp_path.glob(f"*{SUFFIX}")] == ["result.json.partial"]  # its caller deletes it
    kept = tmp_path / "kept.partial"
    kept.write_text(found[0][:-20])  # a line that was being written when the process died
    outcome = cli("report", kept, "--json")
    assert outcome.code == 130
    assert outcome.report.interrupted
    rounds = {row.target: len(row.rounds) for row in outcome.report.latency}
    assert rounds == {"eager": 3, "50": 2}
    assert outcome.report.bench == report.bench.model_copy(update={"rounds": 3})
    fast = next(row for row in outcome.report.latency if row.target == "50")
    assert fast.estimate
    assert fast.estimate.p50_s
    assert fast.to_eager
    assert fast.to_eager.verdict == "FASTER"


def test_ctrl_c_keeps_the_rounds_that_were_finished(bench: Callable[..., Report]) -> None:
    def watch(measured: object, done: int, planned: int) -> None:
        if done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    report = bench("eager", "50", watch=watch)
    assert report.interrupted
    assert report.bench
    assert report.bench.rounds in {4, 5}
    assert {len(row.rounds) for row in report.latency} == {report.bench.rounds}
    assert not any("fitted into the budget" in each for each in report.notes)


def test_ctrl_c_before_the_first_round_is_an_interrupt(bench: Callable[..., Report], tmp_path: Path) -> None:
    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        if task == "warming up":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench("eager", "50", progress=progress)
    assert not list(tmp_path.glob(f"*{SUFFIX}"))


def test_ctrl_c_while_limits_are_measured_keeps_the_rows(
    bench: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure_limits(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_module, "measure_limits", measure_limits)
    report = bench("eager", "50", settings=replace(QUICK, budget_s=0.3, against_limits=True))
    assert report.interrupted
    assert len(report.latency) == 2


SCRIPT = """
    import sys, time
    from pathlib import Path
    from test_bench_faults import QUICK, entry, prepared
    from dataclasses import replace
    from toolkit.bench import run_bench
    from toolkit.bench.engine import launch
    from toolkit.fashion.checkpoint import load_checkpoint
    from toolkit.records import read_record, Report
    launch.WORKER = "fake_worker"
    scratch = Path(sys.argv[1])
    record = Report.model_validate_json(Path(sys.argv[2]).read_text()).checkpoint
    run_bench(prepared(record, "eager", "50"), replace(QUICK, budget_s=60), scratch, journal=scratch / "r.json.partial")
"""


def test_no_worker_survives_a_parent_that_is_killed_and_the_journal_does(
    tmp_path: Path, bench: Callable[..., Report]
) -> None:
    report = tmp_path / "report.json"
    report.write_text(bench("eager").model_dump_json())
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path), str(report)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        journals = list(tmp_path.glob(f"r.json{SUFFIX}"))
        if journals and journals[0].read_text().count("\n") > 6:
            break
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    kept = read_journal(journals[0])
    assert {row.target for row in kept.latency} == {"eager", "50"}
    assert all(len(row.rounds) >= 2 for row in kept.latency)


def test_a_report_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "old.partial"
    old.write_text('{"schema_name": "fmnist-tk/report", "schema_version": 2}\n{"row": 0}\n')
    with pytest.raises(ReportError) as caught:
        read_journal(old)
    assert caught.value.path == old


def test_a_clock_that_is_not_honest_publishes_nothing(
    bench: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = bench("eager").self_checks
    (check, *_) = honest[0].checks
    wrong = check.model_copy(update={"measured": 2 * check.limit + 1e-9, "bound": "at most"})
    monkeypatch.setattr(bench_module, "_self_checks", lambda *_: (honest[0].model_copy(update={"checks": (wrong,)}),))
    report = bench("eager", "50")
    assert not report.passed
    assert report.latency == ()


def test_base_and_head_are_measured_in_the_same_rounds(bench: Callable[..., Report]) -> None:
    entries = (
        "eager",
        entry("60"),
        entry("50", role="base", format="onnx"),
    )
    settings = replace(QUICK, budget_s=1)
    (comparison,) = bench(*entries, settings=settings).comparisons
    assert (comparison.target, comparison.base, comparison.paired, comparison.too_slow) == ("60", "50", True, False)
    assert comparison.speed.ratio == pytest.approx(50 / 60, rel=0.02)
    assert comparison.speed.verdict == "SLOWER"
    for allowed, passed in ((0.3, True), (0.1, False)):
        report = bench(*entries, settings=replace(settings, max_slowdown=allowed))
        assert report.passed is passed
        assert report.comparisons[0].too_slow is not passed


def test_two_benches_at_once_notice_each_other(bench: Callable[..., Report]) -> None:
    """The other's worker is no child of this process: its own parent has ended, and it belongs to nobody here."""
    sleep = f"{sys.executable} -c 'import time; time.sleep(60)' -m toolkit.bench.engine.worker"
    other = int(
        subprocess.run(["sh", "-c", f"{sleep} >/dev/null 2>&1 & echo $!"], capture_output=True, check=True).stdout
    )
    try:
        report = bench("eager")
    finally:
        os.kill(other, signal.SIGKILL)
    assert report.fitness
    assert other in (report.fitness.before.other_benches or ())
    assert report.fitness.verdict == "NOISY"
    assert any(str(other) in each.sentence for each in report.fitness.reasons)


def test_the_parent_imports_no_runtime(exported: Path) -> None:
    code = textwrap.dedent(
        f"""
        import sys
        from toolkit.bench.engine import launch
        from toolkit.cli import main
        launch.WORKER = "fake_worker"
        try:
            main(["bench", "onnx", "--folder", {str(exported)!r}, "--batch", "1", "--budget", "0.5", "--no-limits",
                  "--threads", "1", "--restarts", "0", "-q"])
        except SystemExit as end:
            print(end.code, sorted({{"torch", "onnx", "onnxruntime"}} & set(sys.modules)))
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n", done.stderr


def test_a_row_that_failed_is_in_the_journal(bench: Callable[..., Report], tmp_path: Path) -> None:
    report = bench("eager", "50 quiet measure 3", journal=tmp_path / "r.partial")
    assert len(report.failures) == 1
    kept = read_journal(tmp_path / "r.partial")
    assert kept.failures == report.failures
    assert [row.target for row in kept.latency] == ["eager"]


@pytest.mark.parametrize("place", ["toolkit.bench.judge", "toolkit.cli.bench.finish"])
def test_a_stop_after_the_last_round_leaves_the_journal_and_names_it(
    place: str, exported: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, stop)
    options = ("--folder", exported, "--batch", 1, "--budget", 0.5, "--no-limits")
    outcome = cli("bench", "onnx", *options, "-o", tmp_path / "r.json")
    assert outcome.code == 130
    (journal,) = tmp_path.glob(f"r.json.*{SUFFIX}")
    assert f"fmnist-tk report {journal}\n" in outcome.err
    assert len(cli("report", journal, "--json").report.latency) >= 2


COMMAND = """
    import sys
    from toolkit.bench.engine import launch
    from toolkit.cli import main
    launch.WORKER = "fake_worker"
    main(["bench", "onnx", "--folder", sys.argv[1], "--batch", "1", "--budget", "60", "--no-limits", "-o", sys.argv[2]])
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_bench_that_is_told_to_stop_writes_what_it_has(stop: signal.Signals, exported: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(COMMAND), str(exported), str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if re.search(r" round [1-9]", line):
            break
    process.send_signal(stop)
    process.communicate(timeout=60)
    assert process.returncode == 130
    report = read_record(output, Report)
    assert report.interrupted
    assert report.bench
    assert report.bench.rounds >= 1
    assert {len(row.rounds) for row in report.latency} == {report.bench.rounds}
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]
