"""Turn tables of records from one text format into another, record by record."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import PurePosixPath
from typing import TextIO

import msgspec

from jobs_core.payloads import JsonValue
from jobs_worker import Fail
from jobs_worker.files import FileStore

Record = Mapping[str, JsonValue]

_MAX_JSON = 64 * 1024 * 1024
_FORMATS = ".csv, .jsonl or .json"
_decode_record = msgspec.json.Decoder(dict[str, JsonValue]).decode
_decode_records = msgspec.json.Decoder(list[dict[str, JsonValue]]).decode


def convert(files: FileStore, source: str, output: str) -> int:
    """Write the records of `source` to `output`, and return how many there are. Raises Fail, FileNotFoundError."""
    read, write = _READERS[_suffix(source)], _WRITERS[_suffix(output)]
    if source == output:
        raise Fail("output is the source itself")
    if _suffix(source) == ".json" and files.size(source) > _MAX_JSON:
        raise Fail(f"a .json file is read whole, and {source!r} has more than {_MAX_JSON} bytes: use .jsonl")
    with files.open(source, "r") as reading, files.open(output, "w") as writing:
        try:
            return write(writing, read(reading))
        except (csv.Error, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Fail(f"{source!r} holds no table of records: {error}") from error


def _suffix(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in _READERS:
        raise Fail(f"{path!r} ends in none of {_FORMATS}")
    return suffix


def _read_csv(file: TextIO) -> Iterator[Record]:
    for row in csv.DictReader(file, strict=True):
        if None in row:
            raise csv.Error("a row has more cells than the header")
        yield {str(name): value or "" for name, value in row.items()}


def _read_lines(file: TextIO) -> Iterator[Record]:
    return (_decode_record(line) for line in file if line.strip())


def _read_json(file: TextIO) -> Iterator[Record]:
    return iter(_decode_records(file.read()))


def _write_csv(file: TextIO, records: Iterator[Record]) -> int:
    first = next(records, None)
    if first is None:
        return 0
    writer = csv.DictWriter(file, [*first], extrasaction="raise")
    writer.writeheader()
    written = 0
    for record in chain([first], records):
        if record.keys() - first.keys():
            extra = ", ".join(sorted(record.keys() - first.keys()))
            raise csv.Error(f"record {written + 1} has fields that the first one has not: {extra}")
        writer.writerow({name: _cell(value) for name, value in record.items()})
        written += 1
    return written


def _cell(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _write_lines(file: TextIO, records: Iterable[Record]) -> int:
    written = 0
    for record in records:
        file.write(msgspec.json.encode(record).decode() + "\n")
        written += 1
    return written


def _write_json(file: TextIO, records: Iterable[Record]) -> int:
    written = 0
    file.write("[")
    for written, record in enumerate(records, 1):
        file.write((",\n" if written > 1 else "\n") + msgspec.json.encode(record).decode())
    file.write("\n]\n" if written else "]\n")
    return written


_READERS: Mapping[str, Callable[[TextIO], Iterator[Record]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_lines,
    ".json": _read_json,
}
_WRITERS: Mapping[str, Callable[[TextIO, Iterator[Record]], int]] = {
    ".csv": _write_csv,
    ".jsonl": _write_lines,
    ".json": _write_json,
}
