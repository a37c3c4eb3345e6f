"""Names of a config, and what is registered under them."""

import pytest

from smallobj.registry import NamedRegistry


@pytest.fixture
def registry():
    registry = NamedRegistry("THING")

    @registry.register()
    class Plain:
        pass

    @registry.register(name="short")
    class WithAShortName:
        pass

    return registry


def test_a_name_is_the_things_own_unless_said_otherwise(registry):
    assert [name for name, _ in registry] == ["Plain", "short"]
    assert registry.find("short", "THE.KEY").__name__ == "WithAShortName"
    assert registry.find("Plain", "THE.KEY").__name__ == "Plain"


def test_register_is_a_function_too_and_gives_back_what_it_got(registry):
    assert registry.register(len, name="length") is len
    assert registry.register(max) is max
    assert registry.find("length", "THE.KEY") is len
    assert registry.find("max", "THE.KEY") is max


def test_an_unknown_name_is_told_with_the_key_and_the_known_ones(registry):
    with pytest.raises(ValueError, match=r"^THE.KEY must be .*\['Plain', 'short'\]; got 'long'$"):
        registry.find("long", "THE.KEY")


def test_a_class_is_told_its_short_name(registry):
    with pytest.raises(ValueError, match=r"^THE.KEY: .* registered as 'short'; got 'WithA"):
        registry.find("WithAShortName", "THE.KEY")


def test_a_name_counts_once(registry):
    with pytest.raises(AssertionError, match="already registered"):
        registry.register(max, name="short")
