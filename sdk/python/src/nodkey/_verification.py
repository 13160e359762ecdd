"""The one class of errors for what does not verify."""

from __future__ import annotations

from typing import Any

#: Reasons of what is wrong with a signed JWT; see :class:`VerificationError`.
MALFORMED = "malformed"
UNKNOWN_KEY = "unknown_key"
WRONG_TYPE = "wrong_type"
WRONG_ALGORITHM = "wrong_algorithm"
INVALID_SIGNATURE = "invalid_signature"
WRONG_CLAIMS = "wrong_claims"


class VerificationError(Exception):
    """Something that was given as proof does not prove what it should. Do not act upon it.

    ``reason`` is stable, and what programs compare. For JWTs (`verify_receipt`, `verify_result`, `verify_device_identifier`) it is
    ``malformed``, ``unknown_key``, ``wrong_type``, ``wrong_algorithm``, ``invalid_signature`` or ``wrong_claims``. ``detail`` says more
    where there is more to say. Subclasses list their own.
    """

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason if detail is None else f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Any], tuple[Any, ...]]:
        return type(self), (self.reason, self.detail)

    @property
    def is_unknown_key(self) -> bool:
        """Whether a key is missing in the JWKS, which may be an old copy: get the keys again, once."""
        error: BaseException | None = self
        while isinstance(error, VerificationError):
            if error.reason == UNKNOWN_KEY:
                return True
            error = error.__cause__
        return False
