"""Ranks millions of new users from Parquet to Parquet, whatever is killed on the way.

More than one worker needs the extra `scale`.
"""

from graphmeta.bulk.bulk_report import BulkReport, PartRanked
from graphmeta.bulk.rank_in_bulk import rank_in_bulk

__all__ = ["BulkReport", "PartRanked", "rank_in_bulk"]
