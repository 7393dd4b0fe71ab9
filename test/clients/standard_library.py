"""An app in Python that uses only the standard library: registers, signs a user in on the pages, requests userinfo, and
refreshes. Reads {issuer, email, password, public} as JSON from standard input, and prints its results as JSON."""

import base64
import hashlib
import http.cookiejar
import json
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser

REDIRECT_URI = "http://127.0.0.1/callback"
PKCS1_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
MAX_PAGES = 10


class Rejected(Exception):
    """An error of the server, or an invalid response."""


class RedirectedToApp(Exception):
    """The browser was redirected to the app."""

    def __init__(self, url):
        super().__init__(url)
        self.parameters = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


class StopAtTheApp(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if newurl.startswith(REDIRECT_URI):
            raise RedirectedToApp(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Form(HTMLParser):
    """The first form of a page, with the fields that its first button sends. Or where the page goes on by itself."""

    def __init__(self, html):
        super().__init__()
        self.action, self.fields, self.pressed, self.is_open = None, {}, False, False
        self.refresh = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "meta" and attrs.get("http-equiv") == "refresh":
            self.refresh = attrs["content"].partition("url=")[2]
        if tag == "form" and self.action is None:
            self.action, self.is_open = attrs.get("action", ""), True
        if not self.is_open or "name" not in attrs:
            return
        if tag == "input":
            self.fields[attrs["name"]] = attrs.get("value", "")
        if tag == "button" and not self.pressed:
            self.fields[attrs["name"]], self.pressed = attrs.get("value", ""), True

    def handle_endtag(self, tag):
        if tag == "form":
            self.is_open = False


def main():
    options = json.load(sys.stdin)
    metadata = call(options["issuer"] + "/.well-known/openid-configuration")
    client = register(metadata, options["public"])
    verifier, checks, url = authorization_url(metadata, client)
    response = sign_in(url, options["email"], options["password"])
    if response.get("state") != checks["state"] or response.get("iss") != metadata["issuer"]:
        raise Rejected("the response is not for this app")
    if "error" in response:
        raise Rejected(response["error"])

    redemption = {"code": response["code"], "redirect_uri": REDIRECT_URI, "code_verifier": verifier}
    tokens = token(metadata, client, "authorization_code", redemption)
    claims = verify_id_token(metadata, client, tokens["id_token"], checks["nonce"])
    refreshed = token(metadata, client, "refresh_token", {"refresh_token": tokens["refresh_token"]})
    print(
        json.dumps(
            {
                "client": client,
                "tokens": tokens,
                "claims": claims,
                "userinfo": userinfo(metadata, tokens),
                "refreshed": refreshed,
                "userinfo_after_refresh": userinfo(metadata, refreshed),
            }
        )
    )


def register(metadata, public):
    return call(
        metadata["registration_endpoint"],
        json.dumps(
            {
                "client_name": "Python",
                "redirect_uris": [REDIRECT_URI],
                "grant_types": ["authorization_code", "refresh_token"],
                "scope": "openid profile email",
                "token_endpoint_auth_method": "none" if public else "client_secret_basic",
            }
        ).encode(),
        {"Content-Type": "application/json"},
    )


def authorization_url(metadata, client):
    code_verifier = secrets.token_urlsafe(64)
    digest = hashlib.sha256(code_verifier.encode()).digest()
    code_challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    checks = {"state": secrets.token_urlsafe(), "nonce": secrets.token_urlsafe()}
    query = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": REDIRECT_URI,
        "scope": "openid profile email",
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
        **checks,
    }
    return code_verifier, checks, metadata["authorization_endpoint"] + "?" + urllib.parse.urlencode(query)


def sign_in(url, email, password):
    """Acts as the user: fills in the sign-in form, and presses the first button of other pages."""
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        StopAtTheApp(),
    )
    body = None
    try:
        for _ in range(MAX_PAGES):
            with browser.open(url, body) as page:
                here, html = page.url, page.read().decode()
            form = Form(html)
            if form.refresh is not None:
                url, body = urllib.parse.urljoin(here, form.refresh), None
                continue
            if form.action is None:
                raise Rejected("a page without a form: " + here)
            if "password" in form.fields:
                form.fields.update(email=email, password=password)
            url, body = urllib.parse.urljoin(here, form.action), urllib.parse.urlencode(form.fields).encode()
    except RedirectedToApp as redirect:
        return redirect.parameters
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise Rejected("the server rejected the password") from error
        raise
    raise Rejected("too many pages")


def token(metadata, client, grant_type, parameters):
    headers, body = {}, {"grant_type": grant_type, **parameters}
    if "client_secret" in client:
        quoted = ":".join(urllib.parse.quote_plus(client[name]) for name in ("client_id", "client_secret"))
        headers["Authorization"] = "Basic " + base64.b64encode(quoted.encode()).decode()
    else:
        body["client_id"] = client["client_id"]
    return call(metadata["token_endpoint"], urllib.parse.urlencode(body).encode(), headers)


def userinfo(metadata, tokens):
    return call(metadata["userinfo_endpoint"], None, {"Authorization": "Bearer " + tokens["access_token"]})


def verify_id_token(metadata, client, id_token, nonce):
    """Verifies RS256, which is RSA with PKCS #1 padding, and compares all bytes."""
    signed, _, signature = id_token.rpartition(".")
    header, claims = (json.loads(decode(part)) for part in signed.split("."))
    keys = [key for key in call(metadata["jwks_uri"])["keys"] if key["kid"] == header["kid"] and key["kty"] == "RSA"]
    if header["alg"] != "RS256" or len(keys) != 1:
        raise Rejected("the ID token is signed with an unknown key or algorithm")
    modulus, exponent = (int.from_bytes(decode(keys[0][name]), "big") for name in ("n", "e"))
    length = (modulus.bit_length() + 7) // 8
    found = pow(int.from_bytes(decode(signature), "big"), exponent, modulus).to_bytes(length, "big")
    ending = b"\x00" + PKCS1_SHA256 + hashlib.sha256(signed.encode()).digest()
    if found != b"\x00\x01".ljust(length - len(ending), b"\xff") + ending:
        raise Rejected("the ID token is not signed by the server")
    expected = {"iss": metadata["issuer"], "aud": client["client_id"], "nonce": nonce}
    if {name: claims.get(name) for name in expected} != expected or claims["exp"] < time.time():
        raise Rejected("the ID token is not for this app")
    return claims


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def call(url, body=None, headers=None):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, body, headers or {})) as response:
        return json.load(response)


try:
    main()
except Rejected as error:
    sys.exit(str(error))
