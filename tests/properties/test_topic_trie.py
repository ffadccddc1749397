"""The topic trie against the definition of topic matching, through any sequence of adding and removing."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.core.topic_trie import TopicTrie
from tests.oracles import topics

WORDS = st.sampled_from([b"a", b"b", b"", b"$x", b"a word that is longer than sixteen", b"exactly sixteen."])
PATTERN_WORDS = st.one_of(WORDS, st.sampled_from([b"*", b"#", b"#", b"*a", b"##"]))
ROUTING_KEYS = st.lists(WORDS, max_size=6).map(b".".join)
BINDING_KEYS = st.lists(PATTERN_WORDS, max_size=6).map(b".".join)
VALUES = st.integers(0, 3)


@given(st.lists(st.tuples(BINDING_KEYS, VALUES), max_size=30), st.lists(ROUTING_KEYS, max_size=10), st.booleans())
def test_a_routing_key_finds_each_matching_pair_once(pairs, routing_keys, dollar_root):
    trie = TopicTrie(dollar_root=dollar_root)
    for key, value in pairs:
        trie.add(key, (key, value))
    for routing_key in routing_keys:
        expected = [pair for pair in set(pairs) if topics.matches(pair[0], routing_key, dollar_root=dollar_root)]
        assert sorted(trie.matches(routing_key)) == sorted(expected)


class AddingAndRemoving(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.trie = TopicTrie()
        self.pairs = set()

    @rule(key=BINDING_KEYS, value=VALUES)
    def add(self, key, value):
        assert self.trie.add(key, value) == ((key, value) not in self.pairs)
        self.pairs.add((key, value))

    @rule(key=BINDING_KEYS, value=VALUES)
    def remove(self, key, value):
        assert self.trie.remove(key, value) == ((key, value) in self.pairs)
        self.pairs.discard((key, value))

    @rule(data=st.data())
    def remove_one_that_is_there(self, data):
        if self.pairs:
            pair = data.draw(st.sampled_from(sorted(self.pairs)))
            assert self.trie.remove(*pair)
            self.pairs.discard(pair)

    @rule(routing_key=ROUTING_KEYS)
    def match(self, routing_key):
        expected = [value for key, value in self.pairs if topics.matches(key, routing_key)]
        assert sorted(self.trie.matches(routing_key)) == sorted(expected)

    @invariant()
    def nodes_are_exactly_the_prefixes_of_what_is_bound(self):
        prefixes = set()
        for key, _ in self.pairs:
            words = topics.words_of(key)
            prefixes |= {tuple(words[:size]) for size in range(len(words) + 1)}
        assert self.trie.node_count == max(1, len(prefixes | {()}))
        assert len(self.trie) == len(self.pairs)


TestAddingAndRemoving = AddingAndRemoving.TestCase
