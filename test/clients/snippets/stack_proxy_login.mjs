const email = 'user@example.com';
const password = 'SecurePass123!';
const response = await fetch('https://api.opencapstack.com/api/v1/auth/ainative-login', {
method: 'POST',
headers: { 'Content-Type': 'application/json' },
body: JSON.stringify({ email, password }),
});
const { token } = await response.json();
// Store and use for subsequent requests
const data = await fetch('https://api.opencapstack.com/api/v1/stakeholders', {
headers: { Authorization: `Bearer ${token}` },
});
console.log(await data.json());
