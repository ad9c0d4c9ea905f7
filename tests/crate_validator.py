"""Validate a crate with rocrate-validator where there is no network: the context of RO-Crate 1.1 comes from a file."""

import io
import sys
import urllib.request
from email.message import Message
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
# The library `rocrate` of that time holds it; a later one holds a later context.
package = find_spec("rocrate")
assert package is not None and package.origin is not None
context = Path(package.origin).with_name("data").joinpath("ro-crate.jsonld").read_bytes()
open_url = urllib.request.OpenerDirector.open


def opened(self: Any, request: Any, *arguments: Any, **options: Any) -> Any:
    """What rdflib asks for."""
    url = request if isinstance(request, str) else request.full_url
    if url != CONTEXT:
        return open_url(self, request, *arguments, **options)
    headers = Message()
    headers["Content-Type"] = "application/ld+json"
    found = urllib.response.addinfourl(io.BytesIO(context), headers, url, 200)
    found.msg = "OK"
    return found


def sent(self: Any, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    """What the validator itself asks for."""
    if request.url != CONTEXT:
        raise requests.ConnectionError(f"{request.url} is not asked for here")
    body = {"body": io.BytesIO(context), "headers": {"Content-Type": "application/ld+json"}, "preload_content": False}
    return self.build_response(request, HTTPResponse(status=200, request_url=CONTEXT, **body))


urllib.request.OpenerDirector.open = opened  # type: ignore[method-assign]
requests.adapters.HTTPAdapter.send = sent  # type: ignore[method-assign,assignment]

from rocrate_validator import services  # noqa: E402
from rocrate_validator.models import Severity, ValidationSettings  # noqa: E402

settings = ValidationSettings(
    rocrate_uri=sys.argv[1], profile_identifier="workflow-run-crate-0.5", requirement_severity=Severity.REQUIRED
)
result = services.validate(settings)
for issue in result.get_issues():
    print(issue.check.identifier, issue.message)
sys.exit(0 if result.passed() else 1)
