"""Keys of models: classes, arithmetic, backbones, and each detector's own: MODEL."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_model_keys(cfg: CfgNode) -> None:
    """Adds MODEL.*."""
    # 0 takes the number of classes from the training data; another number must agree with it.
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 0
    cfg.MODEL.RETINANET.NUM_CLASSES = 0
    # Written by training into OUTPUT_DIR/config.yaml, so that a model names what it finds.
    cfg.MODEL.CLASS_NAMES = []
    # Prefixes of tensor names, such as ["backbone"]: training loads only these tensors from
    # MODEL.WEIGHTS and initialises the others at random. [] loads all that fit.
    cfg.MODEL.WEIGHTS_PARTS = []
    # Arithmetic of the backbone in training: float32 or bfloat16. Boxes and losses stay in
    # float32, since 8 bits of mantissa move a box at x = 500 by 2 px. (On a GPU SOLVER.AMP.ENABLED
    # computes a float32 backbone and the heads in float16, with scaled gradients.)
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
    """Of SmallObjectRPN."""
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
    # Detectron2's key MODEL.RPN.BBOX_REG_LOSS_TYPE also takes "nwd", 1 - exp(-W2 / C).
    # "fixed": anchors are positive from the upper of MODEL.RPN.IOU_THRESHOLDS on. "scale_adaptive":
    # from BASE + SLOPE log2(sqrt(w h) / SIZE) on, w and h of the object, held within BOUNDS
    # (arXiv 2308.09534, section 3.1, with the constants of its release).
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
    # For every ROI head of this project (SmallObjectROIHeads, the cascade and its rivals).
    # Side of the pooled region over the side of the box; 1 pools the box alone.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_SCALE = 1.0
    # "replace" pools the enlarged box only; "concat" both, mixed by a 1x1 convolution.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_FUSION = "concat"
    # Detectron2's key MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE also takes "nwd" here:
    # 1 - exp(-W2 / C), normalised Gaussian Wasserstein distance (arXiv 2110.13389, section 3.2).


def _add_class_loss_keys(cfg: CfgNode) -> None:
    # By its name in CLASS_LOSS_REGISTRY: "cross_entropy", "focal" (softmax focal loss), "seesaw",
    # "equalization" (sigmoid), "equalization_softmax", or your own.
    cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS = "cross_entropy"
    # gamma of arXiv 1708.02002, section 3: (1 - p)^gamma weighs the cross entropy.
    cfg.MODEL.ROI_BOX_HEAD.FOCAL_GAMMA = 2.0
    # p of arXiv 2008.10032, section 3: how much a frequent class spares a rarer one; 0: not at
    # all.
    cfg.MODEL.ROI_BOX_HEAD.SEESAW_P = 0.8
    # q, likewise: how much more a class is punished that outscores the true one; 0: no more.
    cfg.MODEL.ROI_BOX_HEAD.SEESAW_Q = 2.0
    # lambda of arXiv 2003.05176, section 3: a class in less than this share of the training
    # photographs is rare. The default is the authors', for LVIS with its 1,230 classes.
    cfg.MODEL.ROI_BOX_HEAD.EQUALIZATION_LAMBDA = 0.00177
    # gamma, likewise, with softmax alone: probability with which a rare class is spared.
    cfg.MODEL.ROI_BOX_HEAD.EQUALIZATION_GAMMA = 0.95
    # f, likewise: share of the training photographs that show each class, K numbers in [0, 1].
    # Training counts them where a loss needs them and this is empty, and writes them into
    # OUTPUT_DIR/config.yaml.
    cfg.MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES = []


def _add_cascade_keys(cfg: CfgNode) -> None:
    """Of the cascade and of the heads that the paper sets beside it."""
    # Weight of each stage's losses, one a stage; () weighs all by 1, as Detectron2 does.
    # The paper's Caffe release: 1, .5, .25.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS = ()
    # "own_roi": mean of each stage's scores on its own input boxes (Detectron2).
    # "rescore": mean of all stages' scores on the last stage's input boxes (arXiv 1712.00726, 4.1).
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.SCORING = "own_roi"
    # Stages whose scores are averaged at test time, from 1 on; boxes are the last one's, and stages
    # behind it don't run. () takes all.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.TEST_STAGES = ()

    # IterativeBBoxROIHeads: how often the one head runs at test time, each time on the boxes that
    # it gave before; 1 is a plain Faster R-CNN (arXiv 1712.00726, section 3.2).
    cfg.MODEL.ROI_BOX_ITERATIVE_HEAD = CfgNode()
    cfg.MODEL.ROI_BOX_ITERATIVE_HEAD.ITERATIONS = 3
    # IntegralLossROIHeads: U, the IoU from which each classifier calls a proposal an object,
    # rising; the first must be MODEL.ROI_HEADS.IOU_THRESHOLDS (arXiv 1712.00726, section 3.3).
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD = CfgNode()
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD.IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
    # "sum" of the classifiers' losses (as there), by which six of them outweigh the RPN six times,
    # or their "mean" (arXiv 1604.02135, section 3.3, which Integral Loss comes from).
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD.LOSS_REDUCTION = "sum"


def _add_ssd_keys(cfg: CfgNode) -> None:
    """Of SSD (arXiv 1512.02325); defaults are those of SSD300 for COCO."""
    cfg.MODEL.SSD = CfgNode()
    # Feature maps that boxes are predicted from.
    cfg.MODEL.SSD.IN_FEATURES = ["conv4_3", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2"]
    # Start of the learnt scale of the L2 normalisation of each map; 0: not normalised. The paper
    # has 20 for conv4_3 (section 3.1).
    cfg.MODEL.SSD.L2_NORM = [20.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    # SSDAnchorGenerator. Side, in pixels, of the input that SCALES and STEPS were made for.
    # Images of other sizes get default boxes of the same pixels, more or fewer of them.
    cfg.MODEL.SSD.INPUT_SIZE = 300
    # s_k of each map (section 2.2), in INPUT_SIZE, and one more: each map also has a square box of
    # the geometric mean of its own and the next. Without conv4_3's the paper spreads them evenly
    # from 0.2 to 0.9; conv4_3 has 0.1. For COCO it takes 0.15, and 0.07 for conv4_3.
    cfg.MODEL.SSD.SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
    # a_r of each map: width over height of further boxes; each also stands for its inverse.
    cfg.MODEL.SSD.ASPECT_RATIOS = [[2.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0], [2.0], [2.0]]
    # Distance, in pixels, between the centres of a map's boxes; 0 spreads them over the image, as
    # in the paper's (i + 0.5) / |f_k|, which a map needs whose layers cut its border off.
    cfg.MODEL.SSD.STEPS = [8, 16, 32, 64, 0, 0]
    # Lowest IoU of default boxes with an object, besides the one that is bound to it; one number.
    cfg.MODEL.SSD.IOU_THRESHOLDS = [0.5]
    # Background boxes in the loss for each box of an object (section 2.2).
    cfg.MODEL.SSD.NEGATIVE_RATIO = 3.0
    # Background boxes in the loss of an image with fewer of them. 0 is the paper's: there an image
    # without objects teaches nothing, while most tiles of a large photograph show none.
    cfg.MODEL.SSD.MIN_NEGATIVES = 0
    # Inverses of the variances 0.1, 0.1, 0.2, 0.2 that the Caffe release divides targets by.
    cfg.MODEL.SSD.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
    # smooth_l1, as in the paper, giou, diou or ciou.
    cfg.MODEL.SSD.BBOX_REG_LOSS_TYPE = "smooth_l1"
    # Lowest score of a detection.
    cfg.MODEL.SSD.SCORE_THRESH_TEST = 0.01
    # Detections of each class that go into non-maximum suppression.
    cfg.MODEL.SSD.TOPK_CANDIDATES_TEST = 400
    # IoU of detections of one class of which only the better one is kept. Of those kept,
    # TEST.DETECTIONS_PER_IMAGE remain: 200 in the paper.
    cfg.MODEL.SSD.NMS_THRESH_TEST = 0.45


def _add_refinedet_keys(cfg: CfgNode) -> None:
    """Of RefineDet (arXiv 1711.06897); the values are those of the released code."""
    cfg.MODEL.REFINEDET = CfgNode()
    # Backbone features that carry anchors, each of half the resolution of the one before.
    cfg.MODEL.REFINEDET.IN_FEATURES = ["conv4_3", "conv5_3", "fc7", "conv6_2"]
    # Length, at the start of training, that L2 normalisation gives each of these features; 0: none.
    cfg.MODEL.REFINEDET.L2_SCALES = [10.0, 8.0, 0.0, 0.0]
    # Channels of the transfer connection blocks.
    cfg.MODEL.REFINEDET.TCB_CHANNELS = 256
    # Normalisation of their convolutions, by Detectron2's name; "": none, as released.
    cfg.MODEL.REFINEDET.NORM = ""
    # Inverses of the variances .1, .1, .2, .2 of (x, y, w, h), in both steps.
    cfg.MODEL.REFINEDET.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
    # An anchor matches an object that it overlaps by this IoU, beside each object's best anchor;
    # one number.
    cfg.MODEL.REFINEDET.IOU_THRESHOLDS = [0.5]
    # Background anchors, those of highest loss, that train for each matched one.
    cfg.MODEL.REFINEDET.NEGATIVE_RATIO = 3.0
    # Of those, at least so many in each image. 0 is the released code's: there an image without
    # objects teaches nothing, while most tiles of a large photograph show none.
    cfg.MODEL.REFINEDET.MIN_NEGATIVES = 0
    # theta: anchors that the ARM takes for background with more confidence than this, in (0, 1],
    # neither train the ODM nor are detections; 1 keeps all.
    cfg.MODEL.REFINEDET.NEGATIVE_CONFIDENCE = 0.99
    # Lowest score of a detection.
    cfg.MODEL.REFINEDET.SCORE_THRESH_TEST = 0.01
    # Detections that go into NMS at most, those of highest score ...
    cfg.MODEL.REFINEDET.TOPK_CANDIDATES_TEST = 1000
    # ... of each "class" (released code) or of the whole "image" (paper, section 4: 400).
    cfg.MODEL.REFINEDET.TOPK_SCOPE_TEST = "class"
    # Detections of one class that overlap by more than this IoU are one object. What is left of an
    # image, or of a tile where tiles are on, is cut at Detectron2's TEST.DETECTIONS_PER_IMAGE.
    cfg.MODEL.REFINEDET.NMS_THRESH_TEST = 0.45


def _add_yolo_keys(cfg: CfgNode) -> None:
    """Of YOLOv3 (arXiv 1804.02767)."""
    cfg.MODEL.YOLO = CfgNode()
    # Features that the head predicts on, the finest first.
    cfg.MODEL.YOLO.IN_FEATURES = ["dark3", "dark4", "dark5"]
    # Normalisation in the head, as MODEL.DARKNET.NORM.
    cfg.MODEL.YOLO.NORM = "BN"
    # (width, height) of each prior, p_w and p_h, in pixels that the network sees: the first third
    # lies on the finest feature, and so on. () fits three a feature to DATASETS.TRAIN by k-means
    # when training starts; OUTPUT_DIR/config.yaml then holds them.
    cfg.MODEL.YOLO.ANCHORS = ()
    # A predicted box that overlaps an object by more than this IoU, and isn't the one assigned to
    # it, is neither object nor background. Paper, section 2.1: 0.5; authors' COCO config: 0.7.
    cfg.MODEL.YOLO.IGNORE_IOU = 0.5
    # Loss of the centre's place in its cell, sigmoid(t_x) and sigmoid(t_y): "squared_error", or
    # "cross_entropy", whose gradient is what the authors' program descends.
    cfg.MODEL.YOLO.CENTER_LOSS = "squared_error"
    # Objectness that the untrained network gives every prior.
    cfg.MODEL.YOLO.PRIOR_PROB = 0.01
    # Lowest score, objectness times probability of the class, of a detection.
    cfg.MODEL.YOLO.SCORE_THRESH_TEST = 0.02
    # Candidates of each feature that go into NMS, the best first.
    cfg.MODEL.YOLO.TOPK_CANDIDATES_TEST = 1000
    # Of boxes of one class that overlap by more than this IoU the best one stays.
    cfg.MODEL.YOLO.NMS_THRESH_TEST = 0.45


def _add_focus_keys(cfg: CfgNode) -> None:
    """Of FocusNet, the network that chooses what a detector reads."""
    # FocusNet (MODEL.META_ARCHITECTURE), the network that chooses what the detector reads.
    cfg.MODEL.FOCUS = CfgNode()
    # Side of the photograph over side of the image that the network sees: 1, 2, 4 or 8.
    cfg.MODEL.FOCUS.REDUCTION = 2
    # Channels after each of three steps of stride 2.
    cfg.MODEL.FOCUS.CHANNELS = (32, 64, 96)
    # Dilation of each residual block behind them: more and larger ones see more surroundings.
    cfg.MODEL.FOCUS.DILATIONS = (1, 2, 4)
    # Detectron2's name of the normalisation. BN costs nothing at inference: it goes into the
    # convolutions.
    cfg.MODEL.FOCUS.NORM = "BN"
    # Side of a box's positive core over the side of the box, in (0, 1].
    cfg.MODEL.FOCUS.CORE = 0.5
    # alpha of the focal loss (arXiv 1708.02002, section 3): weight of objects against background.
    # An object missed is lost, a piece of background only costs time.
    cfg.MODEL.FOCUS.FOCAL_ALPHA = 0.95
    # gamma of the focal loss.
    cfg.MODEL.FOCUS.FOCAL_GAMMA = 2.0


def _add_vgg_keys(cfg: CfgNode) -> None:
    """Of the VGG-16 backbone."""
    # VGG-16 with fc6 and fc7 as convolutions (MODEL.BACKBONE.NAME build_vgg_backbone).
    cfg.MODEL.VGG = CfgNode()
    # Output feature maps, by their names in the Caffe releases: conv1_1 to conv5_3, fc6, fc7,
    # and conv6_1, conv6_2, conv7_1 ... of MODEL.BACKBONE.EXTRA_LAYERS.
    cfg.MODEL.VGG.OUT_FEATURES = ["conv4_3", "fc7"]
    # Detectron2's name of the normalisation behind each convolution. "" is the paper's network,
    # which begins with ImageNet weights; from scratch the tiny one took twice as many steps of Adam
    # without as with GN (80 and 40) to learn eight tiles by heart.
    cfg.MODEL.VGG.NORM = "GN"
    # Channels of each layer over those of VGG-16; extra layers included.
    cfg.MODEL.VGG.WIDTH = 1.0
    # 1: pool5 keeps stride 16 and fc6 has dilation 6, as in SSD. 2: pool5 halves the map and fc6
    # has dilation 3, as in RefineDet, so fc7 has stride 32.
    cfg.MODEL.VGG.POOL5_STRIDE = 1
    # Images are padded to multiples of this many pixels; 0 pads to none. What adds maps of two
    # levels up needs the largest stride here.
    cfg.MODEL.VGG.SIZE_DIVISIBILITY = 0


def _add_extra_layer_keys(cfg: CfgNode) -> None:
    """Of the layers that SSD and RefineDet put behind a backbone."""
    # Layers behind fc7 or behind a ResNet's last stage, one entry for each pair: channels of a 1x1
    # convolution, then channels, kernel, stride and padding of the next. They are called conv6_1,
    # conv6_2, conv7_1, conv7_2 and so on.
    cfg.MODEL.BACKBONE.EXTRA_LAYERS = []
    # build_resnet_extra_backbone: 1 keeps res4 at stride 8, as SSDs on a ResNet do; 2 is usual.
    cfg.MODEL.RESNETS.RES4_STRIDE = 2


def _add_darknet_keys(cfg: CfgNode) -> None:
    """Of YOLOv3's backbone, Darknet-53 (arXiv 1804.02767)."""
    cfg.MODEL.DARKNET = CfgNode()
    # Channels of the first convolution; each of the five stages doubles them. Darknet-53: 32.
    cfg.MODEL.DARKNET.STEM_CHANNELS = 32
    # Residual blocks of each of the five stages. Darknet-53: 1, 2, 8, 8, 4.
    cfg.MODEL.DARKNET.BLOCKS = (1, 2, 8, 8, 4)
    # Detectron2's name of the normalisation. Original weight files need BN, SyncBN or FrozenBN;
    # GN needs STEM_CHANNELS to be a multiple of 32.
    cfg.MODEL.DARKNET.NORM = "BN"
    # Stages whose outputs are handed on: dark1 to dark5, of stride 2 to 32.
    cfg.MODEL.DARKNET.OUT_FEATURES = ["dark3", "dark4", "dark5"]


def _add_timm_keys(cfg: CfgNode) -> None:
    # Backbones from timm, for build_timm_fpn_backbone and build_timm_pafpn_backbone.
    cfg.MODEL.TIMM = CfgNode()
    # A model of timm that gives features of strides 4, 8, 16 and 32, by its name there.
    cfg.MODEL.TIMM.NAME = "convnext_tiny"
    # Further arguments of timm.create_model, each as "NAME=VALUE", such as "drop_path_rate=0.1".
    cfg.MODEL.TIMM.OPTIONS = []
