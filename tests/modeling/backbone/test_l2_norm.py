"""L2 normalisation with numbers worked by hand."""

import torch

from smallobj.modeling.backbone.l2_norm import L2Norm


def test_each_position_has_the_length_of_the_scale():
    # (3, 4) has length 5, so 20 times its direction is (12, 16); zeros stay zeros.
    x = torch.tensor([[3.0, 0.0], [4.0, 0.0]]).reshape(1, 2, 1, 2)
    expected = torch.tensor([[12.0, 0.0], [16.0, 0.0]]).reshape(1, 2, 1, 2)
    torch.testing.assert_close(L2Norm(2, 20)(x), expected)


def test_each_channel_has_a_scale_of_its_own_that_learns():
    norm = L2Norm(2, 10)
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([1.0, 2.0]))
    y = norm(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1))
    torch.testing.assert_close(y.flatten(), torch.tensor([0.6, 1.6]))
    y.sum().backward()
    torch.testing.assert_close(norm.scale.grad, torch.tensor([0.6, 0.8]))


def test_half_precision_does_not_overflow():
    x = torch.full((1, 512, 1, 1), 60.0, dtype=torch.float16)  # 512 * 3,600 is beyond float16
    y = L2Norm(512, 20)(x)
    assert y.dtype == torch.float16
    torch.testing.assert_close(y, torch.full_like(x, 20 / 512**0.5))
