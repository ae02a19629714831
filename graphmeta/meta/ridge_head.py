"""A user's embedding in closed form: ridge regression with the encoder's embedding as prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphmeta.encoders.at_rest import AtRest
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta.learner import USER, FastWeights, Learner
from graphmeta.tasks.episode import EpisodeBatch


class RidgeHead(Learner):
    """Corrects a user's embedding by the exact solution of a ridge regression on the support.

    With F the items' output embeddings over sqrt(c), S the support of size k and z the encoder's
    embedding of the user, the adapted embedding p minimises

        1/k sum_{i in S} (1 - p . F_i)^2 + g sum_{j not in S} (p . F_j)^2 + r |p - z|^2

    that is `(g F^T F + (1/k - g) F_S^T F_S + r I) p = 1/k F_S^T 1 + r z`. The weights `g` and `r`
    are learnt through the solution, as is the encoder (Bertinetto et al., "Meta-learning with
    differentiable closed-form solvers", ICLR 2019). With fixed embeddings this is the fold-in of
    iALS (Hu et al., ICDM 2008) with prior z; the mean over the support, where iALS has the sum,
    keeps the step from growing with k. By Woodbury's identity a user costs a system of the size
    of the support; the rest is shared by all, and between trainings solved once.

    Unlike a gradient learner with a leave-one-out loss it adapts to a single edge.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        negatives: Where `g` starts.
        ridge: Where `r` starts.
        is_batched: As in `Learner`.

    Raises:
        ConfigError: A weight is not positive.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        negatives: float = 1e-3,
        ridge: float = 1.5,
        is_batched: bool = True,
    ) -> None:
        super().__init__(encoder, is_batched=is_batched)
        if min(negatives, ridge) <= 0:
            raise ConfigError(f"negatives={negatives} and ridge={ridge} must be above 0")
        self._gram: AtRest[Tensor] = AtRest()
        self.log_weights = nn.Parameter(torch.tensor([negatives, ridge]).log())

    def adapt(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        *,
        generator: torch.Generator | None = None,
    ) -> FastWeights:
        """Return each user's embedding; the encoder's where nothing was shown.

        Shapes:
            output: `user`, float32, `[n_episodes, c]`.
        """
        z = self._for_head(self.encode(episodes, {}, head.x_dict(episodes)), head)
        support = episodes.support
        items, scale = head.table.output, head.table.channels**-0.5
        gram = self._gram.get([items], lambda: scale**2 * items.T @ items)
        # Not `items[...]`: threads add up the gradient of that in any order.
        shown = nn.functional.embedding(support.item_index.clamp(min=0), items)
        shown = shown * (scale * support.mask.unsqueeze(2))
        solved = self.solve(z, gram, shown, support.size)
        return {USER: torch.where((support.size > 0).unsqueeze(1), solved, z)}

    def solve(self, z: Tensor, gram: Tensor, shown: Tensor, size: Tensor) -> Tensor:
        """Return the minimisers.

        Shapes:
            z: `[n, c]`.
            gram: `[c, c]`; `F^T F`.
            shown: `[n, k, c]`, zero where padded.
            size: int64, `[n]`; how many are shown.
            output: `[n, c]`.
        """
        negatives, ridge = self.log_weights.exp()
        share = 1 / size.clamp(min=1).to(z.dtype).unsqueeze(1)
        identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        factor = torch.linalg.cholesky(negatives * gram + ridge * identity)
        right = share * shown.sum(1) + ridge * z
        # A^-1 b and A^-1 F_S^T for all users at once, then one k x k system for each.
        n, k, c = shown.shape
        columns = torch.cat([right, shown.reshape(n * k, c)]).T
        solved = torch.cholesky_solve(columns, factor).T
        plain, heard = solved[:n], solved[n:].view(n, k, c)
        # (I + e F_S A^-1 F_S^T) x = e F_S A^-1 b: e = 1/k - g, not inverted, may be 0 or below.
        extra = share - negatives
        each = torch.eye(k, dtype=gram.dtype, device=gram.device)
        inner = each + extra.unsqueeze(2) * (shown @ heard.transpose(1, 2))
        misfit = extra * (shown @ plain.unsqueeze(2)).squeeze(2)
        correction = torch.linalg.solve(inner, misfit.unsqueeze(2)).squeeze(2)
        return plain - (correction.unsqueeze(1) @ heard).squeeze(1)
