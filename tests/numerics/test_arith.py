import subprocess
import sys

import numpy as np
import pytest

from ndmapper.numerics import arith
from ndmapper.numerics.arith import OPERATIONS, Pixels, combine
from ndmapper.numerics.formulas import BITWISE, FORMULAS, as_float, flag_type, narrowed

BY_NUMPY = 1 << 40

NAMES = sorted(FORMULAS)


def reference(name, x, y):
    return {
        "add": lambda: x + y, "subtract": lambda: x - y, "multiply": lambda: x * y,
        "divide": lambda: x / y, "power": lambda: x**y,
    }[name]()  # fmt: skip


def truths(name):
    """Values whose errors of 2 % (0.1 % of an exponent) are small enough."""
    if name == "power":
        return (50, 100), (1.5, 2.5), 0.02, 0.001
    return (50, 100), (20, 40), 0.02, 0.02


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("known", ["both", "left", "right"])
def test_operation_variance_agrees_with_monte_carlo(name, known):
    rng = np.random.default_rng(1)
    shape, draws = (40, 50), 2000
    range_left, range_right, error_left, error_right = truths(name)
    left, right = rng.uniform(*range_left, shape), rng.uniform(*range_right, shape)
    var_left = None if known == "right" else (error_left * left) ** 2
    var_right = None if known == "left" else (error_right * right) ** 2
    total = np.zeros(shape)
    truth = reference(name, left, right)

    def drawn(value, variance):
        if variance is None:
            return value
        return value + np.sqrt(variance) * rng.standard_normal(shape)

    for _ in range(draws):
        sample = reference(name, drawn(left, var_left), drawn(right, var_right))
        total += (sample - truth) ** 2
    result = OPERATIONS[name](Pixels(left, var_left), Pixels(right, var_right))
    pull = np.sqrt((total / draws / result.variance).mean())
    # 4 million numbers: the width has a standard error of 1 / sqrt(2 * 4e6) = 3.5e-4.
    # Relative errors of 2 % leave terms of second order of up to 1e-3.
    assert pull == pytest.approx(1, abs=3e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("known", ["both", "left", "right"])
def test_operation_pull_is_standard_normal(name, known):
    rng = np.random.default_rng(2)
    shape = (500, 500)
    x, y = np.full(shape, 80.0), np.full(shape, 30.0)
    sigma_x, sigma_y = 1.0, 0.3
    if name == "power":
        y, sigma_y = np.full(shape, 2.0), 0.002
    left = right = None
    if known != "right":
        left = Pixels(
            x + sigma_x * rng.standard_normal(shape), np.full(shape, sigma_x**2)
        )
    if known != "left":
        right = Pixels(
            y + sigma_y * rng.standard_normal(shape), np.full(shape, sigma_y**2)
        )
    result = OPERATIONS[name](left or Pixels(x), right or Pixels(y))
    pull = (result.data - reference(name, x, y)) / np.sqrt(result.variance)
    # 250 000 pixels: errors 2e-3 of the mean and 1.4e-3 of the width, taken five
    # times. A variance taken at the noisy values skews the mean by at most the
    # relative error, 1.3 %, and the square of 80 +- 1 by half of that.
    assert abs(pull.mean()) < 0.03
    assert pull.std() == pytest.approx(1, abs=7e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["left", "right"])
def test_operation_variance_of_one_operand_is_that_term_alone(name, which):
    x, y, zero = np.full(4, 8.0), np.full(4, 3.0), np.zeros(4)
    v = np.full(4, 0.5)
    one = {"left": (Pixels(x, v), Pixels(y)), "right": (Pixels(x), Pixels(y, v))}[which]
    both = {
        "left": (Pixels(x, v), Pixels(y, zero)),
        "right": (Pixels(x, zero), Pixels(y, v)),
    }[which]
    np.testing.assert_array_equal(
        OPERATIONS[name](*one).variance, OPERATIONS[name](*both).variance
    )


@pytest.mark.parametrize("name", NAMES)
def test_operation_without_variance_and_flags_has_none(name):
    result = OPERATIONS[name](Pixels(np.ones(3)), Pixels(np.ones(3)))
    assert result.variance is None
    assert result.flags is None


@pytest.mark.parametrize("name", NAMES)
def test_operation_float32_stays_float32(name):
    one = Pixels(np.ones(3, "f4"), np.ones(3, "f4"))
    for other in (one, Pixels(2.0), Pixels(np.array(2.0))):
        result = OPERATIONS[name](one, other)
        assert (result.data.dtype, result.variance.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_operation_flags_are_joined(name):
    one = Pixels(np.ones(3), None, np.array([0, 1, 2], "u2"))
    other = Pixels(np.ones(3), None, np.array([4, 1, 0], "u2"))
    assert OPERATIONS[name](one, other).flags.tolist() == [4, 1, 2]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [("u2", "u2", "u2"), ("u1", "i2", "i2"), ("u8", "i8", "i8"), (">u2", "u2", "=u2")],
)
def test_flag_type_holds_the_bits_of_both(left, right, expected):
    assert flag_type(np.dtype(left), np.dtype(right)) == np.dtype(expected)


@pytest.mark.parametrize("name", NAMES)
def test_operation_shares_no_memory_with_its_operands(name):
    one = Pixels(np.ones(3), np.ones(3), np.ones(3, "u2"))
    result = OPERATIONS[name](one, Pixels(1.0))
    for mine, theirs in zip(result, one, strict=True):
        assert not np.shares_memory(mine, theirs)


def test_operation_row_of_variance_is_broadcast():
    result = OPERATIONS["add"](
        Pixels(np.ones((2, 3))), Pixels(np.ones(3), np.arange(3.0), np.arange(3))
    )
    assert result.variance.tolist() == [[0, 1, 2]] * 2
    assert result.flags.tolist() == [[0, 1, 2]] * 2


def test_divide_by_zero_is_infinite_and_silent():
    one = Pixels(np.array([1.0, 0.0]), np.ones(2))
    result = OPERATIONS["divide"](one, Pixels(np.zeros(2), np.ones(2)))
    assert np.isinf(result.data[0])
    assert np.isnan(result.data[1])
    assert not np.isfinite(result.variance).any()


def test_divide_large_float32_does_not_overflow():
    large = np.array([1e12], "f4")
    result = OPERATIONS["divide"](Pixels(large, large), Pixels(large, large))
    # (1e12 + 1e12) / 1e24, to the precision of float32
    np.testing.assert_allclose(result.variance, 2e-12, rtol=1e-6)


@pytest.mark.parametrize(
    ("base", "exponent", "variance"),
    [
        (0.0, 0.0, 0.0),  # x**0 is 1 whatever x
        (0.0, 1.0, 1.0),  # x itself
        (3.0, 2.0, 36.0),  # (2 * 3)**2
        (0.0, 0.5, np.inf),  # the slope of a root at zero
        (-2.0, 3.0, 144.0),  # (3 * 4)**2
        (-2.0, 0.5, np.nan),  # no real number
    ],
)
def test_power_variance_of_the_base(base, exponent, variance):
    for other in (Pixels(np.array([exponent])), Pixels(exponent)):
        result = OPERATIONS["power"](Pixels(np.array([base]), np.ones(1)), other)
        np.testing.assert_array_equal(result.variance, [variance])


@pytest.mark.parametrize(
    ("base", "exponent", "variance"),
    [(0.0, 2.0, 0.0), (1.0, 5.0, 0.0), (np.e, 1.0, np.e**2)],
)
def test_power_variance_of_the_exponent(base, exponent, variance):
    exponents = Pixels(np.array([exponent]), np.ones(1))
    for other in (Pixels(np.array([base])), Pixels(base)):
        result = OPERATIONS["power"](other, exponents)
        np.testing.assert_allclose(result.variance, [variance], rtol=1e-15)


@pytest.mark.parametrize("name", sorted(BITWISE))
def test_bitwise_works_on_integers_and_has_no_variance(name):
    left, right = np.array([6, 5], "u2"), np.array([3, 1], "u2")
    result = OPERATIONS[name](Pixels(left, np.ones(2), left), Pixels(right))
    assert result.data.tolist() == getattr(np, name)(left, right).tolist()
    assert (result.data.dtype, result.variance) == (np.uint16, None)
    assert result.flags.tolist() == [6, 5]


# ---- large arrays: compiled loops, blocks and threads


def images(shape, seed, *, dtype="f4", variance="f4", flags="u2"):
    rng = np.random.default_rng(seed)
    data = (10 * rng.random(shape) + 1).astype(dtype)
    return Pixels(
        data,
        None if variance is None else rng.random(shape).astype(variance),
        None if flags is None else rng.integers(0, 9, shape).astype(flags),
    )


def equal(one, other):
    for a, b in zip(one, other, strict=True):
        if a is None or b is None:
            assert a is b
            continue
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


CASES = {
    "all": ({}, {}),
    "no variance right": ({}, {"variance": None}),
    "no variance left": ({"variance": None}, {}),
    "no variance": ({"variance": None}, {"variance": None}),
    "no flags": ({"flags": None}, {"flags": None}),
    "flags left": ({}, {"flags": None}),
    "wider right": ({}, {"dtype": "f8", "variance": "f8"}),
    "integers": ({"dtype": "u2"}, {}),
    "wide integers": ({"dtype": "i4", "variance": None}, {"dtype": "u1"}),
    "other flags": ({"flags": "u1"}, {"flags": "i4"}),
}


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
@pytest.mark.parametrize("case", CASES)
def test_compiled_loop_gives_the_same_bits_as_numpy(monkeypatch, name, case):
    left, right = (images((7, 30), i, **given) for i, given in enumerate(CASES[case]))
    plain = combine(name, left, right)
    monkeypatch.setattr(arith, "FUSED_FROM", 1)
    equal(combine(name, left, right), plain)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
@pytest.mark.parametrize("swapped", [False, True])
def test_compiled_loop_takes_numbers_as_numpy(monkeypatch, name, swapped):
    pair = [images((7, 30), 1), Pixels(0.3)]
    pair = pair[::-1] if swapped else pair
    plain = combine(name, *pair)
    monkeypatch.setattr(arith, "FUSED_FROM", 1)
    equal(combine(name, *pair), plain)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(50, 40), (2000,), (1, 2000), (5, 4, 100)])
def test_blocks_and_threads_change_nothing(monkeypatch, name, threads, shape):
    left, right = images(shape, 1), images(shape, 2)
    whole = combine(name, left, right)
    monkeypatch.setattr(arith, "_BLOCK", 64)
    monkeypatch.setattr(arith, "THREADS_FROM", 1)
    equal(combine(name, left, right, threads=threads), whole)
    monkeypatch.setattr(arith, "FUSED_FROM", 1)
    equal(combine(name, left, right, threads=threads), whole)


@pytest.mark.parametrize("shape", [(40,), (1, 40), (50, 1), (1, 1), ()])
def test_blocks_of_broadcast_operands(monkeypatch, shape):
    left, right = images((50, 40), 1), images(shape, 2)
    whole = combine("divide", left, right)
    monkeypatch.setattr(arith, "_BLOCK", 64)
    monkeypatch.setattr(arith, "FUSED_FROM", 1)
    equal(combine("divide", left, right), whole)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fused_from", [1, 1 << 30])
def test_result_in_the_place_of_an_operand_is_the_same(monkeypatch, name, fused_from):
    monkeypatch.setattr(arith, "FUSED_FROM", fused_from)
    left, right = images((50, 40), 1), images((50, 40), 2)
    fresh = combine(name, left, right)
    result = combine(name, left, right, out=left)
    assert all(a is b for a, b in zip(result, left, strict=True))
    equal(result, fresh)


def test_arrays_that_do_not_fit_are_not_filled():
    left = images((5, 4), 1, dtype="u2")
    result = combine("add", left, Pixels(1.0), out=left)
    assert result.data is not left.data
    assert result.data.dtype == np.float32


@pytest.mark.parametrize(
    "change",
    [lambda a: a[::-1], lambda a: a.astype(a.dtype.newbyteorder()), np.asfortranarray],
    ids=["reversed", "other byte order", "other memory order"],
)
def test_unusual_memory_gives_the_same(monkeypatch, change):
    monkeypatch.setattr(arith, "FUSED_FROM", 1)
    left, right = images((50, 40), 1), images((50, 40), 2)
    turned = Pixels(*(change(a) for a in left))
    usual = Pixels(
        *(np.ascontiguousarray(a).astype(a.dtype.newbyteorder("=")) for a in turned)
    )
    equal(combine("multiply", turned, right), combine("multiply", usual, right))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("turned", ["left", "right", "result", "all"])
def test_compiled_loop_takes_either_byte_order(monkeypatch, name, dtype, turned):
    def turn(pixels, role):
        order = "S" if turned in (role, "all") else "="
        x, v, f = pixels
        return Pixels(x.astype(x.dtype.newbyteorder(order)),
                      v.astype(v.dtype.newbyteorder(order)), f)  # fmt: skip

    left, right = (images((7, 30), i, dtype=dtype, variance=dtype) for i in (1, 2))
    plain = combine(name, left, right)
    out = turn(images((7, 30), 3, dtype=dtype, variance=dtype), "result")
    monkeypatch.setattr(arith, "FUSED_FROM", 1)
    result = combine(name, turn(left, "left"), turn(right, "right"), out=out)
    assert all(a is b for a, b in zip(result, out, strict=True))
    for made, expected in zip(result, plain, strict=True):
        np.testing.assert_array_equal(made, expected)


def test_compiled_loop_narrows_a_wide_variance_into_either_byte_order(monkeypatch):
    left = images((7, 30), 1, variance="f8")
    plain = combine("add", left, left)
    out = Pixels(np.empty((7, 30), ">f4"), np.empty((7, 30), ">f4"),
                 np.empty((7, 30), "u2"))  # fmt: skip
    monkeypatch.setattr(arith, "FUSED_FROM", 1)
    np.testing.assert_array_equal(
        combine("add", left, left, out=out).variance, plain.variance
    )


def test_small_arrays_never_load_the_compiler():
    code = (
        "import sys, numpy as np; from ndmapper.data import NDLater;"
        "(NDLater(np.ones((100, 100))) / 2).data; assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("u1", "f4"), ("i2", "f4"), ("u2", "f4"), ("i4", "f8"), ("f2", "f4"), ("f4", "f4"),
     ("f8", "f8"), ("?", "f4")],
)  # fmt: skip
def test_as_float_is_as_narrow_as_holds_the_numbers(dtype, expected):
    assert as_float(np.zeros(3, dtype)).dtype == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2.5], "f4"), ([0.0, 1.0], "f4"), ([-1.0, 1.0], "f4"), ([np.nan, 1], "f4"),
     ([np.inf, 1.0], "f4"), ([], "f4"), ([1.2e-38, 3.4e38], "f4"), ([1e-41, 1], "f8"),
     ([1.0, 3.5e38], "f8"), ([1e-60, 1.0], "f8")],
)  # fmt: skip
def test_numbers_are_narrowed_where_that_holds_all_of_them(values, expected):
    found = narrowed(np.array(values, np.float64), np.dtype("f4"))
    assert found.dtype == expected
    np.testing.assert_allclose(found, values, rtol=1e-7)


def test_subtract_unsigned_does_not_wrap():
    small, large = np.array([1], "u2"), np.array([3], "u2")
    assert OPERATIONS["subtract"](Pixels(small), Pixels(large)).data.tolist() == [-2]


def spread(rng, dtype, size, special):
    """Numbers of all magnitudes, also those that the type just does not hold."""
    lowest, highest = (-44, 38) if dtype == "f4" else (-320, 308)
    signs = rng.choice([-1, 1], size)
    with np.errstate(all="ignore"):
        wide = signs * 10.0 ** rng.uniform(lowest, highest, size)
        usual = rng.normal(size=size) * 100
        values = np.where(rng.random(size) < 0.6, usual, wide).astype(dtype)
    if special:
        for value in (0.0, -0.0, np.inf, -np.inf, np.nan):
            values[rng.random(size) < 0.02] = value
    return values


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(
    ("dtypes", "variances"),
    [
        (("f4", "f4"), ("f4", "f4")),
        (("f4", "f4"), ("f4", None)),
        (("f8", "f8"), ("f8", "f8")),
    ],
)
def test_both_ways_give_the_same_bits_at_the_limits(
    monkeypatch, name, special, dtypes, variances
):
    rng = np.random.default_rng(3)

    def image(dtype, variance, size):
        return Pixels(
            spread(rng, dtype, size, special),
            None if variance is None else abs(spread(rng, variance, size, special)),
        )

    for size in (50, 5000):
        left, right = map(image, dtypes, variances, (size, size))
        monkeypatch.setattr(arith, "FUSED_FROM", BY_NUMPY)
        plain = combine(name, left, right)
        monkeypatch.setattr(arith, "FUSED_FROM", 1)
        for made, expected in zip(combine(name, left, right), plain, strict=True):
            if expected is None:
                assert made is None
                continue
            assert made.dtype == expected.dtype
            known = ~(np.isnan(made) & np.isnan(expected))  # which NaN it is may differ
            assert made[known].tobytes() == expected[known].tobytes()


FRESH = """
import sys
{before}
import numpy as np
from ndmapper.data import NDLater
side = np.ones((1200, 1200), "f4")
ndd = NDLater(side, variance=side, flags=side.astype("u2"))
{work}
print("numba" in sys.modules)
"""


@pytest.mark.parametrize(
    ("before", "work", "loaded"),
    [
        ("", "(ndd * ndd).data", False),
        ("", "from ndmapper.numerics import arith; arith.LOADED_AFTER = 4 << 20\n"
         "for _ in range(5): (ndd * ndd).data", True),
        ("sys.modules['numba'] = None", "from ndmapper.numerics import arith\n"
         "arith.LOADED_AFTER = 0; made = ndd / ndd; assert (made.variance == 2).all()\n"
         "assert arith.import_loops() is None; del sys.modules['numba']", False),
    ],
    ids=["first operation", "many operations", "without numba"],
)  # fmt: skip
def test_numba_is_loaded_when_it_is_worth_it_and_there(before, work, loaded):
    code = FRESH.format(before=before, work=work)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(loaded)
