"""One binding key against one routing key: what the route cache forgets by, against the definition."""

from hypothesis import example, given
from hypothesis import strategies as st

from broker.core.route_cache import matches
from tests.oracles import topics

WORDS = st.sampled_from([b"a", b"b", b"", b"ab", b"#a"])
PATTERN_WORDS = st.one_of(WORDS, st.sampled_from([b"*", b"#", b"#"]))


@given(st.lists(PATTERN_WORDS, max_size=7).map(b".".join), st.lists(WORDS, max_size=7).map(b".".join))
@example(b"#.a.#.b", b"a.a.b.b")
@example(b"#", b"")
@example(b"#.#", b"")
@example(b"*", b"")
@example(b"", b"")
@example(b".", b".")
@example(b"#.", b"a.")
@example(b"#.*", b"")
def test_a_binding_key_matches_as_the_definition_says(binding_key, routing_key):
    assert matches(binding_key, routing_key) == topics.matches(binding_key, routing_key)
