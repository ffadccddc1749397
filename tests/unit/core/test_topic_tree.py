"""Topics found by filters: what the clauses say, what a filter costs, and what memory is given back."""

import sys

import pytest

from broker.core.errors import LimitExceeded
from broker.core.topic_tree import TopicTree


def tree_of(*topics: bytes) -> TopicTree:
    tree = TopicTree()
    for topic in topics:
        tree.set(topic, topic)
    return tree


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        (b"sport.tennis.player1.#", b"sport.tennis.player1", True),  # [MQTT-4.7.1-2] the parent level, too
        (b"sport.tennis.player1.#", b"sport.tennis.player1.score.wimbledon", True),
        (b"sport.#", b"sport", True),
        (b"#", b"sport", True),
        (b"sport.tennis.*", b"sport.tennis.player1", True),
        (b"sport.tennis.*", b"sport.tennis.player1.ranking", False),
        (b"sport.*", b"sport", False),
        (b"sport.*", b"sport.", True),
        (b"*.*", b".finance", True),
        (b".*", b".finance", True),
        (b"*", b".finance", False),
        (b"ACCOUNTS", b"Accounts", False),
    ],
)
def test_filters_match_as_the_specification_says_4_7_1(topic_filter, topic, matches):
    assert tree_of(topic).matches(topic_filter) == ([topic] if matches else [])


@pytest.mark.parametrize(
    ("topic_filter", "found"),
    [
        (b"#", [b"a.b"]),
        (b"*.b", [b"a.b"]),
        (b"*.#", [b"a.b"]),
        (b"$SYS.#", [b"$SYS.b"]),
        (b"$SYS.*", [b"$SYS.b"]),
    ],
)
def test_mqtt_4_7_2_1_a_leading_wildcard_matches_no_topic_that_begins_with_a_dollar(topic_filter, found):
    assert tree_of(b"a.b", b"$SYS.b").matches(topic_filter) == found


def test_a_dollar_below_the_first_word_is_a_character_like_others():
    assert sorted(tree_of(b"a.$b", b"a.c").matches(b"a.#")) == [b"a.$b", b"a.c"]


def test_the_value_is_replaced_and_let_go_of():
    tree = TopicTree()
    first, second = object(), object()
    before = sys.getrefcount(first)

    tree.set(b"a", first)
    tree.set(b"a", second)

    assert tree.get(b"a") is second
    assert sys.getrefcount(first) == before
    assert len(tree) == 1


def test_values_are_let_go_of_with_the_tree():
    value = object()
    before = sys.getrefcount(value)
    tree = TopicTree()
    tree.set(b"a.b", value)
    tree.set(b"a", value)
    del tree
    assert sys.getrefcount(value) == before


def test_the_empty_topic_is_refused_mqtt_4_7_3_1():
    with pytest.raises(ValueError, match="at least one character"):
        TopicTree().set(b"", 1)


def test_too_many_words_are_refused():
    tree = TopicTree()
    tree.set(b"." * 255, 1)  # 256 empty words
    for ask in (lambda: tree.set(b"." * 256, 1), lambda: tree.get(b"." * 256), lambda: tree.matches(b"." * 256)):
        with pytest.raises(LimitExceeded, match="more than 256 words"):
            ask()
    assert len(tree) == 1


def test_a_hash_in_the_middle_is_refused_mqtt_4_7_1_2():
    with pytest.raises(ValueError, match="last word"):
        tree_of(b"a.b").matches(b"#.b")


def test_the_table_shrinks_when_topics_go():
    tree = TopicTree()
    small = tree.memory_bytes
    topics = [b"%d.%d" % (number % 100, number) for number in range(5000)]
    for topic in topics:
        tree.set(topic, 1)
    large = tree.memory_bytes
    for topic in topics:
        assert tree.remove(topic)

    assert tree.node_count == 0
    assert large > 5000 * 48
    assert tree.memory_bytes <= small + 8192 * 48  # the array of nodes stays for the next; the table does not
    assert tree.matches(b"#") == []


def test_a_star_over_many_children_finds_them_all():
    topics = [b"device.%d.state" % number for number in range(3000)]
    tree = tree_of(*topics, *(b"device.%d.other" % number for number in range(3000)))
    assert sorted(tree.matches(b"device.*.state")) == sorted(topics)
