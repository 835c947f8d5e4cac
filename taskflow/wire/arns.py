"""Amazon Resource Names of topics and queues."""


def write_arn(service: str, region: str, account: str, name: str, partition: str = "aws") -> str:
    """The ARN of a topic (`sns`) or a queue (`sqs`) by its name on the wire.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """
    return f"arn:{partition}:{service}:{region}:{account}:{name}"
