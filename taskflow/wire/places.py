"""What places on AWS are called: regions, accounts, tables, buckets.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

import re

REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
ACCOUNT = re.compile(r"[0-9]{12}")
TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEYS = re.compile(r"(?:[A-Za-z0-9!_.'()-]+/){0,20}")


def key_prefix(text: str) -> str:
    """What stands before the keys of a bucket's objects, as it is written: `team-a` is `team-a/`,
    which is not the beginning of `team-ab/…`. Raises ValueError for what had better be none: an
    empty folder, or `*`, which rights take for anything."""
    prefix = text if not text or text.endswith("/") else f"{text}/"
    if len(prefix) > 200 or not _KEYS.fullmatch(prefix):
        raise ValueError(
            f'keys are below {text!r}; names of letters, digits and "!_.\'()-" between single '
            "slashes, 200 characters at most (example: team-a/)"
        )
    return prefix
