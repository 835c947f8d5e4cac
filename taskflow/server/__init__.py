"""The broker over HTTP: the wire protocols of SQS and SNS, for any AWS SDK."""
