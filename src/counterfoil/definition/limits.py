"""How large a definition may be. Far above what people write; low enough that no definition can exhaust a machine."""

MAX_KINDS = 64
MAX_FIELDS = 500
"""Fields of one event kind."""
MAX_ENTITIES = 64
MAX_KEY_FIELDS = 8
MAX_FEATURES = 2_000
"""Features, each window of each aggregate counted."""
MAX_WINDOWS = 32
"""Windows of one aggregate."""
MAX_RULES = 1_000
MAX_LISTS = 100
MAX_LIST_VALUES = 1_000_000
MAX_LIST_BYTES = 64 * 2**20
"""Largest file of a list's values."""
MAX_OUTLIERS = 8
MAX_MODELS = 16
MAX_SCALE = 8
"""Decimal digits of a money field's minor unit."""
