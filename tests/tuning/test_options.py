"""What `tune` and `resume` are asked for: refused before anything is written, or kept as plain data."""

import pytest

import lstune
from lstune.errors import ConfigError

from .conftest import TINY, make_series


@pytest.mark.parametrize("name", ["method", "scheduler"])
@pytest.mark.parametrize("value", ["magic", ["gp"], ["asha"], [], {}, 5, ""])
def test_names_that_are_none(tmp_path, name, value):
    with pytest.raises(ConfigError, match=f"the {name} must be one of .*, ") as caught:
        lstune.tune(make_series(), trials=1, space=TINY, out=tmp_path / "run", **{name: value})
    assert str(value) in str(caught.value)
    assert not (tmp_path / "run").exists()
