"""What all tests share: how Hypothesis searches.

`make test` searches the same examples everywhere and every time, so that a red run can be repeated; `make long`
(``--hypothesis-profile=long``) searches many more, and others each time.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    parent=settings.get_profile("steady"),
    derandomize=False,
    max_examples=2000,
    stateful_step_count=100,
)
settings.load_profile("steady")
