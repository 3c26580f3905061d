from __future__ import annotations

import pytest

from counterfoil.runtimes.flink.routes import GROUPS, balanced_keys


@pytest.mark.parametrize("count", [1, 2, 5, 9, 100, 300])
@pytest.mark.parametrize("tasks", [1, 2, 3, 8])
def test_parts_lie_evenly_on_tasks(count: int, tasks: int) -> None:
    def group_of(key: int) -> int:
        return (key * 2_654_435_761 >> 7) % GROUPS

    keys = balanced_keys(count, group_of)
    assert len(set(keys)) == count
    loads = [0] * tasks
    for key in keys[:GROUPS]:
        loads[group_of(key) * tasks // GROUPS] += 1
    assert max(loads) - min(loads) <= 1
