"""The page in a real browser, without a network; skipped where Chromium or selenium is missing."""

import shutil
import tempfile
import time

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    # parallel coordinates are drawn by WebGL, here in software
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
    # selenium leaves the closing of its sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        yield driver
        driver.quit()


def resize(browser, width, dark=False):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def wait_drawn(browser, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if browser.execute_script("return document.body.dataset.drawn && !document.body.dataset.drawing"):
            return
        time.sleep(0.05)
    raise AssertionError("the plots were not drawn")


def open_page(browser, run, width=1280, dark=False):
    """Show a run's page, unless it is already there: drawing it all takes seconds without a GPU."""
    place = ((run.path / "report.html").as_uri(), width, dark)
    if getattr(browser, "place", None) != place:
        resize(browser, width, dark)
        browser.get(place[0])
        wait_drawn(browser)
        browser.place = place


def errors(browser):
    """What the console complains of. WebGL in software announces itself: no fault of the page."""
    return [
        entry["message"]
        for entry in browser.get_log("browser")
        if entry["level"] in ("SEVERE", "WARNING") and "webgl" not in entry["message"].lower()
    ]


MEASURE = """
return Array.from(document.querySelectorAll(".plot")).map((place) => {
  const marks = place.querySelectorAll(".scatterlayer .trace, .barlayer .trace, canvas");
  const box = place.getBoundingClientRect();
  const outer = place.querySelector("svg.main-svg").getBoundingClientRect();
  return {id: place.id, drawn: place.dataset.drawn, marks: marks.length, height: box.height,
          over: outer.width - box.width};
});
"""


def check_plots(browser, width):
    found = browser.execute_script(MEASURE)
    assert len(found) >= 14
    for plot in found:
        assert plot["drawn"] == "yes", plot
        assert plot["marks"] > 0, plot
        assert plot["height"] >= 150, plot
        assert plot["over"] <= 1, plot
    assert errors(browser) == []
    # Wide things scroll in boxes of their own: the page itself never scrolls sideways.
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_every_plot_is_drawn_on_a_wide_screen(browser, run):
    open_page(browser, run)
    check_plots(browser, 1280)
    # A tail that fits into the first view needs no buttons for it.
    assert browser.find_elements("css selector", "[data-view]") == []


def column(browser, index):
    rows = "Array.from(document.querySelectorAll('#trials tbody tr'))"
    return browser.execute_script(f"return {rows}.map((row) => row.cells[arguments[0]].textContent)", index)


def test_the_table_sorts_and_filters(browser, run):
    open_page(browser, run)
    heads = [head.text.split(" ")[0] for head in browser.find_elements("css selector", "#trials th")]
    assert heads[:5] == ["trial", "state", "mae", "epochs", "seconds"]
    values = [float(text) for text in column(browser, 2)]
    assert len(values) == 14
    assert values == sorted(values)

    units = heads.index("units")
    click = "document.querySelectorAll('#trials th button')[arguments[0]].click()"
    browser.execute_script(click, units)
    assert column(browser, units) == sorted(column(browser, units))
    browser.execute_script(click, units)
    assert column(browser, units) == sorted(column(browser, units), reverse=True)
    marked = browser.find_elements("css selector", '#trials th[aria-sort="descending"]')
    assert len(marked) == 1

    box = browser.find_element("id", "filter")
    box.send_keys("units = 4 transform=level")
    shown = list(zip(column(browser, units), column(browser, heads.index("transform")), strict=True))
    expected = [t for t in run.trials.itertuples() if t.units == 4 and t.transform == "level"]
    assert shown == [("4", "level")] * len(expected)
    assert browser.find_element("id", "shown").text == f"{len(expected)} of 14 trials"
    box.clear()
    box.send_keys("mae<0")
    assert column(browser, 0) == []
    assert errors(browser) == []


def test_every_plot_is_drawn_on_a_phone_in_the_dark(browser, run):
    open_page(browser, run, 390, dark=True)
    check_plots(browser, 390)


def background(browser):
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def font_color(browser):
    script = """return getComputedStyle(document.querySelector("#plot-forecast .xtick text")).fill"""
    return browser.execute_script(script)


def test_the_theme_follows_the_system_and_the_button(browser, run):
    open_page(browser, run, 390, dark=True)
    assert background(browser) == "rgb(20, 22, 26)"
    assert font_color(browser) == "rgb(231, 233, 236)"
    button = browser.find_element("id", "theme")
    assert button.text == "Light"
    button.click()
    wait_drawn(browser)
    assert background(browser) == "rgb(255, 255, 255)"
    assert font_color(browser) == "rgb(29, 33, 39)"
    assert button.text == "Dark"
    browser.execute_script("try { localStorage.clear() } catch {}")
    assert errors(browser) == []


def test_a_long_tail_can_be_seen_whole(browser, undated):
    open_page(browser, undated)
    span = "return document.getElementById('plot-forecast').layout.xaxis.range"
    first = browser.execute_script(span)
    browser.execute_script("document.querySelector('[data-view=all]').click()")
    time.sleep(0.3)
    assert browser.execute_script(span)[0] < first[0]
    browser.execute_script("document.querySelector('[data-view=latest]').click()")
    time.sleep(0.3)
    assert browser.execute_script(span) == first


def test_hostile_names_are_shown_as_they_are(browser, undated):
    open_page(browser, undated)
    assert browser.find_element("tag name", "h1").text == "a</script><i>b: <b>&amp;\"'"
    title = "return document.querySelector('#plot-forecast .ytitle').textContent"
    assert browser.execute_script(title) == "<b>&amp;\"'"
    assert errors(browser) == []


def test_a_printed_page_is_light_and_its_plots_fit_the_paper(browser, undated):
    open_page(browser, undated)
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    wide = "return document.querySelector('#plot-forecast svg.main-svg').getBoundingClientRect().width"
    before = browser.execute_script(wide)
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(wide) <= 700 < before
    assert background(browser) == "rgb(255, 255, 255)"
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    wait_drawn(browser)
    assert browser.execute_script(wide) == pytest.approx(before, abs=1)
