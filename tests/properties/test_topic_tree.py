"""The topic tree against the definition of topic matching, through any sequence of setting and removing."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.core.topic_tree import TopicTree
from tests.oracles import topics

WORDS = st.sampled_from([b"a", b"b", b"", b"$x", b"a word that is longer than sixteen", b"exactly sixteen."])
TOPICS = st.lists(WORDS, min_size=1, max_size=5).map(b".".join).filter(bool)
FILTERS = st.tuples(
    st.lists(st.one_of(WORDS, st.just(b"*"), st.just(b"*")), max_size=5), st.sampled_from([[], [], [b"#"]])
).map(lambda parts: b".".join(parts[0] + parts[1]))


@given(st.lists(TOPICS, max_size=30), st.lists(FILTERS, max_size=10))
def test_a_filter_finds_each_matching_topic_once(kept, filters):
    tree = TopicTree()
    for topic in kept:
        tree.set(topic, topic)
    for topic_filter in filters:
        expected = [topic for topic in set(kept) if topics.matches(topic_filter, topic, dollar_root=True)]
        assert sorted(tree.matches(topic_filter)) == sorted(expected)


class SettingAndRemoving(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.tree = TopicTree()
        self.kept = {}

    @rule(topic=TOPICS, value=st.integers(0, 3))
    def set(self, topic, value):
        self.tree.set(topic, value)
        self.kept[topic] = value

    @rule(topic=TOPICS)
    def remove(self, topic):
        assert self.tree.remove(topic) == (self.kept.pop(topic, None) is not None)

    @rule(data=st.data())
    def remove_one_that_is_there(self, data):
        if self.kept:
            topic = data.draw(st.sampled_from(sorted(self.kept)))
            assert self.tree.remove(topic)
            del self.kept[topic]

    @rule(topic=TOPICS)
    def get(self, topic):
        assert self.tree.get(topic) == self.kept.get(topic)

    @rule(topic_filter=FILTERS)
    def match(self, topic_filter):
        expected = [v for topic, v in self.kept.items() if topics.matches(topic_filter, topic, dollar_root=True)]
        assert sorted(self.tree.matches(topic_filter)) == sorted(expected)

    @invariant()
    def nodes_are_exactly_the_beginnings_of_topics(self):
        beginnings = set()
        for topic in self.kept:
            words = topics.words_of(topic)
            beginnings |= {tuple(words[:size]) for size in range(1, len(words) + 1)}
        assert self.tree.node_count == len(beginnings)
        assert len(self.tree) == len(self.kept)
        assert sorted(self.tree.values()) == sorted(self.kept.values())


TestSettingAndRemoving = SettingAndRemoving.TestCase
