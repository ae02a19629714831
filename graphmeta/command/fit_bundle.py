"""From interactions to a bundle that can be served."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from rich.console import Console
from torch_geometric.data import HeteroData

from graphmeta.data import (
    FeatureMatrix,
    hold_out_validation,
    load_item_table,
    load_named,
    with_new_items,
)
from graphmeta.errors import DataError, OutputError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.item_filters import aligned_table

Say = Callable[[str], None]


def fit_bundle(
    graph: HeteroData,
    path: Path,
    *,
    items: pd.DataFrame | None = None,
    item: str = "item",
    new_items: FeatureMatrix | None = None,
    epochs: int = 20,
    seed: int = 0,
    say: Say = lambda text: None,
) -> ColdStartRecommender:
    """Train on a graph and write the bundle, whole or not at all.

    A tenth of the users is held out to choose the epoch, the prior and the gate; where they have
    too few interactions for that, all train and none is asked. A training that was stopped goes
    on where it was when it is called again.

    Args:
        graph: The interactions.
        path: The bundle.
        items: What is known of the items, such as titles.
        item: Its column with item ids.
        new_items: Features of items; those without interactions are in the bundle all the same.
        epochs: Most epochs.
        seed: Draws everything.
        say: Is told how it goes.

    Raises:
        DataError: The interactions or the items cannot be used, or what an earlier training left
            is of other interactions.
        OutputError: The bundle cannot be written.
        NonFiniteError: The training is NaN or infinite.
        OutOfMemoryError: The training would need more memory than is free.
    """
    if not path.parent.is_dir():
        raise OutputError(f"no folder {path.parent}; make it first")
    try:
        train, validation = hold_out_validation(graph, seed=seed)
    except DataError as error:
        say(f"no users are held out: {error}")
        train, validation = graph, None
    if items is not None:  # Not after minutes of training.
        aligned_table(items, train["item"].id_map, item=item)
    model = ColdStartRecommender(epochs=epochs, seed=seed)
    partial = path.with_name(f"{path.name}.checkpoint")
    model.fit(
        train,
        validation,
        checkpoint=partial,
        on_epoch=lambda epoch, of, loss: say(f"epoch {epoch} of at most {of}, loss {loss:.3f}"),
    )
    if new_items is not None:
        model = model.refreshed(with_new_items(model.train_graph, new_items))
        n_new = len(model.item_ids) - int(train["item"].num_nodes)
        say(f"items that nobody has interacted with: {n_new}")
    if items is not None:
        model.describe_items(items, item=item)
    model.save(path)
    partial.unlink(missing_ok=True)
    if validation is not None:
        pays = ", ".join(str(k) for k, is_adapted in model.gate.items() if is_adapted)
        say(
            f"NDCG@10 of {len(validation)} held-out users: {max(model.validation_scores):.4f}, "
            "mean over support sizes; adapting "
            + (f"pays at {pays} interactions" if pays else "does not surely pay and is left out")
        )
    return model


def demo_bundle(console: Console) -> Path:
    """Return the bundle of the demonstration, trained on MovieLens where there is none yet.

    It lies in the user's cache folder.

    Raises:
        MissingExtraError: The package that carries the ratings is not installed.
        OutputError: The bundle cannot be written.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphmeta"
    path = cache / "movielens-small.gm"
    if path.exists():
        return path
    graph, items = load_named(), load_item_table()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {cache}: {error.strerror}") from error
    console.print("Training on MovieLens once, a minute or two; the next start is at once.")
    with console.status("training") as status:
        fit_bundle(graph, path, items=items, say=status.update)
    return path
