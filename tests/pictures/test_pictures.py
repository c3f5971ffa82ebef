"""Any picture becomes 28 × 28, bright on black; what is none is refused with a reason."""

import io
import struct
import sys
import tracemalloc
import types
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image, ImageOps

from toolkit.errors import PictureError, UsageError
from toolkit.fashion.data import load_sample
from toolkit.pictures import opening
from toolkit.pictures.folders import LeftOut
from toolkit.pictures.photos import _sharpen, convert_photo
from toolkit.pictures.picture import BLANK, Picture, read_picture
from toolkit.pictures.sources import Source, walk

SAMPLE = load_sample().images
BOOT = SAMPLE[0]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


# What a pixel beside a step of 1 gains or loses by sharpening.
EDGE = (np.exp(-0.5) + 2 * np.exp(-1)) / (
    2 * (1 + 4 * np.exp(-0.5) + 4 * np.exp(-1)) - 4 * np.exp(-0.5) - 4 * np.exp(-1)
)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(pixels: Any, kind: str = "BMP") -> Picture:
    return read_picture(encoded(Image.fromarray(pixels), kind))


def enlarged(pixels: Pixels, edge: int = 280) -> Image.Image:
    return Image.fromarray(pixels).resize((edge, edge), Image.Resampling.BICUBIC)


class TestOf28By28:
    def test_every_image_of_the_sample_keeps_its_bytes_as_it_is_and_negated(self) -> None:
        """The rule of ``auto`` is right for all 1,000, both ways; it is for all 10,000 test images, too."""
        for image in SAMPLE:
            for pixels, inverted in ((image, False), (255 - image, True)):
                found = picture(pixels)
                assert found.inverted == inverted
                assert np.array_equal(found.pixels, image)

    @pytest.mark.parametrize(
        ("make", "kind"),
        [
            (lambda: Image.fromarray(BOOT), "PNG"),
            (lambda: Image.fromarray(BOOT), "TIFF"),
            (lambda: Image.fromarray(BOOT), "GIF"),
            (lambda: Image.fromarray(BOOT).convert("RGB"), "PNG"),
            (lambda: Image.fromarray(BOOT).convert("RGBA"), "PNG"),
            (lambda: Image.fromarray(BOOT).convert("LA"), "PNG"),
            (lambda: Image.fromarray(BOOT).convert("P"), "PNG"),
            (lambda: Image.fromarray(BOOT.astype(np.uint16) * 257), "PNG"),
            (lambda: Image.fromarray(BOOT.astype(np.int32) * 257), "TIFF"),
            (lambda: Image.fromarray(BOOT.astype(np.float32) / 255), "TIFF"),
            (lambda: Image.fromarray(BOOT.astype(np.float32)), "TIFF"),
            (lambda: Image.fromarray(BOOT.astype(np.float32) * 257), "TIFF"),
            (lambda: Image.fromarray(BOOT).convert("RGB"), "WEBP"),
        ],
        ids=["L", "tiff", "gif", "RGB", "RGBA", "LA", "P", "I;16", "I", "F of 1", "F of 255", "F of 65535", "webp"],
    )
    def test_grey_in_any_mode_is_the_same_bytes(self, make: Callable[[], Image.Image], kind: str) -> None:
        options = {"lossless": True} if kind == "WEBP" else {}
        found = read_picture(encoded(make(), kind, **options))
        assert np.array_equal(found.pixels, BOOT)
        assert not found.inverted

    def test_one_bit_is_black_and_white(self) -> None:
        bits = Image.fromarray(BOOT).point(lambda value: 255 * (value > 100)).convert("1")
        assert np.array_equal(read_picture(encoded(bits)).pixels, np.where(BOOT > 100, 255, 0))

    def test_what_invert_says_is_done(self) -> None:
        content = encoded(Image.fromarray(BOOT))
        assert np.array_equal(read_picture(content, invert="yes").pixels, 255 - BOOT)
        assert np.array_equal(read_picture(encoded(Image.fromarray(255 - BOOT)), invert="no").pixels, 255 - BOOT)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_photo_is_turned_as_its_camera_was_held(self, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = encoded(Image.fromarray(BOOT), exif=exif)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
        assert np.array_equal(read_picture(content).pixels, expected)
        assert orientation == 1 or not np.array_equal(expected, BOOT)


class TestTransparency:
    """Where the background is transparent, the garment decides which one it gets."""

    @pytest.mark.parametrize(("colour", "inverted"), [(0, True), (255, False)])
    def test_a_garment_cut_out_contrasts_with_its_background(self, colour: int, inverted: bool) -> None:
        alike = np.full((28, 28), colour, np.uint8)
        found = read_picture(encoded(Image.fromarray(np.dstack([alike, alike, alike, BOOT]))))
        assert found.inverted == inverted
        assert np.array_equal(found.pixels, BOOT)

    def test_a_transparent_colour_of_a_palette_counts(self) -> None:
        image = Image.fromarray(np.where(BOOT > 0, 1, 0).astype(np.uint8)).convert("P")
        image.putpalette([255, 255, 255, 0, 0, 0])
        found = read_picture(encoded(image, transparency=0))
        assert found.inverted
        assert np.array_equal(found.pixels, np.where(BOOT > 0, 255, 0))

    def test_an_opaque_border_is_compared_as_ever(self) -> None:
        hole = np.full((28, 28), 255, np.uint8)
        hole[14, 14] = 0  # a single transparent pixel
        found = read_picture(encoded(Image.fromarray(np.dstack([255 - BOOT] * 3 + [hole]))))
        assert found.inverted
        assert np.array_equal(np.delete(found.pixels, 14 * 28 + 14), np.delete(BOOT, 14 * 28 + 14))

    def test_nothing_but_transparency_is_black(self) -> None:
        found = read_picture(encoded(Image.new("RGBA", (40, 20), (90, 200, 10, 0))))
        assert not found.pixels.any()


class TestPhotos:
    def test_the_steps_of_the_paper(self) -> None:
        """Of their 51 × 73, trimmed to 28 × 56, every other pixel left out, centred, negated, outlines sharper."""
        colours = np.full((73, 51, 1), 255, np.float32)
        colours[10:66, 12:40] = 155
        found = convert_photo(colours, inverted=True)
        expected = np.zeros((28, 28), np.uint8)
        expected[:, 7:21] = 100
        assert np.array_equal(found, expected)  # what is trimmed has no outline any more
        colours[10:66, 25:40] = 55
        found = convert_photo(colours, inverted=True)
        assert found[5, 7:13].tolist() == [100] * 5 + [round(100 - 100 * EDGE)]
        assert found[5, 13:21].tolist() == [round(200 + 100 * EDGE)] + [200] * 7

    @pytest.mark.parametrize(("grey", "columns"), [(245, 16), (240, 12)])
    def test_trimming_stops_beyond_five_per_cent(self, grey: int, columns: int) -> None:
        colours = np.full((28, 56, 1), 255, np.float32)
        colours[10:14, :10] = grey
        colours[:, 20:36] = 0
        found = convert_photo(colours, inverted=True)
        assert (found[14] == 255).sum() == columns

    def test_a_small_garment_on_a_large_photo_fills_the_picture(self) -> None:
        paper = Image.new("L", (4000, 3000), 230)
        paper.paste(enlarged(255 - BOOT, 280).point(lambda value: value * 230 // 255), (3000, 500))
        close = read_picture(encoded(enlarged(255 - BOOT, 280))).pixels.astype(int)
        assert np.abs(read_picture(encoded(paper)).pixels.astype(int) - close).mean() < 15

    def test_sharpening_keeps_what_is_flat_and_is_the_kernel_of_its_definition(self) -> None:
        from scipy.ndimage import correlate

        gauss = np.exp(-np.array([[2, 1, 2], [1, 0, 1], [2, 1, 2]]) / 2)
        kernel = -gauss
        kernel[1, 1] = 2 * gauss.sum()
        values = np.random.default_rng(0).uniform(100, 130, (9, 13)).astype(np.float32)
        expected = correlate(values, kernel / kernel.sum(), mode="nearest")
        assert np.allclose(_sharpen(values[:, :, np.newaxis])[:, :, 0], expected, atol=1e-3)
        assert np.allclose(_sharpen(np.full((5, 5, 3), 77, np.float32)), 77, atol=1e-4)

    @pytest.mark.parametrize(
        "size", [(1, 1), (1, 500), (500, 1), (2, 3), (27, 27), (28, 29), (29, 28), (1300, 700), (20000, 3)]
    )
    def test_any_size_will_do(self, size: tuple[int, int]) -> None:
        image = Image.new("RGB", size, "white")
        image.paste("red", (size[0] // 4, size[1] // 4, size[0] // 4 + max(size[0] // 2, 1), size[1]))
        found = read_picture(encoded(image))
        assert found.pixels.shape == (28, 28)
        assert found.pixels.dtype == np.uint8
        assert found.pixels.any() or min(size) < 4

    def test_the_background_of_a_photo_becomes_black(self, bundled: Any) -> None:
        """Enlarged, on a beige wall in noise, as JPEG: nearly as many are right as of the images themselves."""
        import torch

        sample, random, found = load_sample(), np.random.default_rng(0), []
        for image in sample.images[:100]:
            paper = np.asarray(ImageOps.expand(enlarged(255 - image), (60, 110), 255), np.float32)[:, :, np.newaxis]
            photo = paper * np.array([0.8, 0.75, 0.65], np.float32) + random.normal(0, 5, (500, 400, 3))
            content = encoded(Image.fromarray(photo.clip(0, 255).astype(np.uint8)), "JPEG")
            found.append(read_picture(content))
        assert all(each.inverted for each in found)
        inputs = torch.from_numpy(np.stack([each.pixels for each in found])[:, None].astype(np.float32) / 255)
        with torch.inference_mode():
            right = bundled.model()(inputs).argmax(1).numpy() == sample.labels[:100]
        assert right.mean() >= 0.85

    @pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "PA", "I", "F", "I;16", "1", "RGBX", "RGBa"])
    def test_every_mode_of_pillow(self, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some have no file format here, so the opened picture is put in place of one."""
        wide = mode in {"I", "F", "I;16"}
        image = enlarged(255 - BOOT, 60)
        if wide:
            image = Image.fromarray(np.asarray(image).astype({"I": "i4", "F": "f4", "I;16": "u2"}[mode]) * 257)
        else:
            through = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA", "LAB": "RGB"}.get(mode, "RGB")
            image = image.convert(through)
            image = _lab(image) if mode == "LAB" else image.convert(mode)
        assert image.mode == mode
        monkeypatch.setattr("PIL.Image.open", lambda _, **__: image)
        monkeypatch.setattr(Image.Image, "draft", lambda *_: None, raising=False)
        found = read_picture(b"x")
        assert found.inverted
        corner, middle = found.pixels[0, -1], found.pixels[20, 5:20].mean()
        assert int(corner) + (0 if mode == "1" else 30) < middle


def _lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    found = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    assert found is not None
    return found


def _png(width: int, height: int) -> bytes:
    """A PNG that promises pixels and has none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


HEIC = b"\0\0\0\x24ftypheic" + bytes(40)


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read pictures as where pillow-heif is not installed; afterwards as before."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    opening._formats.cache_clear()
    yield
    opening._formats.cache_clear()


@pytest.mark.usefixtures("without_heif")
class TestRefused:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "is empty"),
            (b"hello", "is no picture that Pillow can read; pass a PNG, JPEG or WebP file"),
            (HEIC, "is HEIC, which Pillow alone does not read; export it as JPEG, or install pillow-heif"),
            (
                b"\0\0\0\x1cftypavif" + bytes(40),
                "is AVIF, damaged or more than this Pillow can read; export it as JPEG",
            ),
            (b"\0\0\0\x18ftypisom" + bytes(40), "is a video or of the like; save a frame of it as PNG"),
            (b"%PDF-1.7", "is a PDF; export its page as PNG"),
            (b'<?xml version="1.0"?>\n<svg/>', "is SVG, which has no pixels; export it as PNG"),
            (b"\n<!DOCTYPE html>", "is a web page, not a picture; save the picture itself"),
            (
                b"version https://git-lfs.github.com/spec/v1\n",
                "is a pointer of Git LFS, not the picture itself; run: git",
            ),
            (b"PK\3\4" + bytes(40), "is a ZIP archive; pass the pictures in it"),
            (_png(60_000, 60_000), "has more than 89,478,485 pixels; pass a smaller one"),
            (_png(10_000, 9_000), "has more than 89,478,485 pixels; pass a smaller one"),
            (_png(100, 100), "is truncated or damaged"),
            (encoded(Image.fromarray(BOOT))[:200], "is truncated or damaged"),
            (encoded(enlarged(BOOT), "JPEG")[:-1500], "is truncated or damaged"),
            (encoded(enlarged(BOOT), "WEBP")[:-100], "is truncated or damaged"),
            (encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), "has pixels that are not finite"),
        ],
    )
    def test_with_the_reason_and_what_to_do(self, content: bytes, reason: str, tmp_path: Path) -> None:
        path = tmp_path / "shoe.png"
        path.write_bytes(content)
        for source, called in ((path, str(path)), (content, "of these bytes")):
            with pytest.raises(PictureError) as caught:
                read_picture(source)
            assert str(caught.value).startswith(f"Picture {called}: ")
            assert reason in str(caught.value)
        with pytest.raises(PictureError, match="Picture of mine: "):
            read_picture(content, name="of mine")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(PictureError, match="there is no such file; check the path"):
            read_picture(tmp_path / "nosuch.png")
        with pytest.raises(PictureError, match=r"cannot be read \(Is a directory\); check the path"):
            read_picture(tmp_path)

    @settings(max_examples=150)
    @given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]))
    def test_damage_is_a_picture_or_an_error_of_ours(self, data: st.DataObject, kind: str) -> None:
        content = bytearray(WHOLE[kind])
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(content)))
        for damaged in (bytes(content), bytes(content[:cut])):
            try:
                found = read_picture(damaged)
            except PictureError:
                continue
            assert found.pixels.shape == (28, 28)


WHOLE = {kind: encoded(enlarged(BOOT, 40), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")}


def test_threads_leave_the_filters_of_warnings_as_they_were() -> None:
    content = encoded(enlarged(BOOT, 40))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read_picture(content), range(100)))
    assert warnings.filters == before
    assert all(np.array_equal(each.pixels, found[0].pixels) for each in found)


@pytest.mark.parametrize("invert", [True, "Yes", None, ["yes"]])
def test_no_other_word_is_taken_for_no(invert: Any) -> None:
    with pytest.raises(UsageError, match="no such way; pass one of 'auto', 'yes', 'no'"):
        read_picture(encoded(Image.fromarray(BOOT)), invert=invert)


def test_heic_is_read_where_its_package_is_installed(without_heif: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def register_heif_opener() -> None:
        def open_heif(file: Any, _name: str) -> Any:
            return Image.frombytes("L", (28, 28), BOOT.tobytes())

        # Pillow's own register_open would outlast this test.
        monkeypatch.setitem(Image.OPEN, "HEIF", (open_heif, lambda head: head[4:8] == b"ftyp"))
        monkeypatch.setattr(Image, "ID", [*Image.ID, "HEIF"])

    package = types.SimpleNamespace(register_heif_opener=register_heif_opener)
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    assert np.array_equal(read_picture(HEIC).pixels, BOOT)


@pytest.mark.parametrize(("kind", "suffix"), [("AVIF", ".avif"), ("JPEG", ".jfif"), ("JPEG", ".JPE")])
def test_other_suffixes_of_a_folder_are_read(kind: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_bytes(encoded(enlarged(BOOT), kind))
    left = LeftOut()
    (found,) = walk([tmp_path], left)
    assert isinstance(found, Source)
    assert isinstance(found.content, Path)
    assert read_picture(found.content).pixels.shape == (28, 28)
    assert left.notes() == []


@pytest.mark.parametrize(
    ("bits", "remark"),
    [
        (8, "read as 8 bits: no value is above 255"),
        (10, "read as 10 bits: no value is above 1,023"),
        (12, "read as 12 bits: no value is above 4,095"),
        (16, ""),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_fewer_bits_in_a_container_of_16_are_brightened_with_a_remark(bits: int, remark: str, kind: str) -> None:
    values = np.rint(BOOT / 255 * (2**bits - 1)).astype(np.uint16)
    found = picture(values, kind)
    assert found.remark == remark
    assert np.array_equal(found.pixels, BOOT)


@pytest.mark.parametrize(
    ("image", "blank"),
    [
        (Image.new("L", (28, 28), 0), True),
        (Image.new("L", (28, 28), 255), True),
        (Image.new("RGB", (300, 200), (200, 30, 30)), True),
        (Image.new("RGBA", (100, 100), (9, 9, 9, 0)), True),
        (Image.new("I;16", (28, 28), 0), True),
        (Image.fromarray(BOOT), False),
        (enlarged(BOOT), False),
    ],
)
def test_a_blank_picture_is_said_to_be_blank(image: Image.Image, blank: bool) -> None:
    assert read_picture(encoded(image)).remark == (BLANK if blank else "")


def boot_in(mode: str) -> bytes:
    """The boot as a photo of a form that other programs write."""
    photo = enlarged(BOOT).convert("RGB")
    if mode == "CMYK":
        return encoded(photo.convert("CMYK"), "TIFF")
    if mode == "palette":
        return encoded(photo.convert("L").quantize(256), "PNG")
    if mode == "alpha":
        return encoded(Image.merge("RGBA", (*photo.split(), Image.new("L", photo.size, 255))), "PNG")
    if mode == "animated":
        others = [Image.new("RGB", photo.size, "white")] * 3
        return encoded(photo, "WEBP", save_all=True, append_images=others, lossless=True)
    turned, exif = photo.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    return encoded(turned, "PNG", exif=exif)


@pytest.mark.parametrize("mode", ["CMYK", "palette", "alpha", "animated", "turned"])
def test_forms_of_other_programs_are_the_same_boot(mode: str) -> None:
    expected = read_picture(encoded(enlarged(BOOT).convert("RGB"))).pixels.astype(int)
    assert np.abs(read_picture(boot_in(mode)).pixels.astype(int) - expected).max() <= 3  # CMYK and a palette round


def test_no_program_is_started_for_postscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Ghostscript was started")

    path = tmp_path / "a.png"
    path.write_bytes(encoded(enlarged(BOOT), "EPS"))
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", refuse)
    with pytest.raises(PictureError, match="is PostScript; export it as PNG"):
        read_picture(path)


@pytest.mark.parametrize("value", [-5, 0, 0.5, 7, 70_000])
@pytest.mark.parametrize("kind", ["f4", "i4"])
def test_a_picture_of_one_value_is_a_picture(value: float, kind: str) -> None:
    found = read_picture(encoded(Image.fromarray(np.full((40, 30), value, kind)), "TIFF"), invert="no")
    assert len(set(found.pixels.ravel().tolist())) == 1


class TestOfWideRange:
    @pytest.mark.parametrize(("kind", "edge"), [("u2", 257), ("i4", 257), ("f4", 257), ("f4", 1)])
    def test_a_large_one_is_what_it_is_in_eight_bits(self, kind: str, edge: int) -> None:
        blocks = np.kron(BOOT, np.ones((41, 52), np.uint8))[: 28 * 41 - 1]  # more than a strip, the last is shorter
        wide = Image.fromarray((blocks * np.float64(edge)).astype(kind))
        expected = read_picture(encoded(Image.fromarray(blocks)))
        found = read_picture(encoded(wide, "TIFF"))
        assert found.inverted == expected.inverted
        assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= 1

    @pytest.mark.parametrize("kind", ["u2", "f4"])
    def test_no_copy_of_all_pixels_is_made(self, kind: str) -> None:
        side = 3000
        data = encoded(Image.fromarray(np.kron(BOOT, np.ones((side // 28, side // 28))).astype(kind)), "TIFF")
        read_picture(data)  # what is made once
        tracemalloc.start()
        try:
            read_picture(data)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 3 * side * side
