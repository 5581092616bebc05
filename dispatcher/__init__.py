"""The Callboard server: a core that decides, and shells that wait (docs/architecture.md)."""
