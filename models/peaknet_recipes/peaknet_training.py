"""The configuration that upstream trains with, as the keys of `peaknet_config`:

    model: {backbone: {hf_config: {hidden_sizes, depths, num_channels, ...}}, bifpn: {num_blocks, block: {num_features, ...}},
            seg_head: {out_channels, num_classes, uses_learned_upsample, ...}}

It has more freedom than the network here: what is fixed there must have the value that the class of upstream has, or the
configuration is refused; what plays no part in the result is read past."""

import difflib
from typing import Any

# Place in the training's configuration -> key, and what the class of upstream takes where it is not given.
KEYS = {
    "backbone.hf_config.hidden_sizes": ("backbone_hidden_sizes", [96, 192, 384, 768]),
    "backbone.hf_config.depths": ("backbone_depths", [3, 3, 9, 3]),
    "backbone.hf_config.num_channels": ("num_channels", 1),
    "backbone.hf_config.image_size": ("image_size", 1920),
    "backbone.from_scratch": ("from_scratch", False),
    "bifpn.num_blocks": ("bifpn_num_blocks", 1),
    "bifpn.block.num_features": ("bifpn_num_features", 256),
    "seg_head.out_channels": ("seg_out_channels", 256),
    "seg_head.num_classes": ("num_classes", 2),
    "seg_head.uses_learned_upsample": ("uses_learned_upsample", False),
}
FIXED: dict[str, Any] = {
    "backbone.hf_config.patch_size": 4,
    "backbone.hf_config.num_stages": 4,
    "backbone.hf_config.hidden_act": "gelu",
    "backbone.hf_config.out_features": ["stage1", "stage2", "stage3", "stage4"],
    "backbone.hf_config.out_indices": None,
    "bifpn.block.base_level": 4,
    "bifpn.block.num_levels": 4,
    "bifpn.block.up_scale_factor": 2,
    "bifpn.block.down_scale_factor": 0.5,
    "bifpn.block.fusion.eps": 1e-5,
    "seg_head.num_groups": 32,
    "seg_head.base_scale_factor": 2,
    "seg_head.up_scale_factor": [4, 8, 16, 32],
}
WITHOUT_EFFECT = ("backbone.hf_config.initializer_range", "backbone.hf_config.layer_norm_eps",
                  "backbone.hf_config.drop_path_rate", "bifpn.block.bn.eps", "bifpn.block.bn.momentum",
                  "bifpn.block.relu_inplace", "freezes_backbone", "uses_random_weights")


def is_training(document: dict[str, Any]) -> bool:
    return any(isinstance(document.get(part), dict) for part in ("backbone", "bifpn", "seg_head"))


def leaves(document: dict[str, Any], where: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        place = f"{where}{key}"
        found |= leaves(value, f"{place}.") if isinstance(value, dict) and len(place) < 200 else {place: value}
    return found


def same(value: Any, fixed: Any) -> bool:
    """1e-05 without a point is a text in YAML 1.1, and still the number that was meant."""
    if isinstance(fixed, float) and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return value == fixed


def config_of(document: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for what the network here cannot be."""
    given = leaves(document)
    for place, value in given.items():
        if place == "backbone.model_name":
            raise ValueError(f"backbone.model_name is {value!r}: an old training, of a class that is not this one; its sizes "
                             "belong into backbone: hf_config: {hidden_sizes, depths}")
        if place in FIXED and not same(value, FIXED[place]):
            raise ValueError(f"{place} is {value!r}, and this network is made for {FIXED[place]!r} alone")
        if place not in (*KEYS, *FIXED, *WITHOUT_EFFECT):
            near = difflib.get_close_matches(place, (*KEYS, *FIXED), 1)
            raise ValueError(f"{place} is not known in a training's configuration" + (f", did you mean {near[0]}?" if near else ""))
    return {key: given.get(place, default) for place, (key, default) in KEYS.items()}
