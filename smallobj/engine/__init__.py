"""Training and evaluation runs."""

from smallobj.engine.setup import check_gpus, prepare_config, setup
from smallobj.engine.trainer import Trainer

__all__ = ["Trainer", "check_gpus", "prepare_config", "setup"]
