"""An agent that uses only Python's standard library: it onboards itself, exchanges its key for a token with fewer scopes,
and calls a tool. It is unclaimed until a user opens the link that it prints, and is deleted after a week otherwise."""

import base64
import json
import os
import secrets
import urllib.parse
import urllib.request

ISSUER = os.environ.get("ISSUER", "http://localhost:3000")


def request_json(method, path, body=None, headers=None):
    """Returns the JSON response of the server. Raises urllib.error.HTTPError for an error status."""
    request = urllib.request.Request(ISSUER + path, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def onboard():
    registration = {
        "agent_id": f"example-{secrets.token_hex(4)}",
        "agent_name": "Python example",
        "capabilities": ["read:cap-table", "read:analytics"],
    }
    body = json.dumps(registration).encode()
    return request_json("POST", "/api/v1/agents/onboard", body, {"Content-Type": "application/json"})


def limited_token(agent, scope):
    """Requests a token. The key is the secret of an OAuth client (RFC 6749, section 4.4)."""
    basic = base64.b64encode(f"{agent['client_id']}:{agent['api_key']}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": scope}
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return request_json("POST", "/api/v1/oauth/token", urllib.parse.urlencode(form).encode(), headers)


def main():
    agent = onboard()
    print(f"I am {agent['agent_id']} ({agent['client_id']}) in {agent['company_id']}.")
    print(f"Claim me at {agent['claim_url']}")
    tokens = limited_token(agent, "read:analytics")
    print(f"My token has the scope {tokens['scope']} and expires in {tokens['expires_in']} seconds.")
    who = request_json("POST", "/api/validate", b"{}", {"X-API-Key": agent["api_key"], "Content-Type": "application/json"})
    print(f"Tools see me as {who['user']['name']}.")


if __name__ == "__main__":
    main()
