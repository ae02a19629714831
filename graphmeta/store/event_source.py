"""Where interactions come from: files, an SQL query or tables that arrive one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import escape, glob, has_magic
from pathlib import Path
from typing import Literal

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from graphmeta.data.table import require_columns
from graphmeta.errors import DataError, DataNotFoundError

OnDamaged = Literal["error", "skip"]
PARQUET, CSV = (".parquet", ".pq"), (".csv", ".tsv", ".gz")


@dataclass(frozen=True)
class EventSource:
    """A relation that DuckDB can read.

    Args:
        relation: What stands after `FROM`.
        skipped: Damaged files that are left out.
        files: The Parquet files that are read, where it is of such.
    """

    relation: str
    skipped: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def file_source(
    paths: str | Path | Sequence[str | Path], columns: Sequence[str], on_damaged: OnDamaged
) -> EventSource:
    """Return files as one relation, in the order of their names.

    Args:
        paths: A file, a folder, a pattern such as `day-*.parquet`, or several of them.
        columns: The columns that every file must have.
        on_damaged: Leave damaged files out, or refuse them.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: A file is neither Parquet nor CSV, damaged or lacks a column; both kinds are
            mixed; or no file is left.
    """
    files = _files(paths)
    is_csv = files[0].suffix.lower() in CSV
    for file in files:
        suffix = file.suffix.lower()
        if suffix not in PARQUET + CSV:
            raise DataError(
                f"{file} is neither Parquet nor CSV; name it {', '.join(PARQUET + CSV)}"
            )
        if (suffix in CSV) != is_csv:
            kind = "CSV" if is_csv else "Parquet"
            raise DataError(f"{file} is no {kind} file as {files[0]} is; give one kind at a time")
    with duckdb.connect() as database:
        reader = database if is_csv else None
        damage = {file: found for file in files if (found := _damage(file, columns, reader))}
    names = {str(file): reason for file, reason in damage.items()}
    if damage and on_damaged == "error":
        raise damaged(names, len(files))
    whole = [str(file) for file in files if file not in damage]
    if not whole:
        raise DataError(f"all {len(files)} files are damaged; first: {files[0]}")
    listed = ", ".join(map(file_literal, whole))
    if is_csv:
        return EventSource(f"read_csv([{listed}], union_by_name = true)", tuple(names))
    return EventSource(f"read_parquet([{listed}])", tuple(names), tuple(whole))


def damaged(files: Mapping[str, str], n_files: int) -> DataError:
    """Return the error that names damaged files.

    Args:
        files: What is wrong with each.
        n_files: How many files there are with the others.
    """
    first, reason = next(iter(files.items()))
    more = f", and {len(files) - 1} more of {n_files} files" if len(files) > 1 else ""
    return DataError(
        f"{first} is damaged ({reason}){more}; write it again, or leave such files out with "
        'on_damaged="skip"'
    )


def query_source(query: str) -> EventSource:
    """Return an SQL query as a relation, which runs whenever it is read."""
    # What follows stands on a line of its own, or a comment at the end would hide it.
    return EventSource(f"({query.strip().rstrip(';')}\n)")


def table_source(
    tables: Iterable[pd.DataFrame], columns: Sequence[str], folder: Path
) -> EventSource:
    """Write tables to a file as they arrive, one after the other, and return it.

    Args:
        tables: For instance what `pandas.read_sql(..., chunksize=...)` returns.
        columns: The columns that each must have.
        folder: Where the file goes.

    Raises:
        DataError: A table lacks a column or has others of another type, or there is none.
    """
    if not isinstance(tables, Iterable):
        raise DataError(f"the source is {tables!r}; give files, or tables of interactions")
    path, writer, schema = folder / "tables.parquet", None, None
    try:
        for number, table in enumerate(tables):
            if not isinstance(table, pd.DataFrame):
                raise DataError(f"table {number} is a {type(table).__name__}; give a DataFrame")
            require_columns(table.columns, columns)
            try:
                rows = pa.Table.from_pandas(table[list(columns)], schema, preserve_index=False)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                reason = str(error).splitlines()[0]
                raise DataError(f"table {number} has columns of another type ({reason})") from error
            schema = rows.schema
            writer = writer or pq.ParquetWriter(path, schema)
            writer.write_table(rows)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise DataError("there is no table of interactions; give at least one")
    return EventSource(f"read_parquet({file_literal(str(path))})")


def _files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    found: list[Path] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        if Path(path).is_dir():
            here = [f for f in Path(path).iterdir() if f.suffix.lower() in PARQUET + CSV]
        elif Path(path).is_file():  # Its name may look like a pattern, as in "day[1].csv".
            here = [Path(path)]
        else:
            here = [Path(name) for name in glob(str(path))] if has_magic(str(path)) else []
        if not here:
            raise DataNotFoundError(f"no Parquet or CSV file at {path}; check the path")
        found += sorted(here)
    if not found:
        raise DataNotFoundError("no file was named; give at least one")
    return list(dict.fromkeys(found))


def _damage(
    file: Path, columns: Sequence[str], csv_reader: duckdb.DuckDBPyConnection | None
) -> str:
    """Return what is wrong with a file, as far as its footer tells; an empty string for nothing.

    Args:
        file: The file.
        columns: The columns that it must have.
        csv_reader: Reads the file where it is CSV, else None.

    Raises:
        DataError: The file lacks a column.
    """
    if not file.stat().st_size:
        return "empty"
    try:
        present = pq.read_schema(file).names if csv_reader is None else _header(file, csv_reader)
    except (pa.ArrowException, duckdb.Error, OSError) as error:
        return str(error).splitlines()[0].rstrip(".")
    try:
        require_columns(present, columns)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    return ""


def _header(file: Path, reader: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the columns of a CSV file."""
    query = f"DESCRIBE SELECT * FROM read_csv({file_literal(str(file))})"
    return [row[0] for row in reader.execute(query).fetchall()]


def file_literal(path: str) -> str:
    """Return the name of one file for SQL that reads it; no character of it is a wildcard."""
    return text_literal(escape(path))


def text_literal(text: str) -> str:
    """Return a text as it stands in SQL."""
    return "'" + text.replace("'", "''") + "'"
