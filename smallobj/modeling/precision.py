"""Mixed precision: which parts of a detector compute in 16 bits, and in which memory layout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from detectron2.config import CfgNode
from torch import nn

from smallobj.checks import check_choice
from smallobj.modeling.finite_check import FiniteCheck
from smallobj.modeling.norms import fold_batch_norm

_logger = logging.getLogger(__name__)
# Instruction sets of CPUs that compute in these types faster than in float32.
_CPU_UNITS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16"),
}
# Those of ARM, where no speed has been measured: neither chosen nor warned of.
_UNMEASURED_UNITS = {torch.bfloat16: ("bf16",), torch.float16: ("fp16_arith",)}
PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def precision_in_training(cfg: CfgNode) -> torch.dtype:
    """The type that the backbone computes in during training.

    Raises:
        ValueError: MODEL.BACKBONE.PRECISION is unknown.
    """
    name = cfg.MODEL.BACKBONE.PRECISION
    # float16 would need loss scaling.
    check_choice("MODEL.BACKBONE.PRECISION", name, ("auto", "float32", "bfloat16"))
    if name == "auto":
        is_native = computes_natively(torch.bfloat16, cfg.MODEL.DEVICE)
        return torch.bfloat16 if is_native else torch.float32
    return PRECISIONS[name]


def precision_at_test(cfg: CfgNode) -> torch.dtype:
    """The type that backbone and heads compute in at test time.

    Raises:
        ValueError: TEST.PRECISION is unknown.
    """
    name = cfg.TEST.PRECISION
    if name == "auto":
        return fastest_precision(cfg.MODEL.DEVICE)
    check_choice("TEST.PRECISION", name, ("auto", *PRECISIONS))
    return PRECISIONS[name]


def fastest_precision(device: str) -> torch.dtype:
    """bfloat16 if the processor supports it natively, float16 on older GPUs, else float32."""
    if computes_natively(torch.bfloat16, device):
        return torch.bfloat16
    return torch.float16 if torch.device(device).type == "cuda" else torch.float32


def computes_natively(dtype: torch.dtype, device: str) -> bool:
    """Whether a processor has instructions for a type; emulated, it is slower than float32."""
    if dtype == torch.float32:
        return True
    if torch.device(device).type == "cuda":
        return dtype == torch.float16 or torch.cuda.is_bf16_supported(including_emulation=False)
    return any(_cpu_capabilities().get(unit) for unit in _CPU_UNITS[dtype])


def _cpu_capabilities() -> Mapping[str, Any]:
    """Empty where PyTorch is too old to say."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def warn_of_emulation(key: str, dtype: torch.dtype, device: str) -> None:
    """Warns if the type that a config sets is emulated on the device.

    Args:
        key: the config key.
        dtype: its value.
        device: MODEL.DEVICE.
    """
    units = _cpu_capabilities()
    unmeasured = any(units.get(unit) for unit in _UNMEASURED_UNITS.get(dtype, ()))
    is_unknown = torch.device(device).type == "cpu" and (unmeasured or not units)
    if not is_unknown and not computes_natively(dtype, device):
        name = str(dtype).removeprefix("torch.")
        _logger.warning(
            f"{key} {name} is emulated here: the processor (MODEL.DEVICE {device}) has no "
            f"instructions for it, and may take ten times as long as in float32; set {key} auto"
        )


def set_precision(model: nn.Module, training: torch.dtype, test: torch.dtype) -> None:
    """Makes a Detectron2 model compute in mixed precision (autocast).

    In training this concerns the backbone only; at test time also the convolutions and linear
    layers of the heads. Their outputs are float32: in bfloat16, box arithmetic would move a box at
    x = 500 by 2 px, and so would RoIAlign, which rounds coordinates to the type of the features.

    A trainer with its own autocast (SOLVER.AMP.ENABLED) decides the precision of the heads, and of
    the backbone if ``training`` is float32; the outputs are float32 then, too.

    Args:
        model: has a ``backbone``; its heads are found by Detectron2's names for them.
        training: the type to compute in when ``model.training`` is true.
        test: the type to compute in otherwise.
    """
    model.finite = FiniteCheck()  # type: ignore[assignment]
    _mix_backbone(model, training, test)
    for head in _heads(model):
        _mix_head(head, test, model.finite)
    if hasattr(model, "roi_heads"):
        _lay_out_once(model.roi_heads)


def prepare_for_inference(model: Any, test: torch.dtype) -> None:
    """Folds BatchNorm and rounds the weights of a model that won't be trained any more.

    Args:
        model: a model after :func:`set_precision`, with its final weights.
        test: the same type as there.
    """
    fold_batch_norm(model)
    round_weights(model, test)


def round_weights(model: Any, test: torch.dtype) -> None:
    """Rounds the weights of a model that won't be trained any more, once instead of in each pass.

    Results are bit-identical, since autocast would round the same weights.

    Args:
        model: a model after :func:`set_precision`.
        test: the same type as there.
    """
    if test == torch.float32:
        return
    for part in (model.backbone, *_heads(model)):
        for module in part.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # Not ``module.to(test)``: Detectron2's convolutions contain their norm layer.
                for parameter in (module.weight, module.bias):
                    if parameter is not None:
                        parameter.data = parameter.data.to(test)


def _mix_backbone(model: nn.Module, training: torch.dtype, test: torch.dtype) -> None:
    """Makes the backbone compute in mixed precision, with channels-last images.

    Convolutions run 1.1 to 4 times as fast in channels-last. The exception is training with
    GroupNorm on a CPU, where its backward pass is ten times slower in channels-last.
    """
    backbone: Any = model.backbone
    check: Any = model.finite
    forward = backbone.forward
    slow_backward = any(isinstance(module, nn.GroupNorm) for module in backbone.modules())

    def mixed_forward(image: torch.Tensor) -> dict[str, torch.Tensor]:
        dtype = training if backbone.training else test
        if image.is_cuda or not (torch.is_grad_enabled() and slow_backward):
            # At test time this also rounds the image, as the first convolution would, in the same
            # copy. In training autocast must do the rounding, so that gradients flow back.
            kind = image.dtype if torch.is_grad_enabled() else dtype
            image = image.to(kind, memory_format=torch.channels_last)
        # A disabled autocast here would override the trainer's own.
        is_left_to_trainer = backbone.training and training == torch.float32
        with nullcontext() if is_left_to_trainer else _autocast(image, dtype):
            features = forward(image)
        features = {level: feature.float() for level, feature in features.items()}
        if not (backbone.training or torch.is_grad_enabled()):
            # Of the coarsest map, which depends on all layers before it and costs nothing to read.
            check(min(features.values(), key=torch.Tensor.numel))
        return features

    backbone.forward = mixed_forward
    for module in backbone.modules():
        if isinstance(module, nn.GroupNorm):
            _quicken_on_small_maps(module)


def _quicken_on_small_maps(norm: Any) -> None:
    """Makes GroupNorm up to nine times as fast on small maps, at test time on a CPU.

    PyTorch's GroupNorm has a slow path for channels-last maps with fewer than 1,024 positions, such
    as those of small tiles. Copying to the default layout and back avoids it.
    """
    forward = norm.forward

    def detour(x: torch.Tensor) -> torch.Tensor:
        places = x.shape[-2] * x.shape[-1]
        if x.is_cuda or torch.is_grad_enabled() or places >= 1024 or x.is_contiguous():
            return forward(x)
        return forward(x.contiguous()).contiguous(memory_format=torch.channels_last)

    norm.forward = detour


def _heads(model: Any) -> Iterator[nn.Module]:
    """The head of the RPN, the box heads of all stages, and the head of a dense detector."""
    if hasattr(model, "proposal_generator") and hasattr(model.proposal_generator, "rpn_head"):
        yield model.proposal_generator.rpn_head
    box_head = getattr(getattr(model, "roi_heads", None), "box_head", None)
    if isinstance(box_head, nn.ModuleList):
        yield from box_head
    elif box_head is not None:
        yield box_head
    if isinstance(getattr(model, "head", None), nn.Module):
        yield model.head


def _mix_head(head: Any, dtype: torch.dtype, check: Any) -> None:
    forward: Callable[..., Any] = head.forward

    def mixed_forward(features: Any) -> Any:
        if head.training:
            return _to_float32(forward(features))
        first = features if isinstance(features, torch.Tensor) else features[0]
        with _autocast(first, dtype):
            outputs = _to_float32(forward(features))
        if dtype == torch.float16:  # the only type that overflows at 65504
            check(outputs)
        return outputs

    head.forward = mixed_forward


def _autocast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(tensor.device.type, dtype=dtype, enabled=dtype != torch.float32)


def _to_float32(outputs: Any) -> Any:
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    return type(outputs)(_to_float32(output) for output in outputs)


def _lay_out_once(roi_heads: Any) -> None:
    """Converts features to the layout that RoIAlign reads, once, at test time.

    Otherwise RoIAlign converts them itself in each stage of a cascade, with a copy that takes seven
    times as long as the transposition here.
    """
    forward = roi_heads.forward

    def with_plain_features(
        images: Any, features: dict[str, torch.Tensor], proposals: Any, targets: Any = None
    ) -> Any:
        if not roi_heads.training and any(len(boxes) for boxes in proposals):
            features = {level: _channels_first(feature) for level, feature in features.items()}
        return forward(images, features, proposals, targets)

    roi_heads.forward = with_plain_features


def _channels_first(feature: torch.Tensor) -> torch.Tensor:
    """The same feature, (N, C, h, w), in the default (contiguous) memory layout."""
    if feature.is_contiguous() or feature.is_cuda:
        return feature.contiguous()
    plain = torch.empty(feature.shape, dtype=feature.dtype)
    for target, image in zip(plain, feature, strict=True):
        # As a two-dimensional transposition: only for these does PyTorch's copy work in blocks.
        target.flatten(1).copy_(image.permute(1, 2, 0).flatten(0, 1).t())
    return plain
