"""Regular expressions that users give: of permissions, policies, filters of listings.

Owns their dialect (PCRE, as in RabbitMQ's permissions and policies) and the bound on what one costs. Refuses to know
what they are for.

Invariant: whatever the pattern and whatever the name, a match takes at most STEPS_MAX steps, about a millisecond, so
that `(a+)+$` stops nobody. What is not decided by then does not match: that refuses a permission and applies no policy.
"""

from __future__ import annotations

import pcre2

from broker.core.errors import PreconditionFailed

STEPS_MAX = 50_000
HEAP_KIB_MAX = 1_024
PATTERN_MAX = 8_192
"""Characters."""
BOUNDED = f"(*LIMIT_MATCH={STEPS_MAX})(*LIMIT_HEAP={HEAP_KIB_MAX})"
"""Put before each pattern. One that brings its own limits can only lower them (pcre2pattern(3))."""
FOR_EVERYTHING = ("", ".*", "^.*", ".*$")
"""What most patterns are: nothing needs to be looked at."""
FOR_NOTHING = "(?!)"


class InvalidPatternError(PreconditionFailed):
    """No regular expression. `reason`: what is wrong; `position`: where, in characters."""

    def __init__(self, pattern: str, reason: str, position: int = 0) -> None:
        super().__init__(f"'{pattern}' is not a regular expression: {reason} at position {position}")
        self.reason = reason
        self.position = position


class Pattern:
    """One of them, which may match anywhere in a name."""

    __slots__ = ("compiled", "excesses", "text")

    def __init__(self, text: str) -> None:
        """Raises InvalidPatternError."""
        self.text = text
        self.excesses = 0
        """Names for which STEPS_MAX steps were not enough."""
        self.compiled = None if text in FOR_EVERYTHING else compiled(text)

    def fits(self, name: str) -> bool:
        """Whether it matches somewhere in the name; octets that are no UTF-8 (surrogates) are taken for `?`."""
        if self.compiled is None:
            return True
        try:
            return self.compiled.search(name) is not None
        except UnicodeEncodeError:
            return self.fits(name.encode("utf-8", "replace").decode())
        except pcre2.LibraryError:  # too many steps, or too much memory
            self.excesses += 1
            return False


def compiled(text: str) -> pcre2.Pattern:
    """Raises InvalidPatternError."""
    if len(text) > PATTERN_MAX:
        raise InvalidPatternError(text[:40] + "…", f"expected at most {PATTERN_MAX} characters")
    try:
        # Interpreted: systems that forbid memory which is both written and executed have no JIT.
        return pcre2.compile(BOUNDED + text, jit=False)
    except pcre2.PatternError as error:
        reason = error.msg.partition("; ")[2]
        raise InvalidPatternError(text, reason, max(0, error.pos - len(BOUNDED))) from None
    except UnicodeEncodeError:
        raise InvalidPatternError(text.encode("utf-8", "replace").decode(), "it is not UTF-8") from None
