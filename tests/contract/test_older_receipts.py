"""`older`: what SQS takes of a client, and a worker must not do."""

from taskflow.testing.contract.traffic.older_receipts import *
