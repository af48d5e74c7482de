"""The Keras Tuner door."""
