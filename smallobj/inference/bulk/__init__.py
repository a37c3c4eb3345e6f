"""Detection in any number of images by any number of processes, on one machine or several."""

from smallobj.inference.bulk.launch import launch
from smallobj.inference.bulk.ranks import Rank
from smallobj.inference.bulk.run import BulkOptions, run_rank

__all__ = ["BulkOptions", "Rank", "launch", "run_rank"]
