// Login and get token
const loginResponse = await fetch(
  'https://api.ainative.studio/api/v1/auth/login-json',
  {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      username: 'user@example.com',
      password: 'SecurePass123!'
    })
  }
);
const { access_token } = await loginResponse.json();
// Use token for authenticated requests
const userResponse = await fetch(
  'https://api.ainative.studio/api/v1/auth/me',
  {
    headers: { 'Authorization': `Bearer ${access_token}` }
  }
);
const userData = await userResponse.json();
console.log(userData);
