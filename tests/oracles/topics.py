"""Topic matching by the definition: try every way in which a '#' can take words. The judge of `TopicTrie`."""


def words_of(key: bytes) -> list[bytes]:
    return key.split(b".") if key else []


def words_match(pattern: list[bytes], words: list[bytes]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == b"#":
        return any(words_match(pattern[1:], words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and pattern[0] in (b"*", words[0]) and words_match(pattern[1:], words[1:])


def matches(binding_key: bytes, routing_key: bytes, *, dollar_root: bool = False) -> bool:
    pattern = words_of(binding_key)
    if dollar_root and routing_key[:1] == b"$" and pattern[:1] in ([b"*"], [b"#"]):
        return False
    return words_match(pattern, words_of(routing_key))
