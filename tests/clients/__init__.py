"""Real clients of SQS and SNS, each driven against a running `taskflow serve`."""
