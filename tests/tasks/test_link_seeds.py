import pytest
import torch
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling

from graphmeta.errors import ConfigError
from graphmeta.tasks.link_seeds import LinkSeeds


def draw(negatives, *, time=None, seed=0):
    inputs = EdgeSamplerInput(
        None, torch.tensor([0, 1, 2]), torch.tensor([4, 3, 2]), time=time, input_type=None
    )
    return LinkSeeds.draw(
        inputs,
        negatives,
        num_src_nodes=3,
        num_dst_nodes=5,
        generator=torch.Generator().manual_seed(seed),
    )


def test_without_negatives_links_pass_through():
    links = draw(None)
    assert links.src.tolist() == [0, 1, 2]
    assert links.dst.tolist() == [4, 3, 2]
    assert links.label is None


def test_binary_negatives_follow_the_positives():
    time = torch.tensor([10, 20, 30])
    links = draw(NegativeSampling("binary", 1.5), time=time)
    assert links.src[:3].tolist() == [0, 1, 2]
    assert links.dst[:3].tolist() == [4, 3, 2]
    assert links.label.tolist() == [1] * 3 + [0] * 5
    assert links.time.tolist() == [10, 20, 30, 10, 20, 30, 10, 20]
    assert links.src.max() < 3
    assert links.dst.max() < 5


def test_triplet_negatives_are_told_apart_by_link():
    links = draw(NegativeSampling("triplet", 2))
    assert links.src.numel() == 3
    local = torch.arange(9)
    _, src, positive, negative, _ = links.metadata(None, torch.arange(3), local)
    assert src.tolist() == [0, 1, 2]
    assert positive.tolist() == [0, 1, 2]
    assert negative.tolist() == [[3, 6], [4, 7], [5, 8]]


def test_weights_choose_the_negatives():
    weight = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0])
    links = draw(NegativeSampling("triplet", 4, dst_weight=weight))
    assert links.dst[3:].unique().tolist() == [3]
    with pytest.raises(ConfigError, match="each of 5 nodes, got 2"):
        draw(NegativeSampling("triplet", 1, dst_weight=torch.ones(2)))


def test_the_generator_decides():
    negatives = NegativeSampling("binary", 20)
    assert torch.equal(draw(negatives).dst, draw(negatives).dst)
    assert not torch.equal(draw(negatives).dst, draw(negatives, seed=1).dst)
