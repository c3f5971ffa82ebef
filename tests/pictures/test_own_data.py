"""Own pictures: every way to write them down, and every way to get it wrong."""

import csv
import io
import os
import shutil
import tempfile
import tracemalloc
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from toolkit.errors import OwnDataError
from toolkit.fashion.data import load_sample
from toolkit.fashion.labels import find_label, near_label, read_label
from toolkit.pictures.own_data import decoding
from toolkit.pictures.own_data import own_pictures as any_pictures
from toolkit.pictures.own_data.listing import list_pictures
from toolkit.records import LABELS

own_pictures = partial(any_pictures, read_label=read_label)
NAMES = ("a.png", "b c.png", "d,e.png", 'f"g.png', "ä/ö.png", "h/i/j.JPG", "10", "-k.webp", "#l.png", "label.png")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of twenty images of the sample: ``p00.png`` and so on."""
    return save_pictures(tmp_path / "pictures", 20)


def save_pictures(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(load_sample().images[:count]):
        Image.fromarray(pixels).save(folder / f"p{number:02}.png")
    return folder


def csv_of(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    path = folder.parent / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems_of(folder: Path, labels: Path | None = None, **options: object) -> tuple[str, ...]:
    with pytest.raises(OwnDataError) as caught:
        own_pictures(folder, labels, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *((str(number), number) for number in range(10)),
        *((label, number) for number, label in enumerate(LABELS)),
        *((label.upper(), number) for number, label in enumerate(LABELS)),
        ("T-shirt", 0),
        ("t-shirt_top", 0),
        ("Tshirt", 0),
        ("top", 0),
        ("Shirt", 6),
        ("ankle-boot", 9),
        ("ANKLE_BOOT", 9),
        (" ankleboot\t", 9),
        *((text, None) for text in ("", "10", "-1", "1.0", "٣", "²", "shirt top", "0x1", "nan", "label")),
    ],
)
def test_a_label_is_a_number_or_a_name(text: str, number: int | None) -> None:
    assert find_label(text) == number


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, dict[str, int]]:
    """A CSV in one of its many forms, and what stands in it."""
    chosen = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    labels = {name: draw(st.integers(0, 9)) for name in chosen}
    header = draw(st.sampled_from([None, ("file", "label"), ("filename", "class"), ("image_path", "0 to 9")]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = []
    for file, label in [*([header] if header else []), *labels.items()]:
        known = label if isinstance(label, str) else draw(st.sampled_from(forms(label)))
        fields = []
        for field in (file, known):
            quoted = any(sign in field for sign in ',"') or draw(st.booleans())
            before, after = (draw(st.sampled_from(["", " ", "  "])) for _ in range(2))
            text = '"' + field.replace('"', '""') + '"' if quoted else field
            fields.append(before + text + after)
        lines.append(",".join(fields))
        lines += [""] * draw(st.integers(0, 1))
    text = end.join(lines) + (end if draw(st.booleans()) else "")
    return text.encode("utf-8-sig" if draw(st.booleans()) else "utf-8"), labels


def forms(number: int) -> list[str]:
    name = LABELS[number]
    return [str(number), name, name.lower(), name.upper().replace(" ", "-"), name.replace("/", "_").replace(" ", "_")]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all names; nothing is in them, as only their names are listed."""
    folder = tmp_path_factory.mktemp("named")
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@given(form=written())
def test_what_is_written_is_read_whatever_its_form(form: tuple[bytes, dict[str, int]], named: Path) -> None:
    data, labels = form
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(data)
        listing = list_pictures(named, Path(file.name), read_label)
    assert not listing.problems
    assert {each.name: each.label for each in listing.pictures} == labels
    assert [each.name for each in listing.pictures] == sorted(labels)
    left = sum(name not in labels and name != "10" for name in NAMES)  # "10" is no picture by name
    assert sum("left out" in note for note in listing.notes) == bool(left)


@given(rows=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 9)), min_size=1, unique_by=lambda row: row[0]))
def test_what_python_writes_is_read(rows: list[tuple[str, int]], named: Path) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(text.getvalue().encode())
        listing = list_pictures(named, Path(file.name), read_label)
    assert sorted((each.name, each.label) for each in listing.pictures) == sorted(rows)


@given(data=st.binary(max_size=60))
def test_whatever_the_bytes_are_there_is_a_list_or_one_error(data: bytes, named: Path) -> None:
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(data)
        try:
            listing = list_pictures(named, Path(file.name), read_label)
        except OwnDataError as error:
            assert error.problems  # noqa: PT017  either way is right
        else:
            assert listing.pictures or listing.problems


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nope.png,1", "'nope.png' is not there"),
        ("P01.PNG,1", "'P01.PNG' is not there: did you mean 'p01.png'?"),
        (".\\p01.png,1", "'.\\\\p01.png' is not there"),
        ("p01.png,Ankel boots", "the label 'Ankel boots' is no class: did you mean 'Ankle boot'?"),
        ("p01.png,hat", f"the label 'hat' is no class: write 0 to 9, or one of {', '.join(LABELS)}"),
        ("p01.png,10", "the label 10 is no class: write 0 to 9, or a name"),
        ("p01.png,", "the label is missing"),
        (",1", "the file is missing"),
        ("p00.png,0", "'p00.png' was named before, in line 1"),
        ("./p00.png,0", "'./p00.png' was named before, in line 1"),
        ("../p01.png,1", "'../p01.png' is outside the folder; write paths below {folder}"),
        ("x/../../p01.png,1", "'x/../../p01.png' is outside the folder; write paths below {folder}"),
        ("/p01.png,1", "'/p01.png' is outside the folder; write paths below {folder}"),
        ("p01.png,1,extra", "3 columns, not the two of file,label; put a name with a comma in quotes"),
        ("p01.png", "1 column, not the two of file,label; put a name with a comma in quotes"),
        ("p01.png;1", "the columns are parted by something else: put a comma between file and label"),
        ("1,p01.png", "the columns are file,label in this order, not 1,p01.png"),
        ('"p01.png,1', "a quotation mark is missing, and what follows is taken for one name"),
        ("sub,1", "'sub' is not there"),
        (f"{'n' * 300},1", f"'{'n' * 300}' is not there"),
        ("empty.png,1", "empty.png: is empty"),
        ("text.png,1", "text.png: is no picture that Pillow can read"),
        ("cut.png,1", "cut.png: is truncated or damaged"),
    ],
)
def test_each_problem_has_its_file_and_line(line: str, problem: str, pictures: Path) -> None:
    (pictures / "sub").mkdir()
    (pictures / "empty.png").touch()
    (pictures / "text.png").write_text("no picture")
    whole = (pictures / "p02.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    (found,) = problems_of(pictures, csv_of(pictures, f"p00.png, 0\n\n{line}\n"))
    assert found.startswith("labels.csv line 3: " + problem.format(folder=pictures))


def test_all_problems_are_told_at_once_in_the_order_of_the_lines(pictures: Path) -> None:
    (pictures / "p05.png").write_bytes(b"broken")
    lines = ["file,label", *(f"p{i:02}.png,{'hat' if i % 2 else 3}" for i in range(20)), "x.png,1", "a,b,c"]
    with pytest.raises(OwnDataError) as caught:
        own_pictures(pictures, csv_of(pictures, "\n".join(lines)))
    error = caught.value
    assert [int(each.split()[2].rstrip(":")) for each in error.problems] == [*range(3, 22, 2), 22, 23]
    assert str(error).count("labels.csv line") == 10
    assert str(error).endswith("; and 2 more; correct these, nothing was started")
    lines[6] = "p05.png,5"
    problems = problems_of(pictures, csv_of(pictures, "\n".join(lines)))
    assert problems[2] == "labels.csv line 7: p05.png: is no picture that Pillow can read"


@pytest.mark.parametrize(
    ("data", "problem", "remedy"),
    [
        (b"", "labels.csv is empty", "write a line of file,label for each picture"),
        (b"\n , \n", "labels.csv is empty", "write a line of file,label for each picture"),
        (b"file,label\n", "labels.csv names no pictures", "write a line of file,label for each picture"),
        ("file,label\np00.png,0\n".encode("utf-16"), "labels.csv line 1: not UTF-8 text", "save it as CSV in UTF-8"),
        (b"p00.png,0\n\xe4.png,1\n", "labels.csv line 2: not UTF-8 text", "save it as CSV in UTF-8"),
    ],
)
def test_a_csv_without_pictures_is_one_problem(data: bytes, problem: str, remedy: str, pictures: Path) -> None:
    with pytest.raises(OwnDataError) as caught:
        own_pictures(pictures, csv_of(pictures, data))
    assert str(caught.value) == f"Pictures of {pictures}: {problem}; {remedy}"


def test_files_and_folders_that_are_not_there(pictures: Path, tmp_path: Path) -> None:
    assert problems_of(tmp_path / "nowhere") == ("no such folder",)
    assert problems_of(pictures / "p00.png") == ("it is a file, not a folder",)
    shutil.copy(csv_of(pictures, "p00.png,0\n"), pictures)
    with pytest.raises(OwnDataError, match=r"none\.csv: no such file; pass the CSV of file,label with --labels"):
        own_pictures(pictures, tmp_path / "none.csv")
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(OwnDataError, match=f"pass --labels {pictures}/labels"):
        own_pictures(pictures, tmp_path / "labels.csv")
    assert problems_of(pictures, Path("/dev/zero")) == ("/dev/zero is a device, not a file",)
    assert problems_of(pictures, pictures) == (f"{pictures} cannot be read: Is a directory",)


def test_a_csv_gives_the_pictures_by_name_and_notes_those_it_leaves_out(pictures: Path) -> None:
    (pictures / "readme.txt").touch()
    (pictures / ".p21.png").touch()
    labels = csv_of(pictures, "file,label\np07.png,Bag\n p03.png , 3\n")
    own = own_pictures(pictures, labels)
    assert own.names == ("p03.png", "p07.png")
    assert own.data.labels.tolist() == [3, 8]
    assert own.data.labels.dtype == np.int64
    assert np.array_equal(own.data.images, load_sample().images[[3, 7]])
    assert own.data.images.dtype == np.uint8
    assert own.record.class_counts == (0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    assert (own.record.images, own.record.inverted) == (2, 0)
    assert own.record.files[0].path == str(labels)
    assert own.record.words() == ["--images", str(pictures), "--labels", str(labels)]
    assert own.notes == ("labels.csv does not name p00.png, p01.png, p02.png and 15 more; left out",)


def test_a_folder_per_class(pictures: Path) -> None:
    places = {"p00.png": "0", "p01.png": "ankle-boot", "p02.png": "T-shirt", "p03.png": "Bag/deep/er"}
    for name, folder in places.items():
        (pictures / folder).mkdir(parents=True)
        (pictures / name).rename(pictures / folder / name)
    (pictures / "Bag" / "notes.txt").touch()
    (pictures / "Bag" / ".hidden.png").touch()
    (pictures / ".cache").mkdir()
    (pictures / "3").mkdir()
    own = own_pictures(pictures)
    assert dict(zip(own.names, own.data.labels.tolist(), strict=True)) == {
        "0/p00.png": 0,
        "ankle-boot/p01.png": 9,
        "T-shirt/p02.png": 0,
        "Bag/deep/er/p03.png": 8,
    }
    assert own.names == tuple(sorted(own.names))
    assert own.record.files == ()
    assert own.notes == (
        ".cache, Bag/.hidden.png are hidden or the system's own; left out",
        "3 is without a picture; left out",
        "Bag/notes.txt is no picture by name; left out",
        "p04.png, p05.png, p06.png and 13 more are in no class's folder; left out",
    )


def test_folders_that_are_no_classes(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert problems_of(tmp_path / "empty") == ("the folder is empty",)
    assert problems_of(pictures) == ("it holds pictures, but no folder for a class",)
    csv_of(pictures / "x", "p00.png,0\n")
    with pytest.raises(OwnDataError, match=f"pass --labels {pictures}/labels.csv, or make a folder in pictures for"):
        own_pictures(pictures)
    (tmp_path / "empty" / "Snaeker").mkdir()
    assert problems_of(tmp_path / "empty") == ("the folder 'Snaeker' is no class: did you mean 'Sneaker'?",)
    (tmp_path / "empty" / "Sneaker").mkdir()
    assert problems_of(tmp_path / "empty") == ("the folder 'Snaeker' is no class: did you mean 'Sneaker'?",)
    (tmp_path / "empty" / "Snaeker").rmdir()
    assert problems_of(tmp_path / "empty") == ("the folders of its classes hold no pictures",)


def test_a_broken_picture_in_a_folder_of_a_class(tmp_path: Path) -> None:
    save_pictures(tmp_path / "own" / "7", 2)
    (tmp_path / "own" / "7" / "p01.png").write_bytes(b"broken")
    assert problems_of(tmp_path / "own") == ("7/p01.png: is no picture that Pillow can read",)


def test_a_name_that_is_no_text_can_be_told(tmp_path: Path) -> None:
    folder = save_pictures(tmp_path / "own" / "7", 1)
    try:
        (folder / "p00.png").rename(os.fsdecode(os.fsencode(folder) + b"/\xff.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert len(own_pictures(tmp_path / "own").record.sha256 or "") == 64
    (tmp_path / "own" / os.fsdecode(b"\xfe.png")).touch()
    assert own_pictures(tmp_path / "own").notes == ("\ufffd.png is in no class's folder; left out",)


def test_the_digest_is_of_contents_and_labels_alone(pictures: Path, tmp_path: Path) -> None:
    def digest(text: str, folder: Path = pictures) -> str | None:
        return own_pictures(folder, csv_of(folder, text)).record.sha256

    first = digest("p00.png,0\np01.png,9\n")
    assert digest('image,label\n"p01.png", Ankle boot\np00.png,T-shirt\n') == first
    shutil.copytree(pictures, tmp_path / "elsewhere" / "copy")
    assert digest("p00.png,0\np01.png,9\n", tmp_path / "elsewhere" / "copy") == first
    assert digest("p00.png,0\np01.png,8\n") != first
    assert digest("p00.png,0\np02.png,9\n") != first
    shutil.copy(pictures / "p02.png", pictures / "p01.png")
    assert digest("p00.png,0\np01.png,9\n") != first


def test_workers_read_the_same(pictures: Path) -> None:
    (pictures / "p03.png").write_bytes(b"broken")
    good = csv_of(pictures, "".join(f"p{i:02}.png,{i % 10}\n" for i in range(20) if i != 3))
    told: list[tuple[int, int]] = []
    one = own_pictures(pictures, good)
    two = own_pictures(pictures, good, num_workers=2, progress=lambda _, done, total, __="": told.append((done, total)))
    assert np.array_equal(one.data.images, two.data.images)
    assert one.record == two.record
    assert told == [(0, 19), (19, 19)]


def test_a_worker_that_is_killed_is_told(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def map(self, *_: object, **__: object) -> None:
            raise BrokenProcessPool

        def shutdown(self, **_: object) -> None:
            pass

    monkeypatch.setattr(decoding, "ProcessPoolExecutor", Broken)
    with pytest.raises(OwnDataError, match="a process that read pictures was killed; try --num-workers 0"):
        own_pictures(pictures, csv_of(pictures, "p00.png,0\n"), num_workers=1)


def test_oddities_are_noted(pictures: Path) -> None:
    Image.fromarray(255 - load_sample().images[1]).save(pictures / "p01.png")
    shutil.copy(pictures / "p02.png", pictures / "p03.png")
    shutil.copy(pictures / "p02.png", pictures / "p04.png")
    own = own_pictures(pictures, csv_of(pictures, "".join(f"p{i:02}.png,{i}\n" for i in range(5))))
    assert own.inverted.tolist() == [False, True, False, False, False]
    assert np.array_equal(own.data.images[1], load_sample().images[1])
    assert own.record.inverted == 1
    assert own.notes[1:] == (
        "1 of 5 pictures are dark on bright and were inverted, the others were not",
        "2 of 5 pictures are copies of others, byte for byte; 1 of them have several labels",
    )


def test_a_name_that_is_too_long_in_the_first_line_is_no_header(pictures: Path) -> None:
    (found,) = problems_of(pictures, csv_of(pictures, f"p00.png,1\n{'n' * 300},2\n"))
    assert found.startswith("labels.csv line 2: 'nnn")
    (found,) = problems_of(pictures, csv_of(pictures, f"{'n' * 300}.png,nothing\np00.png,1\n"))
    assert found.startswith("labels.csv line 1: 'nnn")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has named pipes")
def test_a_pipe_in_a_folder_of_a_class_is_no_picture(tmp_path: Path) -> None:
    save_pictures(tmp_path / "0", 1)
    os.mkfifo(tmp_path / "0" / "pipe.png")
    (found,) = problems_of(tmp_path)
    assert found == "0/pipe.png: is a pipe or a device, not a file"


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (",file,label\n0,p00.png,3\n1,p01.png,4\n", [3, 4]),  # pandas writes its index without a name
        ("file,label,split\np00.png,3,test\np01.png,4,\n", [3, 4]),
        ("file,label,\np00.png,3,\np01.png,4,\n", [3, 4]),
        ("label,file\n3,p00.png\n4,p01.png\n", [3, 4]),
        ("Label Name;Image-Path;id\ncoat;p01.png;7\nDress;p00.png;8\n", [3, 4]),
        ("id,image_id,class\n1,p00,3\n2,p01,4\n", [3, 4]),
        ("p00.png;3\np01.png;4\n", [3, 4]),
        ("filename\tlabel\np00.png\t3\np01.png\t4\n", [3, 4]),
        ("file|label\np00.png|3\np01.png|4\n", [3, 4]),
        ("sep=;\nfile;label\np00.png;3\np01.png;4\n", [3, 4]),
        ("\ufefffile;label\n\n;\np00.png;3\n\n\np01.png;4\n", [3, 4]),
        ('"file","label"\n"p00.png","3"\n"p01.png","4"\n', [3, 4]),
        ("{folder}/p00.png,3\n{folder}/p01.png,4\n", [3, 4]),
        ("p00,3\np01,4\n", [3, 4]),
        ("file,label_from_1\np00.png,4\np01.png,10\n", [3, 9]),
    ],
)
def test_columns_are_found_by_their_names_and_their_signs(text: str, labels: list[int], pictures: Path) -> None:
    own = own_pictures(pictures, csv_of(pictures, text.replace("{folder}", str(pictures))))
    assert own.names == ("p00.png", "p01.png")
    assert own.data.labels.tolist() == labels


def test_columns_that_are_left_out_are_told(pictures: Path) -> None:
    listing = list_pictures(pictures, csv_of(pictures, ",file,label,split\n0,p00.png,0,train\n"), read_label)
    assert listing.notes[0] == "of labels.csv file and label are read; left out: split"
    listing = list_pictures(pictures, csv_of(pictures, "which,what\np00.png,0\n"), read_label)
    assert listing.notes[0] == "labels.csv line 1, which,what, is taken for a header"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0,p00.png,3\n1,p01.png,4\n", "labels.csv has 3 columns (0, p00.png, 3), and no header tells which are file"),
        ("a,b,c\np00.png,x,3\n", "labels.csv has 3 columns (a, b, c), and no header tells which are file and label"),
        ("p00.png\np01.png\n", "labels.csv has 1 column (p00.png), and no header tells which are file and label"),
        (
            ",".join(f"pixel{i}" for i in range(784)) + "\n" + "1," * 783 + "1\n",
            "labels.csv holds pixels, and no column called label",
        ),
        (
            "label," + ",".join(f"pixel{i}" for i in range(100)) + "\n" + "1," * 100 + "1\n",
            "labels.csv has 100 pixels to a line, not the 784 of 28 × 28",
        ),
    ],
)
def test_other_columns_are_one_problem(text: str, problem: str, pictures: Path) -> None:
    (found,) = problems_of(pictures, csv_of(pictures, text))
    assert found.startswith(problem)


def test_a_line_that_is_wider_than_the_header_is_told(pictures: Path) -> None:
    text = "file,label,split\np00.png,3,test\np,01.png,4,test\n"
    assert problems_of(pictures, csv_of(pictures, text)) == (
        "labels.csv line 3: 4 columns, not the 3 of the header; put a name with a comma in quotes",
    )


def test_a_name_without_suffix_is_the_one_file_that_fits(pictures: Path) -> None:
    shutil.copy(pictures / "p01.png", pictures / "p01.jpg")
    (pictures / "sub").mkdir()
    shutil.copy(pictures / "p01.png", pictures / "sub" / "q.png")
    assert problems_of(pictures, csv_of(pictures, "p00,0\np01,1\nq.png,2\nelsewhere/q.png,3\n")) == (
        "labels.csv line 2: 'p01' is not there: did you mean 'p01.jpg' or 'p01.png'?",
        "labels.csv line 3: 'q.png' is not there: did you mean 'sub/q.png'?",
        "labels.csv line 4: 'elsewhere/q.png' is not there: did you mean 'sub/q.png'?",
    )


def pixel_table(header: list[str], order: list[int] | None = None) -> tuple[str, "np.ndarray[Any, Any]"]:
    """Ten images of the sample as Kaggle writes them, with their labels."""
    sample = load_sample()
    images = sample.images[:10]
    rows = images.reshape(10, -1)[:, order or slice(None)].tolist()
    lines = [header, *([label, *row] for label, row in zip(sample.labels[:10].tolist(), rows, strict=True))]
    return "".join(",".join(map(str, line)) + "\n" for line in lines if line), images


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ([f"pixel{number}" for number in range(1, 785)], None),
        ([f"pixel{number}" for number in range(784)], None),
        ([f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)], None),
        ([f"pixel{number}" for number in reversed(range(784))], [*reversed(range(784))]),
        ([], None),
    ],
)
def test_a_table_of_pixels_is_its_pictures(names: list[str], order: list[int] | None, pictures: Path) -> None:
    text, images = pixel_table(["label", *names] if names else [], order)
    own = own_pictures(pictures, csv_of(pictures, text))
    assert np.array_equal(own.data.images, images)
    assert own.data.labels.tolist() == load_sample().labels[:10].tolist()
    assert own.names[:2] == (f"labels.csv line {1 + bool(names)}", f"labels.csv line {2 + bool(names)}")
    assert not own.inverted.any()
    dark = own_pictures(pictures, csv_of(pictures, text), invert="yes")
    assert np.array_equal(dark.data.images, 255 - images)


def test_a_pixel_that_is_none_has_its_line(pictures: Path) -> None:
    text, _ = pixel_table(["label", *(f"pixel{number}" for number in range(784))])
    lines = text.splitlines()
    lines[3] = lines[3].rsplit(",", 1)[0] + ",256"
    lines[4] = lines[4].rsplit(",", 1)[0] + ",0.5"
    assert problems_of(pictures, csv_of(pictures, "\n".join(lines))) == (
        "labels.csv line 4: its pixels are not all whole numbers from 0 to 255",
        "labels.csv line 5: its pixels are not all whole numbers from 0 to 255",
    )


def test_labels_that_count_from_one_are_asked_about(pictures: Path, tmp_path: Path) -> None:
    text = "".join(f"p{number:02}.png,{number + 1}\n" for number in range(10))
    ask = "10 is no class, and nothing is 0: do the labels count from 1? Then name"
    assert problems_of(pictures, csv_of(pictures, text)) == (f"labels.csv line 10: {ask} their column label_from_1",)
    assert own_pictures(pictures, csv_of(pictures, f"file,label_from_1\n{text}")).data.labels.tolist() == [*range(10)]
    some = own_pictures(pictures, csv_of(pictures, text.replace("10\n", "9\n")))
    assert some.notes[-1].startswith("no picture is of class 0 (T-shirt/top); if the labels count from 1,")
    (found,) = problems_of(pictures, csv_of(pictures, "file,label_from_1\np00.png,0\n"))
    assert found.endswith("the label '0' is no class: the header says that they count from 1 to 10")
    for number in range(1, 11):
        save_pictures(tmp_path / "own" / str(number), 1)
    assert problems_of(tmp_path / "own") == (f"{ask} the folders by class",)
    shutil.rmtree(tmp_path / "own" / "10")
    assert own_pictures(tmp_path / "own").notes[0].endswith("name the folders by class")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *((word, "Bag") for word in ("handbag", "Hand-Bags", "purse", "backpack")),
        *((word, "Pullover") for word in ("sweater", "jumper", "pulover")),
        ("trousers/pants", None),
        ("jeans", "Trouser"),
        ("snaeker", "Sneaker"),
        *((word, None) for word in ("skirt", "shorts", "short", "blouse", "hat", "bug", "test", "train", "")),
    ],
)
def test_a_hint_never_crosses_meanings(text: str, label: str | None) -> None:
    assert near_label(text) == label


def test_a_folder_that_holds_the_classes_is_to_be_pointed_at(tmp_path: Path) -> None:
    save_pictures(tmp_path / "own" / "test" / "Bag", 1)
    save_pictures(tmp_path / "own" / "fold1" / "Bag", 1)
    save_pictures(tmp_path / "own" / "hats", 1)
    assert problems_of(tmp_path / "own") == (
        f"the folder 'fold1' is no class but a part of the data: pass --images {tmp_path}/own/fold1",
        f"the folder 'hats' is no class: write 0 to 9, or one of {', '.join(LABELS)}",
        f"the folder 'test' is no class but a part of the data: pass --images {tmp_path}/own/test",
    )


def test_what_systems_leave_is_skipped_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    save_pictures(folder / "3", 2)
    save_pictures(folder / "__MACOSX" / "3", 1)
    save_pictures(folder / ".ipynb_checkpoints", 1)
    for name in ("3/Thumbs.db", "3/.DS_Store", "3/._p00.png", "3/notes.txt", "readme.md"):
        (folder / name).touch()
    (folder / "3" / "empty").mkdir()
    own = own_pictures(folder)
    assert own.names == ("3/p00.png", "3/p01.png")
    assert own.notes[:3] == (
        ".ipynb_checkpoints, __MACOSX, 3/.DS_Store and 2 more are hidden or the system's own; left out",
        "3/empty is without a picture; left out",
        "3/notes.txt, readme.md are no picture by name; left out",
    )


def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_pictures(tmp_path / "own" / "3" / "locked", 1)
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert problems_of(tmp_path / "own") == (f"{tmp_path}/own/3/locked: the folder cannot be read (Permission denied)",)


def test_a_folder_that_cannot_be_listed_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert problems_of(tmp_path) == ("the folder cannot be read (Permission denied)",)


def test_of_a_table_of_pixels_not_all_fields_are_in_memory(pictures: Path) -> None:
    text, _ = pixel_table(["label", *(f"pixel{number}" for number in range(784))])
    header, *lines = text.splitlines(keepends=True)
    labels = csv_of(pictures, header + "".join(lines * 100))
    tracemalloc.start()
    try:
        listing = list_pictures(pictures, labels, read_label)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(listing.pictures) == 1000
    assert peak < 3 * labels.stat().st_size + 1000 * 4 * 784  # as fields it would be 50 MB
