"""Keys of models: classes, precision, backbones, and the keys of each detector: MODEL."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_model_keys(cfg: CfgNode) -> None:
    """Adds MODEL.*."""
    # Number of classes. 0 takes it from the training data; any other number must agree with them.
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 0
    cfg.MODEL.RETINANET.NUM_CLASSES = 0
    # Names of the classes. Training writes them into OUTPUT_DIR/config.yaml and into weights, so
    # that a trained model can name the objects that it detects. Datasets are matched by name.
    cfg.MODEL.CLASS_NAMES = []
    # Prefixes of tensor names, such as ["backbone"]: training loads only these tensors from
    # MODEL.WEIGHTS and initialises the others at random. [] loads all that fit. Rows of classes are
    # taken by name where the file names its classes.
    cfg.MODEL.WEIGHTS_PARTS = []
    # Precision of the backbone in training: float32, bfloat16, or "auto", which is bfloat16 where
    # the processor has instructions for it, else float32. Boxes and losses stay in float32, since
    # rounding to the 8 bits of bfloat16's mantissa moves a box at x = 500 by 2 px. (On a GPU
    # SOLVER.AMP.ENABLED computes a float32 backbone and the heads in float16, with scaled
    # gradients.)
    cfg.MODEL.BACKBONE.PRECISION = "float32"
    # C, in pixels, of each "nwd" (RPN, box losses, mergers): the typical side of an object
    # (arXiv 2110.13389, section 3.2).
    cfg.MODEL.NWD_CONSTANT = 12.8
    _add_rpn_keys(cfg)
    _add_box_head_keys(cfg)
    _add_class_loss_keys(cfg)
    _add_cascade_keys(cfg)
    _add_ssd_keys(cfg)
    _add_refinedet_keys(cfg)
    _add_yolo_keys(cfg)
    _add_focus_keys(cfg)
    _add_vgg_keys(cfg)
    _add_extra_layer_keys(cfg)
    _add_darknet_keys(cfg)
    _add_timm_keys(cfg)


def _add_rpn_keys(cfg: CfgNode) -> None:
    """Keys of SmallObjectRPN."""
    # Lowest objectness, a probability, of a proposal at test time.
    cfg.MODEL.RPN.SCORE_THRESH_TEST = 0.0
    # Pixels of the input per proposal at test time: at most one proposal for each so many pixels,
    # since a small window cannot hold many objects. 0: no such limit.
    cfg.MODEL.RPN.PIXELS_PER_PROPOSAL_TEST = 0
    # Similarity of an anchor and an object in matching: "iou", or "nwd", normalised Gaussian
    # Wasserstein distance exp(-W2 / C) (arXiv 2110.13389, section 3.2). Nwd falls with the distance
    # in pixels, IoU with the distance relative to the object's size.
    cfg.MODEL.RPN.MATCH_METRIC = "iou"
    # The same for NMS of proposals; MODEL.RPN.NMS_THRESH is its threshold (paper: 0.85).
    cfg.MODEL.RPN.NMS_METRIC = "iou"
    # Detectron2's key MODEL.RPN.BBOX_REG_LOSS_TYPE also accepts "nwd", 1 - exp(-W2 / C).

    # IoU threshold of positive anchors. "fixed": the upper one of MODEL.RPN.IOU_THRESHOLDS.
    # "scale_adaptive": BASE + SLOPE log2(sqrt(w h) / SIZE), clipped to BOUNDS, where w and h are
    # the sides of the object (arXiv 2308.09534, section 3.1, with the constants of its release).
    cfg.MODEL.RPN.MATCHING = "fixed"
    cfg.MODEL.RPN.SCALE_ADAPTIVE = CfgNode()
    # IoU threshold for an object of side SIZE.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.BASE = 0.25
    # gamma: increase of the threshold with each doubling of the side.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.SLOPE = 0.15
    # Side, in pixels.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.SIZE = 12.0
    # Lowest and highest threshold.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.BOUNDS = (0.2, 0.7)
    # Anchors whose IoU with every object is below this are background. Anchors between the two
    # thresholds are ignored.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.BACKGROUND = 0.15


def _add_box_head_keys(cfg: CfgNode) -> None:
    """Keys of the box heads of all ROI heads here: standard, cascade, iterative, integral loss."""
    # Side of the pooled region over the side of the box, at least 1; 1 pools the box alone.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_SCALE = 1.0
    # "replace" pools the enlarged box only; "concat" pools both, and a 1x1 convolution mixes them.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_FUSION = "concat"
    # With these heads Detectron2's key MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE also accepts "nwd":
    # 1 - exp(-W2 / C), normalised Gaussian Wasserstein distance (arXiv 2110.13389, section 3.2).


def _add_class_loss_keys(cfg: CfgNode) -> None:
    # Classification loss, by its name in CLASS_LOSS_REGISTRY: "cross_entropy", "focal" (softmax
    # focal loss), "seesaw", "equalization" (sigmoid), "equalization_softmax", or your own.
    cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS = "cross_entropy"
    # "focal": gamma of arXiv 1708.02002, section 3; (1 - p)^gamma weights the cross entropy.
    cfg.MODEL.ROI_BOX_HEAD.FOCAL_GAMMA = 2.0
    # "seesaw": p of arXiv 2008.10032, section 3. A higher p reduces more strongly the penalty that
    # objects of a frequent class put on rarer classes; 0: no reduction.
    cfg.MODEL.ROI_BOX_HEAD.SEESAW_P = 0.8
    # "seesaw": q, same section. A higher q increases more strongly the penalty on a class that
    # scores higher than the true one; 0: no increase.
    cfg.MODEL.ROI_BOX_HEAD.SEESAW_Q = 2.0
    # "equalization", "equalization_softmax": lambda of arXiv 2003.05176, section 3. A class that
    # fewer than this share of the training images show is rare. The default is the authors' value
    # for LVIS with its 1,230 classes.
    cfg.MODEL.ROI_BOX_HEAD.EQUALIZATION_LAMBDA = 0.00177
    # "equalization_softmax": gamma, same section: probability that a rare class is left out of the
    # softmax of an object of another class.
    cfg.MODEL.ROI_BOX_HEAD.EQUALIZATION_GAMMA = 0.95
    # "equalization", "equalization_softmax": f, same section: share of the training images that
    # show each class, K numbers in [0, 1]. If this is empty and the loss needs it, training counts
    # them and writes them into OUTPUT_DIR/config.yaml.
    cfg.MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES = []


def _add_cascade_keys(cfg: CfgNode) -> None:
    """Keys of the cascade and of the heads that its paper compares it with."""
    # Weight of each stage's losses, one number per stage; () weights all by 1, as Detectron2 does.
    # The paper's Caffe release has 1, 0.5, 0.25.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS = ()
    # Scores at test time. "own_roi": mean over the stages, each scoring its own input boxes
    # (Detectron2). "rescore": mean over the stages, all scoring the input boxes of the last stage
    # (arXiv 1712.00726, section 4.1).
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.SCORING = "own_roi"
    # Stages whose scores are averaged at test time, counted from 1. The boxes are those of the last
    # of these stages; later stages don't run. () takes all stages.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.TEST_STAGES = ()

    # IterativeBBoxROIHeads: number of times the head runs at test time, each time on the boxes from
    # the previous run. 1 is a plain Faster R-CNN (arXiv 1712.00726, section 3.2).
    cfg.MODEL.ROI_BOX_ITERATIVE_HEAD = CfgNode()
    cfg.MODEL.ROI_BOX_ITERATIVE_HEAD.ITERATIONS = 3
    # IntegralLossROIHeads: U, the lowest IoU of a foreground proposal for each classifier, rising.
    # The first one must equal MODEL.ROI_HEADS.IOU_THRESHOLDS (arXiv 1712.00726, section 3.3).
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD = CfgNode()
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD.IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
    # Loss of the classifiers: their "sum" (as in that section; six classifiers then weigh six times
    # as much against the RPN), or their "mean" (arXiv 1604.02135, section 3.3, the origin of
    # integral loss).
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD.LOSS_REDUCTION = "sum"


def _add_ssd_keys(cfg: CfgNode) -> None:
    """Keys of SSD (arXiv 1512.02325); the defaults are those of SSD300 for COCO."""
    cfg.MODEL.SSD = CfgNode()
    # Feature maps from which boxes are predicted.
    cfg.MODEL.SSD.IN_FEATURES = ["conv4_3", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2"]
    # Initial value of the learnt scale in the L2 normalisation of each map; 0: no normalisation.
    # The paper has 20 for conv4_3 (section 3.1).
    cfg.MODEL.SSD.L2_NORM = [20.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    # SSDAnchorGenerator: side in pixels of the input that SCALES and STEPS were made for. For
    # images of other sizes the default boxes keep their sizes in pixels; only their number changes.
    cfg.MODEL.SSD.INPUT_SIZE = 300
    # Scale s_k of each map (section 2.2) as a fraction of INPUT_SIZE, and one more, since each map
    # also has a square box with the geometric mean of its own scale and the next. In the paper the
    # scales of all maps but conv4_3 are evenly spaced from 0.2 to 0.9, and conv4_3 has 0.1; for
    # COCO they start at 0.15, and conv4_3 has 0.07.
    cfg.MODEL.SSD.SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
    # a_r of each map: aspect ratios (width over height) of further boxes. For each ratio there is
    # also a box with its inverse.
    cfg.MODEL.SSD.ASPECT_RATIOS = [[2.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0], [2.0], [2.0]]
    # Distance in pixels between the centres of a map's boxes. 0 spaces them evenly over the image,
    # as in the paper's (i + 0.5) / |f_k|; needed for maps that lost their border to unpadded
    # convolutions.
    cfg.MODEL.SSD.STEPS = [8, 16, 32, 64, 0, 0]
    # One number: a default box matches an object from this IoU on. Each object's best default box
    # matches at any IoU.
    cfg.MODEL.SSD.IOU_THRESHOLDS = [0.5]
    # Background boxes in the loss per matched box (section 2.2).
    cfg.MODEL.SSD.NEGATIVE_RATIO = 3.0
    # Lowest number of background boxes in the loss of an image. With the paper's 0, an image
    # without objects doesn't contribute to training, and most tiles of a large image show none.
    cfg.MODEL.SSD.MIN_NEGATIVES = 0
    # Inverses of the variances 0.1, 0.1, 0.2, 0.2 by which the Caffe release divides the targets.
    cfg.MODEL.SSD.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
    # Loss of the boxes: smooth_l1, as in the paper, giou, diou or ciou.
    cfg.MODEL.SSD.BBOX_REG_LOSS_TYPE = "smooth_l1"
    # Lowest score of a detection.
    cfg.MODEL.SSD.SCORE_THRESH_TEST = 0.01
    # Largest number of detections of each class that go into non-maximum suppression.
    cfg.MODEL.SSD.TOPK_CANDIDATES_TEST = 400
    # IoU threshold of non-maximum suppression, which works within each class. After it, at most
    # TEST.DETECTIONS_PER_IMAGE detections are kept: 200 in the paper.
    cfg.MODEL.SSD.NMS_THRESH_TEST = 0.45


def _add_refinedet_keys(cfg: CfgNode) -> None:
    """Keys of RefineDet (arXiv 1711.06897); the defaults are those of the released code."""
    cfg.MODEL.REFINEDET = CfgNode()
    # Backbone features with anchors, each of half the resolution of the one before.
    cfg.MODEL.REFINEDET.IN_FEATURES = ["conv4_3", "conv5_3", "fc7", "conv6_2"]
    # Initial value of the learnt scale in the L2 normalisation of each of these features; 0: no
    # normalisation.
    cfg.MODEL.REFINEDET.L2_SCALES = [10.0, 8.0, 0.0, 0.0]
    # Channels of the transfer connection blocks.
    cfg.MODEL.REFINEDET.TCB_CHANNELS = 256
    # Detectron2's name of the normalisation in these blocks; "": none, as in the released code.
    cfg.MODEL.REFINEDET.NORM = ""
    # Inverses of the variances 0.1, 0.1, 0.2, 0.2 of (x, y, w, h), in both steps.
    cfg.MODEL.REFINEDET.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
    # One number: an anchor matches an object from this IoU on. Each object's best anchor matches
    # at any IoU.
    cfg.MODEL.REFINEDET.IOU_THRESHOLDS = [0.5]
    # Background anchors in the loss per matched anchor; those of highest loss are taken.
    cfg.MODEL.REFINEDET.NEGATIVE_RATIO = 3.0
    # Lowest number of background anchors in the loss of an image. With the released code's 0, an
    # image without objects doesn't contribute to training, and most tiles of a large image show
    # none.
    cfg.MODEL.REFINEDET.MIN_NEGATIVES = 0
    # theta, in (0, 1]: an anchor whose background probability in the ARM exceeds this neither
    # trains the ODM nor becomes a detection; 1 keeps all anchors.
    cfg.MODEL.REFINEDET.NEGATIVE_CONFIDENCE = 0.99
    # Lowest score of a detection.
    cfg.MODEL.REFINEDET.SCORE_THRESH_TEST = 0.01
    # Largest number of detections, those of highest score, that go into NMS ...
    cfg.MODEL.REFINEDET.TOPK_CANDIDATES_TEST = 1000
    # ... from each "class" (released code) or from the whole "image" (paper, section 4: 400).
    cfg.MODEL.REFINEDET.TOPK_SCOPE_TEST = "class"
    # IoU threshold of NMS, which works within each class. After it, at most Detectron2's
    # TEST.DETECTIONS_PER_IMAGE detections are kept per image, or per tile with tiling.
    cfg.MODEL.REFINEDET.NMS_THRESH_TEST = 0.45


def _add_yolo_keys(cfg: CfgNode) -> None:
    """Keys of YOLOv3 (arXiv 1804.02767)."""
    cfg.MODEL.YOLO = CfgNode()
    # Features on which the head predicts, finest first.
    cfg.MODEL.YOLO.IN_FEATURES = ["dark3", "dark4", "dark5"]
    # Normalisation in the head, as in MODEL.DARKNET.NORM.
    cfg.MODEL.YOLO.NORM = "BN"
    # (width, height) of each prior, p_w and p_h, in pixels of the network's input. The first third
    # belongs to the finest feature, and so on. With (), three per feature are fitted to
    # DATASETS.TRAIN by k-means when training starts, and written to OUTPUT_DIR/config.yaml.
    cfg.MODEL.YOLO.ANCHORS = ()
    # A predicted box that overlaps an object by more than this IoU, but isn't assigned to it, is
    # ignored: neither object nor background. Paper, section 2.1: 0.5; authors' COCO config: 0.7.
    cfg.MODEL.YOLO.IGNORE_IOU = 0.5
    # Loss of the centre's position in its cell, sigmoid(t_x) and sigmoid(t_y): "squared_error", or
    # "cross_entropy", whose gradient the authors' program uses.
    cfg.MODEL.YOLO.CENTER_LOSS = "squared_error"
    # Objectness that the untrained network predicts for every prior.
    cfg.MODEL.YOLO.PRIOR_PROB = 0.01
    # Lowest score of a detection: objectness times class probability.
    cfg.MODEL.YOLO.SCORE_THRESH_TEST = 0.02
    # Largest number of candidates of each feature, those of highest score, that go into NMS.
    cfg.MODEL.YOLO.TOPK_CANDIDATES_TEST = 1000
    # IoU threshold of NMS, which works within each class.
    cfg.MODEL.YOLO.NMS_THRESH_TEST = 0.45


def _add_focus_keys(cfg: CfgNode) -> None:
    """Keys of FocusNet (a MODEL.META_ARCHITECTURE), which chooses the regions to detect in."""
    cfg.MODEL.FOCUS = CfgNode()
    # Side of the full image over side of the network's input: 1, 2, 4 or 8.
    cfg.MODEL.FOCUS.REDUCTION = 2
    # Channels after each of the three steps of stride 2.
    cfg.MODEL.FOCUS.CHANNELS = (32, 64, 96)
    # Dilation of each of the residual blocks that follow. More blocks and larger dilations enlarge
    # the receptive field.
    cfg.MODEL.FOCUS.DILATIONS = (1, 2, 4)
    # Detectron2's name of the normalisation. BN costs nothing at inference, since it is folded into
    # the convolutions.
    cfg.MODEL.FOCUS.NORM = "BN"
    # Side of the positive core of a box over the side of the box, in (0, 1].
    cfg.MODEL.FOCUS.CORE = 0.5
    # alpha of the focal loss (arXiv 1708.02002, section 3): weight of objects against background.
    # High, because a missed object is lost, while a false region only costs time.
    cfg.MODEL.FOCUS.FOCAL_ALPHA = 0.95
    # gamma of the focal loss.
    cfg.MODEL.FOCUS.FOCAL_GAMMA = 2.0


def _add_vgg_keys(cfg: CfgNode) -> None:
    """Keys of VGG-16 with fc6 and fc7 as convolutions (MODEL.BACKBONE.NAME build_vgg_backbone)."""
    cfg.MODEL.VGG = CfgNode()
    # Output feature maps, by their names in the Caffe releases: conv1_1 to conv5_3, fc6, fc7,
    # and conv6_1, conv6_2, conv7_1 ... of MODEL.BACKBONE.EXTRA_LAYERS.
    cfg.MODEL.VGG.OUT_FEATURES = ["conv4_3", "fc7"]
    # Detectron2's name of the normalisation after each convolution. "" is the paper's network,
    # which starts from ImageNet weights. From scratch, the tiny model needed twice as many steps of
    # Adam without normalisation as with GN (80 and 40) to overfit eight tiles.
    cfg.MODEL.VGG.NORM = "GN"
    # Channels of each layer, extra layers included, over those of VGG-16.
    cfg.MODEL.VGG.WIDTH = 1.0
    # 1: pool5 keeps stride 16 and fc6 has dilation 6, as in SSD. 2: pool5 halves the map and fc6
    # has dilation 3, as in RefineDet, so fc7 has stride 32.
    cfg.MODEL.VGG.POOL5_STRIDE = 1
    # Images are padded to multiples of this many pixels; 0: no padding. A model that adds maps of
    # two levels needs the largest stride here.
    cfg.MODEL.VGG.SIZE_DIVISIBILITY = 0


def _add_extra_layer_keys(cfg: CfgNode) -> None:
    """Keys of the layers that SSD and RefineDet add to a backbone."""
    # Layers after fc7 or after the last stage of a ResNet, one entry per pair of convolutions:
    # (channels of the 1x1 convolution; channels, kernel, stride and padding of the second one).
    # They are called conv6_1, conv6_2, conv7_1, conv7_2 and so on.
    cfg.MODEL.BACKBONE.EXTRA_LAYERS = []
    # build_resnet_extra_backbone: stride of res4's first block. 1 keeps res4 at stride 8, as in
    # SSDs on a ResNet; 2 is the usual ResNet.
    cfg.MODEL.RESNETS.RES4_STRIDE = 2


def _add_darknet_keys(cfg: CfgNode) -> None:
    """Keys of YOLOv3's backbone, Darknet-53 (arXiv 1804.02767)."""
    cfg.MODEL.DARKNET = CfgNode()
    # Channels of the first convolution. Each of the five stages doubles them. Darknet-53: 32.
    cfg.MODEL.DARKNET.STEM_CHANNELS = 32
    # Residual blocks of each of the five stages. Darknet-53: 1, 2, 8, 8, 4.
    cfg.MODEL.DARKNET.BLOCKS = (1, 2, 8, 8, 4)
    # Detectron2's name of the normalisation. Original weight files need BN, SyncBN or FrozenBN;
    # GN needs STEM_CHANNELS to be a multiple of 32.
    cfg.MODEL.DARKNET.NORM = "BN"
    # Output features: names among dark1 to dark5, with strides 2 to 32.
    cfg.MODEL.DARKNET.OUT_FEATURES = ["dark3", "dark4", "dark5"]


def _add_timm_keys(cfg: CfgNode) -> None:
    """Keys of backbones from timm (build_timm_fpn_backbone and build_timm_pafpn_backbone)."""
    cfg.MODEL.TIMM = CfgNode()
    # timm's name of a model with features of strides 4, 8, 16 and 32.
    cfg.MODEL.TIMM.NAME = "convnext_tiny"
    # Further arguments of timm.create_model, each as "NAME=VALUE", such as "drop_path_rate=0.1".
    cfg.MODEL.TIMM.OPTIONS = []
