"""The rendered book in a browser: every page, at the width of a desk and of a telephone.

Needs the rendered book (`make book`) and Chromium. Where either is missing the tests are skipped; with
MILLPOND_REQUIRE_BROWSER=1 they fail instead. Screenshots are kept in _build/screenshots.
"""

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build/html"
REPOSITORY = "https://github.com/millpond-book/millpond"
PAGES = sorted(str(p.relative_to(HTML)) for p in HTML.rglob("*.html") if "_static" not in p.parts)
CHAPTERS = [page for page in PAGES if page.startswith(("book/", "notebooks/"))]

IMAGES = """() => [...document.images].map(i => ({src: i.currentSrc || i.src, width: i.naturalWidth, alt: i.alt}))"""
# What is wider than the page, other than what scrolls in its own box.
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def missing(reason: str) -> None:
    """Skip, or fail where a browser is required."""
    (pytest.fail if os.environ.get("MILLPOND_REQUIRE_BROWSER") else pytest.skip)(reason)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def site():
    """The address of the rendered book on a local server."""
    if not (HTML / "index.html").exists():
        missing("_build/html is not there: run `make book` first")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=HTML)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(site):
    """Chromium with a fresh profile."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("no Chromium is installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, site):
    """Open pages of the book, shut off from all other hosts; afterwards, nothing may have gone wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, outside, problems = context.new_page(), [], []

    def route(request_route):
        url = request_route.request.url
        if url.startswith((site, "data:", "blob:")):
            return request_route.continue_()
        outside.append(url)
        return request_route.abort()

    def console(message):
        if message.type == "error" and message.location.get("url", "").startswith(site):
            problems.append(f"console: {message.text} ({message.location['url']})")

    context.route("**/*", route)
    page.on("console", console)
    page.on("pageerror", lambda error: problems.append(f"page error: {error}"))

    def go(path: str):
        page.goto(site + path, wait_until="load")
        return page

    yield go
    context.close()
    assert not problems
    assert not outside, f"the page asks other hosts for {outside}"


def open_page(visit, path: str):
    """A page whose lazy images are loaded and whose formulas are set."""
    page = visit(path)
    page.evaluate("() => document.querySelectorAll('img[loading=lazy]').forEach(i => i.loading = 'eager')")
    page.wait_for_function("() => [...document.images].every(i => i.complete)")
    return page


def shoot(page, path: str, width: int) -> None:
    target = ROOT / f"_build/screenshots/{width}" / (path.removesuffix(".html").replace("/", "-") + ".png")
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=target, full_page=True)


@pytest.mark.parametrize("path", CHAPTERS or [None])
def test_page(visit, path):
    if path is None:
        missing("_build/html holds no chapters")
    page = open_page(visit, path)
    for image in page.evaluate(IMAGES):
        assert image["width"] > 0, f"{image['src']} is not loaded"
        assert image["alt"].strip(), f"{image['src']} has no alternative text"
    if page.locator(".math").count():
        page.wait_for_selector("mjx-container", state="attached")
        assert page.locator("mjx-container").count() >= page.locator(".bd-article .math").count()
        assert page.locator("mjx-merror").count() == 0
    shoot(page, path, 1280)
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(visit, path)
    assert page.evaluate(OVERFLOW) <= 0, "the page is wider than a telephone"
    shoot(page, path, 390)


def test_search_finds_a_word(visit):
    page = visit("search.html?q=reservoir")
    page.wait_for_selector("#search-results ul.search li a")
    assert page.locator("#search-results ul.search li a").count() >= 2


def test_dark_mode(visit):
    page = visit("book/introduction.html")
    before = page.evaluate("() => document.documentElement.dataset.theme")
    button = page.locator("button.theme-switch-button:visible").first
    seen = set()
    for _ in range(3):
        button.click()
        seen.add(page.evaluate("() => document.documentElement.dataset.theme"))
    assert {"light", "dark"} <= seen | {before}
    page.evaluate("() => { document.documentElement.dataset.theme = 'dark'; }")
    shoot(page, "dark-introduction.html", 1280)


def soup(path: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / path).read_text(), "html.parser")


def test_no_markup_is_left_in_the_text(site):
    # Sphinx doesn't warn of a directive that it doesn't recognise as one.
    left = {}
    for path in CHAPTERS:
        article = soup(path).select_one("article")
        for code in article.select("pre, code"):
            code.extract() if not any(mark in code.text for mark in ("{glue:", "{numref}")) else None
        left[path] = [mark for mark in ("{glue:", "{numref}", "{cite", "```", ":::") if mark in article.text]
        left[path] += ["stderr"] if soup(path).select(".output.stderr") else []
    assert not any(left.values()), left


def test_links_inside_the_book_lead_somewhere(site):
    ids = {path: {tag["id"] for tag in soup(path).find_all(id=True)} for path in PAGES}
    broken = []
    for path in PAGES:
        for tag in soup(path).find_all(["a", "img", "link", "script"]):
            target = tag.get("href") or tag.get("src")
            if not target or urlsplit(target).scheme or target.startswith("//"):
                continue
            address, fragment = urldefrag(urljoin(f"/{path}", target))
            goal = unquote(urlsplit(address).path).lstrip("/") or "index.html"
            if not (HTML / goal).is_file():
                broken.append(f"{path}: {target}")
            elif fragment and goal in ids and unquote(fragment) not in ids[goal]:
                broken.append(f"{path}: {target} (no such place)")
    assert not broken


def test_launch_and_edit_buttons_name_files_of_the_repository(site):
    launched = set()
    for path in CHAPTERS:
        for link in soup(path).select(".article-header-buttons a[href]"):
            href = link["href"]
            for start in (
                "https://mybinder.org/v2/gh/millpond-book/millpond/main?urlpath=lab/tree/",
                "https://colab.research.google.com/github/millpond-book/millpond/blob/main/",
                f"{REPOSITORY}/edit/main/",
            ):
                if href.startswith(start):
                    assert (ROOT / href.removeprefix(start)).is_file(), href
                    assert "/edit/" not in href or not href.endswith(".ipynb"), f"{href} is made from its .py"
                    launched.add((path, start))
    notebooks = [path for path in CHAPTERS if path.startswith("notebooks/")]
    assert len(launched) == 3 * len(notebooks) + len(CHAPTERS) - len(notebooks)
