"""A Keras Tuner notebook on AMZN prices, with one import changed: windows, search, final training, forecast.

Needs the extra `keras`: pip install '.[keras]'
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or "tensorflow", or "torch"

import numpy as np
import plotly.graph_objects as go
from keras.layers import LSTM, Dense, Dropout
from keras.models import Sequential

import lstune.kt as kt  # was: import keras_tuner as kt
from lstune.datasets import load

WINDOW = 30
MAX_EPOCHS = 10

# --- Windows: 30 days of scaled closing prices in, the next day's out. The scale is the training part's.
series = load("amzn")
prices = np.asarray(series.values)[-1300:]
train_rows, validation_rows = int(0.7 * len(prices)), int(0.85 * len(prices))
low, high = prices[:train_rows].min(), prices[:train_rows].max()
scaled = (prices - low) / (high - low)
x = np.stack([scaled[i : i + WINDOW] for i in range(len(scaled) - WINDOW)])[..., None]
y = scaled[WINDOW:, None]
a, b = train_rows - WINDOW, validation_rows - WINDOW
x_train, y_train, x_val, y_val, x_test, y_test = x[:a], y[:a], x[a:b], y[a:b], x[b:], y[b:]


# --- The model, as in the notebook.
def build_model(hp):
    """A compiled model for the values in `hp`."""
    model = Sequential()
    model.add(
        LSTM(
            units=hp.Int("units", min_value=32, max_value=128, step=32),
            activation=hp.Choice("activation", values=["tanh", "relu", "sigmoid"]),
        )
    )
    model.add(Dropout(hp.Float("dropout", 0.1, 0.5, step=0.1)))
    model.add(Dense(1))
    model.compile(
        optimizer=hp.Choice("optimizer", values=["adam", "rmsprop", "sgd"]), loss="mse", metrics=["mae"]
    )
    return model


# --- The search.
tuner = kt.Hyperband(
    build_model,
    objective="val_loss",
    max_epochs=MAX_EPOCHS,
    factor=3,
    seed=0,
    directory="my_tuning",
    project_name="lstm_tuning",
)
tuner.search(x_train, y_train, epochs=MAX_EPOCHS, validation_data=(x_val, y_val), verbose=0)
tuner.results_summary(num_trials=3)
best_hps = tuner.get_best_hyperparameters(num_trials=1)[0]
print(best_hps.get("units"), best_hps.get("activation"), best_hps.get("dropout"), best_hps.get("optimizer"))

# --- Final training with the best settings: a Keras model like any other.
model = tuner.hypermodel.build(best_hps)
model.fit(x[:b], y[:b], epochs=MAX_EPOCHS, verbose=0)
model.save("amzn.keras")

# --- The forecast of days that no decision has seen, beside the naive one: tomorrow is as today.
forecast = model.predict(x_test, verbose=0)[:, 0] * (high - low) + low
actual, naive = prices[validation_rows:], prices[validation_rows - 1 : -1]
error, naive_error = np.abs(forecast - actual).mean(), np.abs(naive - actual).mean()
print(f"mean absolute error {error:.2f}, naive {naive_error:.2f}, ratio {error / naive_error:.2f}")

plot = go.Figure(layout={"title": "AMZN, one day ahead", "yaxis_title": "price"})
for name, values in (("actual", actual), ("forecast", forecast), ("naive", naive)):
    plot.add_scatter(x=series.timestamps[-len(actual) :], y=values, name=name)
plot.write_html("forecast.html", include_plotlyjs=True)
