"""Our ReLU is torch's, values and derivatives."""

import pytest
import torch
from torch.nn import functional as F

from cratelm.models.sparse_activations import rectify

VALUES = torch.tensor([-2.0, -0.0, 0.0, 1e-30, 0.5, 3.0, float("inf")])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_values_and_derivatives_are_those_of_torchs_relu(dtype: torch.dtype) -> None:
    gradient = torch.arange(1, 8, dtype=dtype)
    results = []
    for function in (F.relu, rectify):
        x = VALUES.detach().clone().to(dtype).requires_grad_()
        y = function(x)
        y.backward(gradient)
        results.append((y.detach(), x.grad))
    for expected, found in zip(*results, strict=True):
        assert torch.equal(expected, found)


def test_the_second_derivative_is_0_and_the_first_is_right_by_finite_differences() -> None:
    x = torch.tensor([-1.5, -0.2, 0.3, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rectify, x)
    assert torch.autograd.gradgradcheck(rectify, x)
