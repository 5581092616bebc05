"""How hypothesis runs here: a busy machine is slow, and that is no failure."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "protocol", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("protocol")
