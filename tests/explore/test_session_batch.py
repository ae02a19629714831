"""Sessions of a batch of users against users one by one."""

import torch

from graphmeta.data import ColdSplit
from graphmeta.data.cold_users import Support
from graphmeta.explore import Belief
from graphmeta.explore.session_batch import SessionBatch


def test_scores_are_those_of_what_was_taken(belief: Belief, split: ColdSplit) -> None:
    first = split.test.support(1).item_index[:3]
    free = [i for i in range(20) if i not in first.flatten().tolist()]
    slate = torch.tensor(free[:2]).expand(3, 2)
    taken = torch.tensor([[False, False], [True, False], [True, True]])
    sessions = SessionBatch(belief, first)
    before = sessions.log_share.clone()
    sessions.answer(slate, taken)
    torch.testing.assert_close(sessions.log_share[0], before[0])
    for user in (1, 2):
        support = torch.cat([first[user], slate[user][taken[user]]]).unsqueeze(0)
        torch.testing.assert_close(
            sessions.log_share[user], belief.log_share(Support(support))[0], atol=1e-4, rtol=1e-4
        )
    assert sessions.is_shown.sum(1).tolist() == [3, 3, 3]
    assert sessions.is_taken.sum(1).tolist() == [1, 2, 3]
