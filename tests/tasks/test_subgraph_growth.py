import torch

from graphmeta.tasks.subgraph_growth import SubgraphGrowth

LIKES = ("a", "likes", "a")


def grow(owner):
    growth = SubgraphGrowth({"a": 10}, [LIKES], None)
    growth.plant("a", torch.tensor([7, 3]), owner)
    growth.start_hop()
    node, before = growth.frontier("a")
    assert node.tolist() == [7, 3]
    assert before is None
    growth.add(LIKES, torch.tensor([0, 0, 1]), torch.tensor([3, 5, 5]), torch.tensor([0, 1, 2]))
    growth.end_hop()
    return growth


def test_a_node_found_again_keeps_its_row():
    out = grow(None).output()
    assert out.node["a"].tolist() == [7, 3, 5]
    assert out.row[LIKES].tolist() == [1, 2, 2]
    assert out.col[LIKES].tolist() == [0, 0, 1]
    assert out.num_sampled_nodes["a"] == [2, 1]
    assert out.num_sampled_edges[LIKES] == [3]


def test_owners_never_share_a_row():
    growth = grow(torch.tensor([0, 1]))
    out = growth.output()
    assert out.node["a"].tolist() == [7, 3, 3, 5, 5]
    assert growth.batch_dict["a"].tolist() == [0, 1, 0, 0, 1]
    assert out.row[LIKES].tolist() == [2, 3, 4]
