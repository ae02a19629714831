"""The page at `/`, as a user of Chromium has it."""

import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from graphmeta.serve import ServeSettings, create_app, of_bundle

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BrowserContext, Locator, Page, expect = (
    getattr(playwright, name) for name in ("BrowserContext", "Locator", "Page", "expect")
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path")

ODD_TITLES = ["🎬 Der Film", "فيلم جديد", '<b>Bold</b> & "quoted"', "'; DROP TABLE users; --"]
N_ITEMS = 100
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def url(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service."""
    database = f"sqlite:///{tmp_path_factory.mktemp('page') / 'service.db'}"
    app = create_app(of_bundle(bundle, title=None, device="cpu"), ServeSettings(database=database))
    # It listens before the server runs, so that nobody has to wait for it.
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[BrowserContext]:
    """One for all tests: the session storage is each tab's own anyway."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(base_url=url, reduced_motion="reduce")
        yield context
        browser.close()


@pytest.fixture
def errors() -> list[str]:
    """What the browser's console reported; a test that provokes errors clears it."""
    return []


@pytest.fixture
def page(browser: BrowserContext, url: str, errors: list[str]) -> Iterator[Page]:
    """A new tab; whatever it is used for, it asks no other server and reports no error."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda told: told.type in ("error", "warning") and errors.append(told.text))
    yield page
    page.close()
    assert all(address.startswith(f"{url}/") for address in asked)
    assert not errors


def visit(page: Page) -> None:
    page.goto("/")
    expect(rows(page)).to_have_count(10)
    expect(questions(page)).to_have_count(3)


def rows(page: Page) -> Locator:
    return page.locator("#items > li")


def questions(page: Page) -> Locator:
    return page.locator("#asked > li")


def picks(page: Page) -> Locator:
    return page.get_by_role("region", name="Your list").locator("#picks > li[data-item]")


def results(page: Page) -> Locator:
    return page.get_by_role("listbox").get_by_role("option")


def listed(page: Page) -> list[str]:
    found: list[str] = rows(page).evaluate_all("(rows) => rows.map((row) => row.dataset.item)")
    return found


def title(row: Locator) -> str:
    return row.locator(".title, h3").last.inner_text()


def like(page: Page, place: int = 0) -> str:
    """Like a recommended item, wait until the list has changed, and return its title."""
    row = rows(page).nth(place)
    liked = title(row)
    row.get_by_role("button", name="I like it").click()
    expect(page.locator("#news")).to_contain_text(f"You like {liked}.")
    return liked


def keep(page: Page, events: list[dict[str, str]]) -> None:
    """Let a user come back with events."""
    kept = json.dumps({"events": events, "niche": 0, "genre": ""})
    page.add_init_script(f"sessionStorage.setItem('graphmeta.picks', {json.dumps(kept)})")


def come_back(page: Page, url: str) -> list[str]:
    """Visit with three picks, wait for the reasons, and return the titles of the picks."""
    found = page.request.get(f"{url}/items?search=film&n=3").json()["items"]
    keep(page, [{**item, "kind": "interaction"} for item in found])
    visit(page)
    expect(page.locator("#items:not([data-stale]) .reason").first).not_to_be_empty()
    return [item["title"] for item in found]


def no_wider(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_first_view_is_useful(page):
    visit(page)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("banner")).to_be_visible()
    expect(page.get_by_role("main")).to_be_visible()
    for name in ("Find something you like", "Which of these", "Your list", "Recommended"):
        expect(page.get_by_role("region", name=name)).to_be_visible()
    expect(rows(page).first.locator(".reason")).to_have_text("Among the most popular")
    expect(rows(page).first.locator("[data-act=why]")).to_be_hidden()
    expect(page.get_by_text("the service keeps nothing of it")).to_be_visible()
    expect(page.get_by_text("Nothing yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Start again")).to_be_hidden()


def test_every_control_has_a_name(page, url):
    come_back(page, url)
    rows(page).first.get_by_role("button", name="Why?").click()
    unlabelled = """[...document.querySelectorAll("button, input, select, summary, a")]
        .filter((e) => !(e.textContent.trim() || e.labels?.length || e.ariaLabel))"""
    assert page.evaluate(f"{unlabelled}.length") == 0
    assert page.locator("html").get_attribute("lang") == "en"


def test_search_and_pick_by_keyboard_alone(page):
    visit(page)
    before = listed(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the recommendations")).to_be_focused()
    page.keyboard.press("Tab")
    search = page.get_by_role("combobox", name="Search the catalogue")
    expect(search).to_be_focused()
    page.keyboard.type("film 1")
    options = results(page)
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(search).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#found")).to_contain_text("8 results")
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(search).to_have_attribute("aria-activedescendant", options.nth(1).get_attribute("id"))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    wanted = options.last.locator(".title").inner_text()
    page.keyboard.press("Enter")
    expect(picks(page)).to_have_count(1)
    expect(picks(page)).to_contain_text(wanted)
    expect(search).to_be_focused()
    expect(search).to_have_value("")
    expect(options).to_have_count(0)
    expect(page.locator("#news")).to_contain_text(f"You like {wanted}.")
    assert listed(page) != before
    page.keyboard.type(wanted.lower())
    same = options.filter(has=page.get_by_text(wanted, exact=True))
    expect(same).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    page.keyboard.press("Escape")
    expect(search).to_have_value("")
    page.keyboard.type("no such film")
    expect(page.locator("#found")).to_contain_text("Nothing found")


def test_list_changes_after_every_click(page):
    visit(page)
    seen = [listed(page)]
    for n in range(3):
        first = rows(page).first.get_attribute("data-item")
        liked = like(page)
        expect(page.locator("#basis")).to_contain_text("one pick" if n == 0 else f"{n + 1} picks")
        expect(picks(page).first).to_contain_text(liked)
        assert first not in listed(page)
        assert listed(page) not in seen
        seen.append(listed(page))
        moved = page.locator("#items .badge")
        assert moved.count() > 0
        expect(page.locator("#items .badge.new").first).to_be_visible()
        expect(page.locator("#news")).to_contain_text("new")
    first = title(rows(page).first)
    rows(page).first.get_by_role("button", name="Not for me").click()
    expect(page.locator("#news")).to_contain_text(f"{first} is not for you.")
    expect(page.get_by_text("Set aside (1)")).to_be_visible()


def test_focus_stays_in_the_list(page):
    visit(page)
    button = rows(page).nth(2).get_by_role("button", name="I like it")
    liked = title(rows(page).nth(2))
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#news")).to_contain_text(liked)
    expect(rows(page).nth(2).get_by_role("button", name="I like it")).to_be_focused()


def test_unknown_is_asked_no_more(page):
    visit(page)
    before = questions(page).locator("h3").all_inner_texts()
    ranked = listed(page)
    answer = questions(page).nth(1).get_by_role("button", name="Don't know")
    answer.focus()
    with page.expect_request("**/questions") as asked:
        page.keyboard.press("Enter")
    assert [event["kind"] for event in asked.value.post_data_json["history"]] == ["unknown"]
    expect(questions(page).nth(1).locator("h3")).not_to_have_text(before[1])
    after = questions(page).locator("h3").all_inner_texts()
    assert (after[0], after[2]) == (before[0], before[2])
    assert len({*before, *after}) == 4
    expect(questions(page).nth(1).get_by_role("button", name="Don't know")).to_be_focused()
    expect(page.locator("#asked-news")).to_have_text(f"New question: {after[1]}")
    expect(page.locator("#news")).to_contain_text("The list stays as it is.")
    assert listed(page) == ranked
    page.get_by_text("Set aside (1)").click()
    page.get_by_role("button", name=f"Remove {before[1]}").click()
    expect(page.locator("#aside")).to_be_hidden()


def test_yes_to_a_question_counts_as_a_pick(page):
    visit(page)
    asked = title(questions(page).first)
    questions(page).first.get_by_role("button", name="I like it").click()
    expect(picks(page)).to_contain_text([asked])
    expect(page.locator("#basis")).to_contain_text("one pick")


def test_slider_leads_to_niche_items(page, url):
    come_back(page, url)
    before = listed(page)
    slider = page.get_by_role("slider", name="Popular or niche")
    expect(slider).to_have_attribute("aria-valuetext", "balanced")
    slider.focus()
    with page.expect_request(
        lambda asked: asked.url.endswith("/recommendations") and asked.post_data_json["niche"] == 2
    ):
        page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "very niche")
    expect(page.locator("#news")).to_have_text(re.compile(r"^\d+ new"))
    assert listed(page) != before
    expect(slider).to_be_focused()


def test_filter_keeps_what_fits(page):
    visit(page)
    page.get_by_label("Genres").select_option("War")
    expect(page.locator("#news")).not_to_be_empty()
    expect(page.locator("#items .facts")).to_contain_text(["Drama, War"] * 10)


def test_reasons_and_picture(page, url):
    liked = come_back(page, url)
    reasons = page.locator("#items .reason").all_inner_texts()
    assert all(reasons)
    named = [text for text in reasons if text.startswith("Because you liked")]
    assert named
    assert all(any(one in text for one in liked) for text in named)
    row = rows(page).nth(1)
    why = row.get_by_role("button", name="Why?")
    expect(why).to_have_attribute("aria-expanded", "false")
    why.click()
    expect(why).to_have_attribute("aria-expanded", "true")
    expect(row.locator(".effects li")).to_have_count(3)
    drawn = row.get_by_role("img", name=f"lead to {title(row)}")
    expect(drawn).to_be_visible()
    row.get_by_text("The same links in words").click()
    words = row.locator("details li")
    expect(words.first).to_contain_text(title(row))
    # An edge for every path, and one from every neighbour on.
    n_neighbours = drawn.locator("g.user").count()
    assert drawn.locator("path").count() == words.count() + n_neighbours
    assert n_neighbours > 0
    why.click()
    expect(drawn).to_be_hidden()


def test_picture_names_shared_traits(page, url):
    def answer(route):
        answered = route.fetch().json()
        for item in answered["items"]:
            first = item["because"][0]
            path = {"item": first["item"], "title": first["title"], "over": "feature"}
            item["paths"].append({**path, "node": "genres=Film-Noir", "share": 0.5})
            item["paths"].append({**path, "node": "3", "share": 0.2})
        route.fulfill(json=answered)

    page.route("**/explanations", answer)
    come_back(page, url)
    rows(page).first.get_by_role("button", name="Why?").click()
    traits = rows(page).first.locator("svg g.feature title")
    expect(traits).to_have_text(["Film-Noir", "A shared trait"])


def test_remove_and_start_again(page, url):
    liked = come_back(page, url)
    page.get_by_role("button", name=f"Remove {liked[1]}").focus()
    page.keyboard.press("Enter")
    expect(picks(page)).to_have_count(2)
    expect(page.get_by_role("button", name=f"Remove {liked[0]}")).to_be_focused()
    expect(page.locator("#news")).to_contain_text(f"{liked[1]} is off your list.")
    page.get_by_role("button", name="Start again").click()
    expect(picks(page)).to_have_count(0)
    expect(page.locator("#news")).to_contain_text("You started again.")
    expect(page.locator("#basis")).to_contain_text("until you pick something")
    page.get_by_role("button", name="Bring my list back").click()
    expect(picks(page)).to_have_count(2)
    expect(page.get_by_role("button", name="Start again")).to_be_focused()


def test_reload_keeps_picks(page):
    visit(page)
    liked = [like(page), like(page)]
    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", "well known")
    expect(page.locator("#news")).not_to_contain_text("You like")
    before = listed(page)
    page.reload()
    expect(picks(page)).to_have_text([re.compile(name) for name in reversed(liked)])
    expect(page.get_by_role("slider")).to_have_value("-1")
    expect(rows(page)).to_have_count(10)
    assert listed(page) == before


def test_damaged_storage_is_a_new_start(page):
    page.add_init_script("sessionStorage.setItem('graphmeta.picks', '{\"events\": [3, {}], ')")
    visit(page)
    expect(picks(page)).to_have_count(0)


def test_odd_titles_are_shown_as_they_are(page):
    visit(page)
    search = page.get_by_role("combobox", name="Search")
    for odd in ODD_TITLES:
        search.fill(odd)
        option = results(page).first
        expect(option.locator(".title")).to_have_text(odd)
        expect(option.locator(".title")).to_have_attribute("dir", "auto")
        search.press("Enter")
        expect(picks(page).first.locator("span").first).to_have_text(odd)
        expect(page.locator("#news")).to_contain_text(odd)
    expect(page.locator("b")).to_have_count(0)
    direction = "(title) => getComputedStyle(title).direction"
    titles = picks(page).locator("span:first-child[dir]")
    assert [one.evaluate(direction) for one in titles.all()] == ["ltr", "ltr", "rtl", "ltr"]
    expect(rows(page).first.locator(".reason")).not_to_be_empty()
    rows(page).first.get_by_role("button", name="Why?").click()
    drawn = rows(page).first.locator("svg.graph title")
    expect(drawn.first).to_be_attached()
    assert set(ODD_TITLES) & set(drawn.all_text_contents())


def test_fits_a_phone(page, url):
    page.set_viewport_size({"width": 360, "height": 740})
    come_back(page, url)
    no_wider(page, 360)
    rows(page).first.get_by_role("button", name="Why?").click()
    expect(rows(page).first.locator("svg.graph")).to_be_visible()
    page.get_by_role("combobox", name="Search").fill("film")
    expect(results(page).first).to_be_visible()
    no_wider(page, 360)
    small = page.evaluate("""
        [...document.querySelectorAll("button, input, select, summary, [role=option]")]
            .filter((e) => e.offsetParent && !e.closest(".skip"))
            .map((e) => [e.textContent || e.id, e.getBoundingClientRect()])
            .filter(([, box]) => box.width < 44 || box.height < 44).map(([name]) => name)
    """)
    assert small == []


@pytest.mark.parametrize("path", ["recommendations", "explanations", "questions", "items?*"])
def test_trouble_is_told_and_nothing_is_lost(page, errors, path):
    visit(page)
    liked = like(page)
    problem = {"title": "Service Unavailable", "detail": "the queue is full; come again"}
    answer = {"status": 503, "content_type": PROBLEM, "body": json.dumps(problem)}
    page.route(f"**/{path}", lambda route: route.fulfill(headers={"Retry-After": "1"}, **answer))
    if path == "items?*":
        page.get_by_role("combobox", name="Search").fill("film")
    else:
        questions(page).first.get_by_role("button", name="I like it").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("the queue is full; come again")
    expect(alert).to_contain_text("wait 1 s")
    expect(picks(page).last).to_contain_text(liked)
    page.unroute_all()
    if path == "items?*":
        page.get_by_role("combobox", name="Search").press("ArrowDown")
    else:
        alert.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("heading", name="Recommended")).to_be_focused()
        expect(page.locator("#basis")).to_contain_text("2 picks")
        expect(questions(page)).to_have_count(3)
        expect(rows(page).first.locator(".reason")).not_to_be_empty()
    expect(alert).to_be_empty()
    assert len(errors) > 0  # The browser itself reports every failed request.
    errors.clear()


def test_lost_connection_is_told(page, errors):
    visit(page)
    page.route("**/recommendations", lambda route: route.abort())
    rows(page).first.get_by_role("button", name="I like it").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#basis")).to_contain_text("one pick")
    errors.clear()


def test_key_is_asked_for_and_sent(page, errors):
    def guard(route):
        if route.request.headers.get("authorization") == "Bearer right":
            route.continue_()
        else:
            body = {"title": "Unauthorized", "status": 401, "detail": "no valid API key"}
            route.fulfill(status=401, content_type=PROBLEM, body=json.dumps(body))

    for path in ("recommendations", "explanations", "questions", "items?*", "catalogue"):
        page.route(f"**/{path}", guard)
    page.goto("/")
    key = page.get_by_label("API key", exact=True)
    expect(key).to_be_focused()
    key.fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("did not accept the key")).to_be_visible()
    key.fill("right")
    page.get_by_role("button", name="Use this key").click()
    expect(rows(page)).to_have_count(10)
    expect(questions(page)).to_have_count(3)
    expect(page.get_by_label("Genres")).to_be_visible()
    expect(key).to_be_hidden()
    page.reload()
    expect(rows(page)).to_have_count(10)
    expect(key).to_be_hidden()
    errors.clear()


def test_late_answers_are_dropped(page):
    visit(page)
    held: list[Any] = []

    def hold_the_first(route):
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/recommendations", hold_the_first)
    first, second = questions(page).nth(0), questions(page).nth(1)
    late = title(second)
    with page.expect_event("requestfailed", lambda failed: failed == held[0].request):
        first.get_by_role("button", name="I like it").click()
        second.get_by_role("button", name="I like it").click()
    expect(page.locator("#news")).to_contain_text(late)
    expect(page.locator("#basis")).to_contain_text("2 picks")
    expect(page.get_by_role("alert")).to_be_empty()


def test_last_items_of_the_catalogue(page, url):
    found = page.request.get(f"{url}/items?n=100").json()["items"]
    assert len(found) == N_ITEMS
    keep(page, [{**item, "kind": "interaction"} for item in found[:-2]])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/")
    expect(rows(page)).to_have_count(2)
    expect(questions(page)).to_have_count(2)
    questions(page).first.get_by_role("button", name="Not for me").click()
    expect(rows(page)).to_have_count(1)
    expect(questions(page)).to_have_count(1)
    questions(page).first.get_by_role("button", name="Don't know").click()
    expect(questions(page)).to_have_count(0)
    expect(page.get_by_role("heading", name="Your list")).to_be_focused()
    # Explaining so many picks would take too long.
    assert not any(address.endswith("/explanations") for address in asked)
    expect(page.locator("#basis")).to_contain_text("Reasons are given for up to 30")
    expect(rows(page).first.get_by_role("button", name="Why?")).to_be_hidden()


def test_items_of_another_catalogue_are_marked(page):
    keep(page, [{"item": "gone", "title": "Gone", "kind": "interaction"}])
    visit(page)
    expect(picks(page)).to_contain_text(["not in this catalogue"])
    expect(page.locator("#basis")).to_contain_text("until you pick something")


def test_axe_finds_nothing(page, url):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    come_back(page, url)
    rows(page).first.get_by_role("button", name="Why?").click()
    page.get_by_role("combobox", name="Search").fill("film")
    expect(results(page).first).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
