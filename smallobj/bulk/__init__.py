"""Detection in many images with several processes, on one machine or several."""

from smallobj.bulk.launch import launch
from smallobj.bulk.ranks import Rank
from smallobj.bulk.run import BulkOptions, run_rank

__all__ = ["BulkOptions", "Rank", "launch", "run_rank"]
