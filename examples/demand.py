"""Hourly demand a day ahead, temperature and working days known beforehand; the data are made here."""

# --8<-- [start:data]
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
hours = pd.date_range("2022-10-01", periods=24 * (7 * 26 + 1), freq="h")
hour, weekday = hours.hour.to_numpy(), hours.day_of_week.to_numpy()

season = 12 - 9 * np.cos(2 * np.pi * (hours.day_of_year - 20) / 365)
weather = np.repeat(np.convolve(rng.normal(0, 2, len(hours) // 24 + 2), np.ones(3), "valid"), 24)
temperature = season + weather + 4 * np.sin(2 * np.pi * (hour - 9) / 24) + rng.normal(0, 0.5, len(hours))

work = (weekday < 5) * 1.0
peaks = np.exp(-((hour - 8) ** 2) / 8) + 1.2 * np.exp(-((hour - 18) ** 2) / 10)
heating = np.maximum(15 - temperature, 0)
demand = 40 + 25 * peaks * (0.6 + 0.4 * work) + 1.5 * heating + rng.normal(0, 2, len(hours))

table = pd.DataFrame(
    {"time": hours, "demand": demand.round(2), "temperature": temperature.round(1), "work_day": work}
)
table.loc[table.index[-24:], "demand"] = np.nan  # tomorrow: its weather forecast is there, its demand is not
# --8<-- [end:data]

# --8<-- [start:tune]
import lstune

columns = ["temperature", "work_day"]
run = lstune.tune(table, target="demand", timestamp="time", known=columns, horizon=24, budget="60s")
print(run.verdict)
# --8<-- [end:tune]

# --8<-- [start:worth]
past = lstune.tune(table, target="demand", timestamp="time", features=columns, horizon=24, budget="60s")
print(f"known beforehand: MAE {run.result['test']['mae']:.2f}")
print(f"their past alone: MAE {past.result['test']['mae']:.2f}")
# --8<-- [end:worth]

# --8<-- [start:colder]
tomorrow = table.tail(24)[["time", "temperature", "work_day"]]
colder = tomorrow.assign(temperature=tomorrow["temperature"] - 5)
both = pd.DataFrame(
    {"as forecast": run.predict()["forecast"], "5 degrees colder": run.predict(known=colder)["forecast"]}
)
print(both.iloc[6:11].round(1))
# --8<-- [end:colder]

# --8<-- [start:newer]
newer = table.tail(24).assign(demand=demand[-24:].round(2))  # a day later: what tomorrow's demand came to
after = tomorrow.assign(time=tomorrow["time"] + pd.Timedelta(days=1))  # and the weather of the day after
print(run.predict(data=newer, known=after).round(1).head())
# --8<-- [end:newer]
