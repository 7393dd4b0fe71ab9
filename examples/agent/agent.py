"""An agent on Python's standard library: it onboards itself, gets a narrower token with its key, and shows who it is.
Nobody answers for it until a person opens the link that it prints; without that it ends after a week."""

import base64
import json
import os
import secrets
import urllib.parse
import urllib.request

ISSUER = os.environ.get("ISSUER", "http://localhost:3000")


def ask(method, path, body=None, headers=None):
    """The JSON answer of the server. Raises urllib.error.HTTPError for a no."""
    request = urllib.request.Request(ISSUER + path, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def onboard():
    wanted = {
        "agent_id": f"example-{secrets.token_hex(4)}",
        "agent_name": "Python example",
        "capabilities": ["read:cap-table", "read:analytics"],
    }
    body = json.dumps(wanted).encode()
    return ask("POST", "/api/v1/agents/onboard", body, {"Content-Type": "application/json"})


def narrower_token(agent, scope):
    """The key is the secret of an OAuth client (RFC 6749, section 4.4)."""
    basic = base64.b64encode(f"{agent['client_id']}:{agent['api_key']}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": scope}
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return ask("POST", "/api/v1/oauth/token", urllib.parse.urlencode(form).encode(), headers)


def main():
    agent = onboard()
    print(f"I am {agent['agent_id']} ({agent['client_id']}) in {agent['company_id']}.")
    print(f"Whoever answers for me opens {agent['claim_url']}")
    tokens = narrower_token(agent, "read:analytics")
    print(f"My token is good for {tokens['scope']}, for {tokens['expires_in']} seconds.")
    who = ask("POST", "/api/validate", b"{}", {"X-API-Key": agent["api_key"], "Content-Type": "application/json"})
    print(f"Tools see me as {who['user']['name']}.")


if __name__ == "__main__":
    main()
