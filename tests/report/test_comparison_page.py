"""The page of a comparison in a real browser."""

import pytest

import lstune

from .test_browser import CHROMIUM, DRIVER, MEASURE, errors, resize, wait_drawn
from .test_browser import browser as browser  # the fixture

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SPACE = {"units": [2, 3, 4], "lookback": [6, 12], "layers": 1, "epochs": 4, "supervision": "every"}
SPACE |= {"transform": ["level", "difference"], "lags": "none", "calendar": "none", "stride": "lookback/2"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "comparison"
    lstune.compare("sunspots", methods="random,tpe+none", seeds=2, trials=4, space=SPACE, workers=1, out=out)
    return out / "compare.html"


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (380, True)])
def test_the_plots_are_drawn(browser, page, width, dark):
    resize(browser, width, dark)
    browser.get(page.as_uri())
    browser.place = None
    wait_drawn(browser)
    found = browser.execute_script(MEASURE)
    assert [plot["id"] for plot in found] == ["plot-seconds", "plot-epochs"]
    for plot in found:
        assert plot["drawn"] == "yes"
        assert plot["marks"] == 6  # two methods: a line and the edges of a band each
        assert plot["over"] <= 1
    names = browser.execute_script(
        "return Array.from(document.querySelectorAll('#plot-epochs .legendtext')).map((n) => n.textContent)"
    )
    assert names == ["random", "tpe+none"]
    assert errors(browser) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
