"""taskflow's sender: each number is published alone, as a web application would."""

import os

from benchmarks.aws.sender import send_all
from benchmarks.aws.taskflow_app import Numbered
from taskflow import open_broker, publish
from taskflow.registry import default_registry
from taskflow.topology import declare


def main() -> None:
    broker = open_broker(os.environ["TASKFLOW_BROKER"])
    declare(broker, default_registry)
    send_all(lambda number: publish("job", Numbered(number), broker=broker))
    broker.close()


if __name__ == "__main__":
    main()
