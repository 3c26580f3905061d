"""Loads and stores without a check for negative indices.

``array[i]`` in a compiled kernel first asks whether ``i`` is negative, because Python counts from the end then. The
stage kernel makes some thousand accesses an event, none of them negative: without the question it is half as long.
Nothing checks these: an index out of bounds is a wild access, so they belong in kernels that a slow twin is held
against, and nowhere else.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


def _pointer(context: Any, builder: Any, kind: Any, array: Any, indices: list[Any]) -> Any:
    struct = context.make_array(kind)(context, builder, array)
    offset = indices[0]
    if len(indices) == 2:
        width = builder.extract_value(struct.shape, 1)
        offset = builder.add(builder.mul(offset, width), indices[1])
    return builder.gep(struct.data, [offset])


def _intp(context: Any, builder: Any, value: Any, kind: Any) -> Any:
    return context.cast(builder, value, kind, types.intp)


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """Return ``array[index]`` of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _intp(context, builder, arguments[1], signature.args[1])
        pointer = _pointer(context, builder, signature.args[0], arguments[0], [at])
        return context.unpack_value(builder, signature.return_type, pointer)

    return array.dtype(array, index), generate


@intrinsic
def load2(typing_context: Any, array: Any, first: Any, second: Any) -> Any:  # noqa: ARG001
    """Return ``array[first, second]`` of an array in C order."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = [_intp(context, builder, arguments[i], signature.args[i]) for i in (1, 2)]
        pointer = _pointer(context, builder, signature.args[0], arguments[0], at)
        return context.unpack_value(builder, signature.return_type, pointer)

    return array.dtype(array, first, second), generate


@intrinsic
def take(typing_context: Any, array: Any) -> Any:  # noqa: ARG001
    """Return ``array[0]`` and add 1 to it, as one step whatever other threads do."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, arguments[0])
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", struct.data, one, "seq_cst")

    return types.int64(array), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Do ``array[index] = value`` of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _intp(context, builder, arguments[1], signature.args[1])
        pointer = _pointer(context, builder, signature.args[0], arguments[0], [at])
        word = context.cast(builder, arguments[2], signature.args[2], signature.args[0].dtype)
        context.pack_value(builder, signature.args[0].dtype, word, pointer)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def store2(typing_context: Any, array: Any, first: Any, second: Any, value: Any) -> Any:  # noqa: ARG001
    """Do ``array[first, second] = value`` of an array in C order."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = [_intp(context, builder, arguments[i], signature.args[i]) for i in (1, 2)]
        pointer = _pointer(context, builder, signature.args[0], arguments[0], at)
        word = context.cast(builder, arguments[3], signature.args[3], signature.args[0].dtype)
        context.pack_value(builder, signature.args[0].dtype, word, pointer)
        return context.get_dummy_value()

    return types.void(array, first, second, value), generate
