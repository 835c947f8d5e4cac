"""How SNS and SQS write things: pure, and written once."""
