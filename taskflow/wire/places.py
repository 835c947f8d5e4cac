"""What places on AWS are called: regions, accounts, tables, buckets.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

import re

REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
ACCOUNT = re.compile(r"[0-9]{12}")
TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
KEYS = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,200}")
"""What stands before the keys of objects in a bucket."""
