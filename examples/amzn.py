"""A share price: what an LSTM is worth where the naive forecast is hard to beat."""

# --8<-- [start:tune]
import lstune

run = lstune.tune("amzn", target="close", budget="60s", seed=0)
print(run.verdict)
# --8<-- [end:tune]

# --8<-- [start:errors]
errors = {"lstune": run.result["test"], **run.result["baselines"]}
for name, error in errors.items():
    print(f"{name:15} MAE {error['mae']:8.3f}   RMSE {error['rmse']:8.3f}")
print("made of:", run.result["forecaster"]["networks"], "networks and", run.result["forecaster"]["baselines"])
# --8<-- [end:errors]

# --8<-- [start:next]
print(run.predict().round(1))
# --8<-- [end:next]
