"""The 30 classes of the 2021 Small Object AI Challenge, in label order (class id = index).

The English and the Korean tuple name the same classes in the same order. The synthetic dataset
(`smallobj.synthetic`) contains exactly these classes.
"""

from __future__ import annotations

_CLASSES: tuple[tuple[str, str], ...] = (
    ("SD card", "SD카드"),
    ("webcam", "웹캠"),
    ("OTP token", "OTP"),
    ("calculator", "계산기"),
    ("necklace", "목걸이"),
    ("tie pin", "넥타이핀"),
    ("10-won coin", "십원"),
    ("50-won coin", "오십원"),
    ("100-won coin", "백원"),
    ("500-won coin", "오백원"),
    ("US banknote", "미국지폐"),
    ("euro banknote", "유로지폐"),
    ("Thai banknote", "태국지폐"),
    ("Philippine banknote", "필리핀지폐"),
    ("chestnut", "밤"),
    ("Brazil nut", "브라질너트"),
    ("ginkgo nut", "은행"),
    ("pecan", "피칸"),
    ("walnut", "호두"),
    ("pumpkin seed", "호박씨"),
    ("sunflower seed", "해바라기씨"),
    ("tape measure", "줄자"),
    ("battery", "건전지"),
    ("hammer", "망치"),
    ("nail", "못"),
    ("wood screw", "나사못"),
    ("bolt", "볼트"),
    ("nut", "너트"),
    ("tacker", "타카"),
    ("bearing", "베어링"),
)

CHALLENGE_CLASSES_EN: tuple[str, ...] = tuple(english for english, _ in _CLASSES)
CHALLENGE_CLASSES_KO: tuple[str, ...] = tuple(korean for _, korean in _CLASSES)
