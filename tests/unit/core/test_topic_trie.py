"""The topic trie's edges: the empty key, '$', many '#', limits, memory. Matching in general: tests/properties."""

import gc
import sys
import time
import weakref

import pytest

from broker.core.errors import LimitExceeded
from broker.core.topic_trie import TopicTrie

# The bindings and expectations with which RabbitMQ tests its own topic exchange.
PATTERNS = [
    "a.b.c", "a.*.c", "a.#.b", "a.b.b.c", "#", "#.#", "*.*.*", "#.b", "*.#", "#.*.#", "*.#.*", "a.#", "#.b.#", "b.b.c",
    "a.*.*", "vodka.gin", "", "a.b.*", "#.c", "a.#.c", "*.c", "a..c", "*", "#.#.#",
]  # fmt: skip


def trie_of(*keys: str, dollar_root: bool = False) -> TopicTrie:
    trie = TopicTrie(dollar_root=dollar_root)
    for key in keys:
        trie.add(key.encode(), key)
    return trie


def found(trie: TopicTrie, routing_key: str) -> set[str]:
    values = trie.matches(routing_key.encode())
    assert len(values) == len(set(values))
    return set(values)


@pytest.mark.parametrize(
    ("routing_key", "expected"),
    [
        ("a.b.c", {"a.b.c", "a.*.c", "#", "#.#", "*.*.*", "*.#", "#.*.#", "*.#.*", "a.#", "#.b.#", "a.*.*", "a.b.*",
                   "#.c", "a.#.c", "#.#.#"}),
        ("", {"#", "#.#", "", "#.#.#"}),
        ("a", {"#", "#.#", "*.#", "#.*.#", "a.#", "*", "#.#.#"}),
        ("vodka.gin", {"#", "#.#", "*.#", "#.*.#", "*.#.*", "vodka.gin", "#.#.#"}),
        ("a..c", {"a.*.c", "#", "#.#", "*.*.*", "*.#", "#.*.#", "*.#.*", "a.#", "a.*.*", "#.c", "a.#.c", "a..c",
                  "#.#.#"}),
        (".", {"#", "#.#", "*.#", "#.*.#", "*.#.*", "#.#.#"}),
        ("b.b", {"#", "#.#", "#.b", "*.#", "#.*.#", "*.#.*", "#.b.#", "#.#.#"}),
    ],
)  # fmt: skip
def test_amqp_0_9_1_3_1_3_3_wildcards_match_words(routing_key, expected):
    assert found(trie_of(*PATTERNS), routing_key) == expected


def test_a_star_inside_a_word_is_a_letter():
    assert found(trie_of("a*", "#b", "**"), "ax") == set()
    assert found(trie_of("a*", "#b", "**"), "**") == {"**"}


def test_values_under_one_key_are_a_set():
    trie = TopicTrie()
    assert trie.add(b"k", 1)
    assert not trie.add(b"k", 1)
    assert trie.add(b"k", 2)
    assert trie.add(b"k", 3)
    assert not trie.add(b"k", 3)
    assert trie.matches(b"k") == [1, 2, 3]
    assert trie.remove(b"k", 2)
    assert not trie.remove(b"k", 2)
    assert trie.matches(b"k") == [1, 3]
    assert len(trie) == 2


def test_removing_what_was_never_added_changes_nothing():
    trie = trie_of("a.b", "a.#")
    for key in (b"a", b"a.b.c", b"", b"*", b"a.*", b"b"):
        assert not trie.remove(key, "a.b")
    assert not trie.remove(b"a.b", "other")
    assert found(trie, "a.b") == {"a.b", "a.#"}


def test_mqtt_4_7_2_1_a_leading_wildcard_does_not_match_a_dollar_topic():
    patterns = ("#", "*.monitor", "*.*", "#.monitor", "$SYS.#", "$SYS.*", "a.*")
    assert found(trie_of(*patterns, dollar_root=True), "$SYS.monitor") == {"$SYS.#", "$SYS.*"}
    assert found(trie_of(*patterns), "$SYS.monitor") == set(patterns) - {"a.*"}


def test_mqtt_4_7_2_1_is_about_the_first_word_only():
    assert found(trie_of("a.#", "a.*", "*.*", "#", dollar_root=True), "a.$b") == {"a.#", "a.*", "*.*", "#"}


@pytest.mark.parametrize("size", [1, 15, 16, 17, 200])
def test_words_of_any_length_are_told_apart_to_the_last_byte(size):
    words = [b"w" * (size - 1) + letter for letter in (b"x", b"y")]
    trie = TopicTrie()
    for word in words:
        trie.add(word + b".end", word)
    assert [trie.matches(word + b".end") for word in words] == [[words[0]], [words[1]]]
    for word in words:
        assert trie.remove(word + b".end", word)
    assert trie.node_count == 1


def test_more_than_256_words_are_refused_and_leave_nothing_behind():
    trie = TopicTrie()
    assert trie.add(b"." * 255, 1)
    assert trie.matches(b"." * 255) == [1]
    nodes = trie.node_count
    with pytest.raises(LimitExceeded):
        trie.add(b"." * 256, 1)
    trie.add(b"#", 2)
    with pytest.raises(LimitExceeded):
        trie.matches(b"." * 256)
    assert trie.node_count == nodes + 1


def test_an_unhashable_value_leaves_nothing_behind():
    trie = TopicTrie()
    with pytest.raises(TypeError):
        trie.add(b"a.b", [])  # type: ignore[arg-type]
    assert trie.node_count == 1


def test_a_value_that_cannot_be_compared_leaves_nothing_behind():
    class Sour:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            raise RuntimeError

    trie = TopicTrie()
    trie.add(b"a.b", Sour())
    nodes = trie.node_count
    with pytest.raises(RuntimeError):
        trie.add(b"a.b", Sour())
    assert (trie.node_count, len(trie)) == (nodes, 1)


def test_keys_with_many_hashes_cost_words_times_nodes():
    # Trying every way in which n '#' share n words would take longer than the universe has been there.
    trie = TopicTrie()
    for count in range(100):
        trie.add(b".".join([b"#", b"a"] * count + [b"#"]), count)
    trie.add(b".".join([b"#"] * 256), "only hashes")
    started = time.perf_counter()
    assert len(trie.matches(b".".join([b"a"] * 256))) == 101
    assert time.perf_counter() - started < 1


def test_memory_is_returned_when_bindings_go():
    trie = TopicTrie()
    empty = trie.memory_bytes
    for number in range(20_000):
        trie.add(b"a.%d.b" % number, number)
    full = trie.memory_bytes
    assert full / trie.node_count < 200
    for number in range(20_000):
        assert trie.remove(b"a.%d.b" % number, number)
    assert (trie.node_count, trie.edge_count, len(trie)) == (1, 0, 0)
    assert trie.memory_bytes == empty
    assert trie.add(b"a.1.b", 1)
    assert trie.matches(b"a.1.b") == [1]


class Thing:
    pass


@pytest.mark.parametrize("count", [1, 2])
def test_values_are_referenced_exactly_while_they_are_bound(count):
    trie = TopicTrie()
    things = [Thing() for _ in range(count)]
    before = [sys.getrefcount(held) for held in things]
    for thing in things:
        trie.add(b"#.x", thing)
        trie.add(b"#.x", thing)
    assert trie.matches(b"x") == things
    for thing in things:
        trie.remove(b"#.x", thing)
    del thing
    assert [sys.getrefcount(held) for held in things] == before


@pytest.mark.parametrize("drop", ["clear", "collect"])
def test_a_trie_that_goes_lets_go_of_its_values(drop):
    trie = TopicTrie()
    thing, other = Thing(), Thing()
    gone = [weakref.ref(thing), weakref.ref(other)]
    trie.add(b"a long word that is not inside.#", thing)
    trie.add(b"b", thing)
    trie.add(b"b", other)
    del thing, other
    if drop == "clear":
        trie.clear()
        assert (len(trie), trie.node_count, trie.matches(b"b")) == (0, 1, [])
        assert trie.add(b"b", 1)
    else:
        del trie
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_subscription_of_a_fleet_costs_no_more_than_its_own_words():
    trie = TopicTrie()
    devices = 20_000
    for number in range(devices):
        trie.add(b"site.%d.device.%d.command" % (number % 100, number), number)

    assert trie.node_count <= 2 * devices + 202  # two words of its own each, the others shared
    assert trie.memory_bytes / devices < 2 * 3 * 64  # nodes and edges of 32 bytes, at most twice as many places
