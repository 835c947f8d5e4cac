"""The same handlers in AWS Lambda."""

from taskflow.aws.handler import lambda_handler

__all__ = ["lambda_handler"]
