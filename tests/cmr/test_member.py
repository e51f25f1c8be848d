"""Files of a zip are read as zipfile reads them, and refused where it refuses them."""

import io
import zipfile
import zlib

import numpy as np
import pytest

from ptacl.cmr.member import Member

CONTENTS = {
    "a.dcm": np.random.default_rng(0).integers(0, 9, 100_000, np.uint8).tobytes(),
    "folder/\u00e9.dcm": b"short",
    "nothing.dcm": b"",
    "exact.dcm": bytes(4096),
}


def archive(method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in CONTENTS.items():
            made.writestr(name, content)
    return bytearray(file.getvalue())


def ours(data: bytes, info: zipfile.ZipInfo, *, size: int) -> bytes:
    with Member(memoryview(data), info) as member:
        parts = [member.read(size)]
        while parts[-1]:
            parts.append(member.read(size))
    return b"".join(parts)


@pytest.mark.parametrize("size", [1000, 4096, 2**24])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_are_those_of_zipfile(method: int, size: int) -> None:
    data = bytes(archive(method))
    for info in zipfile.ZipFile(io.BytesIO(data)).infolist():
        assert ours(data, info, size=size) == CONTENTS[info.filename]


def test_no_more_is_inflated_than_is_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("large", bytes(2**26))
    data = memoryview(file.getvalue())
    assert Member(data, zipfile.ZipFile(file).infolist()[0]).read(4096) == bytes(4096)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_bytes_never_pass(method: int) -> None:
    """Where a byte of the file or before it is turned, the file comes out as it was, or it is refused."""
    good, rng = archive(method), np.random.default_rng(1)
    info = zipfile.ZipFile(io.BytesIO(good)).infolist()[0]
    refused = 0
    for at in [*range(30 + len(info.filename)), *rng.integers(36, info.compress_size, 200)]:
        data = good.copy()
        data[at] ^= 1 << int(rng.integers(8))
        try:
            assert ours(bytes(data), info, size=2**24) == CONTENTS["a.dcm"], at
        except zipfile.BadZipFile:
            refused += 1
    assert refused >= 200


def test_lists_that_lie_are_refused() -> None:
    data = bytes(archive())

    def read(size: int = 2**24, *, number: int = 0, **changes: object) -> bytes:
        info = zipfile.ZipFile(io.BytesIO(data)).infolist()[number]
        for name, value in changes.items():
            setattr(info, name, value)
        return ours(data, info, size=size)

    for changes in ({"file_size": 90_000}, {"CRC": 1}):  # of the file that ends where the first read does
        with pytest.raises(zipfile.BadZipFile):
            read(4096, number=3, **changes)
    assert read() == CONTENTS["a.dcm"]
    for changes in (
        {"file_size": 99_999},
        {"file_size": 100_001},
        {"CRC": 1},
        {"compress_size": 500},
        {"compress_size": 10**9},
        {"header_offset": 3},
        {"header_offset": 10**9},
        {"orig_filename": "b.dcm"},
    ):
        for size in (1000, 2**24):
            with pytest.raises(zipfile.BadZipFile):
                read(size=size, **changes)
    with pytest.raises(RuntimeError, match="encrypted"):
        read(flag_bits=1)
    with pytest.raises(NotImplementedError, match="99"):
        read(compress_type=99)


def test_crc_is_that_of_zlib() -> None:
    info = zipfile.ZipFile(io.BytesIO(archive())).infolist()[0]
    assert info.CRC == zlib.crc32(CONTENTS["a.dcm"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"header_offset": -1}, "the header is outside the zip"),
        ({"header_offset": 10**9}, "the header is outside the zip"),
        ({"header_offset": 3}, "no header, or fewer bytes than listed"),
        ({"compress_size": 10**9}, "no header, or fewer bytes than listed"),
        ({"orig_filename": "b.dcm"}, "the name differs from the listed one"),
        ({"file_size": 99_999}, "more or fewer bytes than listed"),
        ({"file_size": 100_001}, "more or fewer bytes than listed"),
        ({"CRC": 1}, "the checksum is wrong"),
    ],
)
def test_a_refusal_says_what_the_list_has_wrong(
    changes: dict[str, int | str],
    message: str,
) -> None:
    data = bytes(archive())
    info = zipfile.ZipFile(io.BytesIO(data)).infolist()[0]
    for name, value in changes.items():
        setattr(info, name, value)
    with pytest.raises(zipfile.BadZipFile) as error:
        ours(data, info, size=2**24)
    assert str(error.value) == message


def test_a_header_at_the_very_end_is_no_file() -> None:
    """30 bytes of a header fit, and the name after it does not."""
    data = bytes(archive())
    info = zipfile.ZipFile(io.BytesIO(data)).infolist()[0]
    for length in (29, 30):
        with pytest.raises(zipfile.BadZipFile):
            Member(memoryview(data[:length]), info)
