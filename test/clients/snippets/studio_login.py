import requests
# Login and get token
login_response = requests.post(
    "https://api.ainative.studio/api/v1/auth/login-json",
    json={
        "username": "user@example.com",
        "password": "SecurePass123!"
    }
)
token = login_response.json()["access_token"]
# Use token for authenticated requests
headers = {"Authorization": f"Bearer {token}"}
user_response = requests.get(
    "https://api.ainative.studio/api/v1/auth/me",
    headers=headers
)
print(user_response.json())
