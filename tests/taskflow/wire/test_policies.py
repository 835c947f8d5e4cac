"""Policies: a deny wins, what cannot be known never allows, and AddPermission's words are AWS's."""

import json
from typing import Any

import pytest

from taskflow.wire.policies import (
    Decision,
    PolicyError,
    add_statement,
    parse_policy,
    remove_statement,
)

QUEUE = "arn:aws:sqs:us-east-1:000000000000:jobs"
TOPIC = "arn:aws:sns:us-east-1:000000000000:order-created"
SHOP = "arn:aws:iam::000000000000:user/shop"
OTHER = "arn:aws:iam::111111111111:user/other"
SNS = "sns.amazonaws.com"


def statement(**changes: Any) -> dict[str, Any]:
    """Everybody may send to the queue, with changes; None takes an element out."""
    made = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
    } | changes
    return {name: value for name, value in made.items() if value is not None}


def decide(
    *statements: dict[str, Any],
    principal: str = SHOP,
    action: str = "sqs:SendMessage",
    resource: str = QUEUE,
    **context: str,
) -> Decision:
    """Condition keys are given as aws_SourceArn."""
    policy = parse_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    facts = {name.replace("_", ":"): value for name, value in context.items()}
    return policy.decides(principal, action, resource, facts)


# ---- effects ----------------------------------------------------------------------------------
def test_a_deny_wins_in_any_order() -> None:
    allow, deny = statement(), statement(Effect="Deny", Principal={"AWS": OTHER})
    for statements in ([allow, deny], [deny, allow]):
        assert decide(*statements) == "allow"
        assert decide(*statements, principal=OTHER) == "deny"
    assert decide() == decide(allow, action="sqs:PurgeQueue") == "none"


def test_a_single_statement_needs_no_list() -> None:
    policy = parse_policy(json.dumps({"Statement": statement()}))
    assert policy.decides(SHOP, "sqs:SendMessage", QUEUE, {}) == "allow"


# ---- who --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("principal", "shop", "other", "service"),
    [
        ("*", True, True, True),
        ({"AWS": "*"}, True, True, True),
        ({"AWS": "000000000000"}, True, False, False),
        ({"AWS": "arn:aws:iam::000000000000:root"}, True, False, False),
        ({"AWS": SHOP}, True, False, False),
        ({"AWS": SHOP + "2"}, False, False, False),
        ({"AWS": ["222222222222", OTHER]}, False, True, False),
        ({"Service": SNS}, False, False, True),
        ({"Service": ["s3.amazonaws.com"]}, False, False, False),
        ({"AWS": OTHER, "Service": SNS}, False, True, True),
        ({"Federated": "cognito-identity.amazonaws.com"}, False, False, False),
        ({"CanonicalUser": "79a5"}, False, False, False),
    ],
)
def test_principals(principal: Any, shop: bool, other: bool, service: bool) -> None:
    for caller, named in ((SHOP, shop), (OTHER, other), (SNS, service)):
        found = decide(statement(Principal=principal), principal=caller)
        assert found == ("allow" if named else "none")
        turned = statement(Effect="Deny", Principal=None, NotPrincipal=principal)
        assert decide(turned, principal=caller) == ("none" if named else "deny")


def test_a_bare_account_is_a_caller() -> None:
    named = statement(Principal={"AWS": "arn:aws:iam::000000000000:root"})
    assert decide(named, principal="000000000000") == "allow"
    assert decide(named, principal="111111111111") == "none"


def test_a_session_belongs_to_its_account() -> None:
    session = "arn:aws:sts::000000000000:assumed-role/shop/1"
    assert decide(statement(Principal={"AWS": "000000000000"}), principal=session) == "allow"


# ---- what and where ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("actions", "action", "matches"),
    [
        ("SQS:*", "sqs:SendMessage", True),
        ("*", "sns:Publish", True),
        ("SQS:sendmessage", "sqs:SendMessage", True),
        ("sqs:Send*", "sqs:SendMessage", True),
        ("sqs:SendMessag?", "sqs:SendMessage", True),
        ("sqs:SendMessage", "sqs:SendMessageBatch", True),
        ("sqs:SendMessageBatch", "sqs:SendMessageBatch", True),
        ("sqs:SendMessageBatch", "sqs:SendMessage", False),
        ("sns:Publish", "sns:PublishBatch", True),
        (["sqs:ReceiveMessage", "sqs:DeleteMessage"], "sqs:DeleteMessage", True),
        ("sns:*", "sqs:SendMessage", False),
        ("sqs:Send", "sqs:SendMessage", False),
    ],
)
def test_actions(actions: Any, action: str, matches: bool) -> None:
    assert decide(statement(Action=actions), action=action) == ("allow" if matches else "none")
    turned = statement(Effect="Deny", Action=None, NotAction=actions)
    assert decide(turned, action=action) == ("none" if matches else "deny")


@pytest.mark.parametrize(
    ("resources", "matches"),
    [
        ("*", True),
        (QUEUE, True),
        (["arn:aws:sqs:us-east-1:000000000000:other", QUEUE], True),
        ("arn:aws:sqs:*:*:jobs", True),
        ("arn:aws:sqs:us-east-1:000000000000:j?b*", True),
        ("arn:aws:sqs:*:jobs", False),
        ("arn:aws:sqs", True),
        ("arn:aws:sns", False),
        ("arn:aws:sqs:us-east-1:000000000000:JOBS", False),
        ("arn:aws:sqs:us-east-1:000000000000:[j]obs", False),
        ("arn:aws:sqs:us-east-1:000000000000:job", False),
    ],
)
def test_resources(resources: Any, matches: bool) -> None:
    assert decide(statement(Resource=resources)) == ("allow" if matches else "none")
    turned = statement(Effect="Deny", Resource=None, NotResource=resources)
    assert decide(turned) == ("none" if matches else "deny")


# ---- conditions -------------------------------------------------------------------------------
CONDITIONS: list[tuple[dict[str, Any], bool]] = [
    ({"StringEquals": {"aws:SourceAccount": "000000000000"}}, True),
    ({"StringEquals": {"AWS:sourceaccount": ["1", "000000000000"]}}, True),
    ({"StringEquals": {"aws:SourceAccount": "0*"}}, False),
    ({"StringNotEquals": {"aws:SourceAccount": ["1", "2"]}}, True),
    ({"StringNotEquals": {"aws:SourceAccount": ["1", "000000000000"]}}, False),
    ({"StringLike": {"aws:SourceAccount": "0*"}}, True),
    ({"StringLike": {"sns:Protocol": ["sq?", "http"]}}, True),
    ({"StringLike": {"sns:Protocol": "SQS"}}, False),
    ({"StringLike": {"sns:Endpoint": "[a]*"}}, False),
    ({"StringNotLike": {"sns:Protocol": "http*"}}, True),
    ({"StringNotLike": {"sns:Protocol": ["http", "s*"]}}, False),
    ({"ArnEquals": {"aws:SourceArn": TOPIC}}, True),
    ({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:*:*:order-*"}}, True),
    ({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:order-*"}}, True),
    ({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:jobs"}}, False),
    ({"ArnLike": {"aws:SourceArn": "arn:aws:*:000000000000:*:*"}}, False),
    ({"ArnNotLike": {"aws:SourceArn": "arn:aws:sns:*:*:order-*"}}, False),
    ({"ArnNotEquals": {"aws:SourceArn": "arn:aws:sns:*:*:jobs"}}, True),
    ({"ArnLike": {"sns:Protocol": "arn:aws:sns:*:*:order-*"}}, False),
    ({"ArnEquals": {"aws:PrincipalArn": SHOP}}, True),
    ({"StringEquals": {"aws:PrincipalAccount": "000000000000"}}, True),
    ({"Bool": {"aws:SecureTransport": "false"}}, True),
    ({"Bool": {"aws:SecureTransport": False}}, True),
    ({"Bool": {"aws:SecureTransport": True}}, False),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
    ({"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.1.2.3"]}}, True),
    ({"IpAddress": {"aws:SourceIp": "::/0"}}, False),
    ({"NotIpAddress": {"aws:SourceIp": ["192.168.0.0/16", "11.0.0.0/8"]}}, True),
    ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
    # All of them must hold.
    (
        {
            "StringEquals": {"aws:SourceAccount": "000000000000"},
            "ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:jobs"},
        },
        False,
    ),
    ({"StringEquals": {"aws:SourceAccount": "000000000000", "sns:Protocol": "http"}}, False),
    # A key that the request has not.
    ({"StringEquals": {"aws:SourceOwner": "1"}}, False),
    ({"StringLike": {"aws:SourceOwner": "*"}}, False),
    ({"StringEqualsIfExists": {"aws:SourceOwner": "1"}}, True),
    ({"StringEqualsIfExists": {"aws:SourceAccount": "1"}}, False),
    ({"StringNotEquals": {"aws:SourceOwner": "1"}}, True),
    ({"StringNotEqualsIfExists": {"aws:SourceAccount": "000000000000"}}, False),
    ({}, True),
]


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    facts = {
        "aws_SourceArn": TOPIC,
        "aws_SourceAccount": "000000000000",
        "aws_SecureTransport": "false",
        "aws_SourceIp": "10.1.2.3",
        "sns_Protocol": "sqs",
        "sns_Endpoint": "a",
    }
    assert decide(statement(Condition=condition), **facts) == ("allow" if holds else "none")
    deny = statement(Effect="Deny", Condition=condition)
    assert decide(deny, **facts) == ("deny" if holds else "none")


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_an_address_is_the_same_in_both_families(address: str) -> None:
    inside = statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    assert decide(inside, aws_SourceIp=address) == "allow"
    assert decide(inside, aws_SourceIp="2001:db8::1") == "none"


@pytest.mark.parametrize(
    "condition",
    [
        {"StringSimilar": {"aws:SourceAccount": "000000000000"}},
        {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
        {"ForAllValues:StringEquals": {"aws:SourceAccount": "000000000000"}},
        {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}},
        {"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}},
        {"ArnNotLike": {"aws:SourceArn": "*"}},
        {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/33"}},
        {"IpAddress": {"aws:SourceIp": "ten"}},
    ],
)
def test_what_cannot_be_known_never_allows_and_always_denies(condition: dict[str, Any]) -> None:
    facts = {"aws_SourceArn": TOPIC, "aws_SourceAccount": "000000000000", "aws_SourceIp": "9.9.9.9"}
    assert decide(statement(Condition=condition), **facts) == "none"
    assert decide(statement(Effect="Deny", Condition=condition), **facts) == "deny"
    no = condition | {"Bool": {"aws:SecureTransport": "true"}}
    assert decide(statement(Effect="Deny", Condition=no), **facts) == "none", "this surely fails"


def test_the_usual_policy_of_a_subscribed_queue() -> None:
    policy = statement(
        Principal={"Service": SNS},
        Action="SQS:SendMessage",
        Condition={"ArnEquals": {"aws:SourceArn": TOPIC}},
    )
    assert decide(policy, principal=SNS, aws_SourceArn=TOPIC) == "allow"
    assert decide(policy, principal=SNS, aws_SourceArn=TOPIC + "2") == "none"
    assert decide(policy, principal=SHOP, aws_SourceArn=TOPIC) == "none"


def test_many_wildcards_take_no_time() -> None:
    slow = "arn:aws:sqs:us-east-1:000000000000:" + "*a" * 30 + "b"
    assert decide(statement(Resource=slow), resource=f"{QUEUE}{'a' * 2000}") == "none"


# ---- what is refused --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Effect": "allow"}, "Invalid enum value 'allow' - at `$.Statement[0].Effect`"),
        ({"Effect": None}, "missing required field `Effect`"),
        ({"Principal": None}, "Principal or NotPrincipal"),
        ({"NotPrincipal": "*"}, "Principal or NotPrincipal"),
        ({"Principal": None, "NotPrincipal": "*"}, "NotPrincipal cannot be allowed"),
        ({"Principal": "000000000000"}, "only '*' stands without AWS"),
        ({"Principal": {}}, "names nobody"),
        ({"Principal": {"AWS": []}}, "length >= 1"),
        ({"Principal": {"AWS": "arn:aws:iam::*:root"}}, "a whole ARN is wanted"),
        ({"Principal": {"AWS": "shop"}}, "a whole ARN is wanted"),
        ({"Principal": {"Aws": "*"}}, "Invalid enum value 'Aws'"),
        ({"Action": None}, "Action or NotAction"),
        ({"Action": "SendMessage"}, "'SendMessage' is no action"),
        ({"Action": []}, "length >= 1"),
        ({"Action": ""}, "'' is no action"),
        ({"Resource": None}, "Resource or NotResource"),
        ({"Resource": "arn:aws:sqs:::${aws:username}"}, "policy variables"),
        ({"Condition": {"StringLike": {"aws:SourceArn": "${aws:x}"}}}, "policy variables"),
        ({"Condition": {"StringNotEquals": {"aws:SourceAccount": []}}}, "length >= 1"),
        ({"Condition": {"StringEquals": "x"}}, "Expected `object`"),
        ({"Conditions": {}}, "unknown field `Conditions`"),
    ],
)
def test_a_statement_that_cannot_be_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(PolicyError) as caught:
        decide(statement(**change))
    assert caught.value.message.startswith("Invalid value for the parameter Policy.")
    assert reason in caught.value.message
    assert (caught.value.code, caught.value.status) == ("InvalidAttributeValue", 400)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '"\ud800"',
        '{"Version": "2020-01-01", "Statement": []}',
        '{"Statement": [], "Statements": []}',
        json.dumps({"Statement": [statement(Sid="a"), statement(Sid="a")]}),
    ],
)
def test_a_document_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"Invalid value for the parameter Policy\. Reason: "):
        parse_policy(text)


# ---- AddPermission and RemovePermission -------------------------------------------------------
def test_a_permission_is_added_to_nothing() -> None:
    text = add_statement("", "share", ["111111111111"], ["SendMessage"], QUEUE, "sqs")
    assert json.loads(text) == {
        "Version": "2008-10-17",
        "Id": f"{QUEUE}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "share",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                "Action": "SQS:SendMessage",
                "Resource": QUEUE,
            }
        ],
    }
    policy = parse_policy(text)
    assert policy.decides(OTHER, "sqs:SendMessageBatch", QUEUE, {}) == "allow"
    assert policy.decides(OTHER, "sqs:ReceiveMessage", QUEUE, {}) == "none"
    assert policy.decides(SHOP, "sqs:SendMessage", QUEUE, {}) == "none"


def test_a_permission_is_added_to_what_there_is_and_taken_away() -> None:
    before = {"Version": "2012-10-17", "Id": "mine", "Statement": statement(Sid="first")}
    accounts = ["111111111111", "222222222222"]
    text = add_statement(
        json.dumps(before), "share", accounts, ["Publish", "Subscribe"], TOPIC, "sns"
    )
    after = json.loads(text)
    assert after["Statement"][0] == statement(Sid="first")
    assert after["Statement"][1]["Principal"]["AWS"] == [
        f"arn:aws:iam::{account}:root" for account in accounts
    ]
    assert after["Statement"][1]["Action"] == ["SNS:Publish", "SNS:Subscribe"]
    assert (after["Version"], after["Id"]) == ("2012-10-17", "mine")
    restored = json.loads(remove_statement(text, "share"))
    assert restored == before | {"Statement": [statement(Sid="first")]}
    assert remove_statement(json.dumps(restored), "first") == ""


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            {"label": "first"},
            "InvalidParameterValue",
            "Value first for parameter Label is invalid. Reason: Already exists.",
        ),
        (
            {"label": "a b"},
            "InvalidParameterValue",
            "Value a b for parameter Label is invalid. Reason: "
            "Can only include alphanumeric characters, '-' and '_'.",
        ),
        (
            {"accounts": []},
            "InvalidParameterValue",
            "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.",
        ),
        (
            {"accounts": ["111111111111", "*"]},
            "InvalidParameterValue",
            "Value * for parameter PrincipalId is invalid. Reason: Unable to verify.",
        ),
        (
            {"actions": []},
            "MissingParameter",
            "The request must contain the parameter Actions.",
        ),
        (
            {"actions": ["SendMessage"] * 8},
            "OverLimit",
            "8 Actions were found, maximum allowed is 7.",
        ),
        (
            {"actions": ["DeleteQueue"]},
            "InvalidParameterValue",
            "Value SQS:DeleteQueue for parameter ActionName is invalid. "
            "Reason: Only the queue owner is allowed to invoke this action.",
        ),
        (
            {"service": "sns", "actions": ["CreateTopic"]},
            "InvalidParameter",
            "Invalid parameter: Policy statement action out of service scope!",
        ),
        (
            {"service": "sns", "actions": ["Publish"], "label": "first"},
            "InvalidParameter",
            "Invalid parameter: Statement already exists",
        ),
    ],
)
def test_a_permission_that_cannot_be_is_refused(
    change: dict[str, Any], code: str, message: str
) -> None:
    given: dict[str, Any] = {
        "label": "share",
        "accounts": ["111111111111"],
        "actions": ["SendMessage"],
        "resource": QUEUE,
        "service": "sqs",
    }
    before = json.dumps({"Statement": [statement(Sid="first")]})
    with pytest.raises(PolicyError) as caught:
        add_statement(before, **(given | change))
    assert (caught.value.code, caught.value.message) == (code, message)
    assert caught.value.status == (403 if code == "OverLimit" else 400)


@pytest.mark.parametrize("before", ["", json.dumps({"Statement": [statement(Sid="first")]})])
def test_a_label_that_is_not_there_cannot_be_removed(before: str) -> None:
    with pytest.raises(PolicyError) as caught:
        remove_statement(before, "share")
    assert caught.value.code == "InvalidParameterValue"
    assert caught.value.message == (
        "Value share for parameter Label is invalid. Reason: can't find label."
    )
