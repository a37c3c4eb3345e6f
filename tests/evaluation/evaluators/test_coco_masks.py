"""Mask AP against pycocotools', and what it asks of labels and models."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_util
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from smallobj import get_cfg
from smallobj.evaluation.evaluators.coco import MASK_RESULTS_FILE, MaskCOCOEvaluator
from smallobj.evaluation.evaluators.registry import build_evaluator
from smallobj.geometry.masks import CropMasks, mask_rles

from detectron2.structures import Boxes, BoxMode, Instances  # isort: skip

SIZE = (120, 160)
NAMES = ["coin", "nut", "bolt"]


def ellipse(rng, near=None):
    """(H, W) bool of COCO's three sizes; ``near`` another one's centre and radii, or None."""
    y, x, ry, rx = near if near else (*rng.integers(10, 110, 2), *rng.integers(3, 55, 2))
    if near:
        y, x, ry, rx = (v + int(rng.integers(-2, 3)) for v in (y, x, ry, rx))
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
    return ((ys - y) / max(ry, 1)) ** 2 + ((xs - x) / max(rx, 1)) ** 2 <= 1, (y, x, ry, rx)


def random_set(seed, images=8):
    """Overlapping ellipses; tied scores, crowds, own areas, polygons, images with nothing."""
    rng = np.random.default_rng(seed)
    dicts, outputs = [], []
    for image_id in range(images):
        count = 0 if image_id % 4 == 3 else int(rng.integers(1, 9))
        annotations, masks, scores, classes = [], [], [], []
        for _ in range(count):
            mask, place = ellipse(rng)
            (rle,) = mask_rles(torch.from_numpy(mask)[None])
            category = int(rng.integers(2))  # the last class has no label
            annotation = {
                "bbox": mask_util.toBbox(rle).tolist(),
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": category,
                "iscrowd": int(rng.random() < 0.15),
                "segmentation": rle,
            }
            if rng.random() < 0.3:
                y, x, ry, rx = (float(v) for v in place)
                annotation["segmentation"] = [[x - rx, y - ry, x + rx, y - ry, x, y + ry]]
                annotation["iscrowd"] = 0
            if rng.random() < 0.5:
                annotation["area"] = float(rng.choice([500, 3000, 12000]))
            annotations.append(annotation)
            for _ in range(int(rng.integers(0, 4))):
                found, _ = ellipse(rng, place)
                masks.append(found)
                scores.append(float(rng.integers(1, 9)) / 8)
                classes.append(category if rng.random() < 0.8 else int(rng.integers(3)))
        dicts.append(
            {
                "file_name": f"{image_id}.jpg",
                "image_id": image_id,
                "height": SIZE[0],
                "width": SIZE[1],
                "annotations": annotations,
            }
        )
        bitmaps = torch.from_numpy(np.array(masks).reshape(-1, *SIZE))
        outputs.append(output(bitmaps, scores, classes))
    return dicts, outputs


def output(bitmaps, scores, classes):
    found = Instances(SIZE)
    found.pred_boxes = Boxes(CropMasks.from_bitmasks(bitmaps).corners().float())
    found.scores = torch.tensor(scores)
    found.pred_classes = torch.tensor(classes, dtype=torch.int64)
    found.pred_masks = bitmaps
    return {"instances": found}


def official(dicts, outputs, limit):
    rows, found = [], []
    for record, result in zip(dicts, outputs, strict=True):
        for a in record["annotations"]:
            segmentation = a["segmentation"]
            rle = segmentation
            if isinstance(segmentation, list):
                rle = mask_util.merge(mask_util.frPyObjects(segmentation, *SIZE))
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": record["image_id"],
                    "category_id": a["category_id"],
                    "bbox": a["bbox"],
                    "iscrowd": a["iscrowd"],
                    "segmentation": segmentation,
                    "area": a.get("area", float(mask_util.area(rle))),
                }
            )
        instances = result["instances"]
        for i in range(len(instances)):
            bitmap = np.asfortranarray(np.asarray(instances.pred_masks)[i].astype(np.uint8))
            found.append(
                {
                    "image_id": record["image_id"],
                    "category_id": int(instances.pred_classes[i]),
                    "segmentation": mask_util.encode(bitmap),
                    "score": float(instances.scores[i]),
                }
            )
    truth = COCO()
    truth.dataset = {
        "images": [{"id": d["image_id"], "height": SIZE[0], "width": SIZE[1]} for d in dicts],
        "categories": [{"id": k, "name": n} for k, n in enumerate(NAMES)],
        "annotations": rows,
        "info": {},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "segm")
        evaluation.params.maxDets = [1, 2, limit]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def percent(values):
    defined = values[values > -1]
    return float(defined.mean() * 100) if defined.size else float("nan")


def run(evaluator, dicts, outputs):
    evaluator.reset()
    for inputs, found in zip(dicts, outputs, strict=True):
        evaluator.process([inputs], [found])
    return evaluator.evaluate()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limit", [3, 100])
@pytest.mark.parametrize("crops", [False, True])
def test_the_numbers_are_pycocotools(seed, limit, crops, register):
    dicts, outputs = random_set(seed)
    precision, recall = official(dicts, outputs, limit)
    if crops:
        for result in outputs:
            masks = result["instances"].pred_masks
            result["instances"].pred_masks = CropMasks.from_bitmasks(masks)
    found = run(MaskCOCOEvaluator(register(dicts), None, limit), dicts, outputs)["segm"]
    expected = {
        "AP": percent(precision[:, :, :, 0, -1]),
        "AP50": percent(precision[0, :, :, 0, -1]),
        "AP75": percent(precision[5, :, :, 0, -1]),
        "APs": percent(precision[:, :, :, 1, -1]),
        "APm": percent(precision[:, :, :, 2, -1]),
        "APl": percent(precision[:, :, :, 3, -1]),
        "AR": percent(recall[:, :, 0, -1]),
    }
    assert expected["AP50"] > 20
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name


def test_masks_count_where_boxes_cannot_tell(register):
    """A frame and the square that fills it: one box, another mask."""
    frame = torch.zeros(1, *SIZE, dtype=torch.bool)
    frame[0, 20:60, 20:60] = True
    square = frame.clone()
    frame[0, 26:54, 26:54] = False  # 1600 - 784 = 816 px²: the square's IoU with it is 0.51
    rle = mask_rles(frame)[0]
    box = {"bbox": [20, 20, 40, 40], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0}
    labels = {"file_name": "1.jpg", "image_id": 1, "height": SIZE[0], "width": SIZE[1]}
    dicts = [{**labels, "annotations": [{**box, "segmentation": rle}]}]
    name = register(dicts)
    cfg = get_cfg()
    cfg.TEST.METRICS = ["coco", "coco_masks"]
    evaluator = build_evaluator(cfg, name, None)
    for mask, ap in ((frame, 100.0), (square, 10.0)):
        found = run(evaluator, dicts, [output(mask, [0.9], [0])])
        assert found["bbox"]["AP"] == pytest.approx(100.0)
        assert found["segm"]["AP"] == pytest.approx(ap)  # right at 1 of 10 IoU thresholds
        assert found["segm"]["AP50"] == pytest.approx(100.0)


def test_results_are_written_with_masks(tmp_path, register):
    dicts, outputs = random_set(1)
    name = register(dicts, thing_dataset_id_to_contiguous_id={7: 0, 8: 1, 9: 2})
    run(MaskCOCOEvaluator(name, str(tmp_path)), dicts, outputs)
    rows = json.loads((tmp_path / MASK_RESULTS_FILE).read_text())
    expected = [rle for result in outputs for rle in mask_rles(result["instances"].pred_masks)]
    assert [row["segmentation"] for row in rows] == expected
    assert {row["category_id"] for row in rows} <= {7, 8, 9}


def test_what_lacks_masks_is_told(register):
    dicts, outputs = random_set(2)
    empty = output(torch.zeros(0, *SIZE, dtype=torch.bool), [], [])["instances"]
    empty.remove("pred_masks")
    evaluator = MaskCOCOEvaluator(register(dicts))
    run(evaluator, dicts[:1], [{"instances": empty}])  # nothing found needs no masks
    outputs[0]["instances"].remove("pred_masks")
    with pytest.raises(ValueError, match=r"coco_masks.*MODEL\.MASK_ON"):
        run(evaluator, dicts, outputs)
    del dicts[0]["annotations"][0]["segmentation"]
    with pytest.raises(ValueError, match=r"0\.jpg.*coco_masks needs a mask of every label"):
        run(MaskCOCOEvaluator(register(dicts)), dicts[1:], outputs[1:])
