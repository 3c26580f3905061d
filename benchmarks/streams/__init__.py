"""Jobs of other stream processors, run by ``benchmarks.kafka_compare`` in an environment of their own."""
