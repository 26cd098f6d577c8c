"""What generated code calls, in numba: tanh, sigmoid and exp that vectorise, products, views of addresses.

tanh(x) = -e / (e + 2) with e = expm1(-2|x|), and the sign of x. For expm1, y = n ln 2 + r with |r| <= ln 2 / 2:
expm1(y) = 2^n expm1(r) + (2^n - 1), where expm1(r) is r + r² times a polynomial that interpolates at Chebyshev's nodes.
Both dtypes stay within 3 units in the last place; numba's own np.tanh is thirty times slower, as it does not vectorise.
No reassociation in these: it would undo n ln 2 being subtracted in two parts.

Importing this room imports numba; only generated code and `run_jit` do.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic, models, register_model

from ..blas_threads import function

EXACT = {"contract", "nsz"}
LOOSE = {"contract", "nsz", "reassoc"}

# -- tanh and sigmoid -------------------------------------------------------------------------------------------------
_LOG2E = 1.4426950408889634
_f = np.float32
_LOG2E4, _HIGH4, _LOW4 = _f(_LOG2E), _f(0.693359375), _f(-2.12194440e-4)
_A0, _A1, _A2, _A3, _A4 = map(_f, (0.5, 0.166665766661, 0.041666554213, 0.00836323288368, 0.00139262508315))
_MINUS4, _ONE4, _TWO4, _HALF4, _LEAST4 = _f(-2), _f(1), _f(2), _f(0.5), _f(-30)
_HIGH8, _LOW8 = 0.6931471805599453, 2.3190468138462996e-17
_B0, _B1, _B2, _B3, _B4, _B5 = (
    0.5, 0.1666666666666667103, 0.041666666666666669783, 0.0083333333333260831202, 0.0013888888888883711167,
    0.00019841269875002278793,
)  # fmt: skip
_B6, _B7, _B8, _B9, _B10 = (
    0.0000248015873256774619, 2.7557255170000887438e-6, 2.7557273478718580474e-7, 2.5105312729622101787e-8,
    2.09147553258932022e-9,
)  # fmt: skip


@njit(fastmath=EXACT, error_model="numpy", forceinline=True)
def tanh4(x: Any) -> Any:
    """float32"""
    y = max(_MINUS4 * abs(x), _LEAST4)
    n = np.rint(y * _LOG2E4)
    r = (y - n * _HIGH4) - n * _LOW4
    p = r * r * (_A0 + r * (_A1 + r * (_A2 + r * (_A3 + r * _A4)))) + r
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    e = power * p + (power - _ONE4)
    return np.copysign(e / (e + _TWO4), x)


@njit(fastmath=EXACT, error_model="numpy", forceinline=True)
def tanh8(x: Any) -> Any:
    """float64"""
    y = max(-2.0 * abs(x), -60.0)
    n = np.rint(y * _LOG2E)
    r = (y - n * _HIGH8) - n * _LOW8
    q = _B4 + r * (_B5 + r * (_B6 + r * (_B7 + r * (_B8 + r * (_B9 + r * _B10)))))
    p = r * r * (_B0 + r * (_B1 + r * (_B2 + r * (_B3 + r * q)))) + r
    power = np.int64((np.int64(n) + np.int64(1023)) << np.int64(52)).view(np.float64)
    e = power * p + (power - 1.0)
    return np.copysign(e / (e + 2.0), x)


@njit(fastmath=EXACT, error_model="numpy", forceinline=True)
def sigmoid4(x: Any) -> Any:
    """float32: accurate in absolute terms, as tanh(x/2)/2 + 1/2 is"""
    return _HALF4 * tanh4(_HALF4 * x) + _HALF4


@njit(fastmath=EXACT, error_model="numpy", forceinline=True)
def sigmoid8(x: Any) -> Any:
    """float64"""
    return 0.5 * tanh8(0.5 * x) + 0.5


@njit(fastmath=EXACT, error_model="numpy", forceinline=True)
def exp4(x: Any) -> Any:
    """float32; 2^n in two factors, so that it reaches infinity and the smallest numbers"""
    y = min(max(x, _f(-105)), _f(90))
    n = np.rint(y * _LOG2E4)
    r = (y - n * _HIGH4) - n * _LOW4
    p = r * r * (_A0 + r * (_A1 + r * (_A2 + r * (_A3 + r * _A4)))) + r
    half = np.int32(n) >> np.int32(1)
    a = np.int32((half + np.int32(127)) << np.int32(23)).view(np.float32)
    b = np.int32((np.int32(n) - half + np.int32(127)) << np.int32(23)).view(np.float32)
    return (p + _ONE4) * a * b if x == x else x


@njit(fastmath=EXACT, error_model="numpy", forceinline=True)
def exp8(x: Any) -> Any:
    """float64"""
    y = min(max(x, -746.0), 710.0)
    n = np.rint(y * _LOG2E)
    r = (y - n * _HIGH8) - n * _LOW8
    q = _B4 + r * (_B5 + r * (_B6 + r * (_B7 + r * (_B8 + r * (_B9 + r * _B10)))))
    p = r * r * (_B0 + r * (_B1 + r * (_B2 + r * (_B3 + r * q)))) + r
    half = np.int64(n) >> np.int64(1)
    a = np.int64((half + np.int64(1023)) << np.int64(52)).view(np.float64)
    b = np.int64((np.int64(n) - half + np.int64(1023)) << np.int64(52)).view(np.float64)
    return (p + 1.0) * a * b if x == x else x


@njit(error_model="numpy")
def logaddexp(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)), for infinities too"""
    distance = abs(a - b) if a != b else a * 0  # two equal infinities are no distance apart
    return max(a, b) + np.log1p(np.exp(-distance))


# -- memory -----------------------------------------------------------------------------------------------------------
class Place(types.CPointer):
    """A pointer to a buffer of which it is known that no other buffer overlaps it, by its number among all of them.

    Told so, the compiler vectorises loops without asking at each start whether their arrays overlap.
    """

    def __init__(self, kind: Any, number: int, count: int) -> None:
        super().__init__(kind)
        self.number, self.count = number, count
        self.name = f"place {number} of {count}, {kind}"

    @property
    def key(self) -> Any:
        return self.dtype, self.number, self.count


register_model(Place)(models.PointerModel)


def _place(kind: Any) -> Any:
    @intrinsic(prefer_literal=True)
    def place(typing: Any, address: Any, number: Any, count: Any) -> Any:
        """The address of a buffer, with its number and how many there are: something to `get` from and `put` into."""

        def cast(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _declare(builder, signature.return_type)
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        made = Place(kind, number.literal_value, count.literal_value)
        return made(types.intp, number, count), cast

    return place


place4, place8, place_int = _place(types.float32), _place(types.float64), _place(types.int64)


def _scopes(builder: Any, place: Place) -> list[Any]:
    """What stands for each buffer that this very function knows: a buffer of it may be any one of a caller's."""
    module = builder.module
    domain = module.add_metadata([f"buffers of {builder.function.name}"])
    return [module.add_metadata([f"buffer {n}", domain]) for n in range(place.count)]


def _declare(builder: Any, place: Place) -> None:
    """Say where a buffer begins to be apart from others, so that each copy of an inlined function has its own."""
    if place.count > 1:
        kind = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [cgutils.ir.MetaDataType()])
        declare = cgutils.get_or_insert_function(builder.module, kind, "llvm.experimental.noalias.scope.decl")
        builder.call(declare, [builder.module.add_metadata([_scopes(builder, place)[place.number]])])


def _apart(builder: Any, access: Any, place: Place) -> Any:
    """Mark a load or store as one of its buffer, which is none of the others."""
    if place.count > 1:
        scopes = _scopes(builder, place)
        access.set_metadata("alias.scope", builder.module.add_metadata([scopes.pop(place.number)]))
        access.set_metadata("noalias", builder.module.add_metadata(scopes))
    return access


@intrinsic
def _get(typing: Any, place: Any, index: Any) -> Any:
    """place[index]"""

    def load(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _apart(builder, builder.load(builder.gep(args[0], [args[1]], inbounds=True)), signature.args[0])

    return place.dtype(place, types.intp), load


@intrinsic
def _put(typing: Any, place: Any, index: Any, value: Any) -> Any:
    """place[index] = value"""

    def store(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _apart(builder, builder.store(args[2], builder.gep(args[0], [args[1]], inbounds=True)), signature.args[0])
        return context.get_dummy_value()

    return types.void(place, types.intp, place.dtype), store


get: Any = _get
put: Any = _put


# -- products ---------------------------------------------------------------------------------------------------------
NO, YES = ord("N"), ord("T")


def blas(name: str) -> int:
    """The address of a function of the BLAS that scipy brings."""
    return get_cython_function_address("scipy.linalg.cython_blas", name)


class _Passed:
    """Values as BLAS takes them, by address: letters of one byte, whole numbers of four."""

    def __init__(self, builder: Any) -> None:
        self.builder, self.byte = builder, cgutils.voidptr_t

    def stored(self, value: Any) -> Any:
        place = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, place)
        return self.builder.bitcast(place, self.byte)

    def letter(self, value: Any) -> Any:
        return self.stored(self.builder.trunc(value, cgutils.ir.IntType(8)))

    def whole(self, value: Any) -> Any:
        return self.stored(self.builder.trunc(value, cgutils.ir.IntType(32)))

    def at(self, address: Any) -> Any:
        return self.builder.inttoptr(address, self.byte)

    def call(self, function: Any, args: list[Any]) -> None:
        kind = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [self.byte] * len(args))
        self.builder.call(self.builder.inttoptr(function, kind.as_pointer()), args)


@intrinsic
def _gemm(
    typing: Any, f: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, a: Any, lda: Any, b: Any, ldb: Any, beta: Any,
    c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """C = A B + beta C, as BLAS counts: columns first. `f` is the address of sgemm or dgemm, `beta` has its dtype."""
    integer = types.intp
    signature = types.void(*[integer] * 10, beta, integer, integer)

    def call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        f, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc = args
        passed = _Passed(builder)
        letters, sizes = [passed.letter(x) for x in (ta, tb)], [passed.whole(x) for x in (m, n, k)]
        left, right = [passed.at(a), passed.whole(lda)], [passed.at(b), passed.whole(ldb)]
        one, result = passed.stored(beta.type(1.0)), [passed.stored(beta), passed.at(c), passed.whole(ldc)]
        passed.call(f, [*letters, *sizes, one, *left, *right, *result])
        return context.get_dummy_value()

    return signature, call


@intrinsic
def _gemv(typing: Any, f: Any, t: Any, m: Any, n: Any, a: Any, lda: Any, x: Any, beta: Any, y: Any) -> Any:
    """y = A x + beta y for columns whose entries are neighbours; `f` is the address of sgemv or dgemv."""
    integer = types.intp
    signature = types.void(*[integer] * 7, beta, integer)

    def call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        f, t, m, n, a, lda, x, beta, y = args
        passed = _Passed(builder)
        one, next_ = passed.stored(beta.type(1.0)), passed.whole(context.get_constant(integer, 1))
        matrix = [passed.letter(t), passed.whole(m), passed.whole(n), one, passed.at(a), passed.whole(lda)]
        passed.call(f, [*matrix, passed.at(x), next_, passed.stored(beta), passed.at(y), next_])
        return context.get_dummy_value()

    return signature, call


gemm: Any = _gemm
gemv: Any = _gemv


@njit
def product(
    f: int, ta: int, tb: int, m: int, n: int, k: int, a: int, lda: int, b: int, ldb: int, zero: Any, one: Any, c: int,
    ldc: int, size: int, limit: int,
) -> None:  # fmt: skip
    """C = A B, in pieces of at most `limit` multiplications; `size` is that of an entry.

    OpenBLAS has kernels for AVX-512 that multiply small matrices where they lie, a quarter faster in float32 and a half
    in float64 than what it does with large ones.
    """
    if m * n * k <= limit:
        gemm(f, ta, tb, m, n, k, a, lda, b, ldb, zero, c, ldc)
        return
    wide, deep = 128, 128 if m <= 16 else 64
    for j in range(0, n, wide):
        for i in range(0, m, 64):
            for q in range(0, k, deep):
                left = a + size * (i + q * lda if ta == NO else q + i * lda)
                right = b + size * (q + j * ldb if tb == NO else j + q * ldb)
                gemm(
                    f, ta, tb, min(64, m - i), min(wide, n - j), min(deep, k - q), left, lda, right, ldb,
                    zero if q == 0 else one, c + size * (i + j * ldc), ldc,
                )  # fmt: skip


def small_products() -> int:
    """Up to how many multiplications a product is small for scipy's OpenBLAS; more than any without such kernels.

    Asked of the library, not measured: the same machine always adds in the same order.
    """
    corename = function("get_corename", "scipy")
    if corename is None:
        return 2**62
    corename.restype = ctypes.c_char_p
    return 1_000_000 if corename() in _WITH_SMALL_KERNELS else 2**62


_WITH_SMALL_KERNELS = (b"SkylakeX", b"Cooperlake", b"SapphireRapids")


# -- sums and transposition -------------------------------------------------------------------------------------------
def compiled(size: int, **options: Any) -> Any:
    """`njit` for what is written once for entries of several sizes, with the size in its name.

    numba links by name what it finds in its cache, and numbers functions anew in each process: of two that share a name
    and were compiled in different processes, one would be taken for the other.
    """

    def decorate(function: Any) -> Any:
        function.__name__ = f"{function.__name__}{size}"
        function.__qualname__ = f"{function.__qualname__}{size}"
        return njit(error_model="numpy", **options)(function)

    return decorate


def _of_dtype(place: Any, size: int) -> tuple[Any, Any, Any]:
    @compiled(size, fastmath=LOOSE)
    def total(address: int, count: int, stride: int, s: Any) -> Any:
        """s plus `count` entries, in an order that vectorises."""
        a = place(address, 0, 1)
        if stride == 1:
            for k in range(count):
                s += get(a, k)
            return s
        for k in range(count):
            s += get(a, stride * k)
        return s

    @compiled(size)
    def turn(source: int, rows: int, columns: int, target: int, leading: int) -> None:
        """A matrix into its transpose, whose rows start `leading` entries apart; eight rows at a time."""
        a, b = place(source, 0, 2), place(target, 1, 2)
        whole = rows - rows % 8
        for r in range(0, whole, 8):
            for c in range(columns):
                at, to = r * columns + c, c * leading + r
                v0, v1 = get(a, at), get(a, at + columns)
                v2, v3 = get(a, at + 2 * columns), get(a, at + 3 * columns)
                v4, v5 = get(a, at + 4 * columns), get(a, at + 5 * columns)
                v6, v7 = get(a, at + 6 * columns), get(a, at + 7 * columns)
                put(b, to, v0)
                put(b, to + 1, v1)
                put(b, to + 2, v2)
                put(b, to + 3, v3)
                put(b, to + 4, v4)
                put(b, to + 5, v5)
                put(b, to + 6, v6)
                put(b, to + 7, v7)
        for r in range(whole, rows):
            for c in range(columns):
                put(b, c * leading + r, get(a, r * columns + c))

    @compiled(size)
    def beside(source: int, rows: int, columns: int, target: int, leading: int) -> None:
        """A matrix into a wider one, whose rows start `leading` entries apart."""
        a, b = place(source, 0, 2), place(target, 1, 2)
        for r in range(rows):
            for c in range(columns):
                put(b, r * leading + c, get(a, r * columns + c))

    return total, turn, beside


total4, turn4, beside4 = _of_dtype(place4, 4)
total8, turn8, beside8 = _of_dtype(place8, 8)
