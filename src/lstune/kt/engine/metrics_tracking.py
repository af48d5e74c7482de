"""As in Keras Tuner."""

from lstune.kt.objective import infer_direction as infer_metric_direction

__all__ = ["infer_metric_direction"]
