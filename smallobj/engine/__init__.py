"""Training and evaluation runs."""

from smallobj.data.worker_signals import receive_signals
from smallobj.engine.run_folder import refuse_used_folder, write_config
from smallobj.engine.run_lock import lock_run
from smallobj.engine.run_log import start_console
from smallobj.engine.setup import choose_gpus, prepare_config, setup, setup_evaluation
from smallobj.engine.stop_request import Stopped
from smallobj.engine.stopping import say_how_to_continue, stopping_together
from smallobj.engine.trainer import Trainer

__all__ = [
    "Stopped",
    "Trainer",
    "choose_gpus",
    "lock_run",
    "prepare_config",
    "receive_signals",
    "refuse_used_folder",
    "say_how_to_continue",
    "setup",
    "setup_evaluation",
    "start_console",
    "stopping_together",
    "write_config",
]
