"""The one action of STS that clients ask for: who am I."""

from collections.abc import Mapping

from taskflow.server.wire_call import Action, Call, Result


class Sts:
    """The actions of STS."""

    def actions(self) -> Mapping[tuple[str, str], Action]:
        """By (service, operation)."""
        return {("sts", "GetCallerIdentity"): self.get_caller_identity}

    def get_caller_identity(self, call: Call) -> Result:
        """Whose access key signed the request."""
        caller = call.caller
        user = caller.access_key_id or caller.account
        return {"UserId": user, "Account": caller.account, "Arn": caller.arn}
