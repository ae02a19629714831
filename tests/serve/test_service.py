"""The service over HTTP, on every kind of database: what it keeps, ranks, says and refuses."""

import json
import logging
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from graphmeta.ranking import ColdStartRecommender

Serve = Callable[..., TestClient]
FILMS = ["i1", "i5", "i9"]


def like(client: TestClient, user: str, *items: str, **options: Any) -> dict[str, Any]:
    events = [{"item": item, **options} for item in items]
    answer = client.post(f"/users/{user}/events", json={"events": events})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ranked(client: TestClient, **wish: Any) -> dict[str, Any]:
    answer = client.post("/recommendations", json=wish)
    assert answer.status_code == 200, answer.text
    return answer.json()


def items(answer: dict[str, Any]) -> list[str]:
    return [item["item"] for item in answer["items"]]


def refused(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content["status"] == status
    return content["detail"]


def test_from_nothing_to_adapted(client: TestClient, model: ColdStartRecommender) -> None:
    start = ranked(client, user="ann", k=5)
    assert (start["source"], start["n_known"]) == ("popular", 0)
    assert items(start) == list(model.recommend([], 5).items)
    assert like(client, "ann", *FILMS) == {"user": "ann", "kept": 3, "unknown_items": []}
    found = ranked(client, user="ann", k=5)
    assert (found["source"], found["n_known"]) == ("adapted", 3)
    assert not set(items(found)) & set(FILMS)
    # The training times of this bundle are an order, which a clock does not continue.
    wanted = model.recommend(FILMS, 5)
    assert items(found) == list(wanted.items)
    scores = [item["score"] for item in found["items"]]
    assert scores == pytest.approx(list(wanted.scores), abs=1e-4)
    assert items(ranked(client, history=[{"item": item} for item in FILMS], k=5)) == items(found)


def test_the_state_is_kept_and_used_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    like(client, "ann", *FILMS)
    assert client.get("/users/ann").json()["state_bytes"] == 0
    first = ranked(client, user="ann")
    assert client.get("/users/ann").json()["state_bytes"] > 500
    scorer = type(client.app.state.service.served.model.fitted)  # type: ignore[attr-defined]
    monkeypatch.setattr(scorer, "adapt", lambda *_: pytest.fail("was adapted again"))
    assert ranked(client, user="ann") == first


def test_a_click_changes_the_list_and_taking_it_back_restores_it(client: TestClient) -> None:
    like(client, "ann", *FILMS)
    before = ranked(client, user="ann")
    best = items(before)[0]
    like(client, "ann", best, kind="dismissed")
    assert best not in items(ranked(client, user="ann"))
    assert client.delete(f"/users/ann/events/{best}").status_code == 204
    assert ranked(client, user="ann") == before
    like(client, "ann", best)
    assert ranked(client, user="ann")["n_known"] == 4


def test_events_of_items_that_the_model_does_not_know_are_kept(client: TestClient) -> None:
    kept = like(client, "ann", "i1", "new-film", "i2", "new-film")
    assert kept == {"user": "ann", "kept": 3, "unknown_items": ["new-film"]}
    found = ranked(client, user="ann")
    assert (found["n_known"], found["unknown_items"]) == (2, ["new-film"])
    assert [e["item"] for e in client.get("/users/ann").json()["events"]] == [
        "i1",
        "i2",
        "new-film",
    ]


def test_ratings_and_times_reach_the_model(client: TestClient) -> None:
    def scores(**options: Any) -> list[float]:
        history = [{"item": item, **options} for item in FILMS]
        return [item["score"] for item in ranked(client, history=history)["items"]]

    assert scores(rating=5) != scores(rating=1)
    like(client, "ann", "i1", time=30.0)
    like(client, "ann", "i5", time=10.0)
    assert [e["item"] for e in client.get("/users/ann").json()["events"]] == ["i5", "i1"]


def test_wishes(client: TestClient) -> None:
    history = [{"item": item} for item in FILMS]
    drama = ranked(client, history=history, k=8, filters={"genres": "War", "year": {"min": 2000}})
    assert all("War" in i["about"]["genres"] and i["about"]["year"] >= 2000 for i in drama["items"])
    some = ranked(client, history=history, k=2, include=["i20", "i21", "i22"], exclude=["i21"])
    assert set(items(some)) == {"i20", "i22"}
    assert set(items(ranked(client, history=history, include=["i20", "i1"]))) == {"i20"}
    assert items(ranked(client, history=history, filters={"genres": "Western"})) == []
    western = {"history": history, "filters": {"genres": "Western"}}
    assert client.post("/explanations", json=western).json()["items"] == []
    assert len(items(ranked(client, history=[], k=10_000))) == 100
    plain = items(ranked(client, history=history))
    assert items(ranked(client, history=history, niche=3)) != plain
    assert items(ranked(client, history=history, niche=0)) == plain


def test_reasons(client: TestClient) -> None:
    like(client, "ann", *FILMS)
    answer = client.post("/explanations", json={"user": "ann", "k": 2, "n_paths": 2})
    assert answer.status_code == 200
    found = answer.json()
    assert items(found) == items(ranked(client, user="ann", k=2))
    for item in found["items"]:
        assert {reason["item"] for reason in item["because"]} == set(FILMS)
        assert item["because"][0]["effect"] == max(r["effect"] for r in item["because"])
        assert 0 < len(item["paths"]) <= 4
        assert {"prior", "vote", "adaptation"} <= set(item["parts"])
    nobody = client.post("/explanations", json={"history": [], "k": 1}).json()
    assert nobody["items"][0]["because"] == []


def test_questions(client: TestClient) -> None:
    first = client.post("/questions", json={"user": "ann", "n": 3}).json()
    assert len(set(items(first))) == 3
    like(client, "ann", items(first)[0], kind="unknown")
    again = client.post("/questions", json={"user": "ann", "n": 99}).json()
    assert items(first)[0] not in items(again)
    # What a user does not know may be recommended; it is no interaction.
    assert ranked(client, user="ann")["n_known"] == 0
    assert len(client.post("/questions", json={"user": "ann", "n": 100}).json()["items"]) == 99


def test_the_catalogue(client: TestClient) -> None:
    found = client.get("/items", params={"search": "film 7", "n": 5}).json()["items"]
    assert {"The Film 7", "The Film 17"} <= {item["title"] for item in found}
    assert (
        client.get("/items", params={"search": "فيلم"}).json()["items"][0]["title"] == "فيلم جديد"
    )
    assert client.get("/items", params={"search": "no such film"}).json() == {"items": []}
    row = client.get("/items/i1").json()
    assert (row["item"], set(row["about"])) == ("i1", {"title", "genres", "year"})
    assert refused(client.get("/items/none"), 404) == "no such item in the catalogue"
    about = client.get("/catalogue").json()
    assert (about["n_items"], set(about["columns"])) == (100, {"title", "genres", "year"})


def test_forgetting_a_user(client: TestClient, tmp_path: Path) -> None:
    like(client, "ann-secret-name", *FILMS, "item-secret-name")
    ranked(client, user="ann-secret-name")
    assert client.delete("/users/ann-secret-name").status_code == 204
    assert client.delete("/users/ann-secret-name").status_code == 204
    detail = refused(client.get("/users/ann-secret-name"), 404)
    assert detail == "nothing is kept of this user"
    assert ranked(client, user="ann-secret-name")["source"] == "popular"
    for path in tmp_path.iterdir():
        assert b"secret-name" not in path.read_bytes()


def test_a_deletion_that_leaves_traces_is_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    like(client, "ann", *FILMS)
    store = client.app.state.service.store  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(store, "_is_sqlite", True)
        patch.setattr(store, "_empties_log", lambda: False)
        patch.setattr("graphmeta.serve.store.BETWEEN", 0)
        answer = client.delete("/users/ann")
    assert "traces remain" in refused(answer, 503)
    assert answer.headers["retry-after"] == "5"
    refused(client.get("/users/ann"), 404)
    assert client.delete("/users/ann").status_code == 204


def test_health_and_metrics(client: TestClient, model: ColdStartRecommender) -> None:
    like(client, "ann-secret-name", *FILMS)
    ranked(client, user="ann-secret-name")
    assert client.get("/health").json() == {
        "status": "ok",
        "model": model.fingerprint,
        "n_items": 100,
    }
    text = client.get("/metrics").text
    assert 'graphmeta_ranked_users_total{source="adapted"} 1.0' in text
    route = 'method="POST",route="/users/{user}/events",status="200"'
    assert f"graphmeta_requests_total{{{route}}} 1.0" in text
    assert "secret" not in text


BAD = [
    ("/recommendations", b"{", "body"),
    ("/recommendations", b"[]", "body"),
    ("/recommendations", b'{"history": [], "user": "ann"}', "give either user or history"),
    ("/recommendations", b"{}", "give either user or history"),
    ("/recommendations", b'{"history": [], "k": 0}', "greater than or equal to 1"),
    ("/recommendations", b'{"history": [], "k": 1000000}', "less than or equal to 10000"),
    ("/recommendations", b'{"history": [], "niche": NaN}', "finite"),
    ("/recommendations", b'{"history": [], "niche": 9}', "less than or equal to 4"),
    ("/recommendations", b'{"history": [], "exclude": ["no"]}', "exclude: 1 of 1 ids are unknown"),
    ("/recommendations", b'{"history": [], "filters": {"genre": "War"}}', "no column 'genre'"),
    ("/recommendations", b'{"history": [], "filters": {"year": {}}}', "give min, max or both"),
    ("/recommendations", b'{"history": [], "filters": {"year": {"min": "a"}}}', "not compare"),
    ("/recommendations", b'{"history": [], "colour": 1}', "Extra inputs"),
    ("/recommendations", b'{"user": "a\\u0000b"}', "pattern"),
    ("/recommendations", b'{"user": "\\ud800"}', "body"),
    ("/recommendations", b'{"user": "a/b"}', "a user's id holds no '/'; give the user another id"),
    ("/recommendations", b'{"user": "' + b"x" * 257 + b'"}', "at most 256"),
    ("/users/ann/events", b'{"events": []}', "at least 1"),
    ("/users/ann/events", b'{"events": [{"item": "i1", "time": 1e12}]}', "lies in the future"),
    ("/users/ann/events", b'{"events": [{"item": "i1", "time": -1}]}', "greater than or equal"),
    ("/users/ann/events", b'{"events": [{"item": "i1", "rating": Infinity}]}', "finite"),
    ("/users/ann/events", b'{"events": [{"item": "i1", "rating": true}]}', "valid number"),
    ("/users/ann/events", b'{"events": [{"item": ""}]}', "at least 1"),
    ("/users/ann/events", b'{"events": [{"item": "a"}, {"item": "a", "kind": "unknown"}]}', "once"),
    ("/users/ann/events", b'{"events": [{"item": "a", "kind": "liked"}]}', "interaction"),
    ("/questions", b'{"history": [], "n": 0}', "greater than or equal to 1"),
    ("/questions", b'{"history": [], "n": true}', "valid integer"),
]


def test_bad_requests_are_told_what_is_wrong_and_change_nothing(client: TestClient) -> None:
    like(client, "ann", "i1")
    before = client.get("/users/ann").json()
    for path, body, wanted in BAD:
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        assert wanted in refused(answer, 422) + answer.text, body
    assert client.get("/users/ann").json() == before
    assert refused(client.get("/no/such/page"), 404)
    assert refused(client.put("/recommendations"), 405)
    detail = refused(client.post("/recommendations", content=b" " * 1_000_001), 413)
    assert detail == "the body exceeds 1000000 bytes; send less at a time"


def test_any_text_is_a_user_or_an_item(client: TestClient) -> None:
    for text in ["'; DROP TABLE users; --", "🎬", "فيلم", "a b?c=d&e#f", "<b>"]:
        user = {"events": [{"item": text}]}
        path = f"/users/{quoted(text)}"
        assert client.post(f"{path}/events", json=user).json()["unknown_items"] == [text]
        assert client.get(path).json()["events"][0]["item"] == text
        assert client.delete(f"{path}/events/{quoted(text)}").status_code == 204
        assert client.get(path).json()["events"] == []


def test_a_user_with_a_slash_is_not_taken_for_another(client: TestClient) -> None:
    like(client, "ann", "i1", "b/events/i1")
    for path in ("ann%2Fevents%2Fi1", "ann%2fevents/b%2Fevents%2Fi1", "x%2Fann/events/i1"):
        answer = client.delete(f"/users/{path}")
        assert answer.status_code in (404, 405, 422), path
    assert "holds no '/'" in refused(client.delete("/users/ann%2Fevents%2Fi1"), 422)
    assert len(client.get("/users/ann").json()["events"]) == 2
    assert client.delete("/users/ann/events/b%2Fevents%2Fi1").status_code == 204
    assert len(client.get("/users/ann").json()["events"]) == 1


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def test_keys_and_roles(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    store = client.app.state.service.store  # type: ignore[attr-defined]
    keys = {role: store.add_key(role, role) for role in ("read", "write", "admin")}

    def status(role: str | None, method: str, path: str, body: Any = None) -> int:
        headers = {} if role is None else {"Authorization": f"Bearer {keys.get(role, role)}"}
        return client.request(method, path, json=body, headers=headers).status_code

    calls = {
        "read": ("POST", "/recommendations", {"history": []}),
        "write": ("POST", "/users/ann/events", {"events": [{"item": "i1"}]}),
        "admin": ("DELETE", "/users/ann", None),
    }
    order = list(calls)
    for role in order:
        for needed, call in calls.items():
            allowed = order.index(role) >= order.index(needed)
            assert (status(role, *call) < 300) == allowed
            if not allowed:
                assert status(role, *call) == 403
    for call in calls.values():
        assert status(None, *call) == 401
        assert status("gm_wrong", *call) == 401
    answer = client.get("/metrics")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "send one as 'Authorization: Bearer" in refused(answer, 401)
    assert client.get("/health").status_code == 200  # For who watches the machine.
    assert not any(key in caplog.text for key in keys.values())


def test_the_last_key_is_removed(serve: Serve) -> None:
    client = serve(needs_key=True)
    store = client.app.state.service.store  # type: ignore[attr-defined]
    wish = {"history": []}
    refused(client.post("/recommendations", json=wish), 401)
    key = {"Authorization": f"Bearer {store.add_key('shop', 'admin')}"}
    assert client.post("/recommendations", json=wish, headers=key).status_code == 200
    store.remove_key("shop")
    refused(client.post("/recommendations", json=wish), 401)
    refused(client.delete("/users/ann", headers=key), 401)


def test_no_user_is_in_a_log(
    client: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    like(client, "ann-secret-name", "item-secret-name")
    client.post("/recommendations", json={"user": "ann-secret-name", "k": 0})
    service = client.app.state.service  # type: ignore[attr-defined]

    def fails(user: str) -> None:
        raise KeyError(user)

    monkeypatch.setattr(service.store, "read", fails)
    answer = client.post("/recommendations", json={"user": "ann-secret-name"})
    assert refused(answer, 500) == "something is wrong in the service; it was logged"
    said = [r for r in caplog.records if not r.name.startswith("http")]  # Those are the client's.
    assert any("unforeseen" in record.getMessage() for record in said)
    whole = "\n".join(map(logging.Formatter().format, said))
    assert "raise KeyError(user)" in whole  # Where it was, without what it was about.
    assert "secret-name" not in whole


def test_a_new_bundle_is_taken_into_service(
    client: TestClient, bundle: Path, model: ColdStartRecommender
) -> None:
    like(client, "ann", *FILMS)
    before = ranked(client, user="ann")
    old = bundle.read_bytes()
    try:
        bundle.write_bytes(old[:-100])
        detail = refused(client.post("/model/reload"), 422)
        assert "is damaged or no bundle" in detail
        assert ranked(client, user="ann") == before
        bundle.unlink()
        assert "no file" in refused(client.post("/model/reload"), 409)
        assert ranked(client, user="ann") == before
        other = ColdStartRecommender(channels=8, epochs=0, seed=5).fit(model.train_graph)
        other.save(bundle)
        assert client.post("/model/reload").json()["model"] == other.fingerprint
        # The state of the old model is of no use; the user is adapted by the new one.
        assert items(ranked(client, user="ann")) == list(other.recommend(FILMS).items)
    finally:
        bundle.write_bytes(old)
    assert client.post("/model/reload").json()["status"] == "ok"
    assert ranked(client, user="ann") == before


def test_a_full_disk_refuses_and_loses_nothing(serve: Serve, tmp_path: Path) -> None:
    client = serve(database=f"sqlite:///{tmp_path / 'full.db'}")
    like(client, "ann", "i1")
    size = (tmp_path / "full.db-wal").stat().st_size
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    many = {"events": [{"item": f"i{n}"} for n in range(1000)]}
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, limit[1]))
    try:
        answer = client.post("/users/bob/events", json=many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "nothing was kept, come again" in refused(answer, 503)
    assert answer.headers["retry-after"] == "5"
    assert client.get("/users/bob").status_code == 404
    assert client.post("/users/bob/events", json=many).json()["kept"] == 1000
    assert len(client.get("/users/ann").json()["events"]) == 1


def test_a_read_only_disk_refuses_and_still_ranks(serve: Serve, tmp_path: Path) -> None:
    client = serve(database=f"sqlite:///{tmp_path / 'readonly.db'}")
    like(client, "ann", *FILMS)
    engine = client.app.state.service.store._engine  # type: ignore[attr-defined]

    def read_only(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA query_only = ON")

    engine.dispose()
    sa.event.listen(engine, "connect", read_only)
    refused(client.post("/users/ann/events", json={"events": [{"item": "i2"}]}), 503)
    assert ranked(client, user="ann")["n_known"] == 3  # Its state cannot be kept; it is ranked.
    assert "graphmeta_lost_states_total 1.0" in client.get("/metrics").text
    sa.event.remove(engine, "connect", read_only)
    engine.dispose()
    assert like(client, "ann", "i2")["kept"] == 1


def test_a_database_goes_away_and_comes_back(serve: Serve, database: str, tmp_path: Path) -> None:
    client = serve()
    like(client, "ann", *FILMS)
    path = tmp_path / "service.db"
    away = tmp_path / "away"
    if database.startswith("sqlite"):
        client.app.state.service.store.close()  # type: ignore[attr-defined]
        away.mkdir()
        moved = [file.name for file in tmp_path.glob("service.db*")]
        for name in moved:
            (tmp_path / name).rename(away / name)
        path.mkdir()  # Nothing that could be opened as a file.
    else:
        url = sa.make_url(database)
        admin = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(sa.text(end), {"name": url.database})
    answer = client.post("/users/ann/events", json={"events": [{"item": "i2"}]})
    assert "nothing was kept, come again" in refused(answer, 503)
    refused(client.get("/health"), 503)
    # Who may ask is in the database as well.
    refused(client.post("/recommendations", json={"history": []}), 503)
    if database.startswith("sqlite"):
        path.rmdir()
        for name in moved:
            (away / name).rename(tmp_path / name)
    else:
        with admin.connect() as connection:
            connection.execute(sa.text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true"))
        admin.dispose()
    assert client.get("/health").status_code == 200
    like(client, "ann", "i2")
    assert ranked(client, user="ann")["n_known"] == 4


def test_the_description_names_every_problem(client: TestClient) -> None:
    about = client.get("/openapi.json").json()
    assert about["components"]["schemas"]["Problem"]["properties"].keys() >= {"type", "detail"}
    for path, methods in about["paths"].items():
        for method, said in methods.items():
            refusal = said["responses"]["422"]["content"]
            assert "application/problem+json" in refusal, (path, method)
    assert json.dumps(about).count("ValidationError") == 0
    wish = about["components"]["schemas"]["Wish"]
    example = wish["examples"][0]
    assert client.post("/recommendations", json=example).status_code == 200
