"""Work for several processes or machines, with Ray; needs the extra `scale`."""

from graphmeta.cluster.fit_with_ray import fit_with_ray
from graphmeta.cluster.side_by_side import side_by_side

__all__ = ["fit_with_ray", "side_by_side"]
