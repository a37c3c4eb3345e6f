import pytest

from smallobj.class_names import NamedClasses, differing_classes, listed, same_classes


def difference(ours, theirs):
    return differing_classes(NamedClasses(ours, "ours"), NamedClasses(theirs, "theirs"))


def test_the_same_names_in_another_order_are_the_same_classes():
    assert same_classes(["bolt", "nut"], ["nut", "bolt"])
    assert not same_classes(["bolt", "nut"], ["nut", "bolt", "nail"])
    assert not same_classes(["bolt", "nut"], ["nut", "Bolt"])


def test_the_difference_lists_what_only_one_side_has():
    assert difference(["a", "b", "c"], ["c", "d"]) == "only in ours: 'a', 'b'; only in theirs: 'd'"
    assert difference(["a"], ["a", "b"]) == "only in ours: none; only in theirs: 'b'"


@pytest.mark.parametrize(
    ("name", "other", "by"),
    [
        ("Nut", "nut", "case"),
        ("nut ", "nut", "surrounding blanks"),
        (" Nut", "nut", "case, blanks or coding"),
        # The same syllable as one code point, and as two.
        ("\ubc24", "\u1107\u1161\u11b7", "the coding of their letters"),
    ],
)
def test_names_that_look_alike_are_pointed_out(name, other, by):
    assert f"({name!r} and {other!r} differ only by {by})" in difference([name], [other])


def test_a_name_that_both_have_is_not_alike_another():
    assert "differ only" not in difference(["nut", "Nut"], ["nut", "bolt"])


def test_long_lists_are_cut():
    assert listed([str(k) for k in range(15)]).endswith("'11' and 3 more")
