"""A login by the client that openapi-python-client made of /openapi.json."""

from backend import DEV, bearer_token
from nodkey import AuthenticatedClient
from nodkey.api.trusonafications import create_trusonafication, get_evidence, get_trusonafication
from nodkey.models import CreateTrusonafication, Created, Evidence, Problem, Trusonafication

client = AuthenticatedClient(base_url=DEV["http"], token=bearer_token(), timeout=90)
asked = CreateTrusonafication(user_identifier="ada", action="log in", resource="Acme Bank")
created = create_trusonafication.sync(client=client, body=asked)
assert isinstance(created, Created), created
done = get_trusonafication.sync(created.id, client=client, wait=60)
assert isinstance(done, Trusonafication) and done.status == "ACCEPTED", done
assert done.result is not None and done.result.accepted_level == 2, done
evidence = get_evidence.sync(created.id, client=client)
assert isinstance(evidence, Evidence) and evidence.receipt, evidence
unknown = get_trusonafication.sync("019ab2f4-5f3c-7a52-9d27-0d2b8a7f4c11", client=client)
assert isinstance(unknown, Problem) and unknown.error == "NOT_FOUND", unknown
print("openapi-python-client: logged in")
