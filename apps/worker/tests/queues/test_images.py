"""Pictures, made by Pillow, processed and opened again."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
from PIL import ExifTags, Image, ImageCms

from jobs_core.queues.images import (
    PROCESS_IMAGE,
    Compress,
    Convert,
    Crop,
    Format,
    ImageResult,
    Operation,
    ProcessImage,
    Resize,
    StripMetadata,
    Thumbnail,
)
from jobs_worker import Fail, JobContext
from jobs_worker.files import FileStore, store
from jobs_worker.processors import marks_of
from jobs_worker.queues.images.decoding import MAX_PIXELS, decode
from jobs_worker.queues.images.processor import process_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FileStore:
    monkeypatch.setenv("FILES_URL", str(tmp_path))
    return store()


def quarters(mode: str = "RGB", size: tuple[int, int] = (80, 40)) -> Image.Image:
    """A picture of four colours: red and green above, blue and white below."""
    image = Image.new("RGB", size, RED)
    width, height = size[0] // 2, size[1] // 2
    image.paste(GREEN, (width, 0, size[0], height))
    image.paste(BLUE, (0, height, width, size[1]))
    image.paste(WHITE, (width, height, *size))
    return image.convert(mode)


def packed(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def context(job_id: str = "job-1") -> JobContext:
    return JobContext.for_test("images", "process", job_id=job_id)


def run(
    files: FileStore, data: bytes, *operations: Operation, output: str | None = None
) -> tuple[ImageResult, Image.Image]:
    files.write_bytes("in/source", data)
    payload = ProcessImage(source="in/source", operations=operations, output=output)
    payload = PROCESS_IMAGE.decode(PROCESS_IMAGE.encode(payload))
    result = process_image(payload, context())
    content = files.read_bytes(result.output)
    image = Image.open(BytesIO(content))
    image.load()
    assert (result.width, result.height, result.bytes) == (*image.size, len(content))
    assert (image.format or "").lower() == result.format
    assert result.source_bytes == len(data)
    return result, image


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = image.convert("RGBA" if image.has_transparency_data else "RGB").getpixel((x, y))
    assert isinstance(found, tuple)
    return tuple(int(each) for each in found)


def near(found: tuple[int, ...], expected: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(mine - theirs) <= by for mine, theirs in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("operation", "size"),
    [
        (Resize(width=40, height=40), (40, 20)),
        (Resize(width=160, height=160), (160, 80)),
        (Resize(width=20), (20, 10)),
        (Resize(height=20), (40, 20)),
        (Resize(width=30, height=30, mode="fill"), (30, 30)),
        (Resize(width=30, height=30, mode="exact"), (30, 30)),
        (Crop(left=40, top=0, width=40, height=20), (40, 20)),
        (Crop(left=0, top=0, width=80, height=40), (80, 40)),
        (Thumbnail(size=16), (16, 8)),
        (Thumbnail(size=500), (80, 40)),
        (Compress(quality=50), (80, 40)),
    ],
)
def test_an_operation_gives_its_size(files: FileStore, operation: Operation, size: tuple[int, int]) -> None:
    _, image = run(files, packed(quarters()), operation)
    assert image.size == size
    assert image.format == "PNG"


def test_operations_apply_in_their_order(files: FileStore) -> None:
    result, image = run(
        files,
        packed(quarters()),
        Crop(left=40, top=0, width=40, height=40),
        Resize(width=10, height=10, mode="exact"),
        Convert(format="webp"),
    )
    assert image.size == (10, 10)
    assert near(pixel(image, 2, 2), GREEN, 40)
    assert near(pixel(image, 7, 7), WHITE, 40)
    assert (result.operations, result.format, result.processed) == (3, "webp", True)


def test_fill_cuts_both_sides_and_exact_distorts(files: FileStore) -> None:
    stripes = Image.new("RGB", (60, 20), RED)
    stripes.paste(GREEN, (20, 0, 40, 20))
    stripes.paste(BLUE, (40, 0, 60, 20))
    _, filled = run(files, packed(stripes), Resize(width=20, height=20, mode="fill"))
    assert near(pixel(filled, 3, 10), GREEN)
    assert near(pixel(filled, 16, 10), GREEN)
    _, distorted = run(files, packed(stripes), Resize(width=30, height=20, mode="exact"))
    assert near(pixel(distorted, 3, 10), RED)
    assert near(pixel(distorted, 26, 10), BLUE)


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "avif"])
def test_a_picture_converts_to_every_format(files: FileStore, image_format: Format) -> None:
    result, image = run(files, packed(quarters(size=(160, 80)), "TIFF"), Convert(format=image_format))
    assert result.format == image_format
    assert Path(result.output).suffix == {"jpeg": ".jpg"}.get(image_format, f".{image_format}")
    assert near(pixel(image, 20, 20), RED)
    assert near(pixel(image, 140, 60), WHITE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp"), ("AVIF", "avif"), ("GIF", "png"), ("BMP", "png")],
)
def test_the_format_is_that_of_the_source_where_it_can_be_written(
    files: FileStore, source: str, expected: str
) -> None:
    result, _ = run(files, packed(quarters(), source), Thumbnail(size=20))
    assert result.format == expected


def test_the_suffix_of_the_output_chooses_the_format(files: FileStore) -> None:
    result, image = run(files, packed(quarters()), Thumbnail(size=20), output="out/A.JPEG")
    assert (result.output, result.format, image.format) == ("out/A.JPEG", "jpeg", "JPEG")
    result, _ = run(files, packed(quarters()), Convert(format="webp"), output="out/without-suffix")
    assert (result.output, result.format) == ("out/without-suffix", "webp")


@pytest.mark.parametrize(
    ("output", "operation", "reason"),
    [
        ("a.png", Convert(format="webp"), "ends in .png"),
        ("a.gif", Thumbnail(size=3), "no picture is written as .gif"),
        ("in/source", Thumbnail(size=3), "the source itself"),
        ("../a.png", Thumbnail(size=3), "leaves the folder"),
        ("/a.png", Thumbnail(size=3), "is absolute"),
    ],
)
def test_an_output_that_makes_no_sense_fails_for_good(
    files: FileStore, output: str, operation: Operation, reason: str
) -> None:
    with pytest.raises(Fail, match=reason):
        run(files, packed(quarters()), operation, output=output)
    assert list(files.list()) == ["in/source"]


def test_compress_makes_smaller_files(files: FileStore) -> None:
    source = packed(Image.effect_noise((200, 200), 80).convert("RGB"))
    sizes = [run(files, source, Convert(format="jpeg"), Compress(quality=each))[0].bytes for each in (90, 20)]
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (80, 40)), (3, (80, 40)), (6, (40, 80)), (8, (40, 80))]
)
def test_the_picture_is_turned_upright(files: FileStore, orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    corner = {1: RED, 3: WHITE, 6: BLUE, 8: GREEN}[orientation]
    source = packed(quarters(), "JPEG", exif=exif.tobytes(), quality=95, subsampling=0)
    _, image = run(files, source, Convert(format="png"))
    assert image.size == size
    assert near(pixel(image, 5, 5), corner)
    assert ExifTags.Base.Orientation not in image.getexif()


def photographed() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Leica"
    exif[ExifTags.Base.XResolution] = 72.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 80
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        exif[ifd] = exif.get_ifd(ifd)
    return packed(quarters(), "JPEG", exif=exif.tobytes(), comment=b"private")


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "avif"])
def test_metadata_stays_unless_it_is_stripped(files: FileStore, image_format: Format) -> None:
    _, kept = run(files, photographed(), Convert(format=image_format))
    assert kept.getexif()[ExifTags.Base.Make] == "Leica"
    assert ExifTags.Base.XResolution not in kept.getexif()
    details = kept.getexif().get_ifd(ExifTags.IFD.Exif)
    assert details[ExifTags.Base.DateTimeOriginal] == "2026:01:02 03:04:05"
    assert ExifTags.Base.ExifImageWidth not in details
    assert kept.getexif().get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    result, stripped = run(files, photographed(), Convert(format=image_format), StripMetadata())
    assert len(stripped.getexif()) == 0
    content = files.read_bytes(result.output)
    assert b"Leica" not in content
    assert b"private" not in content


def test_damaged_exif_data_harms_nothing(files: FileStore) -> None:
    source = packed(quarters(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff rubbish")
    _, image = run(files, source, Thumbnail(size=40))
    assert image.size == (40, 20)


def test_transparency_is_kept_or_becomes_white(files: FileStore) -> None:
    clear = Image.new("RGBA", (20, 20), (*RED, 0))
    clear.paste((*BLUE, 255), (0, 0, 10, 20))
    _, png = run(files, packed(clear), Resize(width=40))
    assert pixel(png, 35, 20)[3] == 0
    assert near(pixel(png, 5, 20), (*BLUE, 255))
    _, jpeg = run(files, packed(clear), Convert(format="jpeg"))
    assert near(pixel(jpeg, 17, 10), WHITE)
    assert near(pixel(jpeg, 3, 10), BLUE)
    assert jpeg.mode == "RGB"


@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_becomes_colours(files: FileStore, *, transparent: bool) -> None:
    image = quarters().quantize(8)
    corner = image.getpixel((0, 0))
    options = {"transparency": corner} if transparent else {}
    result, found = run(files, packed(image, "PNG", **options), Resize(width=160), Convert(format="webp"))
    assert result.width == 160
    if transparent:
        assert pixel(found, 10, 10)[3] == 0
        assert pixel(found, 150, 10)[3] == 255
    else:
        assert near(pixel(found, 10, 10), RED)
    _, flat = run(files, packed(image, "GIF", **options), Convert(format="jpeg"))
    assert near(pixel(flat, 10, 10), WHITE if transparent else RED, 20)


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(files: FileStore, image_format: str) -> None:
    _, image = run(files, packed(quarters("CMYK"), image_format), Convert(format="png"))
    assert image.mode == "RGB"
    assert near(pixel(image, 5, 5), RED)
    assert near(pixel(image, 75, 35), WHITE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "YCbCr", "LAB", "RGBA"])
def test_other_modes_are_read(files: FileStore, mode: str) -> None:
    grey = Image.new("L", (20, 10), 255)
    source = grey.convert(mode) if mode != "LAB" else Image.new("LAB", (20, 10), (255, 128, 128))
    for image_format in ("jpeg", "png", "webp", "avif"):
        _, image = run(files, packed(source, "TIFF"), Resize(width=10), Convert(format=image_format))
        assert near(pixel(image, 5, 2)[:3], WHITE)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_brightness(files: FileStore, image_format: str) -> None:
    deep = Image.frombytes("I;16", (3, 1), struct.pack("<3H", 0, 32768, 65535))
    _, image = run(files, packed(deep, image_format), Convert(format="png"))
    assert [pixel(image, x, 0)[0] for x in range(3)] == [0, 128, 255]


def test_floats_are_scaled_by_what_occurs(files: FileStore) -> None:
    wide = Image.frombytes("F", (3, 1), struct.pack("<3f", -1.0, 0.0, 1.0))
    _, image = run(files, packed(wide, "TIFF"), Convert(format="png"))
    assert [pixel(image, x, 0)[0] for x in range(3)] == [0, 128, 255]


def test_colours_are_converted_to_srgb(files: FileStore) -> None:
    _, unchanged = run(files, packed(quarters(), icc_profile=profile("LAB")), Convert(format="png"))
    assert near(pixel(unchanged, 5, 5), RED), "a profile of another kind of colour is ignored"
    assert "icc_profile" not in unchanged.info
    _, image = run(files, packed(quarters(), icc_profile=swapped_profile()), Convert(format="png"))
    assert near(pixel(image, 5, 5), GREEN), "this profile calls green what sRGB calls red"
    assert "icc_profile" not in image.info


def profile(colours: Literal["LAB", "sRGB"]) -> bytes:
    made = ImageCms.createProfile(colours)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - Pillow leaves it untyped
    return ImageCms.ImageCmsProfile(made).tobytes()  # pyright: ignore[reportUnknownArgumentType] - as above


def swapped_profile() -> bytes:
    """An sRGB profile in which the red and the green primary have changed places."""
    swapped = bytearray(profile("sRGB").replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be")))
    (count,) = struct.unpack_from(">I", swapped, 128)
    for at in range(132, 132 + 12 * count, 12):
        tag = bytes(swapped[at : at + 4])
        if tag in {b"rXYZ", b"gXYZ"}:
            swapped[at : at + 4] = b"gXYZ" if tag == b"rXYZ" else b"rXYZ"
    return bytes(swapped)


def test_only_the_first_frame_of_an_animation_is_taken(files: FileStore) -> None:
    frames = [Image.new("RGB", (10, 10), colour) for colour in (RED, BLUE)]
    source = packed(frames[0], "GIF", save_all=True, append_images=frames[1:])
    _, image = run(files, source, Convert(format="webp"))
    assert getattr(image, "n_frames", 1) == 1
    assert near(pixel(image, 5, 5), RED)


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG that says that it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_001, 10_000), (13_000, 13_000), (60_000, 60_000)])
def test_a_bomb_is_refused_before_it_is_unpacked(files: FileStore, size: tuple[int, int]) -> None:
    with pytest.raises(Fail, match=f"more than {MAX_PIXELS} pixels"):
        run(files, bomb(*size), Thumbnail(size=10))


@pytest.mark.parametrize("mode", ["fit", "fill", "exact"])
def test_an_operation_cannot_make_a_bomb(files: FileStore, mode: str) -> None:
    operation = Resize(width=30_000, height=30_000, mode=mode)  # pyright: ignore[reportArgumentType]
    with pytest.raises(Fail, match=f"more than {MAX_PIXELS} pixels"):
        run(files, packed(quarters()), operation)


def test_what_a_format_cannot_hold_fails_for_good(files: FileStore) -> None:
    with pytest.raises(Fail, match="16383 pixels"):
        run(files, packed(Image.new("L", (100, 1))), Resize(width=20_000), Convert(format="webp"))


def test_damaged_pictures_fail_for_good(files: FileStore) -> None:
    noise = Image.effect_noise((100, 100), 80)
    for image_format in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "AVIF", "BMP"):
        whole = packed(noise.convert("RGB"), image_format)
        with pytest.raises(Fail, match=r"damaged|no picture"):
            run(files, whole[: len(whole) // 2], Thumbnail(size=10))
    for rubbish in (b"", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", bytes(1000)):
        with pytest.raises(Fail, match=r"no picture|damaged"):
            run(files, rubbish, Thumbnail(size=10))
    assert list(files.list()) == ["in/source"]


def test_damage_of_any_kind_is_a_refusal_and_no_crash() -> None:
    noise = Image.effect_noise((24, 24), 80)
    for image_format in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "AVIF", "BMP", "JPEG2000"):
        whole = packed(noise.convert("RGB"), image_format)
        for at in range(0, len(whole), max(1, len(whole) // 60)):
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            try:
                decode(bytes(damaged))
            except Fail:
                continue


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("in/none", "no file 'in/none'"),
        ("../x", "leaves the folder"),
        ("/etc/passwd", "is absolute"),
        ("in", "no file"),
    ],
)
def test_a_source_that_is_not_there_fails_for_good(files: FileStore, source: str, reason: str) -> None:
    files.write_bytes("in/source", packed(quarters()))
    payload = ProcessImage(source=source, operations=[Thumbnail(size=3)])
    with pytest.raises(Fail, match=reason):
        process_image(payload, context())


def test_a_crop_outside_the_picture_fails_for_good(files: FileStore) -> None:
    with pytest.raises(Fail, match="leaves the picture, which has 80 x 40"):
        run(files, packed(quarters()), Crop(left=50, top=0, width=31, height=10))


def test_progress_comes_after_each_operation(files: FileStore) -> None:
    files.write_bytes("a.png", packed(quarters()))
    ctx = context()
    process_image(
        ProcessImage(source="a.png", operations=[Resize(width=3), StripMetadata(), Convert(format="jpeg")]),
        ctx,
    )
    assert [(each.current, each.total, each.message) for each in ctx.progress_log] == [
        (1, 3, "resize"),
        (2, 3, "strip-metadata"),
        (3, 3, "convert"),
    ]


def test_a_second_attempt_overwrites_its_own_output(files: FileStore) -> None:
    first, _ = run(files, packed(quarters()), Thumbnail(size=10))
    second, image = run(files, packed(quarters()), Thumbnail(size=20))
    assert first.output == second.output == "images/job-1.png"
    assert image.size == (20, 10)
    assert list(files.list("images")) == ["images/job-1.png"]


def test_an_odd_job_id_stays_in_the_folder(files: FileStore) -> None:
    files.write_bytes("a.png", packed(quarters()))
    result = process_image(
        ProcessImage(source="a.png", operations=[Thumbnail(size=3)]), context("../../escaped")
    )
    assert Path(result.output).parent == Path("images")
    assert files.exists(result.output)


def test_a_full_disk_is_no_reason_to_give_up(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    files.write_bytes("a.png", packed(quarters()))
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        process_image(ProcessImage(source="a.png", operations=[Thumbnail(size=3)]), context())
    assert list(files.list()) == ["a.png"]


def test_it_runs_in_a_process_of_its_own() -> None:
    (spec,) = marks_of(process_image)
    assert (spec.executor, spec.is_async) == ("process", False)
    assert PROCESS_IMAGE.queue.concurrency == 2
    assert PROCESS_IMAGE.options.get("attempts") == 3
