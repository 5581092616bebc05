"""What a worker knows of a job crosses to its process whole."""

from dataclasses import fields

from protocol import executor_pb2
from worker_sdk.planner import Start


def test_all_that_a_job_function_may_be_told_is_in_the_message() -> None:
    sent = {field.name for field in executor_pb2.Run.DESCRIPTOR.fields}
    assert sent == {field.name for field in fields(Start)}
