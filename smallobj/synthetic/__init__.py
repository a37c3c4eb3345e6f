"""Synthetic dataset: images in the challenge's layout, rendered from a seed.

This is the project's default dataset; it needs no download. Every image (2800x2100 px) shows 1-5
small objects (10-100 px) of the 30 challenge classes on a textured background with unlabelled
clutter. The modules, each building on those before it:

- `canvas`: a supersampled canvas with relief shading;
- `shapes_*`, `drawings`: the 30 classes as drawings with random proportions, colours and wear;
- `background`, `clutter`: textured backgrounds and unlabelled objects;
- `pose`: rotation, tilt, size and blur of one sprite, and its tight box;
- `sources`: sprites and backgrounds, drawn or photographed;
- `scene`: one image with its labels;
- `dataset`: folders, label files and worker processes.

`datasets/prepare_synthetic.py` is the command.
"""

from smallobj.synthetic.dataset import DatasetPlan, write_dataset
from smallobj.synthetic.scene import SceneConfig, render_scene

__all__ = ["DatasetPlan", "SceneConfig", "render_scene", "write_dataset"]
