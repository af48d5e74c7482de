"""Hourly demand a day ahead, with temperature and holidays as inputs; the data are made here."""

# --8<-- [start:data]
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
hours = pd.date_range("2023-01-01", periods=24 * 7 * 26, freq="h")
hour, weekday = hours.hour.to_numpy(), hours.day_of_week.to_numpy()

season = 12 - 9 * np.cos(2 * np.pi * (hours.day_of_year - 20) / 365)
weather = np.repeat(np.cumsum(rng.normal(0, 1.2, len(hours) // 24)), 24)
temperature = (
    season + 0.3 * weather + 4 * np.sin(2 * np.pi * (hour - 9) / 24) + rng.normal(0, 0.5, len(hours))
)

work = (weekday < 5) * 1.0
peaks = np.exp(-((hour - 8) ** 2) / 8) + 1.2 * np.exp(-((hour - 18) ** 2) / 10)
heating = np.maximum(15 - temperature, 0)
demand = 40 + 25 * peaks * (0.6 + 0.4 * work) + 1.5 * heating + rng.normal(0, 2, len(hours))

table = pd.DataFrame(
    {"time": hours, "demand": demand.round(2), "temperature": temperature.round(1), "work_day": work}
)
# --8<-- [end:data]

# --8<-- [start:tune]
import lstune

run = lstune.tune(
    table, target="demand", timestamp="time", features=["temperature", "work_day"], horizon=24, budget="60s"
)
print(run.verdict)
# --8<-- [end:tune]

# --8<-- [start:newer]
newer = table.tail(24 * 28)  # in real life: the file as it is tomorrow
print(run.predict(data=newer).round(1).head())
# --8<-- [end:newer]
