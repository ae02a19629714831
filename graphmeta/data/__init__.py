"""Interactions from any source, as a bipartite graph, split and audited."""

from graphmeta.data.audit import AuditReport, audit_leakage, audit_split
from graphmeta.data.bipartite_graph import bipartite_graph
from graphmeta.data.cold_item_split import split_cold_items
from graphmeta.data.cold_user_masks import ColdUserMasks
from graphmeta.data.cold_users import ColdSplit, ColdUsers, Support
from graphmeta.data.collusion import collusion
from graphmeta.data.cross_domain_split import split_cross_domain, target_alone
from graphmeta.data.domains import join_domains, split_domains, with_domains
from graphmeta.data.fake_clicks import with_clicked_users, with_clicks
from graphmeta.data.features import FeatureMatrix, feature_matrix
from graphmeta.data.file import from_file, from_sql, read_file
from graphmeta.data.global_time_split import split_global_time
from graphmeta.data.id_map import IdMap
from graphmeta.data.links import with_links
from graphmeta.data.named_sets import (
    NamedSet,
    load_edge_column,
    load_item_table,
    load_named,
    named_sets,
)
from graphmeta.data.networkx_graph import from_networkx, to_networkx
from graphmeta.data.new_items import with_new_items
from graphmeta.data.power_law import write_power_law
from graphmeta.data.pyg import from_pyg
from graphmeta.data.rated_split import (
    RatedSplit,
    RatedUsers,
    split_rated_parts,
    split_rated_users,
)
from graphmeta.data.scipy_matrix import from_scipy, to_scipy
from graphmeta.data.shilling import inject_profiles, less_known_items
from graphmeta.data.split import hold_out_validation, split_cold_users, split_hash
from graphmeta.data.support_query_masks import SupportQueryMasks
from graphmeta.data.suspects import suspicion, without_users
from graphmeta.data.synthetic import planted_interactions
from graphmeta.data.table import from_frame
from graphmeta.data.visible_graph import VisibleGraph
from graphmeta.data.warm_split import split_warm_users

__all__ = [
    "AuditReport",
    "ColdSplit",
    "ColdUserMasks",
    "ColdUsers",
    "FeatureMatrix",
    "IdMap",
    "NamedSet",
    "RatedSplit",
    "RatedUsers",
    "Support",
    "SupportQueryMasks",
    "VisibleGraph",
    "audit_leakage",
    "audit_split",
    "bipartite_graph",
    "collusion",
    "feature_matrix",
    "from_file",
    "from_frame",
    "from_networkx",
    "from_pyg",
    "from_scipy",
    "from_sql",
    "hold_out_validation",
    "inject_profiles",
    "join_domains",
    "less_known_items",
    "load_edge_column",
    "load_item_table",
    "load_named",
    "named_sets",
    "planted_interactions",
    "read_file",
    "split_cold_items",
    "split_cold_users",
    "split_cross_domain",
    "split_domains",
    "split_global_time",
    "split_hash",
    "split_rated_parts",
    "split_rated_users",
    "split_warm_users",
    "suspicion",
    "target_alone",
    "to_networkx",
    "to_scipy",
    "with_clicked_users",
    "with_clicks",
    "with_domains",
    "with_links",
    "with_new_items",
    "without_users",
    "write_power_law",
]
