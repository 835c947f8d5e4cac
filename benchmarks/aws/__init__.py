"""Requests, speed and dollars of messages on SQS and SNS, beside other clients in Python."""
