"""An incomplete or corrupt page is never taken for a valid one, whatever is wrong with it."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zoho_bulk.decode.csv_file import MAX_ROW_BYTES
from tap_zoho_bulk.exceptions import PageDamagedError
from tests.support.pages import csv_bytes, decode, page_of, zipped

PROPERTIES = {"Name": {"type": "string"}, "Email": {"type": "string"}}
ROWS = [["Id", "Name", "Email"], ["1", "Ann", "a@b.example"], ["2", 'B "b", b', "line\nline"]]
RECORDS = [
    {"id": "1", "Name": "Ann", "Email": "a@b.example"},
    {"id": "2", "Name": 'B "b", b', "Email": "line\nline"},
]
ARCHIVE = zipped(csv_bytes(ROWS))


def assert_damaged(archive: bytes, *, count: int = 2, match: str = "Leads: page 1") -> None:
    with pytest.raises(PageDamagedError, match=match) as raised:
        decode(page_of(archive, count=count), PROPERTIES)
    assert "Leads: page 1 (job 5725767000009000001)" in str(raised.value)


def test_the_page_that_the_damaged_ones_are_made_from_is_whole() -> None:
    assert decode(page_of(ARCHIVE, count=2), PROPERTIES) == RECORDS


def test_a_truncated_zip_is_damaged_wherever_it_ends() -> None:
    for size in range(len(ARCHIVE)):
        assert_damaged(ARCHIVE[:size])


def test_a_flipped_bit_is_found_or_changes_nothing() -> None:
    """Bits of a file's date, for example, may differ; bits of its content may not."""
    found = 0
    for place in range(len(ARCHIVE)):
        for bit in range(8):
            flipped = bytearray(ARCHIVE)
            flipped[place] ^= 1 << bit
            try:
                decoded = decode(page_of(bytes(flipped), count=2), PROPERTIES)
            except PageDamagedError:
                found += 1
            else:
                assert decoded == RECORDS
    assert found > 4 * len(ARCHIVE)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_no_page(content: bytes) -> None:
    assert_damaged(content)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_overwritten_bytes_are_found_or_change_nothing(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(ARCHIVE) - 1))
    other = data.draw(st.binary(min_size=1, max_size=16))
    archive = (ARCHIVE[:place] + other + ARCHIVE[place + len(other) :])[: len(ARCHIVE)]
    try:
        decoded = decode(page_of(archive, count=2), PROPERTIES)
    except PageDamagedError:
        return
    assert decoded == RECORDS


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "header"),
        (b"\xef\xbb\xbf", "header"),
        (b"Id,Name\r\n1,Ann\r\n2,Bob\r\n", "`Email`"),
        (b"Name,Email\r\nAnn,a\r\nBob,b\r\n", "`id`"),
        (b"ID,Name,Email\r\n1,Ann,a\r\n2,Bob,b\r\n", "`id`"),
        (b"Id,Name,Email\r\n1,Ann,a\r\n2,Bob\r\n", "row 2 .*2 cells.*3"),
        (b"Id,Name,Email\r\n1,Ann,a\r\n2,Bob,b,c\r\n", "row 2 .*4 cells.*3"),
        (b"Id,Name,Email\r\n1,Ann,a\r\n", "1 rows.*2"),
        (b"Id,Name,Email\r\n1,Ann,a\r\n2,Bob,b\r\n3,Cid,c\r\n", "3 rows.*2"),
        (b'Id,Name,Email\r\n1,Ann,a\r\n2,Bob,"b\r\n', "unexpected end of data"),
        (b'Id,Name,Email\r\n1,Ann,a\r\n2,"Bob"x,b\r\n', "CSV"),
        (b"Id,Name,Email,Name\r\n1,Ann,a,x\r\n2,Bob,b,y\r\n", "`Name`"),
        (b"Id,Name,Email,Id\r\n1,Ann,a,1\r\n2,Bob,b,2\r\n", "`Id`"),
        (b"<html><body>Service Unavailable</body></html>", "`id`"),
    ],
)
def test_a_csv_that_is_not_whole_is_damaged(content: bytes, match: str) -> None:
    assert_damaged(zipped(content), match=match)


def test_a_zip_without_a_file_is_damaged() -> None:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()

    assert_damaged(buffer.getvalue(), match="0 files")


def test_a_zip_of_two_files_is_damaged() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("1.csv", csv_bytes(ROWS))
        archive.writestr("2.csv", csv_bytes(ROWS))

    assert_damaged(buffer.getvalue(), match="2 files")


@pytest.mark.parametrize(
    "name", ["../1.csv", "/etc/1.csv", "folder/1.csv", "a\\1.csv", "C:1.csv", "1.ics", "1.csv.exe"]
)
def test_a_file_that_is_not_a_csv_with_a_plain_name_is_damaged(name: str) -> None:
    assert_damaged(zipped(csv_bytes(ROWS), name), match=r"\*\.csv")


def test_an_encrypted_file_is_damaged() -> None:
    encrypted = bytearray(ARCHIVE)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = encrypted.index(signature) + offset
        encrypted[place] |= 1

    assert_damaged(bytes(encrypted), match="encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_compression_is_damaged(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("1.csv", csv_bytes(ROWS))

    assert_damaged(buffer.getvalue(), match="compression")


def test_a_stored_file_is_whole() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("1.csv", csv_bytes(ROWS))

    assert decode(page_of(buffer.getvalue(), count=2), PROPERTIES) == RECORDS


def test_a_wrong_checksum_is_found_after_the_last_row() -> None:
    content = csv_bytes(ROWS)
    archive = bytearray(ARCHIVE)
    right, wrong = (struct.pack("<I", zlib.crc32(each)) for each in (content, content[::-1]))
    place = archive.rindex(right)
    archive[place : place + 4] = wrong

    assert_damaged(bytes(archive), match="ZIP")


@pytest.mark.parametrize("opening", [b'"', b""])
def test_a_row_bomb_ends_long_before_it_is_in_memory(opening: bytes) -> None:
    """A ZIP of some 100 KB may contain a cell of gigabytes."""
    content = b"Id,Name,Email\r\n1,Ann," + opening + b"x" * (MAX_ROW_BYTES + (1 << 20))

    assert_damaged(zipped(content), match=str(MAX_ROW_BYTES))


def test_many_rows_together_may_be_longer_than_the_limit_of_one() -> None:
    cell = "x" * (1 << 20)
    rows = [["Id", "Name", "Email"], *([str(number), cell, ""] for number in range(40))]

    decoded = decode(page_of(zipped(csv_bytes(rows)), count=40), PROPERTIES)

    assert sum(len(record["Name"]) for record in decoded) == 40 << 20 > MAX_ROW_BYTES
