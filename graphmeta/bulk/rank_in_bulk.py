"""Ranks for all users of Parquet files, each once, and goes on where it was stopped."""

from __future__ import annotations

import contextlib
import os
import time as clock
import warnings
from collections.abc import Callable, Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from graphmeta.bulk.bulk_folder import BulkFolder, digest, marks, refuse_other_settings
from graphmeta.bulk.bulk_report import BulkReport, PartRanked
from graphmeta.bulk.gather import Gathered, gather, parquet_source
from graphmeta.bulk.part_ranker import PartRanker, PartTask
from graphmeta.bulk.ray_workers import rank_with_ray
from graphmeta.cluster.ray_cluster import refuse_without_ray
from graphmeta.errors import ConfigError, DataNotFoundError
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.histories import OnUnknown
from graphmeta.store.event_source import OnDamaged
from graphmeta.store.events import Columns

# Whatever the bytes of a part depend on, beside the settings.
MADE_WITH = ("graphmeta", "torch", "pyarrow")


def rank_in_bulk(
    bundle: str | Path,
    histories: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    k: int = 10,
    user: str = "user",
    item: str = "item",
    rating: str | None = None,
    time: str | None = None,
    workers: int | None = None,
    batch_users: int | None = None,
    part_users: int = 8192,
    on_unknown: OnUnknown = "raise",
    on_damaged: OnDamaged = "error",
    memory: str = "1GB",
    on_part: Callable[[PartRanked], object] | None = None,
) -> BulkReport:
    """Rank for all users of Parquet files and write one row for each, in Parquet files.

    The interactions are gathered by user first, wherever they lie; then users are ranked in parts,
    each of which becomes a file, whole or not at all. Whatever stops the job, the same call goes
    on with the parts that are missing and comes to the same bytes, with any number of workers. A
    worker that is killed is started again, and its part ranked again.

    The files `part-00000.parquet` and so on have the columns `user`, `items` and `scores` (best
    first, as `recommend_table` ranks them; fewer than `k` where fewer are left), `source` (as in
    `Ranking`) and `n_known`, how many items of the catalogue the user has shown.

    Args:
        bundle: The file of a model, as `ColdStartRecommender.save` writes it.
        histories: A Parquet file, a folder, a pattern such as `day-*.parquet`, or several of them;
            a row per interaction. A user's rows stand oldest first, in the order of the files'
            names, unless there is a time.
        out: The folder of the parts: a new one, or that of an earlier run.
        k: How many items each user gets.
        user: Column with user ids, whole numbers or texts.
        item: Column with item ids.
        rating: Column with ratings, or None.
        time: Column with seconds since 1970 or dates, which set the order, or None.
        workers: How many processes rank, with Ray; None for as many as there are processors, and
            0 to rank in this one, without Ray.
        batch_users: How many users are ranked at once; None for the model's `batch_size`.
        part_users: About how many users make a part.
        on_unknown: What to do about items that the model does not know: "raise" before anything is
            ranked, or leave them out with ("warn") or without ("drop") a warning. A user of whom
            nothing is known gets popular items.
        on_damaged: Refuse files that are cut short or damaged, or leave them out.
        memory: What gathering may use; beyond that it goes on on disk.
        on_part: Is told of every part that was written.

    Raises:
        ConfigError: An option cannot work, the folder was begun with other options, files or
            another model, or another run is at work in it.
        DataNotFoundError: There is no such bundle, or no such file.
        DataError: The bundle or the interactions cannot be used.
        UnknownIdError: An item is not in the catalogue, and `on_unknown` is "raise".
        MissingExtraError: There are to be workers, and Ray is not installed.
        OutputError: The disk is full.
        OutOfMemoryError: Ranking needs more memory than is free, or gathering more than `memory`.
        DistributedError: A worker died again and again.
    """
    least = {"k": (k, 1), "part_users": (part_users, 1)}
    least |= {"batch_users": (1 if batch_users is None else batch_users, 1)}
    least |= {"workers": (0 if workers is None else workers, 0)}
    for name, (value, lowest) in least.items():
        if value < lowest:
            raise ConfigError(f"{name}={value} is too low; give at least {lowest}")
    choices = {"on_unknown": (on_unknown, OnUnknown), "on_damaged": (on_damaged, OnDamaged)}
    for name, (chosen, known) in choices.items():
        if chosen not in get_args(known):
            raise ConfigError(f"{name}={chosen!r} must be one of {get_args(known)}")
    if workers != 0:
        refuse_without_ray("rank in this process with workers=0")
    bundle = Path(bundle).absolute()
    if not bundle.is_file():
        raise DataNotFoundError(f"no file {bundle}; check the path")
    bundle_digest, model = digest(bundle), ColdStartRecommender.load(bundle)
    item_ids = model.item_ids
    if k > len(item_ids):
        raise ConfigError(f"k={k} exceeds the {len(item_ids)} items of the model; lower k")
    batch_users = batch_users or model.fitted.batch_size
    columns = Columns(user=user, item=item, rating=rating, time=time)
    source = parquet_source(histories, columns, on_damaged)
    settings = {
        "bundle": bundle_digest,
        "histories": marks(sorted((*source.files, *source.skipped))),
        "columns": columns.model_dump(include={"user", "item", "rating", "time"}),
        "k": k,
        "batch_users": batch_users,
        "part_users": part_users,
        "on_unknown": on_unknown,
        "on_damaged": on_damaged,
        "made_with": {name: version(name) for name in MADE_WITH},
    }
    folder = BulkFolder(Path(out).absolute())
    with folder.alone():
        begun = clock.perf_counter()
        found = _gathered(
            folder,
            settings,
            lambda: gather(
                source,
                columns,
                item_ids,
                folder.histories,
                on_unknown=on_unknown,
                on_damaged=on_damaged,
                part_users=part_users,
                memory=memory,
            ),
        )
        if found.unknown and on_unknown == "warn":
            warnings.warn(
                f"histories: {found.unknown} interactions are with items that the model does not "
                "know, and are left out",
                UserWarning,
                stacklevel=2,
            )
        gathered = clock.perf_counter()
        missing = folder.missing(found.parts)
        task = PartTask(bundle, bundle_digest, folder.histories, k, batch_users)
        del model, item_ids  # The workers hold it.
        done = found.parts - len(missing)
        # Workers stop at once where this process cannot go on.
        with contextlib.closing(_ranked(task, missing, workers)) as ranked:
            for part, content, worker in ranked:
                folder.write_part(part, content)
                done += 1
                if on_part is not None:
                    on_part(PartRanked(part, done, found.parts, worker))
        _finish(folder, settings, found)
    return BulkReport(
        folder=Path(out),
        users=found.users,
        parts=found.parts,
        parts_now=len(missing),
        unknown=found.unknown,
        skipped=found.skipped,
        gather_seconds=gathered - begun,
        rank_seconds=clock.perf_counter() - gathered,
    )


def _gathered(
    folder: BulkFolder, settings: dict[str, Any], run: Callable[[], Gathered]
) -> Gathered:
    """Gather the interactions, unless an earlier run did.

    Raises:
        ConfigError: The job was begun otherwise, or the files have changed.
    """
    manifest, before = folder.manifest(), None
    if "gathered" in manifest:  # Before that nothing was begun that another call could not do.
        refuse_other_settings(manifest["settings"], settings, folder.path)
        before = Gathered.of_json(manifest["gathered"])
        if folder.histories.exists() or not folder.missing(before.parts):
            return before
    folder.make_work()
    found = run()
    if before and before != found:
        raise ConfigError(f"the files have changed since {folder.path} was begun; name another")
    folder.write_manifest({"settings": settings, "gathered": found.to_json()})
    return found


def _ranked(
    task: PartTask, parts: Sequence[int], workers: int | None
) -> Generator[tuple[int, bytes, int], None, None]:
    if not parts:
        return
    if workers != 0:
        yield from rank_with_ray(task, parts, workers)
        return
    ranker = PartRanker(task)
    for part in parts:
        yield part, ranker.rank(part), os.getpid()


def _finish(folder: BulkFolder, settings: dict[str, Any], found: Gathered) -> None:
    """Write down what was made, and remove what was only needed for it."""
    manifest = folder.manifest()
    if "parts" not in manifest:
        parts = [folder.part(number) for number in range(found.parts)]
        digests = {path.name: digest(path) for path in parts}
        content = {"settings": settings, "gathered": found.to_json(), "parts": digests}
        folder.write_manifest(content)
    folder.clear_work()
