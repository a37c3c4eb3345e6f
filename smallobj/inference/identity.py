"""What the results of a run depend on, so that another run's aren't added to them."""

from __future__ import annotations

import hashlib

from detectron2.config import CfgNode

# Where things lie and run doesn't change what is found.
_VOLATILE_KEYS = ("OUTPUT_DIR", "MODEL.WEIGHTS", "MODEL.DEVICE")


def config_digest(cfg: CfgNode) -> str:
    """SHA-256 of all keys that results depend on."""
    stable = cfg.clone()
    stable.merge_from_list([word for key in _VOLATILE_KEYS for word in (key, "")])
    return hashlib.sha256(stable.dump().encode()).hexdigest()
