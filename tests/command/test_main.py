"""The command as a user types it: fit, serve, rank, keys and the demonstration."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

from graphmeta.command.main import main
from graphmeta.command.options import command_parser
from graphmeta.data import planted_interactions
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.histories import OnUnknown
from graphmeta.store.event_source import OnDamaged


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interactions and items as files."""
    folder = tmp_path_factory.mktemp("data")
    table = planted_interactions()
    table.to_csv(folder / "ratings.csv", index=False)
    items = sorted(table["item"].unique())
    films = pd.DataFrame(
        {
            "film": items,
            "title": [f"The Film {item}" for item in items],
            "genres": ["Drama|War" if n % 2 else "Comedy" for n in range(len(items))],
        }
    )
    films.to_parquet(folder / "films.parquet")
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    path = folder / "film.gm"
    given = ["--rating-col", "rating", "--time-col", "time", "--epochs", "1"]
    items = ["--items", str(folder / "films.parquet"), "--items-col", "film"]
    items += ["--multi-hot", "genres"]
    assert main(["fit", str(folder / "ratings.csv"), str(path), *given, *items]) == 0
    return path


def test_fit_writes_a_bundle_and_says_how_good_it_is(
    folder: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = folder / "again.gm"
    assert main(["fit", str(folder / "ratings.csv"), str(again), "--epochs", "1"]) == 0
    said = capsys.readouterr().out
    assert "epoch 1 of at most 1, loss " in said
    assert "NDCG@10 of 14 held-out users: 0." in said
    assert f"serve it with: graphmeta serve {again}\n" in said
    assert not list(folder.glob("*.checkpoint"))
    model = ColdStartRecommender.load(bundle)
    assert model.item_table is not None
    assert model.item_table["title"][0].startswith("The Film i")
    assert model.train_graph["item"].x.shape == (100, 3)
    assert "x" not in ColdStartRecommender.load(again).train_graph["item"]
    # Test users of the protocol train too.
    assert model.train_graph["user"].num_nodes > 0.85 * 200


def test_fit_takes_items_that_nobody_has_interacted_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = pd.read_parquet(folder / "films.parquet")
    new = pd.DataFrame({"film": ["new"], "title": ["A New Film"], "genres": ["Comedy"]})
    pd.concat([films, new]).to_parquet(folder / "more.parquet")
    path = folder / "more.gm"
    call = ["fit", str(folder / "ratings.csv"), str(path), "--epochs", "1", "--new-items"]
    assert main(call) == 2
    assert "new items are known by categories and tokens" in capsys.readouterr().err
    call += ["--items", str(folder / "more.parquet"), "--items-col", "film"]
    assert main([*call, "--numeric", "length"]) == 2  # A number is shared by no two items.
    assert "new items are known by categories and tokens" in capsys.readouterr().err
    assert main([*call, "--multi-hot", "genres"]) == 0
    assert "nobody has interacted with: 1\n" in capsys.readouterr().out
    model = ColdStartRecommender.load(path)
    assert model.item_ids.ids[-1] == "new"
    assert model.item_table is not None
    assert model.item_table["title"].iloc[-1] == "A New Film"
    ranked = model.recommend(["i0", "i2", "i4"], k=98).items
    assert ranked.index("new") < 49  # They like comedies, which half of the films are.


def test_a_fit_that_was_stopped_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["fit", str(folder / "ratings.csv"), str(folder / "resumed.gm"), "--epochs", "3"]
    from graphmeta.command import fit_bundle

    def stop(text: str) -> None:
        if text.startswith("epoch 2"):
            raise KeyboardInterrupt

    fit = fit_bundle.fit_bundle
    monkeypatch.setattr(
        "graphmeta.command.run_commands.fit_bundle", lambda *a, **k: fit(*a, **{**k, "say": stop})
    )
    assert main(call) == 130
    monkeypatch.undo()
    capsys.readouterr()
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "epoch 1 " not in said
    assert "epoch 3 " in said


def test_data_too_small_to_hold_users_out_still_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = planted_interactions().groupby("user").head(3).head(60)
    few.to_csv(tmp_path / "few.csv", index=False)
    path = tmp_path / "few.gm"
    assert main(["fit", str(tmp_path / "few.csv"), str(path), "--epochs", "1"]) == 0
    assert "no users are held out: " in capsys.readouterr().out
    assert len(ColdStartRecommender.load(path).recommend([], 3)) == 3


def test_what_cannot_be_done_is_said(
    folder: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.csv").write_text("")
    ratings, db = str(folder / "ratings.csv"), f"sqlite:///{tmp_path / 'x.db'}"
    for argv, wanted in (
        (["fit", "none.csv", "x.gm"], "no file none.csv"),
        (["fit", str(tmp_path / "empty.csv"), "x.gm"], "is an empty file"),
        (["fit", ratings, "x.gm", "--user-col", "usr"], "did you mean 'user'"),
        (["fit", ratings, str(tmp_path / "no" / "x.gm")], "make it first"),
        (["fit", ratings, "x.gm", "--multi-hot", "genres"], "name their file with --items"),
        (["fit", ratings, "x.gm", "--items", str(folder / "films.parquet")], "no column 'item'"),
        (["serve", "none.gm", "--database", db], "no file none.gm"),
        (["serve", ratings, "--database", db], "is damaged or no bundle"),
        (["serve", str(bundle), "--database", "x"], "database URL cannot be read"),
        (["serve", str(bundle), "--database", db, "--max-queue", "0"], "--max-queue 0: Input"),
        (["serve", str(bundle), "--database", db, "--title", "x"], "no item column 'x'"),
        (["serve", str(bundle), "--database", db, "--host", "0.0.0.0"], "graphmeta keys add NAME"),
        (["rank", "none.gm", ratings, "x", "--workers", "0"], "none.gm; check the path"),
        (["rank", str(bundle), ratings, "x", "--workers", "0"], "are not Parquet files"),
        (["keys", "remove", "x", "--database", db], "there is no key named 'x'"),
    ):
        assert main(argv) == 2, argv
        assert wanted in " ".join(capsys.readouterr().err.split()), argv
    for argv in ([], ["serve"], ["serve", "x", "--port", "0"], ["keys", "add", "x", "--role", "y"]):
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        assert stopped.value.code == 2


def test_rank_writes_a_row_for_each_user(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day, who in enumerate(("ann", "bob")):
        new = pd.DataFrame({"who": [who, "cy"], "film": [f"i{day + 1}", "new"]})
        new.to_parquet(tmp_path / f"day-{day}.parquet")
    (tmp_path / "day-2.parquet").write_bytes(b"PAR1")
    out = tmp_path / "out"
    call = ["rank", str(bundle), *map(str, sorted(tmp_path.glob("day-*"))), str(out), "--k", "3"]
    call += ["--user-col", "who", "--item-col", "film", "--workers", "0"]
    assert main(call) == 2
    assert "day-2.parquet is damaged" in capsys.readouterr().err
    call += ["--on-damaged", "skip", "--on-unknown", "drop"]
    assert main(call) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"left out, damaged: {tmp_path / 'day-2.parquet'}",
        f"3 users are ranked in {out}, 1 of 1 parts now; 2 interactions with unknown items left "
        "out",
    ]
    found = pd.read_parquet(out / "part-00000.parquet")
    assert found["user"].tolist() == ["ann", "bob", "cy"]
    assert found["n_known"].tolist() == [1, 1, 0]
    assert found["items"].map(len).tolist() == [3, 3, 3]
    assert main([*call, "--k", "4"]) == 2
    assert "was begun with k=3, not 4" in capsys.readouterr().err


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heavy = ("graphmeta.serve", "graphmeta.command.run_server")
    for name in [n for n in sys.modules if n.startswith(heavy)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main(["serve", "x.gm"]) == 2
    assert "needs the package fastapi; pip install 'graphmeta[serve]'" in capsys.readouterr().err


def test_help_and_a_mistyped_option_wait_for_no_import() -> None:
    told = (
        "import sys\n"
        "from graphmeta.command.main import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as stopped:\n"
        "    print(stopped.code, 'torch' in sys.modules)\n"
    )
    for typed, code in (["--help"], 0), (["rank", "x.gm", "y", "z", "--on-unknown", "guess"], 2):
        said = subprocess.run(
            [sys.executable, "-c", told, *typed], capture_output=True, text=True, check=True
        )
        assert said.stdout.endswith(f"{code} False\n")


def test_the_choices_are_those_of_the_library() -> None:
    commands = {}
    for action in command_parser()._actions:
        commands |= action.choices or {}
    choices = {action.dest: action.choices for action in commands["rank"]._actions}
    assert choices["on_unknown"] == get_args(OnUnknown)
    assert choices["on_damaged"] == get_args(OnDamaged)


def test_a_port_that_is_taken_is_told_at_once(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = f"sqlite:///{tmp_path / 'x.db'}"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(bundle), "--database", database, "--port", port]) == 2
    said = capsys.readouterr()
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in said.err
    assert "choose another --port" in said.err
    assert said.out == ""
    assert main(["serve", str(bundle), "--database", database, "--host", "no.such.host"]) == 2
    assert "cannot listen on no.such.host" in capsys.readouterr().err


def test_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = ["--database", f"sqlite:///{tmp_path / 'keys.db'}"]
    assert main(["keys", "add", "shop", "--role", "read", *database]) == 0
    assert capsys.readouterr().out.startswith("gm_")
    assert main(["keys", "list", *database]) == 0
    assert capsys.readouterr().out == "shop read\n"
    assert main(["keys", "remove", "shop", *database]) == 0
    assert main(["keys", "list", *database]) == 0
    assert capsys.readouterr().out == ""


@contextmanager
def served(*argv: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the command in a process of its own until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "graphmeta.command.main", *argv, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()
            try:
                ask(f"{url}/health")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.communicate()


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_a_server_swaps_bundles_and_stops_without_dropping_a_request(
    bundle: Path, folder: Path, tmp_path: Path
) -> None:
    live = tmp_path / "live.gm"
    live.write_bytes(bundle.read_bytes())
    model = ColdStartRecommender.load(bundle)
    other = ColdStartRecommender(channels=8, epochs=0).fit(model.train_graph)
    other.save(tmp_path / "other.gm")
    database = f"sqlite:///{tmp_path / 'live.db'}"
    with served("serve", str(live), "--database", database) as (url, process):
        failed: list[BaseException] = []
        answers = [0]
        done = threading.Event()

        def keep_asking() -> None:
            while not done.is_set():
                try:
                    found = ask(f"{url}/recommendations", {"history": [{"item": "i1"}]})
                    assert len(found["items"]) == 10
                    answers[0] += 1
                except BaseException as error:
                    failed.append(error)

        threads = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        models = []
        for path in (tmp_path / "other.gm", bundle, tmp_path / "other.gm"):
            os.replace(copied(path), live)
            before = ask(f"{url}/health")["model"]
            process.send_signal(signal.SIGHUP)
            wait_until(lambda before=before: ask(f"{url}/health")["model"] != before)
            models.append(ask(f"{url}/health")["model"])
        assert models == [other.fingerprint, model.fingerprint, other.fingerprint]
        wait_until(lambda: answers[0] > 20)
        live.write_bytes(b"broken")
        process.send_signal(signal.SIGHUP)
        ask(f"{url}/users/ann%2e%25%2f/events".replace("%2f", ""), {"events": [{"item": "i1"}]})
        assert ask(f"{url}/users/ann%2e%25")["user"] == "ann.%"
        done.set()
        for thread in threads:
            thread.join()
        assert not failed
        process.send_signal(signal.SIGTERM)
        out, log = process.communicate(timeout=30)
        assert process.returncode in (0, -signal.SIGTERM)
    assert url in out
    assert "the model was not reloaded: " in log
    assert "POST /users/{user}/events 200" in log
    assert "ann" not in log.replace("planted", "")


def copied(path: Path) -> Path:
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    return copy


def wait_until(holds: Any) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_demonstration_trains_once_and_shows_a_page(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "graphmeta").mkdir()
    # As an earlier start left it: training it takes a minute.
    (tmp_path / "graphmeta" / "movielens-small.gm").write_bytes(bundle.read_bytes())
    with served("demo") as (url, _):
        with urllib.request.urlopen(url, timeout=30) as page:
            assert b"<h1" in page.read()
        assert ask(f"{url}/catalogue")["columns"].keys() == {"title", "genres"}


def test_the_demonstrations_bundle_has_titles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    from graphmeta.command import fit_bundle

    made = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        fit_bundle, "fit_bundle", lambda graph, path, **options: made.append((graph, path, options))
    )
    path = fit_bundle.demo_bundle(Console(quiet=True))
    ((graph, written, options),) = made
    assert path == written == tmp_path / "graphmeta" / "movielens-small.gm"
    assert {"title", "year", "genres"} <= set(options["items"])
    assert set(graph["item"].id_map.ids) <= set(options["items"]["item"])
