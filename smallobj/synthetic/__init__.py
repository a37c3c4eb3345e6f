"""The made dataset: photographs in the challenge's layout, rendered from a seed.

The project's default dataset needs no download. Every photograph shows 1-5 small things (10-100
px in 2800x2100) of the 30 challenge classes on a textured ground among unlabelled clutter. The
parts, bottom to top:

- `canvas`: a supersampled drawing board with relief shading;
- `shapes_*`, `drawings`: the 30 classes as drawings with random proportions, colours and wear;
- `background`, `clutter`: textured grounds and unlabelled things;
- `pose`: turn, tilt, size, blur of one sprite, and its tight box;
- `sources`: drawn or photographed sprites and grounds;
- `scene`: one photograph with its labels;
- `dataset`: folders, label files, processes.

`datasets/prepare_synthetic.py` is the command.
"""

from smallobj.synthetic.dataset import DatasetPlan, write_dataset
from smallobj.synthetic.scene import SceneConfig, render_scene

__all__ = ["DatasetPlan", "SceneConfig", "render_scene", "write_dataset"]
