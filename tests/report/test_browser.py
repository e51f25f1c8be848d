"""The page as a reader opens it: headless Chromium, from disk, without a network."""

import shutil

import pytest

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
OFFLINE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=[*OFFLINE, "--no-first-run", "--disable-default-apps"]
        )
        yield browser
        browser.close()


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (390, "light"), (390, "dark"), (320, "light")]
)
def test_page_opens_without_error_and_fits(browser, report, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True
    )
    page, problems, requests = context.new_page(), [], []
    page.on(
        "console",
        lambda message: (
            problems.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")

    assert problems == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    images = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth])")
    assert len(images) == 2 and all(complete and wide > 0 for complete, wide in images)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('svg.panel').length") == 11 + 11 + 8 + 3 + 3 + 4
    context.close()


def test_method_names_stay_in_view_when_a_table_is_scrolled_on_a_phone(browser, report):
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    page = context.new_page()
    page.goto(report.as_uri())
    left, moved, share = page.evaluate(
        """() => {
            const region = document.querySelector('#regression .scroll');
            const name = region.querySelector('tbody th.name');
            const cell = region.querySelector('tbody tr:not(.group) td:last-child');
            const before = cell.getBoundingClientRect().left;
            region.scrollLeft = 10000;
            const place = name.getBoundingClientRect();
            const frame = region.getBoundingClientRect();
            const moved = before - cell.getBoundingClientRect().left;
            return [place.left - frame.left, moved, place.width / frame.width];
        }"""
    )
    assert abs(left) < 2 and moved > 200 and share < 0.45
    context.close()


def test_text_is_dark_on_light_and_light_on_dark(browser, report):
    for scheme, brighter in (("light", False), ("dark", True)):
        context = browser.new_context(color_scheme=scheme, offline=True)
        page = context.new_page()
        page.goto(report.as_uri())
        ink, paper = page.evaluate(
            """() => {
                const style = getComputedStyle(document.body);
                const channels = p => style[p].match(/\\d+/g).slice(0, 3);
                return ['color', 'backgroundColor'].map(
                    p => channels(p).reduce((sum, v) => sum + +v, 0));
            }"""
        )
        assert abs(ink - paper) > 400 and (ink > paper) == brighter
        context.close()
