"""Says before training what an encoder would break under adaptation."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from graphmeta.data import from_frame, planted_interactions
from graphmeta.data.cold_users import Support
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError, EncoderError
from graphmeta.meta.maml import MAML
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

TOLERANCE = 1e-4


@dataclass(frozen=True)
class EncoderReport:
    """What `check_encoder` found.

    Args:
        can_adapt: A learner can adapt the encoder, if need be one user after the other.
        can_batch: It can do so for many users at once, which is the faster by far.
        advice: One line for each thing to know, with what to do; empty where all is well.
    """

    can_adapt: bool
    can_batch: bool
    advice: tuple[str, ...] = ()


def check_encoder(encoder: nn.Module, *, channels: int) -> EncoderReport:
    """Try an encoder on a few users of a small planted graph, as MAML would use it.

    The encoder itself is left as it was; a copy is tried, in float32 on the CPU.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}` for the node
            types user and item and the edge types `(user, rates, item)`, `(item, rev_rates, user)`.
        channels: Its width in and out.

    Raises:
        ConfigError: `channels` is not positive.
    """
    if any(is_lazy(parameter) for parameter in encoder.parameters()):
        return _refused(
            "its shapes are lazy; run one batch through it first, or give the widths as numbers"
        )
    encoder = copy.deepcopy(encoder).to("cpu", torch.float32)
    graph = from_frame(planted_interactions(30, 20, per_user=6), time="time")
    head = CatalogueHead(graph, channels=channels)
    support = Support(torch.tensor([[0, 1, 2], [3, 4, -1], [5, 6, 7]]))
    sampler = EpisodeSampler(graph, num_neighbors=(3, 3))
    episodes = sampler.sample(support, generator=torch.Generator().manual_seed(0))
    try:
        one_by_one = MAML(encoder, inner_steps=1, is_batched=False).eval()
        shared = one_by_one.shared_weights(len(episodes))
        width = one_by_one.encode(episodes, shared, head.x_dict(episodes)).shape[1:]
        if width != (channels,):
            return _refused(
                f"it embeds a user in {list(width)} numbers, not in channels={channels}; make its "
                "output as wide as the item embeddings"
            )
        wanted = _embeddings(one_by_one, episodes, head)
    except (EncoderError, ConfigError) as error:
        return _refused(str(error))
    except Exception as error:  # Whatever a foreign encoder raises is what was asked for.
        return _refused(f"it fails on a plain user ({type(error).__name__}: {_first_line(error)})")
    advice = []
    if bool((_embeddings(one_by_one, _padded(episodes), head) - wanted).abs().max() > TOLERANCE):
        advice.append(
            "a user's embedding depends on padding nodes, so on who else is in the batch; replace "
            "normalisation over all nodes (PairNorm, GraphNorm, ...) by LayerNorm"
        )
    batched = MAML(encoder, inner_steps=1)
    problem = None
    for mode in (False, True):
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        try:
            found = _embeddings(batched.train(mode), episodes, head)
        except EncoderError as error:
            problem = problem or _advice_on(error)
            continue
        finally:
            encoder.load_state_dict(before)
        if not mode and bool((found - wanted).abs().max() > TOLERANCE):
            problem = (
                "a batch gives other embeddings than one user at a time; pass is_batched=False for "
                "the slower loop"
            )
    if problem is not None:
        advice.append(problem)
    if _changes_in_training(one_by_one.train(), episodes, head):
        advice.append(
            "a forward pass in training changes its buffers, so users change the shared state; "
            "replace batch norm by LayerNorm, or make it track_running_stats=False"
        )
    return EncoderReport(can_adapt=True, can_batch=problem is None, advice=tuple(advice))


def _refused(reason: str) -> EncoderReport:
    return EncoderReport(can_adapt=False, can_batch=False, advice=(reason,))


def _embeddings(learner: MAML, episodes: EpisodeBatch, head: CatalogueHead) -> Tensor:
    fast = learner.adapt(episodes, head)
    return learner.encode(episodes, fast, head.x_dict(episodes)).detach()


def _padded(episodes: EpisodeBatch) -> EpisodeBatch:
    """Return the episodes with three more padding nodes of each type and edges between them."""
    nodes = {
        t: torch.cat([index, index.new_full((len(index), 3), -1)], dim=1)
        for t, index in episodes.node_index_dict.items()
    }
    edges, features = {}, {}
    for edge_type, edge_index in episodes.edge_index_dict.items():
        ends = torch.tensor([nodes[t].size(1) - 1 for t in (edge_type[0], edge_type[2])])
        more = ends.view(1, 2, 1).expand(len(edge_index), 2, 4)
        edges[edge_type] = torch.cat([edge_index, more], dim=2)
        x = episodes.edge_attr_dict[edge_type]
        features[edge_type] = torch.cat([x, x.new_zeros(len(x), 4, x.size(2))], dim=1)
    return replace(episodes, node_index_dict=nodes, edge_index_dict=edges, edge_attr_dict=features)


def _changes_in_training(learner: MAML, episodes: EpisodeBatch, head: CatalogueHead) -> bool:
    before = {name: value.clone() for name, value in learner.encoder.named_buffers()}
    _embeddings(learner, episodes, head)
    return any(
        not torch.equal(before[name], value) for name, value in learner.encoder.named_buffers()
    )


def _advice_on(error: EncoderError) -> str:
    """Return what to do about an operation that `vmap` cannot batch."""
    text = str(error.__cause__ or error)
    lower = text.lower()
    if "batch norm" in lower:
        return "batch norm in training cannot be batched over users; replace it by LayerNorm"
    if "inplace" in lower or "in-place" in lower or "broadcast shape" in lower:
        return (
            "it writes in place into a tensor of its own; write x = x + ... or x.scatter(...), or "
            "pass is_batched=False for the slower loop"
        )
    if "data-dependent" in lower or "dynamic shape" in lower or ".item()" in lower:
        return (
            "its shapes depend on the data, as with a boolean mask; multiply by the mask or use "
            "torch.where, or pass is_batched=False for the slower loop"
        )
    return f"it cannot be batched ({_first_line(text)}); pass is_batched=False for the slower loop"


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0][:200]
