import numpy as np
import pytest

from ndmapper.numerics.correlated_noise import sum_variance_factor, variance_of_sum

# Of pixels that are means of themselves and their right and lower neighbours.
COVARIANCES = {(0, 0): 3.0, (1, 0): 1.0, (0, 1): 1.0, (-1, 1): 1.0}


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 1), (5, 4)])
def test_variance_of_sum_is_that_of_the_matrix_of_covariances(shape):
    rng = np.random.default_rng(3)
    deviations = rng.uniform(0, 2, shape) * rng.choice([0, 1, -1], shape)
    places = [(y, x) for y in range(shape[0]) for x in range(shape[1])]
    total = 0.0
    for y, x in places:
        for v, u in places:
            lag = (u - x, v - y)
            known = COVARIANCES.get(lag, COVARIANCES.get((-lag[0], -lag[1]), 0.0))
            total += deviations[y, x] * deviations[v, u] * known / 3
    assert variance_of_sum(deviations, COVARIANCES) == pytest.approx(total)


def test_variance_of_sum_without_covariances_is_the_sum_of_squares():
    assert variance_of_sum([[1, 2], [0, -3]]) == 14


@pytest.mark.parametrize("size", [1, 2, 9])
def test_sum_variance_factor_is_that_of_a_square(size):
    found = variance_of_sum(np.ones((size, size)), COVARIANCES) / size**2
    assert sum_variance_factor(COVARIANCES, size) == pytest.approx(found)
