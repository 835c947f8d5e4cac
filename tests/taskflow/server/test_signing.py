"""Signatures: botocore's are taken, and nothing of what was signed can be changed afterwards."""

# botocore has no types.
# mypy: allow-untyped-calls

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from taskflow.clock import from_rfc3339
from taskflow.server.auth_error import AuthError, denied
from taskflow.server.signature_claim import Request, scope_of
from taskflow.server.signing import Signed, verify

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
JSON = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
BODY = b'{"QueueUrl":"http://localhost:9324/000000000000/jobs","MessageBody":"x"}'


@dataclass
class Key:
    secret: str


def find_key(access_key_id: str) -> Key | None:
    return Key(SECRET) if access_key_id == "AKIDEXAMPLE" else None


def sign(
    url: str = "http://localhost:9324/",
    method: str = "POST",
    headers: Mapping[str, str] = JSON,
    body: bytes = BODY,
    *,
    service: str = "sqs",
    region: str = "eu-west-1",
    secret: str = SECRET,
    token: str | None = None,
    expires: int | None = None,
) -> Request:
    """A request signed by botocore, as it arrives at a server."""
    given = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    credentials = Credentials("AKIDEXAMPLE", secret, token).get_frozen_credentials()
    if expires is None:
        SigV4Auth(credentials, service, region).add_auth(given)
    else:
        SigV4QueryAuth(credentials, service, region, expires=expires).add_auth(given)
    parts = urlsplit(given.url)
    arrived = [("host", parts.netloc)]
    arrived += [(name.lower(), value) for name, value in given.headers.items()]
    return Request(method, parts.path, parts.query, arrived, given.body or b"")


def header(request: Request, name: str) -> str:
    (value,) = [value for one, value in request.headers if one == name]
    return value


def with_header(request: Request, name: str, value: str | None) -> Request:
    """The request with another value of a header; None takes it out."""
    headers = [(one, old) for one, old in request.headers if one != name]
    return replace(request, headers=headers + ([(name, value)] if value is not None else []))


def date_of(request: Request) -> float:
    dates = [value for name, value in request.headers if name == "x-amz-date"]
    text = dates[0] if dates else request.query.partition("X-Amz-Date=")[2][:16]
    day, hour = text[:8], text[9:]
    return from_rfc3339(f"{day[:4]}-{day[4:6]}-{day[6:]}T{hour[:2]}:{hour[2:4]}:{hour[4:6]}+00:00")


def refusal(request: Request, now: float | None = None, **options: object) -> AuthError:
    now = date_of(request) if now is None else now
    with pytest.raises(AuthError) as caught:
        verify(request, find_key, now, **options)  # type: ignore[arg-type]  # passed on as given
    return caught.value


# ---- what is taken ----------------------------------------------------------------------------
URLS = [
    "http://localhost:9324/",
    "http://localhost:9324/000000000000/jobs.fifo",
    "http://localhost:9324/a%20b/%7Ec/d:e",
    "http://localhost:9324//double///slash/",
    "http://localhost:9324/a/./b/../c",
    "http://localhost:9324/?Action=ListQueues&Version=2012-11-05",
    "http://localhost:9324/?b=2&a=3&a=1&A=0&c=&d=x%20y%2Bz%26",
    "http://[::1]:9324/",
]


@pytest.mark.parametrize("service", ["sqs", "sns", "sts"])
@pytest.mark.parametrize("url", URLS)
def test_what_botocore_signs_is_taken(url: str, service: str) -> None:
    request = sign(url, service=service)
    now = date_of(request)
    assert verify(request, find_key, now) == Signed("AKIDEXAMPLE", "eu-west-1", service, now)


@pytest.mark.parametrize("url", URLS)
def test_what_botocore_presigns_is_taken(url: str) -> None:
    request = sign(url, "GET", {}, b"", service="sns", region="us-east-1", expires=60)
    now = date_of(request)
    assert verify(request, find_key, now) == Signed("AKIDEXAMPLE", "us-east-1", "sns", now)


@pytest.mark.parametrize(
    "headers",
    [
        FORM,
        JSON | {"X-Amz-Meta": "  many   spaces\there "},
        JSON | {"User-Agent": "sdk", "X-Amzn-Trace-Id": "Root=1"},
        JSON | {"Empty": ""},
        JSON | {"Amz-Sdk-Invocation-Id": "1", "Amz-Sdk-Request": "attempt=1"},
    ],
)
def test_headers_of_all_kinds_are_taken(headers: Mapping[str, str]) -> None:
    request = sign(headers=headers)
    assert verify(request, find_key, date_of(request)).service == "sqs"


def test_a_repeated_header_is_signed_as_one() -> None:
    request = with_header(sign(headers=JSON | {"X-Many": "b,a"}), "x-many", None)
    request = replace(request, headers=[*request.headers, ("x-many", " b "), ("x-many", "a")])
    assert verify(request, find_key, date_of(request))
    swapped = replace(request, headers=[*request.headers[:-2], ("x-many", "a"), ("x-many", "b")])
    assert refusal(swapped).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("expires", [None, 60])
def test_a_session_token_is_ignored(expires: int | None) -> None:
    request = sign(headers={}, body=b"", token="a session", expires=expires)
    assert verify(request, find_key, date_of(request)).access_key_id == "AKIDEXAMPLE"


# AWS's own published examples; no part of them was made by botocore or by us.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
EXAMPLE = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
PUBLISHED = {
    "get-vanilla": (
        Request("GET", "/", "", list(EXAMPLE.items()), b""),
        "host;x-amz-date",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        Request("GET", "/", "Param2=value2&Param1=value1", list(EXAMPLE.items()), b""),
        "host;x-amz-date",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-slashes": (
        Request("GET", "//example//", "", list(EXAMPLE.items()), b""),
        "host;x-amz-date",
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    "get-header-key-duplicate": (
        Request(
            "GET",
            "/",
            "",
            [
                *EXAMPLE.items(),
                ("my-header1", "value2"),
                ("my-header1", "value2"),
                ("my-header1", "value1"),
            ],
            b"",
        ),
        "host;my-header1;x-amz-date",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-trim": (
        Request(
            "GET",
            "/",
            "",
            [*EXAMPLE.items(), ("my-header1", " value1"), ("my-header2", ' "a   b   c"')],
            b"",
        ),
        "host;my-header1;my-header2;x-amz-date",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-x-www-form-urlencoded": (
        Request(
            "POST",
            "/",
            "",
            [*EXAMPLE.items(), ("content-type", "application/x-www-form-urlencoded")],
            b"Param1=value1",
        ),
        "content-type;host;x-amz-date",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_examples_are_taken(name: str) -> None:
    request, names, signature = PUBLISHED[name]
    text = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    signed = with_header(request, "authorization", text)
    now = from_rfc3339("2015-08-30T12:36:00Z")
    assert verify(signed, find_key, now, services=["service"]).date == now
    bare = with_header(request, "authorization", text.replace(", ", ","))
    assert verify(bare, find_key, now, services=["service"]), "spaces after commas are a habit"


# ---- nothing can be changed -------------------------------------------------------------------
def authorization(old: str, new: str) -> Callable[[Request], Request]:
    def change(request: Request) -> Request:
        text = header(request, "authorization")
        assert old in text
        return with_header(request, "authorization", text.replace(old, new))

    return change


CHANGES: dict[str, Callable[[Request], Request]] = {
    "method": lambda one: replace(one, method="PUT"),
    "path": lambda one: replace(one, path="/000000000000/other"),
    "path case": lambda one: replace(one, path=one.path.upper()),
    "query added": lambda one: replace(one, query=one.query + "&Action=PurgeQueue"),
    "query value": lambda one: replace(one, query=one.query.replace("a%20b", "a%2Bb")),
    "query encoding": lambda one: replace(one, query=one.query.replace("a%20b", "a%2520b")),
    "body": lambda one: replace(one, body=BODY.replace(b'"x"', b'"y"')),
    "body emptied": lambda one: replace(one, body=b""),
    "target": lambda one: with_header(one, "x-amz-target", "AmazonSQS.PurgeQueue"),
    "target gone": lambda one: with_header(one, "x-amz-target", None),
    "host": lambda one: with_header(one, "host", "elsewhere:9324"),
    "host twice": lambda one: replace(one, headers=[*one.headers, ("host", "elsewhere")]),
    "unsigned amz header": lambda one: with_header(one, "x-amz-more", "1"),
    "unsigned payload": lambda one: with_header(one, "x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    "payload hash": lambda one: with_header(one, "x-amz-content-sha256", "0" * 64),
    "region": authorization("eu-west-1", "eu-west-2"),
    "service": authorization("/sqs/", "/sns/"),
    "signed headers": authorization("content-type;", ""),
    "no host signed": authorization("host;", ""),
    "no date signed": authorization(";x-amz-date", ""),
    "signature cut": lambda one: with_header(
        one, "authorization", header(one, "authorization")[:-1]
    ),
    "signature not ascii": lambda one: with_header(
        one, "authorization", header(one, "authorization")[:-1] + "\xe9"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_request_is_refused(change: str) -> None:
    request = sign("http://localhost:9324/000000000000/jobs?Name=a%20b&Other=1")
    changed = CHANGES[change](request)
    assert changed != request
    error = refusal(changed, date_of(request))
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("name", ["Host", "X-Amz-Date", "X-Amz-Target"])
def test_what_must_be_signed_is_named(name: str) -> None:
    error = refusal(authorization(name.lower(), "content-type")(sign()))
    assert error.message.startswith(f"'{name}' ")
    assert error.message.endswith("must be a 'SignedHeader' in the AWS Authorization.")


def test_a_plus_in_a_query_is_a_space_as_it_is_to_its_reader() -> None:
    space, plus = sign("http://localhost/?a=x%20y"), sign("http://localhost/?a=x%2By")
    assert verify(replace(space, query="a=x+y"), find_key, date_of(space))
    assert refusal(replace(plus, query="a=x+y")).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Action=Publish", "Action=DeleteTopic"),
        ("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        ("us-east-1", "us-east-2"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("&X-Amz-Expires=60", ""),
    ],
)
def test_a_changed_presigned_request_is_refused(old: str, new: str) -> None:
    request = sign(
        "http://localhost/?Action=Publish", "GET", {}, b"", region="us-east-1", expires=60
    )
    assert old in request.query
    changed = replace(request, query=request.query.replace(old, new))
    assert refusal(changed).code == "SignatureDoesNotMatch"
    assert refusal(replace(request, body=b"Action=DeleteTopic")).code == "SignatureDoesNotMatch"


def test_an_unsigned_payload_is_refused_although_it_was_signed_so() -> None:
    request = sign(headers=JSON | {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    error = refusal(request)
    assert error.code == "SignatureDoesNotMatch"
    assert "x-amz-content-sha256" in error.message


def test_another_secret_is_refused_and_nothing_secret_is_said() -> None:
    request, names, signature = PUBLISHED["get-vanilla"]
    text = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={'0' * 64}"
    )
    error = refusal(
        with_header(request, "authorization", text),
        from_rfc3339("2015-08-30T12:36:00Z"),
        services=["service"],
    )
    assert error.code == "SignatureDoesNotMatch"
    for hidden in (SECRET, signature, "AWS4-HMAC-SHA256"):
        assert hidden not in f"{error.message} {error!r}"
    assert refusal(sign(secret="guessed")).code == "SignatureDoesNotMatch"


def test_an_unknown_key_is_refused() -> None:
    request = authorization("AKIDEXAMPLE", "AKIDUNKNOWN")(sign())
    error = refusal(request)
    assert (error.code, error.status) == ("InvalidClientTokenId", 403)
    assert error.message == "The security token included in the request is invalid."


# ---- time -------------------------------------------------------------------------------------
@pytest.mark.parametrize("seconds", [-900, -899, 0, 899, 900])
def test_a_clock_may_be_fifteen_minutes_off(seconds: float) -> None:
    request = sign()
    assert verify(request, find_key, date_of(request) + seconds)


def published(day: str = "20150830") -> Request:
    """The request of 30 August 2015, whose texts are known; its signature is not right."""
    text = (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{day}/us-east-1/sqs/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=00"
    )
    return with_header(PUBLISHED["get-vanilla"][0], "authorization", text)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (
            "2015-08-30T12:51:01Z",
            "Signature expired: 20150830T123600Z is now earlier than "
            "20150830T123601Z (20150830T125101Z - 15 min.)",
        ),
        (
            "2015-08-30T12:20:59Z",
            "Signature not yet current: 20150830T123600Z is still later than "
            "20150830T123559Z (20150830T122059Z + 15 min.)",
        ),
    ],
)
def test_too_old_and_too_new_are_refused_in_the_words_of_aws(now: str, message: str) -> None:
    error = refusal(published(), from_rfc3339(now))
    assert (error.code, error.status, error.message) == ("SignatureDoesNotMatch", 403, message)


def test_a_presigned_request_lasts_as_long_as_it_says() -> None:
    request = sign("http://localhost/", "GET", {}, b"", expires=3600)
    made = date_of(request)
    assert verify(request, find_key, made + 3600)
    error = refusal(request, made + 3601)
    assert (error.code, error.status) == ("RequestExpired", 400)
    assert "Signature expired: " in error.message
    assert "Signature not yet current" in refusal(request, made - 901).message


# ---- what cannot be read ----------------------------------------------------------------------
def without(name: str) -> Callable[[Request], Request]:
    return lambda one: with_header(one, name, None)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (without("authorization"), "MissingAuthenticationToken", "missing Authentication Token"),
        (without("x-amz-date"), "IncompleteSignature", "'X-Amz-Date' header"),
        (authorization("Credential=", "C="), "IncompleteSignature", "'Credential' parameter"),
        (authorization("Signature=", "S="), "IncompleteSignature", "'Signature' parameter"),
        (authorization("SignedHeaders=", "S="), "IncompleteSignature", "'SignedHeaders'"),
        (authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), "IncompleteSignature", "start with"),
        (authorization("AWS4-HMAC-SHA256", "Bearer"), "IncompleteSignature", "start with"),
        (authorization("/aws4_request", ""), "IncompleteSignature", "exactly 5"),
        (authorization("/eu-west-1/", "//"), "IncompleteSignature", "exactly 5"),
        (authorization("Signature=", "Signature=0, Signature="), "IncompleteSignature", "twice"),
        (
            lambda one: replace(one, headers=[*one.headers, ("authorization", "AWS4-HMAC-SHA256")]),
            "IncompleteSignature",
            "More than one",
        ),
        (
            lambda one: replace(one, headers=[*one.headers, ("x-amz-date", "20150830T123600Z")]),
            "IncompleteSignature",
            "twice",
        ),
        (authorization("aws4_request", "aws5_request"), "SignatureDoesNotMatch", "'aws5_request'"),
        (authorization("/sqs/", "/s3/"), "SignatureDoesNotMatch", "correct service: 'sqs', 'sns'"),
    ],
)
def test_what_is_incomplete_is_named(
    change: Callable[[Request], Request], code: str, message: str
) -> None:
    request = sign()
    error = refusal(change(request), date_of(request))
    assert error.code == code
    assert error.status == (400 if code == "IncompleteSignature" else 403)
    assert message in error.message


@pytest.mark.parametrize("date", ["2015-08-30T12:36:00Z", "20151330T123600Z", "now", "", "٢" * 8])
def test_a_date_that_is_none_is_refused(date: str) -> None:
    request = with_header(published(), "x-amz-date", date)
    assert refusal(request, 0.0).code == "IncompleteSignature"


def test_the_scope_is_of_the_day_of_the_request() -> None:
    request = published(day="20150831")
    error = refusal(request, from_rfc3339("2015-08-30T12:36:00Z"))
    assert error.code == "SignatureDoesNotMatch"
    assert "'20150831' != '20150830', from '20150830T123600Z'" in error.message


def test_regions_may_be_limited() -> None:
    request = sign(region="eu-west-1")
    assert verify(request, find_key, date_of(request), regions=["eu-west-1"])
    assert "valid region, not 'eu-west-1'" in refusal(request, regions=["us-east-1"]).message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("X-Amz-Expires=60", "X-Amz-Expires=604801", "1 to 604800"),
        ("X-Amz-Expires=60", "X-Amz-Expires=0", "1 to 604800"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1", "1 to 604800"),
        ("X-Amz-Signature=", "Signature=", "'X-Amz-Signature'"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4", "only supports"),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=61", "twice"),
    ],
)
def test_what_is_incomplete_in_a_query_is_named(old: str, new: str, message: str) -> None:
    request = sign("http://localhost/", "GET", {}, b"", expires=60)
    now = date_of(request)
    error = refusal(replace(request, query=request.query.replace(old, new)), now)
    assert error.code == "IncompleteSignature"
    assert message in error.message


# ---- a server without keys --------------------------------------------------------------------
def test_the_scope_is_read_without_a_proof() -> None:
    signed = sign(secret="anything", service="sns", region="us-east-1")
    presigned = sign("http://localhost/", "GET", {}, b"", secret="anything", expires=1)
    assert scope_of(signed) == ("AKIDEXAMPLE", "us-east-1", "sns")
    assert scope_of(presigned) == ("AKIDEXAMPLE", "eu-west-1", "sqs")


@pytest.mark.parametrize("text", [None, "", "Bearer x", "AWS4-HMAC-SHA256 Credential=a/b"])
def test_without_a_signature_there_is_no_scope(text: str | None) -> None:
    assert scope_of(with_header(sign(), "authorization", text)) is None


@pytest.mark.parametrize(
    ("service", "code"), [("sqs", "AccessDenied"), ("sns", "AuthorizationError")]
)
def test_a_known_caller_is_told_what_was_denied(service: str, code: str) -> None:
    error = denied(service, "arn:aws:iam::1:user/shop", f"{service}:Do", "arn:aws:x")
    assert (error.code, error.status) == (code, 403)
    assert error.message == (
        f"User: arn:aws:iam::1:user/shop is not authorized to perform: {service}:Do "
        "on resource: arn:aws:x"
    )
