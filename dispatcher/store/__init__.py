"""Durable jobs: the contract (`contract`) and the stores that keep it."""
