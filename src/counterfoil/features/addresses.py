"""Arrays by address inside kernels, so that one call hands over the whole state.

Handing an array to a compiled kernel costs about 0.1 µs, and the stages of a detector have dozens: for a single event
that would be more than the work itself. So the stages keep a table of addresses and lengths, and the kernel makes its
arrays from it. The owner of the table keeps the arrays alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from counterfoil.events.batch import Words


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Generate what makes a pointer of an address."""
    return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))


@intrinsic
def words_at(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
    """Return a pointer to int64 words from an address."""
    return types.CPointer(types.int64)(types.int64), _pointer


@intrinsic
def floats_at(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
    """Return a pointer to float64 words from an address."""
    return types.CPointer(types.float64)(types.int64), _pointer


@intrinsic
def shorts_at(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
    """Return a pointer to int16 numbers from an address."""
    return types.CPointer(types.int16)(types.int64), _pointer


@intrinsic
def bytes_at(typing_context: Any, address: Any) -> Any:  # noqa: ARG001
    """Return a pointer to bytes from an address."""
    return types.CPointer(types.uint8)(types.int64), _pointer


@intrinsic
def call_at(typing_context: Any, address: Any, first: Any, second: Any) -> Any:  # noqa: ARG001
    """Call the C function ``int64 (int64, int64)`` at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        word = ir.IntType(64)
        function = builder.inttoptr(arguments[0], ir.FunctionType(word, [word, word]).as_pointer())
        return builder.call(function, [arguments[1], arguments[2]])

    return types.int64(types.int64, types.int64, types.int64), generate


def address_of(array: Words) -> int:
    """Return where a contiguous array begins."""
    assert array.flags.c_contiguous
    assert array.dtype == np.int64
    return array.ctypes.data
