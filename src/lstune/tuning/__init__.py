"""Joins series, engine and search: trials, executors, the run and its folder."""
