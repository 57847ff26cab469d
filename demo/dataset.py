"""Put the airports of the world (package airportsdata, MIT) into SQLite, and ask six things about them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import airportsdata
import msgspec

_FT = 0.3048
_SCHEMA = """
CREATE TABLE airports (
    icao TEXT PRIMARY KEY, iata TEXT, name TEXT NOT NULL, city TEXT NOT NULL, region TEXT NOT NULL,
    country TEXT NOT NULL, elevation_m INTEGER NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL,
    time_zone TEXT NOT NULL
)
"""


class Question(msgspec.Struct, frozen=True):
    """A report: its name, its format and its query, whose first column tells rows apart."""

    name: str
    title: str
    format: Literal["csv", "xlsx", "pdf"]
    query: str


QUESTIONS: Sequence[Question] = (
    Question(
        "countries",
        "Airports by country",
        "csv",
        """
        SELECT country, count(*) AS airports, count(iata) AS with_iata_code,
               max(elevation_m) AS highest_m, count(DISTINCT time_zone) AS time_zones
        FROM airports GROUP BY country ORDER BY airports DESC, country
        """,
    ),
    Question(
        "directory",
        "Directory of IATA codes",
        "csv",
        """
        SELECT iata, name, city, region, country, latitude, longitude
        FROM airports WHERE iata IS NOT NULL ORDER BY iata
        """,
    ),
    Question(
        "highest",
        "The thousand highest airports",
        "xlsx",
        """
        SELECT icao, name, city, country, elevation_m
        FROM airports ORDER BY elevation_m DESC, icao LIMIT 1000
        """,
    ),
    Question(
        "time-zones",
        "Airports by time zone",
        "xlsx",
        """
        SELECT time_zone, count(*) AS airports, count(DISTINCT country) AS countries,
               round(min(latitude), 2) AS southernmost, round(max(latitude), 2) AS northernmost
        FROM airports GROUP BY time_zone ORDER BY time_zone
        """,
    ),
    Question(
        "below-sea-level",
        "Airports below sea level",
        "pdf",
        """
        SELECT icao, name, city, country, elevation_m
        FROM airports WHERE elevation_m < 0 ORDER BY elevation_m, icao
        """,
    ),
    Question(
        "polar",
        "Airports beyond the polar circles",
        "pdf",
        """
        SELECT icao, name, country, round(latitude, 2) AS latitude, time_zone
        FROM airports WHERE abs(latitude) > 66.5636 ORDER BY abs(latitude) DESC, icao
        """,
    ),
)


def build(path: Path) -> int:
    """Write the database and return how many airports it holds."""
    rows = [
        (
            airport["icao"],
            airport["iata"] or None,
            airport["name"],
            airport["city"],
            airport["subd"],
            airport["country"],
            round(airport["elevation"] * _FT),
            airport["lat"],
            airport["lon"],
            airport["tz"],
        )
        for airport in airportsdata.load("ICAO").values()
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_SCHEMA)
        connection.executemany("INSERT INTO airports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return len(rows)


def ask(path: Path, query: str) -> Sequence[Sequence[object]]:
    """Return the rows of a query, straight from the database."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()
