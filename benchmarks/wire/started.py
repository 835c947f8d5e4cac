"""The command `taskflow` out of a tree that was given: `python -m benchmarks.wire.started serve`.

A server has no handler of ours that could look which taskflow it runs.
"""

from benchmarks import origin

if __name__ == "__main__":
    origin.check()
    from taskflow.cli import main

    main()
