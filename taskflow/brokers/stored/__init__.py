"""The semantics of SNS and SQS, once, over any store."""
