"""Reproductions: a folder that shows a wrong artifact to its maintainer, without this toolkit.

The rule: nothing is called a reproduction before its script was seen to fail in a process of its own.
"""

import json
import math
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from toolkit.errors import CorruptArtifactError, FormatError
from toolkit.formats import runtime_version
from toolkit.formats.snippet import Snippet, find_snippet
from toolkit.formats.target import Target
from toolkit.parity.explain.faults import FAULTS, ONE_LINE, Expect, Fault, Run, answer
from toolkit.parity.explain.place import FACTS, check_place, files_in, folder_name, replacing_folder
from toolkit.parity.explain.shrink import shrink
from toolkit.records import CheckRecord
from toolkit.system.files import sha256_of
from toolkit.workload.images import Float32Array

_SCRIPT: Final = "repro.py"
_ASSERTION: Final = "AssertionError: "
_TIMEOUT_S: Final = 120.0  # an import of torch on a busy machine takes 20 s
# A case that is just beyond the limit here may be within it on a processor that sums in another order.
_MARGINS: Final = (2.0, 1.0)


@dataclass(frozen=True)
class Reproduction:
    """What came of the attempt.

    Attributes:
        folder: Where it was written; None when nothing was.
        note: One sentence: what the script says, or why there is none, or why it proves nothing.
        shown: Whether the script was run and failed as it should.
    """

    folder: Path | None
    note: str
    shown: bool = False


def write_reproduction(
    folder: Path,
    target: Target,
    batch: Float32Array | None,
    *,
    cause: CheckRecord,
    expected_of: Expect,
    run: Run | None,
    limit: float,
    sha256: str,
    input_shape: tuple[int, ...] = (1, 28, 28),
    device: str = "cpu",
    companions: Sequence[Path] = (),
) -> Reproduction:
    """Shrink a failing batch and write the folder that shows it.

    It is ``<folder>/<artifact>-<format>-<first 8 digits of sha256>``, with ``-<device>`` behind it when that is not the
    CPU: files of one name, from several folders or devices, have a reproduction each.

    In it: ``repro.py``, which needs numpy and the runtime and exits 1 with an AssertionError while the artifact is
    wrong and 0 when a right one takes its place; the artifact; ``input.npy`` float32, ``expected.npy`` float64 (the
    reference's logits) and ``actual.npy``; ``versions.json``; further files of the artifact. An earlier reproduction of
    that name is replaced, unless something else has been put into it.

    Args:
        folder: Where the folder is made.
        target: The artifact, as its format.
        batch: Images ``(N, 1, 28, 28)`` float32 that fail, the worst first; None for an artifact that does not open.
        cause: The failed check that names the cause.
        expected_of: Reference logits ``(N, 10)`` float64 of images.
        run: The artifact's logits of images, as they come; it hands over the memory of its argument. None for an
            artifact that does not open.
        limit: Largest allowed ``|actual - expected|``, in logit units.
        sha256: Of the artifact that was checked.
        input_shape: Shape of one image as the artifact wants it.
        device: Where it was checked.
        companions: Further files that the artifact needs beside it, such as external data.

    Returns:
        The folder and what its script says. A fault that no plain call can show is a note without a folder; a script
        that does not fail in a process of its own is a note and not `shown`.

    Raises:
        OutputError: If the folder cannot be written, or holds a file that is not the reproduction's own.
    """
    fault, file = FAULTS.get(cause.name), target.format.file_name
    snippet = find_snippet(target.format, device, file)
    if snippet is None:
        return Reproduction(None, f"no plain script is known for {target.format.name} on {device}")
    reason = _no_reproduction(cause, fault, limit, given=batch is not None and run is not None)
    if reason:
        return Reproduction(None, reason)
    final = folder / folder_name(target, sha256, device)
    check_place(final)
    with replacing_folder(final) as temporary:
        _copy(target.path, temporary / file, companions)
        if not companions and sha256_of(temporary / file) != sha256:  # with them, the digest is of them all
            return Reproduction(None, "the artifact has changed since it was checked; check it again")
        reason = _refused(replace(target, path=temporary / file), cause, device, snippet)
        if reason:
            return Reproduction(None, reason)
        facts: dict[str, Any] = {}
        if fault and batch is not None and run is not None:
            case = _shrunk(fault, batch, run, expected_of, limit)
            facts = _write_arrays(temporary, case, run, expected_of, input_shape)
        lines = _script(target, device, snippet, fault, limit)
        (temporary / _SCRIPT).write_text("\n".join(lines) + "\n", encoding="utf-8")
        facts |= _versions(target, device, cause, limit, sha256)
        facts["files"] = sorted({FACTS, *files_in(temporary)})
        (temporary / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        said, shown = _run_script(temporary)
    return Reproduction(final, said, shown)


def _no_reproduction(cause: CheckRecord, fault: Fault | None, limit: float, *, given: bool) -> str:
    """Return why there can be none; empty when there can."""
    if fault is None and cause.name != "opens":
        return f"a failed check {cause.name!r} is not shown by running the artifact: {cause.detail}"
    if fault and not given:
        return "there is no input that shows it"
    if fault and fault.limited and not math.isfinite(limit):
        return "the limit is not finite: eager float32 itself overflows on these inputs"
    return ""


def _refused(target: Target, cause: CheckRecord, device: str, snippet: Snippet) -> str:
    """Return why an artifact that does not open is not given to its runtime; empty when it may be.

    Only what this toolkit itself hands to the runtime is run: no file that it refuses for the code inside, and no
    damaged archive, which is not searched for code.
    """
    if cause.name != "opens":
        return ""
    try:
        if snippet.archive:
            from toolkit.formats.libtorch import check_archive

            check_archive(target.path, target.format.name)
        try:
            target.open(device)
        except CorruptArtifactError:
            return ""
        return "it opens here now"
    except FormatError as error:
        return f"it is not given to its runtime: {error}"


def _shrunk(fault: Fault, batch: Float32Array, run: Run, expected_of: Expect, limit: float) -> Float32Array:
    """Return the least that still fails, or the batch itself when it does not fail again in this process."""
    for margin in _MARGINS if fault.limited else _MARGINS[-1:]:
        with suppress(ValueError):  # it does not fail by so much, or only now and then

            def fails(case: Float32Array, most: float = margin * limit) -> bool:
                return fault.fails(case, run, expected_of, most)

            return shrink(batch, fails)
    return batch


def _write_arrays(
    folder: Path, case: Float32Array, run: Run, expected_of: Expect, input_shape: tuple[int, ...]
) -> dict[str, Any]:
    np.save(folder / "input.npy", np.ascontiguousarray(case.reshape(len(case), *input_shape)))
    np.save(folder / "expected.npy", expected_of(case))
    actual = answer(run, case)
    if actual is not None:
        np.save(folder / "actual.npy", actual)
    return {"images": len(case), "non_zero_pixels": int(np.count_nonzero(case))}


def _script(target: Target, device: str, snippet: Snippet, fault: Fault | None, limit: float) -> list[str]:
    """Return the lines of the script."""
    file = target.format.file_name
    what = fault.what if fault else "it does not open"
    headline = f"# {file} in {target.format.runtime} on {device}: {what}. Run in this folder; exits 0 once it is right."
    if fault is None:
        return [
            headline,
            *snippet.imports,
            "",
            "try:",
            *(f"    {line}" for line in snippet.load),
            "except Exception as error:",
            f'    raise AssertionError("{file} does not open: " + {ONE_LINE}) from None',
        ]
    given = 'x = np.load("input.npy")'
    if fault.limited:
        given = f'x, limit = np.load("input.npy"), {float(limit)!r}  # limit, in logits: rounding explains so much'
    infer = ("def infer(x):", *(f"    {line}" for line in snippet.infer))
    return [
        headline,
        "import numpy as np",
        *snippet.imports,
        "",
        *snippet.load,
        "",
        "",
        *infer,
        "",
        "",
        given,
        *fault.body,
    ]


def _versions(target: Target, device: str, cause: CheckRecord, limit: float, sha256: str) -> dict[str, Any]:
    return {
        "cause": {"check": cause.name, "probe": cause.probe, "detail": cause.detail},
        "limit": {
            "logits": limit if math.isfinite(limit) else None,
            "meaning": "largest |actual - expected| of a logit that the rounding of a correct artifact explains",
        },
        "artifact": {"file": target.path.name, "format": target.format.name, "sha256": sha256},
        "device": device,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            target.format.runtime: runtime_version(target.format),
        },
        "platform": platform.platform(),
    }


def _run_script(folder: Path) -> tuple[str, bool]:
    """Run the script as its reader will; return what it says, and whether it fails as it should."""
    try:
        # -P: a file of the folder must not stand in for a package; -I would lose packages of the user.
        command = [sys.executable, "-P", _SCRIPT]
        ended = subprocess.run(  # noqa: S603  our own script under our own interpreter
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{_SCRIPT} shows nothing: it did not end within {_TIMEOUT_S:.0f} s", False
    lines = ended.stderr.decode(errors="replace").strip().splitlines() or [""]
    said = next((line for line in reversed(lines) if line.startswith(_ASSERTION)), None)
    if ended.returncode == 1 and said:
        return said.removeprefix(_ASSERTION), True
    words = f": {lines[-1][:300]}" if ended.returncode else ""  # without an error the last line is a warning at most
    return f"{_SCRIPT} shows nothing here: it ended with exit code {ended.returncode}{words}", False


def _copy(artifact: Path, to: Path, companions: Sequence[Path]) -> None:
    shutil.copyfile(artifact, to)
    for path in companions:
        beside = path.is_relative_to(artifact.parent) and ".." not in path.relative_to(artifact.parent).parts
        place = to.parent / (path.relative_to(artifact.parent) if beside else path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
