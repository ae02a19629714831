"""One model of settings: read, checked in one line, written and read back."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphmeta.errors import ConfigError, DataNotFoundError
from graphmeta.experiments.settings import (
    ColdStartSettings,
    changed_settings,
    read_settings,
    settings_toml,
)
from graphmeta.ranking import ColdStartRecommender


def test_round_trip(tmp_path: Path) -> None:
    settings = read_settings(
        None, {"k": ["0", "3"], "data_root": "a folder/é", "lr": "0.02", "quick": True}
    )
    file = tmp_path / "c.toml"
    file.write_text(settings_toml(settings), encoding="utf-8")
    assert read_settings(file) == settings
    assert settings.k == (0, 3)
    assert settings.lr == 0.02
    assert changed_settings(settings, read_settings(file)) == {}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_name_survives_the_file(name: str) -> None:
    import tomllib

    settings = ColdStartSettings(user_col=name, interactions=Path("a.csv"))
    assert tomllib.loads(settings_toml(settings))["user_col"] == name


def test_overrides_come_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "ml-1m"\nepochs = 7\nlr = 0.5\n')
    settings = read_settings(file, {"epochs": "3"})
    assert (settings.data, settings.epochs, settings.lr) == ("ml-1m", 3, 0.5)
    own = read_settings(file, {"interactions": "a.csv"})
    assert own.data is None
    assert own.data_name == "a"


def test_quick_trains_two_epochs() -> None:
    assert ColdStartSettings(quick=True).trained_epochs == 2
    assert ColdStartSettings(quick=True, epochs=1).trained_epochs == 1
    assert ColdStartSettings().trained_epochs == ColdStartSettings().epochs


def test_defaults_are_those_of_the_recommender() -> None:
    built_in = {
        name: option.default
        for name, option in inspect.signature(ColdStartRecommender).parameters.items()
    }
    settings = ColdStartSettings()
    for name in (
        "channels",
        "epochs",
        "min_steps",
        "patience",
        "batch_size",
        "lr",
        "adapted_share",
    ):
        assert getattr(settings, name) == built_in[name]
    assert (settings.users_per_item, settings.items_per_user) == built_in["num_neighbors"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"k": ["a"]}, "setting 'k': .*valid integer.*got 'a'"),
        ({"k": ["-1"]}, "setting 'k': .*greater than or equal to 0, got '-1'"),
        ({"k": []}, "setting 'k': .*at least 1"),
        ({"k": [1, 1]}, "k names a value twice"),
        ({"epochs": 0}, "setting 'epochs'.*got 0"),
        ({"lr": "nan"}, "setting 'lr'"),
        ({"device": "tpu"}, "setting 'device': .*'cpu' or 'cuda'"),
        ({"epoch": 3}, "no setting 'epoch'; did you mean 'epochs'"),
        ({"data": "a", "interactions": "b"}, "exclude each other"),
        ({"rating_col": "r"}, "describe interactions"),
        ({"interactions": "a.csv", "min_rating": 3}, "give rating_col"),
    ],
)
def test_bad_values_are_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(None, values)
    assert "\n" not in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no configuration file"):
        read_settings(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("k = [0,")
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        read_settings(tmp_path / "bad.toml")
