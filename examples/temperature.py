"""Temperature a week ahead, with other weather columns as inputs, and a look at what mattered."""

# --8<-- [start:tune]
import lstune

run = lstune.tune(
    "delhi",
    target="meantemp",
    features="all",
    horizon=7,
    budget="60s",
    space={"units": {"type": "int", "low": 8, "high": 64, "log": True}, "loss": ["mae", "huber"]},
    seed=0,
)
print(run.verdict)
# --8<-- [end:tune]

# --8<-- [start:mattered]
from lstune.report import collect

data = collect(run.path)
if data.importance is not None:
    for name, share in list(data.importance.shares.items())[:5]:
        print(f"{name:15} {100 * share:5.1f} %")
for sentence in data.edges:
    print(sentence)
# --8<-- [end:mattered]

# --8<-- [start:steps]
for step, error in enumerate(data.steps["lstune"], start=1):
    print(f"day {step}: MAE {error:.2f} degrees")
# --8<-- [end:steps]
