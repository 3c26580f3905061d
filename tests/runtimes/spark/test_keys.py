"""Parts are spread over tasks evenly, as Spark will place them."""

from __future__ import annotations

import pytest

from counterfoil.runtimes.engine.job import CARRIED, CARRIERS, FIRST_SHARD
from counterfoil.runtimes.spark.keys import keys_of, spark_hash


@pytest.mark.parametrize("partitions", [1, 2, 3, 8])
@pytest.mark.parametrize("shards", [1, 2, 3, 8, 13])
def test_no_task_has_much_more_than_another(shards: int, partitions: int) -> None:
    keys = keys_of(shards, partitions)
    assert len(set(keys.values())) == len(keys) == shards + 1 + CARRIERS
    placed = [spark_hash(keys[FIRST_SHARD + shard]) % partitions for shard in range(shards)]
    counts = [placed.count(task) for task in range(partitions)]
    assert max(counts) - min(counts) <= 1
    carried = [spark_hash(keys[CARRIED - number]) % partitions for number in range(CARRIERS)]
    assert max(carried.count(task) for task in range(partitions)) <= -(-CARRIERS // partitions)
