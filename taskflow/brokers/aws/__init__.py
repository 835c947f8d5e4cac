"""The broker over Amazon SNS and SQS: same verbs, same handlers, AWS underneath.

docs/decisions/0026-the-aws-broker.md says how each promise of the contract is kept there, and
which are weaker. Nothing is imported here: boto3 is wanted only by who opens such a broker.
"""
