"""What is known about a flight that is about to leave: entities, sources, feature views, a service.

The tables are made by prepare.py; README.md says, column by column, when each value was known.
"""

from datetime import timedelta

from tiffin import Entity, FeatureService, FeatureView, Field, FileSource
from tiffin.types import Float32, Float64, Int32, String, UnixTimestamp

airport = Entity(name="airport", join_keys=["origin"], value_type=String)
destination = Entity(name="destination", join_keys=["dest"], value_type=String)
plane = Entity(name="plane", join_keys=["tailnum"], value_type=String)
carrier = Entity(name="carrier", join_keys=["carrier"], value_type=String)


def table(name: str) -> FileSource:
    """Return the table of that name; all of them have the same two time columns."""
    return FileSource(
        name=name,
        path=f"data/{name}.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )


def recent_delays(days: int) -> list[Field]:
    """Return what the tables of carriers and routes know about their last days."""
    return [
        Field(name=f"landings_{days}d", dtype=Int32),
        Field(name=f"mean_delay_{days}d", dtype=Float32, description="minutes; early is negative"),
        Field(name=f"late_share_{days}d", dtype=Float64, description="more than 15 minutes late"),
    ]


weather = FeatureView(
    name="weather",
    entities=[airport],
    ttl=timedelta(hours=4),  # the report of an older hour says nothing about now
    schema=[
        Field(name="temp", dtype=Float64, description="degrees Fahrenheit"),
        Field(name="dewp", dtype=Float64, description="dew point, degrees Fahrenheit"),
        Field(name="humid", dtype=Float64, description="relative humidity, per cent"),
        Field(name="wind_dir", dtype=Int32, description="degrees; null = variable"),
        Field(name="wind_speed", dtype=Float64, description="miles per hour"),
        Field(name="wind_gust", dtype=Float64, description="miles per hour; null = none"),
        Field(name="precip", dtype=Float64, description="inches in that hour"),
        Field(name="pressure", dtype=Float64, description="millibars at sea level"),
        Field(name="visib", dtype=Float64, description="miles, at most 10"),
    ],
    source=table("weather"),
)

plane_history = FeatureView(
    name="plane_history",
    entities=[plane],
    ttl=timedelta(days=7),  # the length of its window: afterwards there is nothing left in it
    schema=[
        Field(name="legs_7d", dtype=Int32),
        Field(name="late_legs_7d", dtype=Int32, description="more than 15 minutes late"),
        Field(name="mean_delay_7d", dtype=Float32, description="minutes; early is negative"),
        Field(name="worst_delay_7d", dtype=Int32, description="minutes"),
        Field(name="last_delay", dtype=Int32, description="minutes"),
        Field(name="last_landing", dtype=UnixTimestamp),
        Field(name="last_airport", dtype=String),
    ],
    source=table("plane_history"),
)

carrier_history = FeatureView(
    name="carrier_history",
    entities=[carrier],
    ttl=timedelta(days=28),
    schema=recent_delays(7) + recent_delays(28),
    source=table("carrier_history"),
)

route_history = FeatureView(
    name="route_history",
    entities=[airport, destination],
    ttl=timedelta(days=28),
    schema=recent_delays(7) + recent_delays(28),
    source=table("route_history"),
)

plane_facts = FeatureView(
    name="plane_facts",
    entities=[plane],
    ttl=None,  # facts do not age
    schema=[
        Field(name="age", dtype=Int32, description="years, in 2013"),
        Field(name="seats", dtype=Int32),
        Field(name="engines", dtype=Int32),
        Field(name="maker", dtype=String),
    ],
    source=table("plane_facts"),
)

# What the model asks for. Everything else above is there for people.
will_be_late = FeatureService(
    name="will_be_late",
    features=[
        weather,
        plane_history[
            [
                "legs_7d",
                "late_legs_7d",
                "mean_delay_7d",
                "worst_delay_7d",
                "last_delay",
                "last_landing",
            ]
        ],
        carrier_history,
        route_history,
        plane_facts[["age", "seats"]],
    ],
)
